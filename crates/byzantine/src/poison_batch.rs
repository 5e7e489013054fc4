use crate::Context;
use crate::dice::Dice;
use crate::seam::proposing_otherwise;
use pbft_crypto::Signature;
use pbft_message::{Blob, codec};
use pbft_protocol::Outbound;

/// As primary: one request of every batch carries a signature that is not its client's; the header is right.
pub fn outbound(context: &Context) -> Outbound {
    let mut dice = Dice::new(context.seed, 0);
    proposing_otherwise(&context.signer, move |body| poisoned(&mut dice, body))
}

/// The body with one signature altered. None for the null request.
fn poisoned(dice: &mut Dice, body: &Blob) -> Option<Blob> {
    // As a batch is encoded, without the checks that its type makes.
    let (time, mut requests): (u64, Vec<(Blob, Signature)>) = codec::decode(body).ok()?;
    let victim = usize::try_from(dice.below(requests.len() as u64)).ok()?;
    let (_, signature) = requests.get_mut(victim)?;
    let mut bytes = *signature.as_bytes();
    *bytes.first_mut()? ^= 1;
    *signature = Signature::from_bytes(bytes);
    Some(codec::encode(&(time, requests)).into())
}
