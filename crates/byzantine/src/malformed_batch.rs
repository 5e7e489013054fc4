use crate::Context;
use crate::dice::Dice;
use crate::seam::proposing_otherwise;
use pbft_crypto::{SecretKey, Signature};
use pbft_message::{Blob, Blobs, ClientId, Request, Timestamp, codec, sign_request};
use pbft_protocol::Outbound;

/// As primary: proposes what is no batch by its bytes alone: without requests, larger than allowed, with bytes too many or too
/// few, or with a request that asks for nothing. The header is right, and so are the signatures.
pub fn outbound(context: &Context) -> Outbound {
    let mut dice = Dice::new(context.seed, 0);
    let context = context.clone();
    proposing_otherwise(&context.signer.clone(), move |body| malformed(&context, &mut dice, body))
}

/// None for the null request.
fn malformed(context: &Context, dice: &mut Dice, body: &Blob) -> Option<Blob> {
    // As a batch is encoded, without the checks that its type makes.
    let (time, mut requests): (u64, Vec<(Blob, Signature)>) = codec::decode(body).ok()?;
    match dice.below(5) {
        0 => requests.clear(),
        1 => {
            let one = requests.first()?.clone();
            let most = context.authenticator.genesis().parameters.max_batch_bytes;
            let count = most.checked_div(one.0.len())?.saturating_add(1);
            requests = vec![one; count];
        }
        2 => requests.push(idle(context)?),
        odd => {
            let mut bytes = body.to_vec();
            if odd == 3 {
                bytes.push(0)
            } else {
                _ = bytes.pop()
            }
            return Some(bytes.into());
        }
    }
    Some(codec::encode(&(time, requests)).into())
}

/// A request of some client without any operation.
fn idle(context: &Context) -> Option<(Blob, Signature)> {
    let key = SecretKey::from_seed(&[0xCD; 32]);
    let request = Request { client: ClientId(key.public()), timestamp: Timestamp(1), operations: Blobs::new::<&[u8]>(&[]) };
    codec::decode(&codec::encode(&sign_request(request, context.authenticator.domain(), &key))).ok()
}
