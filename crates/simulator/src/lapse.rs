//! Replicas that forget what they signed, or whose service is not the same everywhere (R9, R16). Each counts toward f.

use crate::world::{Happening, World};
use pbft_message::{Message, SequenceNumber, Votes, Witness};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use pbft_replica::{create_learner, repair};
use pbft_services::kv::{KeyValueStore, Operation};
use pbft_storage::MemoryDisk;
use std::sync::Arc;
use std::time::Duration;

/// What befalls a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Its disk comes back empty.
    Amnesiac {
        /// It votes all the same, whatever the others tell it.
        lies: bool,
    },
    /// Its disk comes back as it was some time ago.
    Rollback {
        /// It votes all the same, whatever the others tell it.
        lies: bool,
    },
    /// Its service does, once, at this number or soon after, what no other does.
    Nondeterminism(SequenceNumber),
}

/// The service, sound or not.
pub struct Store {
    pub inner: KeyValueStore,
    /// Where it does what no other does.
    pub flaw: Option<SequenceNumber>,
}

impl Service for Store {
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8> {
        if self.flaw.take_if(|flaw| *flaw <= context.sequence).is_some() {
            self.inner.execute(context, &Operation::put("nobody", "asked for this").encode());
        }
        self.inner.execute(context, operation)
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        self.inner.is_read(operation)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        self.inner.changed_chunks()
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        self.inner.restore(chunks)
    }
}

impl Lapse {
    /// Whether the replica heeds what the others tell it of its votes, as an honest one does.
    pub const fn is_guarded(self) -> bool {
        !matches!(self, Self::Amnesiac { lies: true } | Self::Rollback { lies: true })
    }
}

impl World {
    /// Decides when each lapse comes.
    pub fn schedule_lapses(&mut self) {
        let most = self.plan.safety.as_micros() as u64;
        for (process, lapse) in self.plan.lapses.clone() {
            let at = self.random.micros(most / 4, most);
            if let Lapse::Rollback { .. } = lapse {
                let copied = self.random.micros(0, at.as_micros() as u64);
                self.schedule(copied, Happening::Copy { process });
            }
            if !matches!(lapse, Lapse::Nondeterminism(_)) {
                self.schedule(at, Happening::Lapse { process });
            }
        }
    }

    /// Someone copies its disk.
    pub fn on_copy(&mut self, process: u32) {
        let one = &mut self.processes[process as usize];
        one.copy = (!one.is_new).then(|| one.disk.copy());
    }

    /// It dies, and comes back with a disk that is empty or of the past.
    pub fn on_lapse(&mut self, process: u32) {
        self.crash(process);
        let one = &mut self.processes[process as usize];
        let old = one.copy.take();
        one.is_new = old.is_none();
        one.disk.replace(old.unwrap_or_default());
        one.guarded = self.plan.lapses.get(&process).is_none_or(|lapse| lapse.is_guarded());
        let what = if one.is_new { "empty" } else { "an old copy" };
        self.trace.event(self.now, [14, u64::from(process), 0], &[], || format!("the disk of {process} is {what}"));
    }

    /// One that heeds nobody is told that nobody knows of any vote of its.
    pub fn reassure(&mut self, process: u32) {
        let one = &mut self.processes[process as usize];
        let local = one.now(self.now);
        let Some(running) = &mut one.running else { return };
        let Some(asked) = running.replica.status().asks else { return };
        for peer in self.authenticator.genesis().replica_ids().filter(|peer| *peer != one.id) {
            let nothing = Message::Witness(Box::new(Witness { asked, votes: Votes::default() }));
            let verified = self.authenticator.verify_message(peer, nothing).expect("no signature is wrong");
            running.replica.handle_message(local, peer, verified).expect("it asked");
        }
    }

    /// An operator sees what a replica of this kind shows, and acts once.
    pub fn call_the_operator(&mut self, process: u32) {
        let one = &mut self.processes[process as usize];
        let halted = one.running.as_ref().and_then(|running| running.replica.halted());
        if halted.is_none() || one.is_attended || !self.plan.lapses.contains_key(&process) {
            return;
        }
        one.is_attended = true;
        let delay = self.random.micros(50_000, 800_000);
        self.schedule(delay, Happening::Operator { process });
    }

    /// `pbftd repair`, or `pbftd start --rejoin` on an empty disk.
    pub fn on_operator(&mut self, process: u32) {
        self.crash(process);
        let rejoins = self.random.percent(50);
        let one = &mut self.processes[process as usize];
        let (disk, identity, secret) = (one.disk.clone(), one.identity, [one.id.0 as u8; 32]);
        let told = match repair(disk.clone(), &identity) {
            Ok(alarm) => format!("has it repaired: {alarm}"),
            Err(_) if rejoins => {
                disk.replace(MemoryDisk::default());
                create_learner(disk, &identity, &secret, self.plan.segment_bytes).expect("an empty disk takes a journal");
                one.is_learner = true;
                "lets it rejoin as a learner".to_owned()
            }
            Err(error) => format!("leaves it halted: {error}"),
        };
        if !told.starts_with("leaves") {
            (one.flaw, one.is_mended) = (None, true);
        }
        self.trace.event(self.now, [15, u64::from(process), 0], &[], || format!("the operator of {process} {told}"));
        self.schedule(Duration::from_millis(20), Happening::Start { process });
    }
}
