use super::world::*;
use crate::execution::*;
use pbft_crypto::PublicKey;
use pbft_message::*;

/// Its keys are in the genesis as an operator's.
const OPERATOR: u64 = 10;
/// Its keys are not in the genesis.
const NEWCOMER: u64 = 11;

fn entry(number: u64) -> ClientEntry {
    ClientEntry { signing_key: client(number), transport_key: key(1001 + 2 * number).public() }
}

fn world() -> World {
    world_with_results_of(1024)
}

fn world_with_results_of(max_bytes: usize) -> World {
    World::with(|genesis| {
        genesis.operators = vec![entry(OPERATOR)];
        genesis.service.max_result_bytes = max_bytes;
        genesis.parameters.max_clients = 6;
    })
}

fn add(number: u64, role: ClientRole) -> MembershipOperation {
    MembershipOperation::Add { client: entry(number), role }
}

fn revoke(number: u64) -> MembershipOperation {
    MembershipOperation::Revoke { client: client(number) }
}

/// A batch of one request of the operator.
fn order(world: &mut World, operation: &MembershipOperation) -> MembershipResult {
    let timestamp = Timestamp(world.executor.executed().next().0);
    let request = Request { client: client(OPERATOR), timestamp, operations: Blobs::new(&[operation.encode()]) };
    let signed = sign_request(request, &domain(&world.genesis), &key(1000 + 2 * OPERATOR));
    let Outcome::Executed(results) = &world.batch(vec![signed]).replies[0].outcome else { panic!("not executed") };
    MembershipResult::decode(results.each().next().unwrap()).unwrap()
}

fn refused(error: MembershipError) -> MembershipResult {
    MembershipResult::Refused(error)
}

fn outcome(world: &mut World, number: u64, operation: &str) -> Outcome {
    let timestamp = world.executor.executed().next().0;
    let request = world.request(number, timestamp, &[operation]);
    world.batch(vec![request]).replies[0].outcome.clone()
}

#[test]
fn r08_a_client_is_served_from_the_request_after_its_addition_and_never_after_its_revocation() {
    let mut world = world();
    let unknown = Outcome::Refused(RequestRefusal::UnknownClient);
    assert_eq!(outcome(&mut world, NEWCOMER, "set a 1"), unknown);
    assert!(!world.executor.clients_changed());
    assert_eq!(order(&mut world, &add(NEWCOMER, ClientRole::Write)), MembershipResult::Done);
    assert!(world.executor.clients_changed() && !world.executor.clients_changed());
    assert!(world.executor.windows().contains_key(&client(NEWCOMER)));
    assert_eq!(world.executor.authorised()[&client(NEWCOMER)], entry(NEWCOMER).transport_key);
    let request = world.request(NEWCOMER, 40, &["append a x"]);
    assert_eq!(world.batch(vec![request.clone()]).replies[0].outcome, executed(&["x"]));
    assert_eq!(order(&mut world, &revoke(NEWCOMER)), MembershipResult::Done);
    assert!(!world.executor.windows().contains_key(&client(NEWCOMER)));
    assert!(!world.executor.authorised().contains_key(&client(NEWCOMER)));
    assert_eq!(world.batch(vec![request]).replies[0].outcome, unknown, "not even what it asked before is answered");
    assert_eq!(world.executor.request_state(client(NEWCOMER), Timestamp(40)), RequestState::UnknownClient);
    assert_eq!(order(&mut world, &add(NEWCOMER, ClientRole::Write)), refused(MembershipError::Revoked(client(NEWCOMER))));
    world.reach_checkpoint();
    assert_eq!(world.value("a").as_deref(), Some("x"));
}

#[test]
fn r08_a_client_that_may_only_read_has_no_effect() {
    let mut world = world();
    order(&mut world, &add(NEWCOMER, ClientRole::Read));
    assert!(matches!(outcome(&mut world, NEWCOMER, "time"), Outcome::Executed(_)));
    let read_only = Outcome::Refused(RequestRefusal::ReadOnly);
    assert_eq!(outcome(&mut world, NEWCOMER, "set a 1"), read_only);
    let request = world.request(NEWCOMER, 90, &["time", "set a 1"]);
    assert_eq!(world.batch(vec![request]).replies[0].outcome, read_only, "one write is enough");
    world.reach_checkpoint();
    assert_eq!(world.value("a"), None);
}

