use pbft_message::Message;
use pbft_protocol::{Outbound, Traffic};

/// Honest until it sees a view change; from then on the other lie, which knows nothing of what was before.
pub fn intermittent(mut inner: Outbound) -> Outbound {
    let mut lies = false;
    Box::new(move |now, traffic| {
        lies |= shows_view_change(&traffic);
        if lies { inner(now, traffic) } else { traffic.unchanged() }
    })
}

fn shows_view_change(traffic: &Traffic<'_>) -> bool {
    let message = match traffic {
        Traffic::Leaving { message, .. } => &**message,
        Traffic::Received { message, .. } => message,
        Traffic::Answering { .. } => return false,
    };
    matches!(message, Message::ViewChange(_) | Message::NewView(_))
}
