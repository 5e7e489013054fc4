use super::world::*;
use crate::execution::*;
use pbft_message::*;

#[test]
fn r07_only_the_next_number_is_executed() {
    let mut world = World::new();
    world.run(&["append a x"]);
    for asked in [0, 1, 3, u64::MAX] {
        let mut ordered = world.ordered(0, vec![world.request(0, 50, &["append a y"])]);
        ordered.sequence = SequenceNumber(asked);
        let refused = OutOfOrder { asked: SequenceNumber(asked), expected: SequenceNumber(2) };
        assert_eq!(world.executor.execute(&ordered), Err(refused));
    }
    assert_eq!(world.executor.executed(), SequenceNumber(1));
    world.reach_checkpoint();
    assert_eq!(world.value("a").as_deref(), Some("x"));
}

#[test]
fn r03_the_time_grows_and_null_leaves_it() {
    let mut world = World::new();
    let mut time = |proposed, timestamp| {
        let ordered = world.ordered(proposed, vec![world.request(0, timestamp, &["time"])]);
        let read = results(&world.executor.execute(&ordered).unwrap().replies[0].outcome);
        assert_eq!(world.null().replies, []);
        read[0].parse::<u64>().unwrap()
    };
    assert_eq!(time(1000, 1), 1000);
    assert_eq!(time(500, 2), 1001, "a proposal in the past");
    assert_eq!(time(2000, 3), 2000);
    assert_eq!(time(2000, 4), 2001, "the same proposal again");
    assert_eq!(time(u64::MAX, 5), u64::MAX);
    assert_eq!(time(0, 6), u64::MAX, "no overflow");
}

#[test]
fn r03_the_null_request_changes_nothing() {
    let mut world = World::new();
    world.run(&["append a x"]);
    world.reach_checkpoint();
    let before = world.executor.local().state;
    world.reach_checkpoint();
    let after = world.executor.local().state;
    assert_eq!(after, CheckpointState { sequence: SequenceNumber(2 * K), ..before });
}

#[test]
fn r02_operations_run_in_order_and_share_the_room_for_results() {
    let mut world = World::new();
    let executed = world.run(&["append a x", "append a y", "room", "fill 50", "room", "fill 100", "room", "append a z"]);
    let results = results(&executed.replies[0].outcome);
    assert_eq!(results[..5], ["x", "xy", "61", &"x".repeat(50), "9"]);
    assert_eq!(results[5..], ["xxxxxxxx", "", ""], "what breaks the limit is cut at it");
    world.reach_checkpoint();
    assert_eq!(world.value("a").as_deref(), Some("xyz"), "the operations ran nevertheless");
}

#[test]
fn r19_replies_beyond_the_bound_are_left_out_and_answered_later() {
    let mut world = World::with(|genesis| genesis.service.max_result_bytes = 24 << 20);
    let large = format!("fill {}", 24 << 20);
    let requests = (0..4).map(|number| world.request(number, 1, &[if number == 3 { "room" } else { &large }])).collect();
    let replies = world.batch(requests).replies;
    assert_eq!(replies.iter().map(|reply| reply.client).collect::<Vec<_>>(), [client(0), client(1), client(3)]);
    let later = world.executor.answer(client(2), Timestamp(1), View(0)).unwrap();
    assert!(matches!(later.outcome, Outcome::Executed(results) if results.each().next().unwrap().len() == 24 << 20));
}

#[test]
fn r02_an_answer_is_the_reply_with_the_view_of_now() {
    let mut world = World::new();
    let reply = world.run(&["append a x"]).replies.remove(0);
    let answer = world.executor.answer(client(0), Timestamp(1), View(9)).unwrap();
    assert_eq!(answer, Reply { view: View(9), ..reply.clone() });
    assert_eq!(world.executor.answer(client(0), Timestamp(2), View(9)), None);
    let known = RequestState::Executed { sequence: SequenceNumber(1), request: reply.request, outcome: reply.outcome };
    assert_eq!(world.executor.request_state(client(0), Timestamp(1)), known);
    assert_eq!(world.executor.request_state(client(0), Timestamp(2)), RequestState::NotExecuted);
}
