//! Anything that can happen to a replica, in any order: it keeps its promises (R15). Its peers may all lie.
//!
//! Each event is four bytes, so that a mutation of one leaves the others as they are. Messages go through the codec and the
//! authenticator as off the wire.

mod driver;

use crate::cluster::{CHECKPOINT_INTERVAL, cluster};
use crate::input::Input;
use driver::Driver;
use pbft_crypto::Digest;
use pbft_message::*;

const EVENT: usize = 4;
const MOST_EVENTS: usize = 96;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut driver = Driver::new(ReplicaId(u32::from(input.byte() % 4)));
    for event in input.0.chunks(EVENT).take(MOST_EVENTS) {
        happen(&mut driver, &mut Input(event));
    }
    driver.restart();
}

/// Where an event happens: near where the replica stands.
struct Place {
    view: View,
    sequence: SequenceNumber,
    from: ReplicaId,
    choice: usize,
    digest: Digest,
}

impl Place {
    fn of(driver: &Driver, input: &mut Input<'_>) -> Self {
        let (where_, who) = (input.byte(), input.byte());
        let ahead = [0, 0, 0, 0, 0, 1, 2, 5][usize::from(who >> 5)];
        let view = View(driver.replica.view().0 + ahead);
        let sequence = driver.replica.low_watermark().plus(u64::from(where_ % 20));
        let choice = usize::from(where_ / 20) % 3;
        Self { view, sequence, from: ReplicaId(u32::from(who % 4)), choice, digest: cluster().digest(choice) }
    }
}

fn happen(driver: &mut Driver, input: &mut Input<'_>) {
    let kind = input.byte() % 32;
    let place = Place::of(driver, input);
    let Place { view, sequence, from, choice, digest } = place;
    let header = || cluster().pre_prepare(view, sequence, digest);
    let checkpoint = SequenceNumber(sequence.0.div_ceil(CHECKPOINT_INTERVAL) * CHECKPOINT_INTERVAL);
    let state = driver.state_at(checkpoint).filter(|_| choice < 2).unwrap_or(digest);
    match kind {
        0 => driver.hear(cluster().primary(view), Message::PrePrepare { header: header(), body: cluster().body(choice) }),
        1 => driver.hear(from, prepare(view, sequence, digest, from)),
        2 => driver.hear(from, Message::Commit(cluster().commit(view, sequence, digest, from))),
        3 => driver.hear(from, Message::Checkpoint(cluster().checkpoint(checkpoint, state, from))),
        4 | 5 => agree(driver, &place),
        6 => everyone(driver, |peer| prepare(view, sequence, digest, peer)),
        7 => everyone(driver, |peer| Message::Commit(cluster().commit(view, sequence, digest, peer))),
        8 => everyone(driver, |peer| Message::Checkpoint(cluster().checkpoint(checkpoint, state, peer))),
        9 => driver.hear(from, Message::ViewChange(view_change(driver, &place, from))),
        10 => everyone_leaves(driver, &place),
        11 => {
            let changes = (0..3).map(|id| view_change(driver, &place, ReplicaId((view.0 as u32 + id) % 4)));
            let mut changes: Vec<_> = changes.collect();
            changes.sort_by_key(|change| change.replica);
            driver.hear(from, Message::NewView(cluster().new_view(view, changes)));
        }
        12 => driver.hear(from, Message::Suspect { view }),
        13 => driver.hear(from, Message::Heartbeat { view, counter: sequence.0 }),
        14 => driver.hear(from, Message::Status(status(driver, &place, input.byte()))),
        15 => driver.hear(from, Message::Request(cluster().request(choice as u64, sequence.0, 1))),
        16 | 17 => driver.request(cluster().request(choice as u64, sequence.0, 1)),
        18 => driver.hear(from, Message::FetchBody { digest }),
        19 => driver.hear(from, Message::Body(cluster().body(choice))),
        20 => driver.hear(from, committed(&place)),
        21 => driver.hear(from, Message::Stable(cluster().stable(checkpoint.max(SequenceNumber(4)), state))),
        22 => driver.accuse(Evidence::PrePrepares(header(), cluster().pre_prepare(view, sequence, cluster().digest(choice + 1)))),
        23 | 24 => driver.timeout(),
        25 => driver.wait(u64::from(input.byte()) * 10),
        26 | 27 => driver.become_durable(usize::MAX),
        28 => driver.become_durable(1),
        29 => driver.execute(usize::MAX),
        30 => driver.snapshot_or_install(),
        _ if choice == 0 => driver.restart(),
        _ => driver.peer_up(from),
    }
}

fn prepare(view: View, sequence: SequenceNumber, digest: Digest, from: ReplicaId) -> Message {
    let pre_prepare = cluster().pre_prepare(view, sequence, digest).signature();
    Message::Prepare { prepare: cluster().prepare(view, sequence, digest, from), pre_prepare }
}

