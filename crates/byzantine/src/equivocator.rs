use crate::Context;
use crate::echo::Echo;
use crate::seam::Changed;
use pbft_message::{Batch, Blob, Message, PrePrepare, Proposal, ReplicaId, Signed};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// As primary: the replicas with an even number get the batch, the others the same requests at another time: as valid,
/// and of another digest. In every role: tells each replica that what it prepared is what this one votes for, so that
/// two of these are as dangerous as two can be.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let mut echo = Echo::new(&context);
    let mut changed = Changed::default();
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { from, message } => echo.answer(from, message),
        Traffic::Leaving { to, message } => {
            let told = match *message {
                Message::PrePrepare { header, body } if to.0 % 2 == 1 && header.replica == context.signer.replica() => {
                    let other = changed.of(&header, || other_batch(&context, &header, body.clone()));
                    other.or(Some(Message::PrePrepare { header, body }))
                }
                vote => fitting(&context, &echo, to, &vote).then_some(vote),
            };
            told.map(|message| Outgoing::Replica(to, message)).into_iter().collect()
        }
        other => other.unchanged(),
    })
}

/// The same requests at another time.
pub fn other_batch(context: &Context, header: &Signed<PrePrepare>, body: Blob) -> Option<Message> {
    let Proposal::Valid(batch) = context.authenticator.verify_body(body) else { return None };
    let other = Batch::of_verified(batch.time().saturating_add(1), batch.verified_requests().collect());
    let header = context.signer.sign(PrePrepare { digest: other.digest(), ..**header }).into_inner();
    Some(Message::PrePrepare { header, body: other.bytes().clone() })
}

/// Whether a message may leave: no vote that its receiver would contradict. A PREPARE waits for the receiver's own.
fn fitting(context: &Context, echo: &Echo, to: ReplicaId, message: &Message) -> bool {
    match message {
        Message::Prepare { prepare, .. } if context.authenticator.genesis().primary(prepare.view) != to => {
            echo.vote_of(to, prepare.view, prepare.sequence) == Some(prepare.digest)
        }
        Message::Commit(commit) => echo.vote_of(to, commit.view, commit.sequence).is_none_or(|digest| digest == commit.digest),
        _ => true,
    }
}
