use crate::Context;
use crate::dice::Dice;
use crate::recent::Recent;
use crate::seam::{Changed, to_one};
use pbft_crypto::Signature;
use pbft_message::{Blob, Message, PrePrepare, Signer, batch_digest, codec};
use pbft_protocol::{Outbound, Traffic};

/// A request and its signature, as a batch holds them.
type Asked = (Blob, Signature);

/// As primary: orders requests again that it heard of, whether they were ordered before, stand in the same batch, or bear the
/// timestamp of another one. The batches are valid.
pub fn outbound(context: &Context) -> Outbound {
    let mut reorderer = Reorderer {
        signer: context.signer.clone(),
        most: context.authenticator.genesis().parameters.max_batch_bytes,
        dice: Dice::new(context.seed, 0),
        heard: Recent::new(64),
        changed: Changed::default(),
    };
    Box::new(move |_, traffic| match traffic {
        Traffic::Received { message, .. } => {
            reorderer.hear(message);
            Vec::new()
        }
        Traffic::Leaving { to, message } => to_one(to, [reorderer.tell(*message)]),
        other => other.unchanged(),
    })
}

struct Reorderer {
    signer: Signer,
    most: usize,
    dice: Dice,
    heard: Recent<Vec<u8>, Asked>,
    changed: Changed,
}

impl Reorderer {
    fn hear(&mut self, message: &Message) {
        match message {
            Message::Request(request) => self.keep(codec::decode(&codec::encode(request)).ok()),
            Message::PrePrepare { body, .. } => self.keep(content(body).into_iter().flat_map(|(_, requests)| requests)),
            _ => {}
        }
    }

    fn keep(&mut self, requests: impl IntoIterator<Item = Asked>) {
        for request in requests {
            self.heard.get_or(request.0.to_vec(), || request.clone());
        }
    }

    fn tell(&mut self, leaving: Message) -> Message {
        let Message::PrePrepare { header, body } = leaving else { return leaving };
        if header.replica != self.signer.replica() {
            return Message::PrePrepare { header, body };
        }
        self.keep(content(&body).into_iter().flat_map(|(_, requests)| requests));
        let (dice, heard, signer, most) = (&mut self.dice, &self.heard, &self.signer, self.most);
        let change = || {
            let body = longer(dice, heard, &body).filter(|body| body.len() <= most)?;
            let header = signer.sign(PrePrepare { digest: batch_digest(&body), ..*header }).into_inner();
            Some(Message::PrePrepare { header, body })
        };
        let changed: Option<Message> = self.changed.of(&header, change);
        changed.unwrap_or(Message::PrePrepare { header, body })
    }
}

/// The time and requests of a body. None for the null request.
fn content(body: &Blob) -> Option<(u64, Vec<Asked>)> {
    codec::decode(body).ok()
}

/// The body with up to three known requests more, before its own or behind them.
fn longer(dice: &mut Dice, heard: &Recent<Vec<u8>, Asked>, body: &Blob) -> Option<Blob> {
    let (time, mut requests) = content(body)?;
    let known: Vec<&Asked> = heard.iter().map(|(_, request)| request).collect();
    for _ in 0..=dice.below(3) {
        let again = (*dice.one_of(&known)?).clone();
        let place = if dice.below(2) == 0 { 0 } else { requests.len() };
        requests.insert(place, again);
    }
    Some(codec::encode(&(time, requests)).into())
}
