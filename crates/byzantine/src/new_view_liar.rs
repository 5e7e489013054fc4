use crate::dice::Dice;
use crate::seam::rewriting;
use crate::{Context, new_views};
use pbft_crypto::Digest;
use pbft_message::{Message, NULL_DIGEST, NewView, SequenceNumber};
use pbft_protocol::Outbound;

/// As the new primary: V is right and O does not follow from it: null over a prepared number, another digest, too short,
/// or too long. The same to all.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    rewriting(move |_, _, message| match message {
        Message::NewView(new_view) if new_view.replica == context.signer.replica() => {
            let lie = false_proposals(&mut Dice::new(context.seed, new_view.view.0), &new_view);
            let lie = new_views::with(&context.signer, new_view.view, new_view.view_changes.clone(), lie);
            vec![Message::NewView(lie)]
        }
        other => vec![other],
    })
}

fn false_proposals(dice: &mut Dice, new_view: &NewView) -> Vec<(SequenceNumber, Digest)> {
    let mut proposals: Vec<_> = new_view.pre_prepares.iter().map(|header| (header.sequence, header.digest)).collect();
    let prepared: Vec<usize> = (0..).zip(&proposals).filter(|(_, (_, d))| *d != NULL_DIGEST).map(|(index, _)| index).collect();
    let victim = dice.one_of(&prepared).and_then(|index| proposals.get_mut(*index));
    match (dice.below(4), victim) {
        (0, Some((_, digest))) => *digest = NULL_DIGEST,
        (1, Some((_, digest))) => *digest = Digest::of("another batch", &[digest.as_bytes()]),
        (2, Some(_)) => drop(proposals.pop()),
        _ => {
            let lows = new_view.view_changes.iter().map(|change| change.low_watermark());
            let last = proposals.last().map(|(sequence, _)| *sequence).or_else(|| lows.max()).unwrap_or_default();
            proposals.push((last.next(), NULL_DIGEST));
        }
    }
    proposals
}
