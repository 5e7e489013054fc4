//! Evidence reaches every correct replica (R17).

use crate::checks::Invariant;
use crate::plan::Loss;
use crate::world::World;
use pbft_message::{Lie, ReplicaId};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long evidence may be under way once the network is whole.
const UNDER_WAY: Duration = Duration::from_secs(1);

impl World {
    /// Whom one correct replica can prove a liar, all correct ones can that hear the others.
    pub fn expect_evidence_everywhere(&mut self) {
        let proven = self.proven();
        let end = self.now + UNDER_WAY;
        while (self.unaware(&proven).is_some() || self.owing().is_some()) && self.step(end) {}
        if let Some((replica, owed)) = self.owing() {
            self.checker.fail(Invariant::EvidenceIsEverywhere, || {
                format!("replica {replica} has a connection to a replica, and does not tell it of its evidence: {owed:?}")
            });
        }
        if let Some((replica, liar)) = self.unaware(&proven) {
            self.checker.fail(Invariant::EvidenceIsEverywhere, || {
                format!("replica {replica} holds no evidence against replica {liar}, and another correct one does")
            });
        }
    }

    /// Who is proven a liar to some correct replica that is heard.
    fn proven(&self) -> BTreeSet<ReplicaId> {
        let heard = |id: &u32| self.plan.lost.get(id).is_none_or(|loss| *loss == Loss::Deaf);
        self.correct_ids().filter(heard).flat_map(|id| self.checker.proven_to(id)).collect()
    }

    fn unaware(&self, proven: &BTreeSet<ReplicaId>) -> Option<(u32, ReplicaId)> {
        let hearing = |id: &u32| self.plan.lost.get(id).is_none_or(|loss| *loss == Loss::Unheard);
        self.correct_ids().filter(hearing).find_map(|id| {
            let known: BTreeSet<ReplicaId> = self.checker.proven_to(id).collect();
            proven.difference(&known).next().map(|liar| (id, *liar))
        })
    }

    /// Who has not told a peer yet what it holds, and of what.
    fn owing(&self) -> Option<(u32, (u32, Lie))> {
        let running = self.processes.iter().filter(|process| process.correct && process.running.is_some());
        running.map(|process| process.id.0).find_map(|id| self.checker.owes(id).map(|owed| (id, owed)))
    }

    fn correct_ids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().filter(|process| process.correct).map(|process| process.id.0)
    }
}
