use crate::Context;
use crate::seam::{OwnView, all_but};
use pbft_message::{Message, View, ViewChange};
use pbft_protocol::{Outbound, Outgoing, Traffic};
use std::time::Duration;

/// Between two floods of one message for each other replica.
const PAUSE: Duration = Duration::from_millis(10);
/// How far above its own view it reaches.
const FARTHEST: u64 = 1_000_000;

/// Wants ever higher views, from the next one to the millionth after it, and begins again.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let (mut view, mut step) = (OwnView::default(), 1_u64);
    let mut own_view = View(0);
    let mut next = Duration::ZERO;
    let mut honest = ViewChange { view: View(0), stable: None, prepared: Vec::new(), replica: context.signer.replica() };
    Box::new(move |now, traffic| {
        if let Traffic::Leaving { message, .. } = &traffic {
            own_view = view.follow(message);
            if let Message::ViewChange(change) = &**message {
                honest = (**change).clone();
            }
        }
        let mut leaving = traffic.unchanged();
        if now.monotonic < next {
            return leaving;
        }
        next = now.monotonic.saturating_add(PAUSE);
        let target = View(own_view.0.saturating_add(step));
        step = if step >= FARTHEST { 1 } else { step.saturating_mul(3).min(FARTHEST) };
        let spam = Message::ViewChange(context.signer.sign(ViewChange { view: target, ..honest.clone() }).into_inner());
        let others = all_but(&context.authenticator, context.signer.replica());
        leaving.extend(others.into_iter().map(|to| Outgoing::Replica(to, spam.clone())));
        leaving
    })
}
