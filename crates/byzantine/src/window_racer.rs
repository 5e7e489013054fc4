use crate::Context;
use crate::seam::rewriting;
use pbft_message::{Message, PrePrepare, ReplicaId, SequenceNumber, View};
use pbft_protocol::Outbound;
use std::collections::BTreeMap;

/// As primary: proposes a batch also at the high watermark, just beyond it, and at the very last number; once for each
/// low watermark.
pub fn outbound(context: &Context) -> Outbound {
    let signer = context.signer.clone();
    let window = context.authenticator.genesis().parameters.log_window;
    let mut low = SequenceNumber::GENESIS;
    let mut raced: BTreeMap<ReplicaId, (View, SequenceNumber)> = BTreeMap::new();
    rewriting(move |_, to, message| match message {
        Message::PrePrepare { header, body } if header.replica == signer.replica() => {
            let first = raced.insert(to, (header.view, low)) != Some((header.view, low));
            let high = low.plus(window);
            let places = [high, high.next(), SequenceNumber(u64::MAX)];
            let at = |sequence| {
                let header = signer.sign(PrePrepare { sequence, ..*header }).into_inner();
                Message::PrePrepare { header, body: body.clone() }
            };
            let races: Vec<_> = places.into_iter().filter(|_| first).map(at).collect();
            std::iter::once(Message::PrePrepare { header, body }).chain(races).collect()
        }
        Message::Status(status) => {
            low = low.max(status.low_watermark);
            vec![Message::Status(status)]
        }
        other => vec![other],
    })
}
