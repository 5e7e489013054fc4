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
