use crate::Context;
use crate::dice::Dice;
use crate::seam::proposing_otherwise;
use pbft_crypto::Signature;
use pbft_message::{Blob, codec};
use pbft_protocol::Outbound;

/// As primary: proposes batches of a time that has not come: by seconds, an hour, or as far as time goes. Else they are right.
pub fn outbound(context: &Context) -> Outbound {
    let mut dice = Dice::new(context.seed, 0);
    proposing_otherwise(&context.signer, move |body| advanced(&mut dice, body))
}

/// The same requests at a later time, in microseconds. None for the null request.
fn advanced(dice: &mut Dice, body: &Blob) -> Option<Blob> {
    // As a batch is encoded, without the checks that its type makes.
    let (time, requests): (u64, Vec<(Blob, Signature)>) = codec::decode(body).ok()?;
    let ahead = dice.one_of(&[0, 4_000_000, 12_000_000, 3_600_000_000, u64::MAX]).copied()?;
    Some(codec::encode(&(time.saturating_add(ahead), requests)).into())
}
