use crate::Context;
use crate::dice::Dice;
use crate::seam::{OwnView, rewriting};
use pbft_message::{Message, SequenceNumber, Status, View};
use pbft_protocol::Outbound;

const LAST: SequenceNumber = SequenceNumber(u64::MAX);

/// Lies about where it stands, in all that nobody signs: it has executed everything and serves all of it, or nothing; it is in
/// a view far off, suspects every primary, and gives signs of life in the primary's place.
pub fn outbound(context: &Context) -> Outbound {
    let mut dice = Dice::new(context.seed, 0);
    let mut view = OwnView::default();
    rewriting(move |_, _, message| {
        let view = view.follow(&message);
        let Message::Status(status) = message else { return vec![message] };
        let pressed = match dice.below(4) {
            0 => Some(Message::Suspect { view }),
            1 => Some(Message::Heartbeat { view, counter: u64::MAX }),
            2 => Some(Message::Suspect { view: View(view.0.saturating_add(1)) }),
            _ => None,
        };
        std::iter::once(Message::Status(false_status(&mut dice, status))).chain(pressed).collect()
    })
}

/// What it is asked for, and what it asks with, stays as it is.
fn false_status(dice: &mut Dice, status: Status) -> Status {
    match dice.below(5) {
        0 | 1 => Status { executed: LAST, oldest_served: SequenceNumber::GENESIS, ..status },
        2 => Status { executed: LAST, low_watermark: LAST, oldest_served: LAST, view: View(u64::MAX), ..status },
        3 => {
            let (prepared, committed) = (all(&status.prepared), all(&status.committed));
            Status { prepared, committed, ..status }
        }
        _ => {
            let nothing = SequenceNumber::GENESIS;
            Status { view: View(0), active: false, low_watermark: nothing, executed: nothing, ..status }
        }
    }
}

/// Says that nothing is missing.
fn all(bits: &[u8]) -> Vec<u8> {
    vec![0xFF; bits.len()]
}
