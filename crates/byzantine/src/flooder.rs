use crate::Context;
use crate::seam::{all_but, rewriting};
use pbft_crypto::Digest;
use pbft_message::{Message, ReplicaId, SequenceNumber, Status, View};
use pbft_protocol::Outbound;
use std::time::Duration;

/// Copies of each status that leaves.
const COPIES: usize = 10;
/// How often one replica is asked for one body at once, and how long the flooder rests before it asks the next one so.
const QUESTIONS: usize = 800;
const REST: Duration = Duration::from_secs(3);

/// Asks without end: sends each status many times over, as if it had nothing, and asks for one body hundreds of times.
pub fn outbound(context: &Context) -> Outbound {
    let victims = all_but(&context.authenticator, context.signer.replica());
    let mut flooder = Flooder { victims, asked: 0, asks_at: REST, newest: None };
    rewriting(move |now, to, message| flooder.tell(now.monotonic, to, message))
}

struct Flooder {
    victims: Vec<ReplicaId>,
    asked: usize,
    asks_at: Duration,
    /// A body that the others hold.
    newest: Option<Digest>,
}

impl Flooder {
    fn tell(&mut self, now: Duration, to: ReplicaId, message: Message) -> Vec<Message> {
        match message {
            Message::Status(status) => {
                let copies = std::iter::repeat_n(Message::Status(needy(&status)), COPIES);
                std::iter::once(Message::Status(status)).chain(copies).chain(self.questions(now, to)).collect()
            }
            Message::Prepare { prepare, pre_prepare } => {
                self.newest = Some(prepare.digest);
                vec![Message::Prepare { prepare, pre_prepare }]
            }
            other => vec![other],
        }
    }

    /// One victim after the other.
    fn questions(&mut self, now: Duration, to: ReplicaId) -> Vec<Message> {
        let turn = self.asked.checked_rem(self.victims.len()).and_then(|turn| self.victims.get(turn));
        let (Some(digest), true) = (self.newest, turn == Some(&to) && now >= self.asks_at) else { return Vec::new() };
        (self.asked, self.asks_at) = (self.asked.wrapping_add(1), now.saturating_add(REST));
        vec![Message::FetchBody { digest }; QUESTIONS]
    }
}

/// Where a replica would stand that has nothing.
fn needy(status: &Status) -> Status {
    let nothing = SequenceNumber::GENESIS;
    Status {
        view: View(0),
        active: false,
        low_watermark: nothing,
        executed: nothing,
        prepared: Vec::new(),
        committed: Vec::new(),
        ..status.clone()
    }
}
