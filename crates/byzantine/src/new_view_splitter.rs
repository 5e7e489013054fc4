use crate::dice::Dice;
use crate::recent::Recent;
use crate::seam::to_one;
use crate::{Context, new_views};
use pbft_message::{Message, NewView, ReplicaId, Signed, VerifiedMessage, View, ViewChange};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// As the new primary: the replicas with an odd number get another V than the rest, as valid, and the O that follows from
/// it. It takes the view-changes that the first V leaves out, and an own one that reports nothing prepared. Later, and now and
/// then, it gives itself away, and lets them see the first one too.
pub fn outbound(context: &Context) -> Outbound {
    let (dice, changes, second) = (Dice::new(context.seed, 0), Recent::new(256), Recent::new(8));
    let mut splitter = Splitter { context: context.clone(), dice, changes, first: None, second };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { from, message } => {
            splitter.remember(from, message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => {
            if to.0 % 2 == 1 {
                to_one(to, splitter.tell(*message))
            } else {
                vec![Outgoing::Replica(to, *message)]
            }
        }
        other => other.unchanged(),
    })
}

struct Splitter {
    context: Context,
    dice: Dice,
    changes: Recent<(View, ReplicaId), Signed<ViewChange>>,
    /// The newest one as it should be.
    first: Option<Signed<NewView>>,
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

    /// What leaves for a replica with an odd number.
    fn tell(&mut self, leaving: Message) -> Vec<Message> {
        match leaving {
            Message::NewView(new_view) if new_view.replica == self.context.signer.replica() => {
                let second = self.second(&new_view).unwrap_or_else(|| new_view.clone());
                self.first = Some(new_view);
                vec![Message::NewView(second)]
            }
            Message::Status(status) => {
                let first = self.first.clone().filter(|_| self.dice.below(8) == 0);
                std::iter::once(Message::Status(status)).chain(first.map(Message::NewView)).collect()
            }
            other => vec![other],
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
