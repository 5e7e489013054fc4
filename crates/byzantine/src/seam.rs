//! What the strategies share: shapes of lies at the seam.

use pbft_message::{Authenticator, Message, PrePrepare, ReplicaId, Signed, View};
use pbft_protocol::{Now, Outbound, Outgoing, Traffic};

/// A lie about what leaves for other replicas: each message becomes any number of messages for the same one.
pub fn rewriting(mut rewrite: impl FnMut(Now, ReplicaId, Message) -> Vec<Message> + Send + 'static) -> Outbound {
    Box::new(move |now, traffic| match traffic {
        Traffic::Leaving { to, message } => to_one(to, rewrite(now, to, *message)),
        other => other.unchanged(),
    })
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
