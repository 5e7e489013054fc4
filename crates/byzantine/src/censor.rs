use crate::Context;
use crate::dice::Dice;
use crate::echo::Echo;
use crate::seam::Changed;
use pbft_message::{Batch, Blob, ClientId, Message, NULL_DIGEST, PrePrepare, Proposal, Signed};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// Leaves one client out: as primary out of its batches, and never passes its requests on. The other clients are served.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let clients: Vec<ClientId> = context.authenticator.genesis().clients.iter().map(|client| client.signing_key).collect();
    let victim = Dice::new(context.seed, 0).one_of(&clients).copied();
    let mut echo = Echo::new(&context);
    let mut changed = Changed::default();
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { from, message } => echo.answer_as_primary(from, message),
        Traffic::Leaving { to, message } => {
            let told = match *message {
                Message::Request(request) if Some(request.client) == victim => None,
                Message::PrePrepare { header, body } if header.replica == context.signer.replica() => {
                    let shorter = changed.of(&header, || without(&context, victim?, &header, body.clone()));
                    shorter.or(Some(Message::PrePrepare { header, body }))
                }
                other => Some(other),
            };
            told.map(|message| Outgoing::Replica(to, message)).into_iter().collect()
        }
        other => other.unchanged(),
    })
}

/// The proposal without the client's requests, if it has any. A batch of nothing else becomes the null request: a hole
/// would show.
fn without(context: &Context, victim: ClientId, header: &Signed<PrePrepare>, body: Blob) -> Option<Message> {
    let Proposal::Valid(batch) = context.authenticator.verify_body(body) else { return None };
    let others: Vec<_> = batch.verified_requests().filter(|request| request.client != victim).collect();
    if others.len() == batch.requests().len() {
        return None;
    }
    let (digest, body) = if others.is_empty() {
        (NULL_DIGEST, Blob::default())
    } else {
        let shorter = Batch::of_verified(batch.time(), others);
        (shorter.digest(), shorter.bytes().clone())
    };
    let header = context.signer.sign(PrePrepare { digest, ..**header }).into_inner();
    Some(Message::PrePrepare { header, body })
}
