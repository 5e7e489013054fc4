use crate::Context;
use pbft_message::{Message, ReplicaId, SequenceNumber, View};
use pbft_protocol::{Outbound, Outgoing, Traffic};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a proposal is held: with the wait for the next traffic, a heartbeat's 100 ms at most, and that of a busy machine it
/// stays inside the default time-out of 500 ms.
const HOLD: Duration = Duration::from_millis(250);

/// As primary: holds every pre-prepare and new-view until just before the backups lose patience. Heartbeats go on.
pub fn outbound(context: &Context) -> Outbound {
    let own = context.signer.replica();
    // One copy for each receiver and number: what is sent again meanwhile is the same.
    let mut held: BTreeMap<(ReplicaId, View, SequenceNumber), (Duration, Message)> = BTreeMap::new();
    Box::new(move |now, traffic| {
        let mut leaving = Vec::new();
        match traffic {
            Traffic::Leaving { to, message } => match proposed(own, &message) {
                Some((view, sequence)) => {
                    let due = now.monotonic.saturating_add(HOLD);
                    held.entry((to, view, sequence)).or_insert((due, *message));
                }
                None => leaving.push(Outgoing::Replica(to, *message)),
            },
            other => leaving = other.unchanged(),
        }
        let due = held.extract_if(.., |_, (due, _)| *due <= now.monotonic);
        leaving.extend(due.map(|((to, ..), (_, message))| Outgoing::Replica(to, message)));
        leaving
    })
}

fn proposed(own: ReplicaId, message: &Message) -> Option<(View, SequenceNumber)> {
    match message {
        Message::PrePrepare { header, .. } if header.replica == own => Some((header.view, header.sequence)),
        Message::NewView(new_view) if new_view.replica == own => Some((new_view.view, SequenceNumber::GENESIS)),
        _ => None,
    }
}
