//! Messages off the wire, through the authenticator: alone and together they get the same verdict (R20).

use crate::cluster::cluster;
use crate::input::Input;
use pbft_message::*;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let sender = ReplicaId(u32::from(input.byte() % 5));
    if let Ok(ClientMessage::Request(request)) = codec::decode(input.0) {
        requests(request);
    }
    let Ok(message) = codec::decode::<Message>(input.0) else { return };
    let authenticator = &cluster().authenticator;
    let alone = authenticator.verify_message(sender, message.clone());
    let good = Message::Commit(cluster().commit(View(0), SequenceNumber(1), NULL_DIGEST, ReplicaId(1)));
    let together = authenticator.verify_messages(vec![
        (ReplicaId(1), good.clone()),
        (sender, message.clone()),
        (ReplicaId(2), good.clone()),
        (sender, message.clone()),
        (ReplicaId(1), good),
    ]);
    let [first, one, wrong_sender, other, last] = &together[..] else { panic!("an answer is missing") };
    assert_eq!((one, other), (&alone, &alone), "company changes the verdict");
    assert!(first.is_ok() && last.is_ok(), "a bad message spoils a good one");
    assert_eq!(wrong_sender, &Err(Invalid::NotTheSender));
    if let (Ok(VerifiedMessage::NewView(new_view)), Message::NewView(_)) = (&alone, &message) {
        let _ = new_view.follows();
    }
}

fn requests(request: Signed<Request>) {
    let authenticator = &cluster().authenticator;
    let alone = authenticator.verify_requests(vec![request.clone()]);
    let together = authenticator.verify_requests(vec![cluster().request(0, 1, 1), request]);
    assert!(together[0].is_ok());
    assert_eq!(together[1], alone[0], "company changes the verdict");
}
