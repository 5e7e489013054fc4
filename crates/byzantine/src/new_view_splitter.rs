use crate::recent::Recent;
use crate::{Context, new_views};
use pbft_message::{Message, NewView, ReplicaId, Signed, VerifiedMessage, View, ViewChange};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// As the new primary: the replicas with an odd number get another V than the rest, as valid, and the O that follows from
/// it. It takes the view-changes that the first V leaves out, and an own one that reports nothing prepared.
pub fn outbound(context: &Context) -> Outbound {
    let mut splitter = Splitter { context: context.clone(), changes: Recent::new(256), second: Recent::new(8) };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { from, message } => {
            splitter.remember(from, message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => {
            let told = match *message {
                Message::NewView(new_view) if to.0 % 2 == 1 && new_view.replica == splitter.context.signer.replica() => {
                    Message::NewView(splitter.second(&new_view).unwrap_or(new_view))
                }
                other => other,
            };
            vec![Outgoing::Replica(to, told)]
        }
        other => other.unchanged(),
    })
}

struct Splitter {
    context: Context,
    changes: Recent<(View, ReplicaId), Signed<ViewChange>>,
    /// The other new-view of each view, so that it stays the same.
    second: Recent<View, Option<Signed<NewView>>>,
}

impl Splitter {
    fn remember(&mut self, from: ReplicaId, message: &Message) {
        let Message::ViewChange(change) = message else { return };
        if !self.context.leads(change.view) || self.changes.get(&(change.view, from)).is_some() {
            return;
        }
        if let Ok(VerifiedMessage::ViewChange(change)) = self.context.authenticator.verify_message(from, message.clone()) {
            self.changes.get_or((change.view, from), || change.into_inner());
        }
    }

    fn second(&mut self, first: &NewView) -> Option<Signed<NewView>> {
        let other = self.other(first);
        self.second.get_or(first.view, || other).clone()
    }

    fn other(&self, first: &NewView) -> Option<Signed<NewView>> {
        let signer = &self.context.signer;
        let is_own = |change: &&Signed<ViewChange>| change.replica == signer.replica();
        let own = first.view_changes.iter().find(is_own)?;
        let nothing = signer.sign(ViewChange { prepared: Vec::new(), ..(**own).clone() }).into_inner();
        let used = |change: &&Signed<ViewChange>| first.view_changes.iter().any(|known| known.replica == change.replica);
        let unused = self.changes.iter().map(|(_, change)| change).filter(|change| change.view == first.view && !used(change));
        let others = unused.chain(first.view_changes.iter().filter(|change| !is_own(change)));
        let quorum = self.context.authenticator.genesis().quorum();
        let chosen = std::iter::once(&nothing).chain(others).take(quorum).cloned().collect();
        new_views::following(signer, first.view, chosen)
    }
}
