//! What the strategies share: shapes of lies at the seam.

use pbft_crypto::Signature;
use pbft_message::{Authenticator, Blob, Message, PrePrepare, ReplicaId, Signed, Signer, View, batch_digest, codec};
use pbft_protocol::{Now, Outbound, Outgoing, Traffic};
use serde::{Serialize, de::DeserializeOwned};

/// A lie about what leaves for other replicas: each message becomes any number of messages for the same one.
pub fn rewriting(mut rewrite: impl FnMut(Now, ReplicaId, Message) -> Vec<Message> + Send + 'static) -> Outbound {
    Box::new(move |now, traffic| match traffic {
        Traffic::Leaving { to, message } => to_one(to, rewrite(now, to, *message)),
        other => other.unchanged(),
    })
}

/// A lie of a primary about the bodies that it proposes: each becomes another one under a right header, or stays as it is. The
/// same to all.
pub fn proposing_otherwise(signer: &Signer, mut body: impl FnMut(&Blob) -> Option<Blob> + Send + 'static) -> Outbound {
    let signer = signer.clone();
    let mut changed = Changed::default();
    rewriting(move |_, _, message| match message {
        Message::PrePrepare { header, body: honest } if header.replica == signer.replica() => {
            let change = || {
                let body = body(&honest)?;
                let header = signer.sign(PrePrepare { digest: batch_digest(&body), ..*header }).into_inner();
                Some(Message::PrePrepare { header, body })
            };
            vec![changed.of(&header, change).unwrap_or(Message::PrePrepare { header, body: honest })]
        }
        other => vec![other],
    })
}

/// The same words under another signature, as such a thing is encoded.
pub fn resigned<T: Serialize + DeserializeOwned>(body: &T, signature: Signature) -> Option<Signed<T>>
where
    Signed<T>: Serialize + DeserializeOwned,
{
    codec::decode(&codec::encode(&(Blob::from(codec::encode(body)), signature))).ok()
}

/// These messages for this replica.
pub fn to_one(to: ReplicaId, messages: impl IntoIterator<Item = Message>) -> Vec<Outgoing> {
    messages.into_iter().map(|message| Outgoing::Replica(to, message)).collect()
}

/// All replicas but one.
pub fn all_but(authenticator: &Authenticator, own: ReplicaId) -> Vec<ReplicaId> {
    authenticator.genesis().replica_ids().filter(|id| *id != own).collect()
}

/// The view of the replica behind, as its messages show.
#[derive(Debug, Default)]
pub struct OwnView(View);

impl OwnView {
    /// The view, now that this leaves.
    pub fn follow(&mut self, leaving: &Message) -> View {
        self.0 = self.0.max(view_of(leaving).unwrap_or_default());
        self.0
    }
}

fn view_of(message: &Message) -> Option<View> {
    match message {
        Message::PrePrepare { header, .. } => Some(header.view),
        Message::Prepare { prepare, .. } => Some(prepare.view),
        Message::Commit(commit) => Some(commit.view),
        Message::ViewChange(change) => Some(change.view),
        Message::NewView(new_view) => Some(new_view.view),
        Message::Suspect { view } | Message::Heartbeat { view, .. } => Some(*view),
        Message::Status(status) => Some(status.view),
        _ => None,
    }
}

/// The proposal that was changed last. It leaves once for each backup, and is worked out once.
#[derive(Debug, Default)]
pub struct Changed(Option<(Signed<PrePrepare>, Option<Message>)>);

impl Changed {
    /// What becomes of the proposal with this header.
    pub fn of(&mut self, header: &Signed<PrePrepare>, change: impl FnOnce() -> Option<Message>) -> Option<Message> {
        match &self.0 {
            Some((known, changed)) if known == header => changed.clone(),
            _ => {
                let changed = change();
                self.0 = Some((header.clone(), changed.clone()));
                changed
            }
        }
    }
}
