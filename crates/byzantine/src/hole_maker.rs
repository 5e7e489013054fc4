use crate::Context;
use crate::echo::Echo;
use pbft_message::{Message, PrePrepare, SequenceNumber};
use pbft_protocol::{Outbound, Outgoing, Traffic};

/// As primary: every third number is left out, and what follows moves up.
pub fn outbound(context: &Context) -> Outbound {
    let signer = context.signer.clone();
    let mut echo = Echo::new(context);
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { from, message } => echo.answer_as_primary(from, message),
        Traffic::Leaving { to, message } => {
            let told = match *message {
                Message::PrePrepare { header, body } if header.replica == signer.replica() => {
                    let header = signer.sign(PrePrepare { sequence: moved(header.sequence), ..*header }).into_inner();
                    Message::PrePrepare { header, body }
                }
                other => other,
            };
            vec![Outgoing::Replica(to, told)]
        }
        other => other.unchanged(),
    })
}

/// 1, 2, 3, 4, 5 become 1, 2, 4, 5, 7.
const fn moved(sequence: SequenceNumber) -> SequenceNumber {
    sequence.plus(sequence.minus(1).0 / 2)
}
