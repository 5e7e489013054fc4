use crate::Context;
use crate::dice::Dice;
use crate::seam::{OwnView, all_but, rewriting};
use pbft_message::{Message, ReplicaId, SequenceNumber, View};
use pbft_protocol::Outbound;
use std::collections::BTreeSet;

/// Lets one replica commit, then stalls. As primary: a view's first batch goes to just enough backups to prepare, and the
/// own COMMIT to one of them alone; then nothing more leaves until the view changes. As backup: votes for that one only.
pub fn outbound(context: &Context) -> Outbound {
    let mut split = Split { context: context.clone(), view: OwnView::default(), first: None, stalled: None };
    rewriting(move |_, to, message| if split.passes(to, &message) { vec![message] } else { Vec::new() })
}

struct Split {
    context: Context,
    view: OwnView,
    /// The first number that was proposed, and the view.
    first: Option<(View, SequenceNumber)>,
    /// The view in which the favourite has got its commit.
    stalled: Option<View>,
}

impl Split {
    fn passes(&mut self, to: ReplicaId, message: &Message) -> bool {
        let view = self.view.follow(message);
        let (favourite, enough) = chosen(&self.context, view);
        let favoured = favourite == Some(to);
        if !self.context.leads(view) {
            return favoured || !matches!(message, Message::Prepare { .. } | Message::Commit(_));
        }
        match message {
            Message::ViewChange(_) | Message::NewView(_) => true,
            Message::PrePrepare { header, .. } => {
                if self.first.is_none_or(|(first, _)| first != view) {
                    self.first = Some((view, header.sequence));
                }
                self.first == Some((header.view, header.sequence)) && enough.contains(&to)
            }
            Message::Commit(commit) if favoured => {
                if self.first == Some((view, commit.sequence)) {
                    self.stalled = Some(view);
                }
                true
            }
            Message::Commit(_) | Message::Committed { .. } => false,
            _ => self.stalled != Some(view),
        }
    }
}

/// The replica that may commit, and the backups that are enough to prepare, it among them. Others in each view.
fn chosen(context: &Context, view: View) -> (Option<ReplicaId>, BTreeSet<ReplicaId>) {
    let mut dice = Dice::new(context.seed, view.0);
    let backups = context.authenticator.genesis().quorum().saturating_sub(1);
    let enough = dice.choose(all_but(&context.authenticator, context.signer.replica()), backups);
    (enough.first().copied(), enough)
}
