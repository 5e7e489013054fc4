//! What replicas signed that the log has no place for: of other views, outside the window, or while nothing was taken in.
//! It is kept for a while only to be compared with what they sign later (R17).

use super::*;
use std::collections::VecDeque;

/// How many headers and votes of one replica are kept, and how many of its view-changes and new-views, which are larger. The
/// oldest goes first: whoever sends many hides nothing but its own.
const MOST_VOTES: usize = 32;
const MOST_VIEWS: usize = 2;
/// Of one replica.
pub(super) const MOST_PER_REPLICA: usize = MOST_VOTES + MOST_VIEWS;

/// What was overheard of each signer, in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Overheard(BTreeMap<ReplicaId, VecDeque<Statement>>);

impl Overheard {
    /// Keeps one thing that its signer said; the second time it costs nothing.
    pub fn keep(&mut self, statement: Statement) {
        let known = self.0.entry(statement.place().signer).or_default();
        if known.contains(&statement) {
            return;
        }
        let is_large = concerns_views(&statement);
        let most = if is_large { MOST_VIEWS } else { MOST_VOTES };
        if known.iter().filter(|other| concerns_views(other) == is_large).count() >= most {
            let oldest = known.iter().position(|other| concerns_views(other) == is_large);
            oldest.and_then(|oldest| known.remove(oldest));
        }
        known.push_back(statement);
    }

    /// What was overheard of a signer.
    pub fn of(&self, signer: ReplicaId) -> impl Iterator<Item = &Statement> {
        self.0.get(&signer).into_iter().flatten()
    }

    /// How much is kept.
    pub fn count(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }
}

const fn concerns_views(statement: &Statement) -> bool {
    matches!(statement, Statement::ViewChange(_) | Statement::NewView(_))
}

/// What binds its signer in a message, if anything in it may be evidence.
pub(super) fn statement_of(message: &VerifiedMessage) -> Option<Statement> {
    match message {
        VerifiedMessage::PrePrepare { header, .. } => Some(Statement::PrePrepare((**header).clone())),
        VerifiedMessage::Prepare { prepare, .. } => Some(Statement::Prepare((**prepare).clone())),
        VerifiedMessage::Commit(commit) => Some(Statement::Commit((**commit).clone())),
        VerifiedMessage::ViewChange(change) => Some(Statement::ViewChange(Box::new((**change).clone()))),
        VerifiedMessage::NewView(new_view) => Some(Statement::NewView(Box::new((**new_view).clone()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;
    use pbft_message::{Domain, Epoch};

    fn signer(replica: u8) -> Signer {
        let domain = Domain { cluster: Digest::ZERO, epoch: Epoch(0) };
        Signer::new(ReplicaId(replica.into()), domain, SecretKey::from_seed(&[replica; 32]))
    }

    fn vote(replica: u8, sequence: usize) -> Statement {
        let sequence = SequenceNumber(sequence as u64);
        let commit = Commit { view: View(0), sequence, digest: NULL_DIGEST, replica: ReplicaId(replica.into()) };
        Statement::Commit((*signer(replica).sign(commit)).clone())
    }

    fn change(replica: u8, view: u64) -> Statement {
        let change = ViewChange { view: View(view), stable: None, prepared: Vec::new(), replica: ReplicaId(replica.into()) };
        Statement::ViewChange(Box::new((*signer(replica).sign(change)).clone()))
    }

    #[test]
    fn r19_of_each_signer_and_kind_the_oldest_goes_first() {
        let mut overheard = Overheard::default();
        let votes: Vec<Statement> = (0..=MOST_VOTES).map(|sequence| vote(1, sequence)).collect();
        let changes: Vec<Statement> = (0..=MOST_VIEWS as u64).map(|view| change(1, view)).collect();
        overheard.keep(vote(2, 0));
        votes.iter().take(MOST_VOTES).chain(&changes).cloned().for_each(|statement| overheard.keep(statement));
        let known: Vec<Statement> = votes.iter().take(MOST_VOTES).chain(&changes[1..]).cloned().collect();
        assert!(overheard.of(ReplicaId(1)).eq(&known), "one view-change too many takes the place of the oldest one");
        votes.iter().take(MOST_VOTES).cloned().for_each(|statement| overheard.keep(statement));
        assert!(overheard.of(ReplicaId(1)).eq(&known), "what is known costs nothing");
        overheard.keep(votes[MOST_VOTES].clone());
        let newest = votes[1..MOST_VOTES].iter().chain(&changes[1..]).chain(&votes[MOST_VOTES..]);
        assert!(overheard.of(ReplicaId(1)).eq(newest), "nor does a vote take a view-change's place");
        assert_eq!(overheard.count(), MOST_PER_REPLICA + 1, "and nobody another's");
    }
}
