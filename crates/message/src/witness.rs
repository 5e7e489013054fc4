//! What one replica holds of another's votes: to be shown to it when it comes back from its disk (R16).

use crate::{Checkpoint, Commit, NewView, PrePrepare, Prepare, ReplicaId, Signed, StableCertificate, ViewChange};
use serde::{Deserialize, Serialize};

/// The highest messages of each kind that one replica signed, as another one holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// By view, then number.
    pub pre_prepare: Option<Signed<PrePrepare>>,
    /// By view, then number.
    pub prepare: Option<Signed<Prepare>>,
    /// By view, then number.
    pub commit: Option<Signed<Commit>>,
    /// By number.
    pub checkpoint: Option<Signed<Checkpoint>>,
    /// By view.
    pub view_change: Option<Signed<ViewChange>>,
    /// By view.
    pub new_view: Option<Signed<NewView>>,
}

/// Answers a status that asks for it (R16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// From the question: an answer to an earlier start is none to this one.
    pub asked: u64,
    /// The receiver's own.
    pub votes: Votes,
}

impl Votes {
    /// Keeps it if it is higher.
    pub fn note_pre_prepare(&mut self, header: &Signed<PrePrepare>) {
        keep_higher(&mut self.pre_prepare, header, |header| (header.view, header.sequence));
    }

    /// Keeps it if it is higher.
    pub fn note_prepare(&mut self, prepare: &Signed<Prepare>) {
        keep_higher(&mut self.prepare, prepare, |prepare| (prepare.view, prepare.sequence));
    }

    /// Keeps it if it is higher.
    pub fn note_commit(&mut self, commit: &Signed<Commit>) {
        keep_higher(&mut self.commit, commit, |commit| (commit.view, commit.sequence));
    }

    /// Keeps it if it is higher.
    pub fn note_checkpoint(&mut self, checkpoint: &Signed<Checkpoint>) {
        keep_higher(&mut self.checkpoint, checkpoint, |checkpoint| checkpoint.sequence);
    }

    /// Keeps it if it is higher.
    pub fn note_view_change(&mut self, change: &Signed<ViewChange>) {
        keep_higher(&mut self.view_change, change, |change| change.view);
    }

    /// Keeps it if it is higher.
    pub fn note_new_view(&mut self, new_view: &Signed<NewView>) {
        keep_higher(&mut self.new_view, new_view, |new_view| new_view.view);
    }
}

fn keep_higher<T: Clone, R: Ord>(known: &mut Option<Signed<T>>, offered: &Signed<T>, rank: impl Fn(&T) -> R) {
    if known.as_ref().is_none_or(|known| rank(known) < rank(offered)) {
        *known = Some(offered.clone());
    }
}

impl StableCertificate {
    /// The checkpoint message of this replica, if it is among the signers.
    pub fn checkpoint_of(&self, replica: ReplicaId) -> Option<Signed<Checkpoint>> {
        let signature = self.checkpoints.iter().find(|(signer, _)| *signer == replica).map(|(_, signature)| *signature)?;
        let Self { sequence, digest, .. } = *self;
        Some(Signed::from_parts(Checkpoint { sequence, digest, replica }, signature))
    }
}
