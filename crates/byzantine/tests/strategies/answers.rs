//! Lies to clients, and to those who fetch a state.

use crate::world::{Liar, World, digest, id};
use pbft_byzantine::Strategy;
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
        outcome: Outcome::Executed(Blobs::new(&[b"right"; 2])),
    }
}

fn told(world: &World, strategy: Strategy, liar: u32, reply: &Reply) -> Reply {
    match answer(world, strategy, liar, reply) {
        ReplicaMessage::Replies(replies) if replies.len() == 1 => replies[0].clone(),
        other => panic!("{other:?} is not one reply"),
    }
}

fn answer(world: &World, strategy: Strategy, liar: u32, reply: &Reply) -> ReplicaMessage {
    let mut liar = Liar::new(world, strategy, id(liar));
    let answers = liar.answers(ReplicaMessage::Replies(vec![reply.clone()]));
    // Some also use the moment to say something to the other replicas.
    let to_client = answers.into_iter().filter(|outgoing| matches!(outgoing, Outgoing::Client(_)));
    match &to_client.collect::<Vec<_>>()[..] {
        [Outgoing::Client(answer)] => answer.clone(),
        other => panic!("{other:?} is not one answer"),
    }
}

#[test]
fn wrong_repliers_agree_on_every_kind_of_wrong_answer() {
    let world = World::of(7);
    let mut kinds = [0; 6];
    for right in (1..=80).map(|number| reply(&world, number)) {
        let told = answer(&world, Strategy::WrongReplier, 1, &right);
        assert_eq!(told, answer(&world, Strategy::WrongReplier, 2, &right), "f of them agree");
        let kind = match told {
            ReplicaMessage::Refused { client, timestamp, .. } => {
                assert_eq!((client, timestamp), (right.client, right.timestamp), "it answers the question");
                4
            }
            ReplicaMessage::Replies(replies) => {
                let wrong = &replies[0];
                assert_eq!((wrong.client, wrong.timestamp), (right.client, right.timestamp), "it answers the question");
                match &wrong.outcome {
                    Outcome::Refused(_) => 0,
                    Outcome::Executed(results) if wrong.outcome != right.outcome => {
                        assert_eq!(results.len(), 2);
                        1
                    }
                    _ if wrong.sequence != right.sequence => 2,
                    _ if wrong.view != right.view => 3,
                    _ if wrong.request != right.request => 5,
                    _ => panic!("the reply is right"),
                }
            }
            other => panic!("{other:?} is no answer"),
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

#[test]
fn a_poisoner_of_state_transfer_tells_every_kind_of_lie_and_sometimes_the_truth() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::StateTransferPoisoner, id(1));
    let sequence = SequenceNumber(4);
    let chunk = Blob::from(b"the right bytes".as_slice());
    let piece = ChunkPiece { index: 2, offset: 0, size: chunk.len() as u64, bytes: chunk.clone() };
    let chunks = StateReply::Chunks { sequence, part: StatePart::Service, pieces: vec![piece] };
    let root = digest("root");
    let state = CheckpointState { sequence, epoch: Epoch(0), configuration: root, service_root: root, clients_root: root, time: 9 };
    let outline = StateReply::Outline { state: state.clone(), service: vec![digest("a"), digest("b")], clients: vec![] };
    let (mut silent, mut gone, mut right, mut bytes, mut sizes, mut crumbs, mut states, mut leaves) = (0, 0, 0, 0, 0, 0, 0, 0);
    for reply in [chunks, outline].iter().cycle().take(400) {
        match liar.tells(id(3), &Message::State(reply.clone())).pop() {
            None => silent += 1,
            Some(Message::State(told)) if told == *reply => right += 1,
            Some(Message::State(StateReply::Gone { sequence: named, .. })) if named == sequence => gone += 1,
            Some(Message::State(StateReply::Outline { state: told, .. })) if told != state => states += 1,
            Some(Message::State(StateReply::Outline { .. })) => leaves += 1,
            Some(Message::State(StateReply::Chunks { pieces, .. })) => match &pieces[..] {
                [piece] if piece.bytes.len() == 1 => crumbs += 1,
                [piece] if piece.bytes != chunk => bytes += 1,
                [piece] if piece.size != chunk.len() as u64 => sizes += 1,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    let kinds = [silent, gone, right, bytes, sizes, crumbs, states, leaves];
    assert!(kinds.iter().all(|count| *count > 5), "{kinds:?}");
}
