//! The replica that was away, driven step by step as the daemon's threads do.

use crate::disk::SharedDisk;
use crate::source::{BEFORE, Chunks, Source, TARGET, identity};
use pbft_crypto::{Digest, PublicKey};
use pbft_message::*;
use pbft_protocol::Now;
use pbft_protocol::agreement::{Config, Limits, Replica, Timing, verify_records};
use pbft_replica::*;
use pbft_storage::Snapshots;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The disk failed, or the test ended the process.
#[derive(Debug, PartialEq, Eq)]
pub struct Died;

pub struct Node {
    replica: Replica,
    writer: JournalWriter<SharedDisk>,
    execution: Execution<Chunks, SharedDisk>,
    snapshots: Snapshots<SharedDisk>,
    orders: VecDeque<Order>,
    now: Duration,
    recovered: Digest,
    saved: bool,
    /// The clients that may connect.
    pub authorised: BTreeMap<ClientId, PublicKey>,
    pub dies_before_saving: bool,
    pub dies_after_chunks: Option<usize>,
    pub chunks_fetched: usize,
    /// The disk, if it is full until it was waited for a few times.
    pub full_disk: Option<SharedDisk>,
    pub waits: u32,
}

impl Node {
    pub fn start(source: &Source, disk: &SharedDisk) -> Self {
        Self::try_start(source, disk).unwrap()
    }

    /// From its disk, with all that is replayed.
    pub fn try_start(source: &Source, disk: &SharedDisk) -> Result<Self, Died> {
        let authenticator = source.authenticator.clone();
        let config = Config { authenticator, timing: Timing::default(), limits: Limits::default() };
        let now = Now { monotonic: Duration::from_secs(1), wall: 1 };
        let disks = (disk.clone(), disk.clone(), disk.clone());
        let verify = |records| verify_records(&source.authenticator, records);
        let recovered = recover(disks, &identity(), Chunks::default(), config, source.signer(), now, verify).map_err(|_| Died)?;
        let others = (0..3).map(ReplicaId).collect();
        let state = recovered.executor.local().state.digest();
        let authorised = recovered.executor.authorised();
        let mut node = Self {
            replica: recovered.replica,
            writer: JournalWriter::new(recovered.journal),
            execution: Execution::new(recovered.executor, others, recovered.fetched, 32 << 20),
            snapshots: recovered.snapshots,
            orders: VecDeque::new(),
            now: now.monotonic,
            recovered: state,
            saved: false,
            authorised,
            dies_before_saving: false,
            dies_after_chunks: None,
            chunks_fetched: 0,
            full_disk: None,
            waits: 0,
        };
        // Replay: nobody else is asked yet.
        node.settle(None)?;
        node.hear_witnesses(source);
        node.settle(None)?;
        Ok(node)
    }

    /// The others hold nothing that it has forgotten (R16).
    fn hear_witnesses(&mut self, source: &Source) {
        let asked = self.replica.status().asks.unwrap();
        for from in 0..3 {
            self.hear(source, from, Message::Witness(Box::new(Witness { asked, votes: Votes::default() })));
        }
    }

    pub fn executed(&self) -> SequenceNumber {
        self.execution.executed()
    }

    /// Whom agreement takes requests from.
    pub fn clients(&self) -> Vec<ClientId> {
        self.replica.windows().keys().copied().collect()
    }

    /// Of the last checkpoint that it has.
    pub fn state_digest(&self) -> Digest {
        self.recovered
    }

    /// Executes what comes before it is away.
    pub fn execute_before(&mut self, source: &Source) -> Result<(), Died> {
        for number in 1..=BEFORE.0 {
            self.hear(source, 0, source.committed(SequenceNumber(number)));
            self.settle(None)?;
        }
        Ok(())
    }

