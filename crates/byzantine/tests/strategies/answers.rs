//! Lies to clients.

use crate::world::{Liar, World, digest, id};
use pbft_byzantine::Strategy;
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::Outgoing;

fn reply(world: &World, number: u32) -> Reply {
    let request = world.request(0, u64::from(number));
    Reply {
        epoch: Epoch(0),
        view: View(0),
        client: request.client,
        timestamp: request.timestamp,
        request: digest(&number.to_string()),
        sequence: SequenceNumber(u64::from(number)),
        outcome: Outcome::Executed(vec![Blob::from(b"right".as_slice()); 2]),
    }
}

fn told(world: &World, strategy: Strategy, liar: u32, reply: &Reply) -> Reply {
    let mut liar = Liar::new(world, strategy, id(liar));
    let answers = liar.answers(ReplicaMessage::Replies(vec![reply.clone()]));
    // Some also use the moment to say something to the other replicas.
    let to_client = answers.into_iter().filter(|outgoing| matches!(outgoing, Outgoing::Client(_)));
    match &to_client.collect::<Vec<_>>()[..] {
        [Outgoing::Client(ReplicaMessage::Replies(replies))] if replies.len() == 1 => replies[0].clone(),
        other => panic!("{other:?} is not one reply"),
    }
}

#[test]
fn wrong_repliers_agree_on_every_kind_of_wrong_answer() {
    let world = World::of(7);
    let mut kinds = [0; 4];
    for right in (1..=40).map(|number| reply(&world, number)) {
        let wrong = told(&world, Strategy::WrongReplier, 1, &right);
        assert_eq!(wrong, told(&world, Strategy::WrongReplier, 2, &right), "f of them agree");
        let named = |reply: &Reply| -> (ClientId, Timestamp, Digest) { (reply.client, reply.timestamp, reply.request) };
        assert_eq!(named(&wrong), named(&right), "it answers the question");
        let kind = match &wrong.outcome {
            Outcome::Refused(_) => 0,
            Outcome::Executed(results) if wrong.outcome != right.outcome => {
                assert_eq!(results.len(), 2);
                1
            }
            _ if wrong.sequence != right.sequence => 2,
            _ if wrong.view != right.view => 3,
            _ => panic!("the reply is right"),
        };
        kinds[kind] += 1;
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
}

#[test]
fn all_others_answer_clients_rightly() {
    let world = World::of(7);
    let right = reply(&world, 1);
    for strategy in Strategy::ALL {
        if !matches!(strategy, Strategy::Mute | Strategy::WrongReplier) {
            assert_eq!(told(&world, strategy, 1, &right), right, "{}", strategy.name());
        }
    }
}
