use pbft_crypto::Digest;
use pbft_message::{Commit, Message, Prepare, Signer};
use pbft_protocol::{Outbound, Traffic};

/// Sends each of its votes twice: the right one, and one for a digest of its own making.
pub fn outbound(signer: Signer) -> Outbound {
    Box::new(move |_, traffic| match traffic {
        Traffic::Leaving { to, message } => {
            let lie = second_vote(&signer, &message);
            std::iter::once(*message).chain(lie).map(|message| (to, message)).collect()
        }
        Traffic::Received { .. } => Vec::new(),
    })
}

fn second_vote(signer: &Signer, message: &Message) -> Option<Message> {
    let other = |digest: &Digest| Digest::of("another batch", &[digest.as_bytes()]);
    match message {
        Message::Prepare { prepare, pre_prepare } => {
            let second = Prepare { digest: other(&prepare.digest), ..**prepare };
            Some(Message::Prepare { prepare: signer.sign(second).into_inner(), pre_prepare: *pre_prepare })
        }
        Message::Commit(commit) => {
            let second = Commit { digest: other(&commit.digest), ..**commit };
            Some(Message::Commit(signer.sign(second).into_inner()))
        }
        _ => None,
    }
}
