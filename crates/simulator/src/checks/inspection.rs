//! What a correct replica holds, and whom it accuses.

use super::checker::Checker;
use super::invariant::Invariant;
use pbft_message::View;
use pbft_protocol::agreement::{Alarm, Replica};

impl Checker {
    /// The costlier look, from time to time.
    pub fn inspect(&mut self, id: u32, replica: &Replica) {
        for evidence in replica.evidence() {
            let accused = evidence.accused().0.0;
            let lies = !self.is_correct(accused);
            self.expect(lies, Invariant::OnlyLiarsAreAccused, || {
                format!("replica {id} holds evidence of {:?} against the correct replica {accused}", evidence.kind())
            });
        }
        self.expect_evidence_recorded(id, replica);
        let mut held = replica.held();
        if self.replicas[id as usize].replays {
            held.body_bytes = 0;
        }
        if let Some(excess) = held.beyond(replica.bounds()) {
            self.fail(Invariant::Bounded, || format!("replica {id} holds {excess}"));
        }
    }

    /// A correct replica is alarmed in this view. What a liar does, or the faults of others, may be told; that a
    /// replica itself is at its end, or what a correct one is to have done, may not.
    pub fn alarm(&mut self, id: u32, view: View, alarm: Alarm) {
        let is_true = match alarm {
            Alarm::Diverged(_) | Alarm::ReplayDiffers(_) | Alarm::TooManyFaults(_) | Alarm::RolledBack(_) => false,
            Alarm::ProposalContradictsCommitted(_) => !self.is_correct(self.genesis.primary(view).0),
            Alarm::TwoCheckpoints(_, signer) => !self.is_correct(signer.0),
            Alarm::NoStableCheckpoint(_) | Alarm::NoBase(_) => true,
        };
        self.expect(is_true, Invariant::NoAlarm, || format!("replica {id}: {alarm}"));
    }

    /// A correct replica says that another sent it false state.
    pub fn poisoned(&mut self, id: u32, peer: u32) {
        let lies = !self.is_correct(peer);
        self.expect(lies, Invariant::OnlyLiarsAreAccused, || {
            format!("replica {id} says that the correct replica {peer} sent it false state")
        });
    }
}
