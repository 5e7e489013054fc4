use crate::Context;
use crate::seam::OwnView;
use pbft_message::View;
use pbft_protocol::{Outbound, Traffic};

/// Says nothing in the views in which it is primary, not even a new-view; in all others it is honest.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let mut view = OwnView::default();
    let mut silent = context.leads(View(0));
    Box::new(move |_, traffic| {
        if let Traffic::Leaving { message, .. } = &traffic {
            silent = context.leads(view.follow(message));
        }
        if silent { Vec::new() } else { traffic.unchanged() }
    })
}
