use crate::recent::Recent;
use crate::seam::{all_but, to_one};
use crate::{Context, new_views};
use pbft_message::{Message, PrePrepare, Prepare, ReplicaId, Signed, View, ViewChange};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// Takes the primary's part where another is primary: proposes the batch that it hears again, at the next number, and opens
/// views, all in its own name. As primary it takes a backup's part, and prepares its own proposals.
pub fn outbound(context: &Context) -> Outbound {
    let mut usurper = Usurper { context: context.clone(), changes: Recent::new(256) };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message, .. } => usurper.hear(message),
        Traffic::Leaving { to, message } => to_one(to, usurper.tell(*message)),
        other => other.unchanged(),
    })
}

struct Usurper {
    context: Context,
    changes: Recent<(View, ReplicaId), Signed<ViewChange>>,
}

impl Usurper {
    fn hear(&mut self, heard: &Message) -> Vec<Outgoing> {
        let usurped = match heard {
            // Only the primary's: two of these would excite each other without end.
            Message::PrePrepare { header, body } if self.is_primarys(header) && !self.context.leads(header.view) => {
                let header = PrePrepare { sequence: header.sequence.next(), replica: self.own(), ..**header };
                let header = self.context.signer.sign(header).into_inner();
                Some(Message::PrePrepare { header, body: body.clone() })
            }
            Message::ViewChange(change) if !self.context.leads(change.view) => self.open(change),
            _ => None,
        };
        let to_all = |message: Message| {
            let others = all_but(&self.context.authenticator, self.own());
            others.into_iter().flat_map(move |to| to_one(to, [message.clone()]))
        };
        usurped.into_iter().flat_map(to_all).collect()
    }

    /// The view's new-view, as soon as there is a quorum with an own view-change among it; not again later.
    fn open(&mut self, change: &Signed<ViewChange>) -> Option<Message> {
        let view = change.view;
        let known = self.changes.get(&(view, change.replica)).is_some();
        self.changes.get_or((view, change.replica), || change.clone());
        let all: Vec<_> = self.changes.iter().map(|(_, change)| change).filter(|change| change.view == view).cloned().collect();
        let complete = all.len() == self.context.authenticator.genesis().quorum();
        let own_among = all.iter().any(|change| change.replica == self.own());
        if known || !complete || !own_among {
            return None;
        }
        new_views::following(&self.context.signer, view, all).map(Message::NewView)
    }

    fn tell(&mut self, leaving: Message) -> Vec<Message> {
        match &leaving {
            Message::ViewChange(change) => {
                self.changes.get_or((change.view, change.replica), || change.clone());
                vec![leaving]
            }
            Message::PrePrepare { header, .. } if header.replica == self.own() => {
                let PrePrepare { view, sequence, digest, replica } = **header;
                let prepare = self.context.signer.sign(Prepare { view, sequence, digest, replica }).into_inner();
                let prepare = Message::Prepare { prepare, pre_prepare: header.signature() };
                vec![leaving, prepare]
            }
            _ => vec![leaving],
        }
    }

    fn is_primarys(&self, header: &PrePrepare) -> bool {
        self.context.authenticator.genesis().primary(header.view) == header.replica
    }

    fn own(&self) -> ReplicaId {
        self.context.signer.replica()
    }
}
