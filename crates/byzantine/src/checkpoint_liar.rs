use crate::Context;
use crate::seam::rewriting;
use pbft_crypto::Digest;
use pbft_message::{Checkpoint, Message, SequenceNumber};
use pbft_protocol::Outbound;

/// Signs false states: at each checkpoint, and with it at the next one, beyond the high watermark, and at the very last.
/// All liars of this kind sign the same.
pub fn outbound(context: &Context) -> Outbound {
    let signer = context.signer.clone();
    let parameters = &context.authenticator.genesis().parameters;
    let (interval, window) = (parameters.checkpoint_interval, parameters.log_window);
    let boundary = move |sequence: SequenceNumber| sequence.minus(sequence.0.checked_rem(interval).unwrap_or(0));
    rewriting(move |_, _, message| match message {
        Message::Checkpoint(checkpoint) => {
            let at = checkpoint.sequence;
            let places = [at, at.plus(interval), boundary(at.plus(window).plus(interval)), boundary(SequenceNumber(u64::MAX))];
            let lie = |sequence| {
                let digest = false_state(sequence);
                Message::Checkpoint(signer.sign(Checkpoint { sequence, digest, replica: signer.replica() }).into_inner())
            };
            places.into_iter().map(lie).collect()
        }
        other => vec![other],
    })
}

fn false_state(sequence: SequenceNumber) -> Digest {
    Digest::of("a state that nobody has", &[&sequence.0.to_le_bytes()])
}
