use pbft_crypto::Digest;
use pbft_message::{Blobs, Outcome, ReplicaMessage, Reply, RequestRefusal, View};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// Tells clients what is not so: another result, another place in the order, a view far ahead, a refusal by the order or
/// without it, or the answer to another request. The request alone decides which: all liars of this kind say the same, and
/// up to f of them agree.
pub fn outbound() -> Outbound {
    Box::new(|_, traffic| match traffic {
        Traffic::Answering { message } => match *message {
            ReplicaMessage::Replies(replies) => replies.into_iter().map(|reply| Outgoing::Client(answer(reply))).collect(),
            other => vec![Outgoing::Client(other)],
        },
        other => other.unchanged(),
    })
}

fn answer(reply: Reply) -> ReplicaMessage {
    let [first, second, ..] = reply.request.as_bytes();
    let Reply { client, timestamp, view, .. } = reply;
    let refused = |refusal| ReplicaMessage::Refused { client, timestamp, view, refusal };
    match (first % 6, second % 3) {
        (4, 0) => refused(RequestRefusal::TooOld),
        (4, 1) => refused(RequestRefusal::UnknownClient),
        (4, _) => refused(RequestRefusal::TimestampReused),
        _ => ReplicaMessage::Replies(vec![wrong(reply)]),
    }
}

fn wrong(mut reply: Reply) -> Reply {
    let [first, ..] = reply.request.as_bytes();
    match first % 6 {
        0 => reply.outcome = other_results(reply.outcome),
        1 => reply.sequence = reply.sequence.next(),
        2 => reply.view = View(reply.view.0.saturating_add(1000)),
        3 => reply.outcome = Outcome::Refused(RequestRefusal::TooOld),
        _ => reply.request = Digest::of("another request", &[reply.request.as_bytes()]),
    }
    reply
}

/// As many results, of which none is right.
fn other_results(outcome: Outcome) -> Outcome {
    let count = match outcome {
        Outcome::Executed(results) => results.len(),
        _ => 1,
    };
    Outcome::Executed(Blobs::new(&vec![b"a lie"; count]))
}