fn committed(place: &Place) -> Message {
    let certificate = cluster().committed(place.view, place.sequence, place.digest);
    Message::Committed { certificate, body: cluster().body(place.choice) }
}

fn everyone(driver: &mut Driver, message: impl Fn(ReplicaId) -> Message) {
    let own = driver.id;
    for peer in (0..4).map(ReplicaId).filter(|peer| *peer != own) {
        driver.hear(peer, message(peer));
    }
}

/// The ordinary course, all of it.
fn agree(driver: &mut Driver, place: &Place) {
    let Place { view, sequence, choice, digest, .. } = *place;
    let header = cluster().pre_prepare(view, sequence, digest);
    driver.hear(cluster().primary(view), Message::PrePrepare { header, body: cluster().body(choice) });
    everyone(driver, |peer| prepare(view, sequence, digest, peer));
    driver.become_durable(usize::MAX);
    everyone(driver, |peer| Message::Commit(cluster().commit(view, sequence, digest, peer)));
    driver.become_durable(usize::MAX);
    driver.execute(usize::MAX);
}

fn view_change(driver: &Driver, place: &Place, from: ReplicaId) -> Signed<ViewChange> {
    let low = SequenceNumber(driver.replica.low_watermark().0 * u64::from(place.choice != 2));
    let stable = driver.replica.stable_certificate().filter(|_| low.0 > 0).map(|stable| (**stable).clone());
    let older = View(place.view.0.saturating_sub(1));
    let inside = place.sequence > low && place.sequence.0 <= low.0 + 16 && place.view > older;
    let prepared = inside.then(|| cluster().prepared(older, place.sequence, place.digest));
    cluster().view_change(place.view, stable, prepared.into_iter().collect(), from)
}

/// A view change with all that belongs to it, in which the replica may be the new primary.
fn everyone_leaves(driver: &mut Driver, place: &Place) {
    let next = Place { view: place.view.next(), ..*place };
    let changes: Vec<_> = (0..4).map(|id| view_change(driver, &next, ReplicaId(id))).collect();
    for change in &changes {
        driver.hear(change.replica, Message::ViewChange(change.clone()));
    }
    driver.become_durable(usize::MAX);
    let primary = cluster().primary(next.view);
    if primary != driver.id && place.choice != 1 {
        let others = changes.into_iter().filter(|change| change.replica != driver.id).collect();
        driver.hear(primary, Message::NewView(cluster().new_view(next.view, others)));
    }
}

fn status(driver: &Driver, place: &Place, bits: u8) -> Status {
    Status {
        view: place.view,
        active: place.choice == 0,
        low_watermark: SequenceNumber(place.sequence.0 / 4 * 4),
        executed: driver.replica.executed().plus(u64::from(bits % 3)),
        oldest_served: SequenceNumber(u64::from(bits % 9)),
        prepared: vec![bits; usize::from(bits % 4)],
        committed: vec![!bits; 2],
        asks: bits.is_multiple_of(5).then_some(u64::from(bits)),
        votes: !bits.is_multiple_of(3),
    }
}

/// Seeds for the corpus: ordinary courses of things, as the events that they are.
pub fn seeds() -> Vec<Vec<u8>> {
    let event = |kind: u8, sequence: u8, choice: u8, from: u8| vec![kind, sequence + 20 * choice, from, 0];
    let ordered = |upto: u8| (1..=upto).flat_map(move |sequence| event(4, sequence, 1 + sequence % 2, 0)).collect::<Vec<u8>>();
    let stable = [event(26, 0, 0, 0), event(8, 4, 0, 0), event(26, 0, 0, 0)].concat();
    let leave = [event(10, 2, 1, 0), event(26, 0, 0, 0)].concat();
    let restart = event(31, 0, 0, 0);
    let snapshot = [event(30, 0, 0, 0), event(26, 0, 0, 0)].concat();
    let requests: Vec<u8> =
        (1..6).flat_map(|time| [event(16, time, 0, 0), event(26, 0, 0, 0), event(29, 0, 0, 0)].concat()).collect();
    let mut seeds = Vec::new();
    for id in 0..4 {
        for course in [
            [ordered(6), stable.clone(), snapshot.clone(), ordered(3), restart.clone(), ordered(4)].concat(),
            [ordered(3), leave.clone(), ordered(3), leave.clone(), restart.clone(), leave.clone()].concat(),
            [requests.clone(), leave.clone(), requests.clone(), restart.clone(), event(23, 0, 0, 0), leave.clone()].concat(),
            [event(21, 8, 0, 1), event(23, 0, 0, 0).repeat(30), event(30, 0, 0, 0), ordered(2)].concat(),
        ] {
            seeds.push([vec![id], course].concat());
        }
    }
    seeds
}
