use crate::Context;
use crate::seam::proposing_otherwise;
use pbft_crypto::SecretKey;
use pbft_message::{Blob, ClientId, Request, Signed, codec, sign_request};
use pbft_protocol::Outbound;

/// As primary: adds to every batch what a client that nobody knows signed: what a known one asks for, in its own name.
pub fn outbound(context: &Context) -> Outbound {
    let mut seed = [0xAB; 32];
    seed.iter_mut().zip(context.seed.to_le_bytes()).for_each(|(byte, of_seed)| *byte = of_seed);
    let stranger = SecretKey::from_seed(&seed);
    let domain = *context.authenticator.domain();
    let most = context.authenticator.genesis().parameters.max_batch_bytes;
    proposing_otherwise(&context.signer, move |body| {
        let (time, mut requests): (u64, Vec<Signed<Request>>) = codec::decode(body).ok()?;
        let client = ClientId(stranger.public());
        let request = Request { client, ..(**requests.first()?).clone() };
        requests.push(sign_request(request, &domain, &stranger));
        Some(Blob::from(codec::encode(&(time, requests)))).filter(|body| body.len() <= most)
    })
}
