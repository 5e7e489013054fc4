use crate::{Body, Party, PreparedCertificate, ReplicaId, SequenceNumber, Signed, StableCertificate, View};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// The primary's proposal to order a batch: a small header, apart from the batch's body (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrePrepare {
    /// The view it is proposed in.
    pub view: View,
    /// Where the batch is to stand.
    pub sequence: SequenceNumber,
    /// The batch's digest (R3).
    pub digest: Digest,
    /// The sender, who is the primary of the view.
    pub replica: ReplicaId,
}

/// A backup accepts the pre-prepare of this view, number and digest (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The view.
    pub view: View,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The batch's digest.
    pub digest: Digest,
    /// The sender, who is not the primary of the view.
    pub replica: ReplicaId,
}

/// The sender holds a prepared certificate of this view, number and digest (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The view.
    pub view: View,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The batch's digest.
    pub digest: Digest,
    /// The sender.
    pub replica: ReplicaId,
}

/// The sender's state after a sequence number (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last sequence number in the state.
    pub sequence: SequenceNumber,
    /// The digest of a [`CheckpointState`](crate::CheckpointState).
    pub digest: Digest,
    /// The sender.
    pub replica: ReplicaId,
}

/// The sender has left all lower views and reports what it prepared (R11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// The view to be entered.
    pub view: View,
    /// C: the sender's stable checkpoint; none only at genesis.
    pub stable: Option<StableCertificate>,
    /// P: for each number above the stable checkpoint that ever prepared at the sender, the certificate of the
    /// highest view; ascending by number.
    pub prepared: Vec<PreparedCertificate>,
    /// The sender.
    pub replica: ReplicaId,
}

impl ViewChange {
    /// h, the sender's stable checkpoint.
    pub fn low_watermark(&self) -> SequenceNumber {
        self.stable.as_ref().map_or(SequenceNumber::GENESIS, |stable| stable.sequence)
    }

    /// R17 (b): whether it hides what the same replica committed before: a commit in a lower view, above h, for whose
    /// number it reports no certificate of the commit's view or a later one.
    pub fn hides(&self, commit: &Commit) -> bool {
        let reported = self.prepared.iter().any(|entry| entry.sequence == commit.sequence && entry.view >= commit.view);
        commit.replica == self.replica && self.view > commit.view && self.low_watermark() < commit.sequence && !reported
    }
}

/// The new primary opens its view (R12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewView {
    /// The view that begins.
    pub view: View,
    /// V: a quorum of view-changes, ascending by sender.
    pub view_changes: Vec<Signed<ViewChange>>,
    /// O: a pre-prepare for every number in (min-s, max-s], ascending.
    pub pre_prepares: Vec<Signed<PrePrepare>>,
    /// The sender, who is the primary of the view.
    pub replica: ReplicaId,
}

/// Where the sender stands (R23). Authentic by the connection that it came on; not signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The sender's view.
    pub view: View,
    /// Whether the sender has entered it.
    pub active: bool,
    /// h.
    pub low_watermark: SequenceNumber,
    /// The last executed number.
    pub executed: SequenceNumber,
    /// The lowest committed number that the sender can still serve with its body.
    pub oldest_served: SequenceNumber,
    /// Bit i of byte j: number h + 1 + 8j + i is prepared in this view.
    pub prepared: Vec<u8>,
    /// The same for committed.
    pub committed: Vec<u8>,
    /// Asks for a [`Witness`](crate::Witness), if the sender has come back from its disk; any number, to be returned.
    pub asks: Option<u64>,
    /// Whether it votes: it is no learner, has not stopped voting, and has heard its witnesses.
    pub votes: bool,
}

impl Body for PrePrepare {
    const TYPE: u8 = 2;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}

impl Body for Prepare {
    const TYPE: u8 = 3;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}

impl Body for Commit {
    const TYPE: u8 = 4;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}

impl Body for Checkpoint {
    const TYPE: u8 = 5;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}

impl Body for ViewChange {
    const TYPE: u8 = 6;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}

impl Body for NewView {
    const TYPE: u8 = 7;

    fn signer(&self) -> Party {
        Party::Replica(self.replica)
    }
}