/// Agreement has it as ordered: it must be answered again, and not ordered again for ever (R2, R10).
#[test]
fn r08_what_a_client_that_may_only_read_was_refused_is_remembered_and_never_evicted() {
    let mut world = World::with(|genesis| {
        genesis.operators = vec![entry(OPERATOR)];
        genesis.parameters.max_cached_result_bytes = 100;
    });
    order(&mut world, &add(NEWCOMER, ClientRole::Read));
    let request = world.request(NEWCOMER, 90, &["set a 1"]);
    let reply = world.batch(vec![request.clone()]).replies[0].clone();
    assert_eq!(reply.outcome, Outcome::Refused(RequestRefusal::ReadOnly));
    for _ in 0..4 {
        outcome(&mut world, 0, "set a 2");
    }
    assert_eq!(world.batch(vec![request]).replies[0], reply);
    let again = world.restored();
    for executor in [&world.executor, &again] {
        assert_eq!(executor.windows()[&client(NEWCOMER)].admits(Timestamp(90)), Admission::Ordered);
        assert_eq!(executor.answer(client(NEWCOMER), Timestamp(90), reply.view), Some(reply.clone()));
    }
}

#[test]
fn r08_only_operators_change_who_is_authorised() {
    let mut world = world();
    let operation = add(NEWCOMER, ClientRole::Write).encode();
    let request = Request { client: client(0), timestamp: Timestamp(1), operations: Blobs::new(&[operation]) };
    let signed = sign_request(request, &domain(&world.genesis), &key(1000));
    assert_eq!(world.batch(vec![signed]).replies[0].outcome, executed(&["what?"]), "for a client it is the service's");
    assert!(!world.executor.clients_changed());
    assert_eq!(outcome(&mut world, NEWCOMER, "time"), Outcome::Refused(RequestRefusal::UnknownClient));
}

#[test]
fn r08_what_makes_no_sense_has_no_effect() {
    let mut world = world();
    let before = world.executor.authorised();
    let cases = [
        (add(0, ClientRole::Read), MembershipError::AlreadyAuthorised(client(0))),
        (add(OPERATOR, ClientRole::Read), MembershipError::IsOperator(client(OPERATOR))),
        (revoke(OPERATOR), MembershipError::IsOperator(client(OPERATOR))),
        (revoke(NEWCOMER), MembershipError::Unknown(client(NEWCOMER))),
        (
            MembershipOperation::Add {
                client: ClientEntry { transport_key: key(1).public(), ..entry(NEWCOMER) },
                role: ClientRole::Write,
            },
            MembershipError::KeyInUse(key(1).public()),
        ),
        (
            MembershipOperation::Add {
                client: ClientEntry { transport_key: client(NEWCOMER).0, ..entry(NEWCOMER) },
                role: ClientRole::Write,
            },
            MembershipError::KeyInUse(client(NEWCOMER).0),
        ),
        (
            MembershipOperation::Add {
                client: ClientEntry { transport_key: PublicKey::from_bytes([0; 32]), ..entry(NEWCOMER) },
                role: ClientRole::Write,
            },
            MembershipError::BadKey(PublicKey::from_bytes([0; 32])),
        ),
    ];
    for (operation, error) in cases {
        assert_eq!(order(&mut world, &operation), refused(error), "{operation:?}");
    }
    assert_eq!(world.executor.authorised(), before);
    order(&mut world, &add(NEWCOMER, ClientRole::Read));
    let full = refused(MembershipError::TooManyClients { maximum: 6 });
    assert_eq!(order(&mut world, &add(NEWCOMER + 1, ClientRole::Read)), full);
    order(&mut world, &revoke(NEWCOMER));
    assert_eq!(order(&mut world, &add(NEWCOMER + 1, ClientRole::Read)), full, "revoked ones count: they are never forgotten");
}

#[test]
fn r08_the_results_of_a_revoked_client_count_no_longer_as_after_a_restore() {
    let most = |genesis: &mut Genesis| {
        genesis.operators = vec![entry(OPERATOR)];
        genesis.service.max_result_bytes = 1024;
        genesis.parameters.max_cached_result_bytes = 4 * 42;
    };
    let mut world = World::with(most);
    for (number, timestamp) in [(0, 1), (1, 2), (0, 3)] {
        let request = world.request(number, timestamp, &["fill 10"]);
        world.batch(vec![request]);
    }
    order(&mut world, &revoke(0));
    let mut restored = World::with(most);
    restored.executor = world.restored();
    // With what the operator was answered, three fit beside the one of client 1 only if client 0's are gone.
    for world in [&mut world, &mut restored] {
        for timestamp in [20, 21] {
            let request = world.request(2, timestamp, &["fill 10"]);
            world.batch(vec![request]);
        }
        let answer = world.executor.answer(client(1), Timestamp(2), View(0)).unwrap();
        assert_eq!(answer.outcome, executed(&["xxxxxxxxxx"]));
    }
    assert_eq!(world.reach_checkpoint(), restored.reach_checkpoint());
}

fn rotate(number: u64, transport_key: pbft_crypto::PublicKey) -> MembershipOperation {
    MembershipOperation::Rotate { client: ClientEntry { transport_key, ..entry(number) } }
}

