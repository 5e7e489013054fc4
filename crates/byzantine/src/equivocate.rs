use pbft_message::{Authenticator, Batch, Blob, Message, PrePrepare, Proposal, ReplicaId, Signed, Signer};
use pbft_protocol::{Outbound, Traffic};

/// As primary: the replicas with an even number get the batch, the others the same requests at another time: as valid,
/// and of another digest.
pub fn outbound(authenticator: Authenticator, signer: Signer) -> Outbound {
    Box::new(move |_, traffic| match traffic {
        Traffic::Leaving { to, message } => vec![(to, twist(&authenticator, &signer, to, *message))],
        Traffic::Received { .. } => Vec::new(),
    })
}

fn twist(authenticator: &Authenticator, signer: &Signer, to: ReplicaId, message: Message) -> Message {
    let Message::PrePrepare { header, body } = message else { return message };
    let told_the_other = to.0 % 2 == 1 && header.replica == signer.replica();
    match told_the_other.then(|| other_batch(authenticator, signer, &header, body.clone())).flatten() {
        Some(lie) => lie,
        None => Message::PrePrepare { header, body },
    }
}

fn other_batch(authenticator: &Authenticator, signer: &Signer, header: &Signed<PrePrepare>, body: Blob) -> Option<Message> {
    let Proposal::Valid(batch) = authenticator.verify_body(body) else { return None };
    let other = Batch::of_verified(batch.time().saturating_add(1), batch.verified_requests().collect());
    let header = signer.sign(PrePrepare { digest: other.digest(), ..**header }).into_inner();
    Some(Message::PrePrepare { header, body: other.bytes().clone() })
}
