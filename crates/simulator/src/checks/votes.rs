use pbft_crypto::Digest;
use pbft_message::{Body, Message, SequenceNumber, View};
use serde::Serialize;

/// What a vote is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    PrePrepare,
    Prepare,
    Commit,
    Checkpoint,
    ViewChange,
    NewView,
}

/// Something that a replica signs at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    pub kind: Kind,
    /// 0 for checkpoints.
    pub view: View,
    /// 0 for view-changes and new-views.
    pub sequence: SequenceNumber,
    /// Of the batch, the state, or the whole message.
    pub digest: Digest,
}

impl Vote {
    pub const fn new(kind: Kind, view: View, sequence: SequenceNumber, digest: Digest) -> Self {
        Self { kind, view, sequence, digest }
    }

    /// A message that is signed as a whole.
    pub fn whole<T: Body + Serialize>(kind: Kind, view: View, body: &T) -> Self {
        let digest = Digest::of("whole", &[&pbft_message::codec::encode(body)]);
        Self { kind, view, sequence: SequenceNumber::GENESIS, digest }
    }

    /// The votes of `id` in a message that it sends.
    pub fn in_message(message: &Message, id: u32) -> Vec<Self> {
        match message {
            Message::PrePrepare { header, .. } if header.replica.0 == id => {
                vec![Self::new(Kind::PrePrepare, header.view, header.sequence, header.digest)]
            }
            Message::Prepare { prepare, .. } => vec![Self::new(Kind::Prepare, prepare.view, prepare.sequence, prepare.digest)],
            Message::Commit(commit) => vec![Self::new(Kind::Commit, commit.view, commit.sequence, commit.digest)],
            Message::Checkpoint(checkpoint) => {
                vec![Self::new(Kind::Checkpoint, View(0), checkpoint.sequence, checkpoint.digest)]
            }
            Message::ViewChange(change) => vec![Self::whole(Kind::ViewChange, change.view, &**change)],
            Message::NewView(new_view) if new_view.replica.0 == id => {
                let headers = new_view.pre_prepares.iter();
                let headers = headers.map(|header| Self::new(Kind::PrePrepare, header.view, header.sequence, header.digest));
                headers.chain([Self::whole(Kind::NewView, new_view.view, &**new_view)]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Who signed a message, and what, if it is signed by a replica.
    pub fn signed_in(message: &Message) -> Vec<(u32, Self)> {
        let by = |id: u32| Self::in_message(message, id).into_iter().map(move |vote| (id, vote)).collect();
        match message {
            Message::PrePrepare { header, .. } => by(header.replica.0),
            Message::Prepare { prepare, .. } => by(prepare.replica.0),
            Message::Commit(commit) => by(commit.replica.0),
            Message::Checkpoint(checkpoint) => by(checkpoint.replica.0),
            Message::ViewChange(change) => by(change.replica.0),
            Message::NewView(new_view) => by(new_view.replica.0),
            _ => Vec::new(),
        }
    }

    /// A vote in agreement, of a view and number.
    pub const fn is_agreement(&self) -> bool {
        matches!(self.kind, Kind::PrePrepare | Kind::Prepare | Kind::Commit)
    }

    /// An own new-view opens its view.
    pub fn opens(&self, view: View) -> bool {
        self.kind == Kind::NewView && self.view == view
    }
}