#[test]
fn r08_a_client_and_an_operator_get_another_transport_key_and_what_they_asked_stays_known() {
    let mut world = world();
    let request = world.request(0, 1, &["append a x"]);
    assert_eq!(world.batch(vec![request.clone()]).replies[0].outcome, executed(&["x"]));
    for number in [0, OPERATOR] {
        let new = key(5000 + number).public();
        assert_eq!(order(&mut world, &rotate(number, new)), MembershipResult::Done);
        assert!(world.executor.clients_changed());
        assert_eq!(world.executor.authorised()[&client(number)], new);
        assert_eq!(order(&mut world, &rotate(number, new)), refused(MembershipError::KeyInUse(new)), "it has it already");
    }
    assert_eq!(world.batch(vec![request]).replies[0].outcome, executed(&["x"]), "answered again, and not executed again");
    order(&mut world, &add(NEWCOMER, ClientRole::Read));
    order(&mut world, &rotate(NEWCOMER, key(6000).public()));
    assert_eq!(outcome(&mut world, NEWCOMER, "set a 1"), Outcome::Refused(RequestRefusal::ReadOnly), "its role stays");
    let other = key(1).public();
    assert_eq!(order(&mut world, &rotate(0, other)), refused(MembershipError::KeyInUse(other)), "a replica's");
    assert_eq!(
        order(&mut world, &rotate(NEWCOMER + 1, key(6001).public())),
        refused(MembershipError::Unknown(client(NEWCOMER + 1)))
    );
    order(&mut world, &revoke(NEWCOMER));
    assert_eq!(order(&mut world, &rotate(NEWCOMER, key(6002).public())), refused(MembershipError::Revoked(client(NEWCOMER))));
    // The new key is part of the state, and is copied on write.
    let frozen = world.executor.local();
    order(&mut world, &rotate(0, key(6003).public()));
    let chunks = |frozen: &FrozenState| (0..CLIENT_CHUNKS).map(|index| frozen.clients.chunk(index)).collect::<Vec<_>>();
    let before = ClientTable::restore(&world.genesis, &chunks(&frozen)).unwrap().standing(client(0));
    assert_eq!(before.and_then(|standing| standing.transport_key()), Some(key(5000).public()));
    world.reach_checkpoint();
    let after = ClientTable::restore(&world.genesis, &chunks(&world.executor.local())).unwrap().standing(client(0));
    assert_eq!(after.and_then(|standing| standing.transport_key()), Some(key(6003).public()));
}

#[test]
fn r08_the_list_is_whole_whatever_its_pages() {
    let pages: [(usize, &[usize]); 5] = [(2, &[2, 2, 2]), (3, &[3, 3]), (4, &[4, 2]), (6, &[6]), (8, &[6])];
    for (most, lengths) in pages {
        let mut world = world_with_results_of(most * 128);
        order(&mut world, &add(NEWCOMER, ClientRole::Read));
        order(&mut world, &revoke(1));
        let mut listed = Vec::new();
        for (page, length) in lengths.iter().enumerate() {
            let after = listed.last().map(|(client, _)| *client);
            let MembershipResult::Clients { clients, more } = order(&mut world, &MembershipOperation::List { after }) else {
                panic!("no list")
            };
            assert_eq!((clients.len(), more), (*length, page + 1 < lengths.len()), "page {page} of {most}");
            listed.extend(clients);
        }
        assert_standings(&listed);
    }
}

fn assert_standings(listed: &[(ClientId, Standing)]) {
    let standing = |number| listed.iter().find(|(id, _)| *id == client(number)).map(|(_, standing)| *standing);
    assert_eq!(standing(1), Some(Standing::Revoked));
    assert_eq!(standing(NEWCOMER), Some(Standing::Client { transport_key: entry(NEWCOMER).transport_key, role: ClientRole::Read }));
    assert_eq!(standing(OPERATOR), Some(Standing::Operator { transport_key: entry(OPERATOR).transport_key }));
}

#[test]
fn r08_who_is_authorised_is_part_of_the_state() {
    let mut world = world();
    let unchanged = World::with(|genesis| *genesis = (*world.genesis).clone()).reach_checkpoint();
    order(&mut world, &add(NEWCOMER, ClientRole::Read));
    order(&mut world, &revoke(0));
    let certificate = world.reach_stable();
    assert_ne!(certificate.digest, unchanged);
    let chunks: Vec<_> = (0..CLIENT_CHUNKS).map(|index| world.executor.local().clients.chunk(index)).collect();
    let restored = ClientTable::restore(&world.genesis, &chunks).unwrap();
    assert_eq!(restored.standing(client(0)), Some(Standing::Revoked));
    let reader = Standing::Client { transport_key: entry(NEWCOMER).transport_key, role: ClientRole::Read };
    assert_eq!(restored.standing(client(NEWCOMER)), Some(reader));
    assert_eq!(restored.windows(), world.executor.windows());
}