    /// Hears of the target and fetches it, until its snapshot is durable and the journal has begun anew.
    pub fn catch_up(&mut self, source: &mut Source) -> Result<(), Died> {
        if self.executed() == TARGET {
            return self.settle(Some(source));
        }
        self.hear(source, 0, Message::Stable((*source.stable).clone()));
        for from in [0, 1] {
            let status = Status {
                view: View(0),
                active: true,
                low_watermark: TARGET,
                executed: TARGET,
                oldest_served: TARGET.next(),
                prepared: vec![],
                committed: vec![],
                asks: None,
                votes: true,
            };
            self.hear(source, from, Message::Status(status));
        }
        for _ in 0..1000 {
            self.settle(Some(source))?;
            if self.saved {
                return Ok(());
            }
            self.now = self.replica.poll_timeout().into_iter().chain(self.execution.poll_timeout()).min().unwrap().max(self.now);
            self.replica.handle_timeout(self.time());
            let effects = self.execution.handle_timeout(self.now).map_err(|_| Died)?;
            if let (true, Some(disk)) = (self.execution.waits_for_room(), &self.full_disk) {
                self.waits += 1;
                if self.waits == 5 {
                    disk.leave_room(None);
                }
            }
            self.carry_out(effects, Some(source))?;
        }
        panic!("the state is not fetched");
    }

    /// How many chunks a whole transfer fetches.
    pub fn chunks_to_fetch(&mut self, source: &mut Source) -> usize {
        self.catch_up(source).unwrap();
        self.chunks_fetched
    }

    fn time(&self) -> Now {
        Now { monotonic: self.now, wall: 1 }
    }

    fn hear(&mut self, source: &Source, from: u32, message: Message) {
        let verified = source.authenticator.verify_message(ReplicaId(from), message).unwrap();
        // After a restart it may know this already.
        let _ = self.replica.handle_message(self.time(), ReplicaId(from), verified);
    }

    fn settle(&mut self, mut source: Option<&mut Source>) -> Result<(), Died> {
        loop {
            let effects = self.replica.poll_effects();
            if effects.is_empty() && self.orders.is_empty() {
                return Ok(());
            }
            let (at_once, rest) = effects.split();
            self.orders.extend(at_once.iter().filter_map(|action| order_of(action, View(0))));
            if !rest.is_empty() {
                self.writer.push(rest);
                while let Some(group) = self.writer.next_group() {
                    let (_, position) = self.writer.write(group).map_err(|_| Died)?;
                    self.replica.handle_durable(self.time(), position);
                }
            }
            if let Some(order) = self.orders.pop_front() {
                let effects = self.execution.handle(self.now, order).map_err(|_| Died)?;
                self.carry_out(effects, source.as_deref_mut())?;
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<ExecutionEffect>, mut source: Option<&mut Source>) -> Result<(), Died> {
        let time = self.time();
        for effect in effects {
            match effect {
                ExecutionEffect::Tell(told) => told.tell(&mut self.replica, time),
                ExecutionEffect::Send(from, Message::FetchState(question)) => {
                    let Some(source) = source.as_deref_mut() else { continue };
                    let reply = source.executor.serve(&question);
                    if let StateReply::Chunks { pieces, .. } = &reply {
                        self.chunks_fetched += pieces.len();
                    }
                    if self.dies_after_chunks.is_some_and(|most| self.chunks_fetched > most) {
                        self.chunks_fetched -= if let StateReply::Chunks { pieces, .. } = &reply { pieces.len() } else { 0 };
                        return Err(Died);
                    }
                    let order = Order::State { from, reply: Box::new(reply) };
                    let effects = self.execution.handle(self.now, order).map_err(|_| Died)?;
                    self.carry_out(effects, Some(source))?;
                }
                ExecutionEffect::Save { state, certificate, installed } => {
                    if self.dies_before_saving {
                        return Err(Died);
                    }
                    assert!(installed || state.state.sequence < TARGET || self.recovered == state.state.digest());
                    self.recovered = state.state.digest();
                    FromExecutor::SnapshotStarted(certificate.sequence).tell(&mut self.replica, time);
                    // The journal's base is written before the snapshot is, and adopted after it.
                    self.settle(source.as_deref_mut())?;
                    save_snapshot(&mut self.snapshots, &state, &certificate).map_err(|_| Died)?;
                    FromExecutor::Snapshot(certificate.sequence).tell(&mut self.replica, time);
                    self.orders.push_back(Order::Saved(certificate.sequence));
                    self.saved = true;
                    self.settle(source.as_deref_mut())?;
                }
                ExecutionEffect::Poisoned { peer, what } => panic!("{peer} is no poisoner: {what}"),
                ExecutionEffect::Diverged { .. } => panic!("the state is the certified one"),
                ExecutionEffect::Authorise(clients) => self.authorised = clients,
                ExecutionEffect::Send(..) | ExecutionEffect::Reply(_) => {}
            }
        }
        Ok(())
    }
}
