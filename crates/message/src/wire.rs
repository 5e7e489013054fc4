use crate::*;
use pbft_crypto::{Digest, Signature};
use serde::{Deserialize, Serialize};

/// Between replicas, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A proposal with its body; the body of the null request is empty.
    PrePrepare {
        /// The signed header.
        header: Signed<PrePrepare>,
        /// The batch.
        body: Blob,
    },
    /// A prepare, and the primary's signature over the header it answers: so both halves of an equivocation meet (R5).
    Prepare {
        /// The vote.
        prepare: Signed<Prepare>,
        /// The primary's signature, looked at only when the digest is not the expected one.
        pre_prepare: Signature,
    },
    /// A commit.
    Commit(Signed<Commit>),
    /// A checkpoint.
    Checkpoint(Signed<Checkpoint>),
    /// A view-change.
    ViewChange(Signed<ViewChange>),
    /// A new-view; any replica may pass it on.
    NewView(Signed<NewView>),
    /// The sender's timer for its view expired (R10).
    Suspect {
        /// The suspected view.
        view: View,
    },
    /// The primary lives (R9).
    Heartbeat {
        /// The primary's view.
        view: View,
        /// Grows with each heartbeat in the view.
        counter: u64,
    },
    /// Where the sender stands.
    Status(Status),
    /// A client's request, passed on.
    Request(Signed<Request>),
    /// Asks for the body of a batch.
    FetchBody {
        /// The batch's digest.
        digest: Digest,
    },
    /// The body of a batch.
    Body(Blob),
    /// A committed batch (R6).
    Committed {
        /// The proof.
        certificate: CommitCertificate,
        /// The batch.
        body: Blob,
    },
    /// A stable checkpoint (R9).
    Stable(StableCertificate),
    /// Proof of a lie (R17).
    Evidence(Evidence),
    /// Asks for state (R14).
    FetchState(FetchState),
    /// State (R14).
    State(StateReply),
    /// The receiver's own votes (R16).
    Witness(Box<Witness>),
    /// Says nothing: what a later wire version may add, for the test of upgrades (`--cfg pbft_next_wire`).
    #[cfg(pbft_next_wire)]
    Note,
}

impl Message {
    /// The wire version that it came with: whoever speaks none so high is not sent it.
    pub const fn wire_version(&self) -> u16 {
        match self {
            #[cfg(pbft_next_wire)]
            Self::Note => 2,
            _ => 1,
        }
    }

    /// The message's name, for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PrePrepare { .. } => "pre-prepare",
            Self::Prepare { .. } => "prepare",
            Self::Commit(_) => "commit",
            Self::Checkpoint(_) => "checkpoint",
            Self::ViewChange(_) => "view-change",
            Self::NewView(_) => "new-view",
            Self::Suspect { .. } => "suspect",
            Self::Heartbeat { .. } => "heartbeat",
            Self::Status(_) => "status",
            Self::Request(_) => "request",
            Self::FetchBody { .. } => "fetch-body",
            Self::Body(_) => "body",
            Self::Committed { .. } => "committed",
            Self::Stable(_) => "stable",
            Self::Evidence(_) => "evidence",
            Self::FetchState(_) => "fetch-state",
            Self::State(_) => "state",
            Self::Witness(_) => "witness",
            #[cfg(pbft_next_wire)]
            Self::Note => "note",
        }
    }
}

/// The body of a proposal after checking it against R4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// The null request.
    Null,
    /// A batch with every client's signature checked.
    Valid(Verified<Batch>),
    /// A body that no correct primary proposes.
    Invalid(InvalidBatch),
}

impl Proposal {
    /// The digest that names the body.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Null => NULL_DIGEST,
            Self::Valid(batch) => batch.digest(),
            Self::Invalid(invalid) => invalid.digest(),
        }
    }
}

/// A message between replicas whose every signature was checked. What carries no signature is authentic by the
/// connection that it came on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifiedMessage {
    /// See [`Message::PrePrepare`]. The body's digest is the header's.
    PrePrepare {
        /// The signed header.
        header: Verified<Signed<PrePrepare>>,
        /// The body.
        body: Proposal,
    },
    /// See [`Message::Prepare`].
    Prepare {
        /// The vote.
        prepare: Verified<Signed<Prepare>>,
        /// Not checked.
        pre_prepare: Signature,
    },
    /// See [`Message::Commit`].
    Commit(Verified<Signed<Commit>>),
    /// See [`Message::Checkpoint`].
    Checkpoint(Verified<Signed<Checkpoint>>),
    /// See [`Message::ViewChange`]. Valid under R11.
    ViewChange(Verified<Signed<ViewChange>>),
    /// See [`Message::NewView`]. All signatures and certificates are valid; whether O follows from V is for the core.
    NewView(Verified<Signed<NewView>>),
    /// See [`Message::Suspect`].
    Suspect {
        /// The suspected view.
        view: View,
    },
    /// See [`Message::Heartbeat`].
    Heartbeat {
        /// The primary's view.
        view: View,
        /// Grows with each heartbeat in the view.
        counter: u64,
    },
    /// See [`Message::Status`].
    Status(Status),
    /// See [`Message::Request`].
    Request(Verified<Signed<Request>>),
    /// See [`Message::FetchBody`].
    FetchBody {
        /// The batch's digest.
        digest: Digest,
    },
    /// See [`Message::Body`].
    Body(Proposal),
    /// See [`Message::Committed`]. The body's digest is the certificate's.
    Committed {
        /// The proof.
        certificate: Verified<CommitCertificate>,
        /// None for the null request.
        body: Option<Verified<Batch>>,
    },
    /// See [`Message::Stable`].
    Stable(Verified<StableCertificate>),
    /// See [`Message::Evidence`].
    Evidence(Verified<Evidence>),
    /// See [`Message::FetchState`].
    FetchState(FetchState),
    /// See [`Message::State`].
    State(StateReply),
    /// See [`Message::Witness`]. Each signature is its signer's; what a view-change or new-view holds is not checked.
    Witness(Box<Verified<Witness>>),
}
