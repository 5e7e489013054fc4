use pbft_message::{Blob, Outcome, ReplicaMessage, Reply, RequestRefusal, View};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// Tells clients what is not so: another result, another place in the order, a view far ahead, or a refusal. The request
/// alone decides which: all liars of this kind say the same, and up to f of them agree.
pub fn outbound() -> Outbound {
    Box::new(|_, traffic| match traffic {
        Traffic::Answering { message } => vec![Outgoing::Client(match *message {
            ReplicaMessage::Replies(replies) => ReplicaMessage::Replies(replies.into_iter().map(wrong).collect()),
            other => other,
        })],
        other => other.unchanged(),
    })
}

fn wrong(mut reply: Reply) -> Reply {
    let [first, ..] = reply.request.as_bytes();
    match first % 4 {
        0 => reply.outcome = other_results(reply.outcome),
        1 => reply.sequence = reply.sequence.next(),
        2 => reply.view = View(reply.view.0.saturating_add(1000)),
        _ => reply.outcome = Outcome::Refused(RequestRefusal::TooOld),
    }
    reply
}

/// As many results, of which none is right.
fn other_results(outcome: Outcome) -> Outcome {
    let count = match outcome {
        Outcome::Executed(results) => results.len(),
        _ => 1,
    };
    Outcome::Executed(vec![Blob::from(b"a lie".as_slice()); count])
}
