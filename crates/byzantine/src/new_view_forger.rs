use crate::recent::Recent;
use crate::seam::{resigned, to_one};
use crate::{Context, new_views, view_change_forger};
use pbft_message::{Message, NewView, PrePrepare, ReplicaId, Signed, View, ViewChange};
use pbft_protocol::{Outbound, Traffic};

/// How many forgeries there are.
const FORGERIES: u64 = 8;

/// As the new primary: V is no quorum of view-changes for this view, its own among them. In turn, beginning with any: one is
/// missing, one stands there twice, one is of an earlier view, its own is missing, one has another's signature, its own holds a
/// certificate that proves nothing. O follows from it. Or V is right, and the first proposal in O has another signature, or is of
/// another view. None is valid.
pub fn outbound(context: &Context) -> Outbound {
    let mut forger =
        Forger { context: context.clone(), heard: Recent::new(256), forged: Recent::new(8), turn: context.seed % FORGERIES };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message: Message::ViewChange(change), .. } => {
            forger.heard.get_or((change.replica, change.view), || change.clone());
            Vec::new()
        }
        Traffic::Leaving { to, message } => match *message {
            Message::NewView(honest) if honest.replica == forger.context.signer.replica() => {
                to_one(to, [Message::NewView(forger.forge(honest))])
            }
            other => to_one(to, [other]),
        },
        other => other.unchanged(),
    })
}

struct Forger {
    context: Context,
    heard: Recent<(ReplicaId, View), Signed<ViewChange>>,
    /// The forgery of each view, so that it stays the same.
    forged: Recent<View, Signed<NewView>>,
    turn: u64,
}

impl Forger {
    fn forge(&mut self, honest: Signed<NewView>) -> Signed<NewView> {
        if let Some(known) = self.forged.get(&honest.view) {
            return known.clone();
        }
        let forged = if self.turn < 6 {
            new_views::following(&self.context.signer, honest.view, self.no_quorum(&honest))
        } else {
            self.false_proposal(&honest)
        };
        self.turn = self.turn.wrapping_add(1) % FORGERIES;
        self.forged.get_or(honest.view, || forged.unwrap_or(honest)).clone()
    }

    fn no_quorum(&self, honest: &NewView) -> Vec<Signed<ViewChange>> {
        let own = self.context.signer.replica();
        let mut changes = honest.view_changes.clone();
        let Some(place) = changes.iter().position(|change| change.replica != own) else { return changes };
        let victim = changes.remove(place);
        let earlier =
            self.heard.iter().map(|(_, change)| change).find(|old| old.replica == victim.replica && old.view < honest.view);
        let unused = self
            .heard
            .iter()
            .map(|(_, change)| change)
            .find(|other| other.view == honest.view && honest.view_changes.iter().all(|used| used.replica != other.replica));
        match (self.turn, earlier, unused) {
            (1, _, _) => changes.extend(changes.first().cloned()),
            (2, Some(earlier), _) => changes.push(earlier.clone()),
            (3, _, Some(unused)) => {
                changes.retain(|change| change.replica != own);
                changes.extend([victim, unused.clone()]);
            }
            (4, _, _) => changes.extend(changes.first().and_then(|own| resigned(&*victim, own.signature()))),
            (5, _, _) => {
                changes.retain(|change| change.replica != own);
                let mut change = honest.view_changes.iter().find(|change| change.replica == own).map(|own| (**own).clone());
                change.iter_mut().for_each(|change| change.prepared = vec![view_change_forger::invented(&self.context, change)]);
                changes.extend(change.map(|change| self.context.signer.sign(change).into_inner()));
                changes.push(victim);
            }
            _ => {}
        }
        changes
    }

    /// O with one proposal that its primary did not make so; none where O is empty.
    fn false_proposal(&self, honest: &NewView) -> Option<Signed<NewView>> {
        let mut forged = honest.clone();
        let first = forged.pre_prepares.first_mut()?;
        *first = if self.turn == 6 {
            resigned(&**first, self.context.signer.sign(honest.clone()).signature())?
        } else {
            self.context.signer.sign(PrePrepare { view: first.view.next(), ..**first }).into_inner()
        };
        Some(self.context.signer.sign(forged).into_inner())
    }
}
