use crate::client::WALL_AT_START;
use crate::damage::Held;
use crate::disk::SharedDisk;
use crate::lapse::{Lapse, Store};
use crate::plan::Plan;
use pbft_crypto::PublicKey;
use pbft_message::{Authenticator, ClientId, ReplicaId, SequenceNumber, Signer, StableCertificate};
use pbft_protocol::agreement::{Config, Replica, Silence, verify_records};
use pbft_protocol::execution::FrozenState;
use pbft_protocol::{Now, Outbound};
use pbft_replica::{Execution, JournalWriter, Order, Recovered, RecoveryError, Throttle, recover};
use pbft_services::kv::KeyValueStore;
use pbft_storage::{Identity, Journal, MemoryDisk, Snapshots};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// One process of a replica, running or not. Two of them may share an id: twins.
pub struct Process {
    pub id: ReplicaId,
    pub correct: bool,
    pub config: Config,
    pub signer: Signer,
    pub identity: Identity,
    pub disk: SharedDisk,
    pub running: Option<Box<Running>>,
    /// Grows with each start; what was under way before a crash is of an older one.
    pub incarnation: u64,
    pub outbound: Option<Outbound>,
    /// It stands still.
    pub paused: bool,
    /// It dies after so many more steps.
    pub fuse: Option<u64>,
    /// Of its clock: thousandths of the true rate, and the wall clock's error in microseconds.
    pub rate: u64,
    pub wall_error: i64,
    pub started_at: Duration,
    /// The journal that it began with is not there yet.
    pub is_new: bool,
    /// Its disk was damaged since it ran.
    pub held: Option<Held>,
    /// It heeds what the others tell it of its votes: no liar does.
    pub guarded: bool,
    /// Of its disk, some time ago.
    pub copy: Option<MemoryDisk>,
    /// Where its service does what no other does.
    pub flaw: Option<SequenceNumber>,
    /// An operator has seen that it halted, and brought it back so that it follows again.
    pub is_attended: bool,
    pub is_mended: bool,
    pub is_learner: bool,
}

/// A running replica: the daemon's own parts, and what its threads have under way.
pub struct Running {
    pub replica: Replica,
    pub writer: JournalWriter<SharedDisk>,
    pub journaling: bool,
    /// The journal finds no room: the core is held up.
    pub held_up: bool,
    /// Evidence that came meanwhile, with its sender: it is sent only once (R17).
    pub set_aside: Vec<(u32, Rc<[u8]>)>,
    pub execution: Execution<Store, SharedDisk>,
    /// The clients that may connect.
    pub authorised: BTreeMap<ClientId, PublicKey>,
    pub orders: VecDeque<Order>,
    pub executing: bool,
    pub snapshots: Snapshots<SharedDisk>,
    pub saving: Option<(FrozenState, StableCertificate)>,
    pub last_snapshot_bytes: u64,
    /// The last snapshot found no room: the state in `saving` waits for another try.
    pub snapshot_owed: bool,
    pub throttle: Throttle,
}

impl Process {
    pub fn new(id: u32, correct: bool, plan: &Plan, authenticator: &Authenticator) -> Self {
        let key = crate::cluster::replica_key(id);
        let identity = Identity { cluster: authenticator.genesis().cluster_id(), owner: key.public() };
        let config = Config { authenticator: authenticator.clone(), timing: plan.timing.clone(), limits: plan.limits.clone() };
        let (rate, wall_error) = plan.clocks.get(id as usize).copied().unwrap_or((1000, 0));
        Self {
            id: ReplicaId(id),
            correct,
            config,
            signer: authenticator.signer(ReplicaId(id), key),
            identity,
            disk: SharedDisk::default(),
            running: None,
            incarnation: 0,
            outbound: None,
            paused: false,
            fuse: None,
            rate,
            wall_error,
            started_at: Duration::ZERO,
            is_new: true,
            held: None,
            guarded: correct || plan.lapses.contains_key(&id),
            copy: None,
            flaw: match plan.lapses.get(&id) {
                Some(Lapse::Nondeterminism(at)) => Some(*at),
                _ => None,
            },
            is_attended: false,
            is_mended: false,
            is_learner: false,
        }
    }

    /// Its own clock, at this time of the simulation.
    pub fn now(&self, at: Duration) -> Now {
        let elapsed = at.saturating_sub(self.started_at).as_micros() as u64;
        let wall = WALL_AT_START + at.as_micros() as u64;
        Now { monotonic: Duration::from_micros(elapsed * self.rate / 1000), wall: wall.saturating_add_signed(self.wall_error) }
    }

    /// The latest time that it may accept a proposal of now, in microseconds since 1970 (R3).
    pub fn latest_proposal(&self, at: Duration) -> u64 {
        self.now(at).wall + self.config.timing.clock_drift.as_micros() as u64
    }

    /// When its clock will show this; it shows whole microseconds.
    pub fn true_time(&self, local: Duration) -> Duration {
        let micros = (local.as_nanos() as u64).div_ceil(1000);
        self.started_at + Duration::from_micros((micros * 1000).div_ceil(self.rate))
    }

    /// Starts it from its disk, as the daemon does.
    pub fn start(&mut self, at: Duration, plan: &Plan) -> Result<(), RecoveryError> {
        self.started_at = at;
        self.incarnation += 1;
        if self.is_new {
            // What the key generation does, before the daemon first runs.
            let secret = [self.id.0 as u8; 32];
            if Journal::create(self.disk.clone(), &self.identity, &secret, plan.segment_bytes).is_ok() {
                self.is_new = false;
            }
        }
        let genesis = self.config.authenticator.genesis().clone();
        let service = Store { inner: KeyValueStore::new(&genesis.service), flaw: self.flaw };
        let disks = (self.disk.clone(), self.disk.clone(), self.disk.clone());
        let (config, signer) = (self.config.clone(), self.signer.clone());
        let verify = |records| verify_records(&self.config.authenticator, records);
        let recovered = recover(disks, &self.identity, service, config, signer, self.now(at), verify)?;
        let Recovered { journal, snapshots, fetched, executor, replica, .. } = recovered;
        let others = genesis.replica_ids().filter(|id| *id != self.id).collect();
        let execution = Execution::new(executor, others, fetched, plan.transfer_bytes_per_second);
        self.running = Some(Box::new(Running {
            replica,
            writer: JournalWriter::new(journal),
            journaling: false,
            held_up: false,
            set_aside: Vec::new(),
            authorised: execution.authorised(),
            execution,
            orders: VecDeque::new(),
            executing: false,
            snapshots,
            saving: None,
            last_snapshot_bytes: 0,
            snapshot_owed: false,
            throttle: Throttle::default(),
        }));
        Ok(())
    }

    /// Whether what it is sent reaches its core.
    pub fn takes_part(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.replica.silence() != Some(Silence::Recovering))
    }

    /// When something in it wants to be woken, in the simulation's time.
    pub fn wakes_at(&self) -> Option<Duration> {
        let running = self.running.as_ref().filter(|_| !self.paused)?;
        let core = running.replica.poll_timeout().filter(|_| !running.held_up);
        let times = core.into_iter().chain(running.execution.poll_timeout());
        times.min().map(|local| self.true_time(local))
    }
}
