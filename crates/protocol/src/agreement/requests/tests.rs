#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use pbft_crypto::{PublicKey, SecretKey};
use pbft_message::{Authenticator, Blobs, ClientEntry, Parameters, ReplicaEntry, ServiceParameters, sign_request};
use std::sync::Arc;

/// What a client may have in flight.
const IN_FLIGHT: usize = 8;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn key(number: u8) -> PublicKey {
    secret(number).public()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The requests of three clients, numbered in the order of their keys, which is that of a new view.
struct Desk {
    requests: Requests,
    authenticator: Authenticator,
    clients: Vec<SecretKey>,
}

impl Desk {
    fn new() -> Self {
        let mut clients: Vec<SecretKey> = (200..203).map(secret).collect();
        clients.sort_by_key(|client| ClientId(client.public()));
        let entry = |client: &SecretKey| ClientEntry { signing_key: ClientId(client.public()), transport_key: client.public() };
        let genesis = Genesis {
            name: "requests".into(),
            test_network: true,
            parameters: Parameters { requests_in_flight: IN_FLIGHT, ..Parameters::default() },
            service: ServiceParameters::default(),
            replicas: (0..4).map(|id| ReplicaEntry { signing_key: key(2 * id + 1), transport_key: key(2 * id + 2) }).collect(),
            operators: vec![],
            clients: clients.iter().map(entry).collect(),
        };
        let requests = Requests::new(&genesis, 100, 1 << 20);
        Self { requests, authenticator: Authenticator::new(Arc::new(genesis)), clients }
    }

    fn id(&self, client: usize) -> ClientId {
        ClientId(self.clients[client].public())
    }

    fn request(&self, client: usize, timestamp: u64, operation: &[u8]) -> Verified<Signed<Request>> {
        let request = Request { client: self.id(client), timestamp: Timestamp(timestamp), operations: Blobs::new(&[operation]) };
        let signed = sign_request(request, self.authenticator.domain(), &self.clients[client]);
        self.authenticator.verify_requests(vec![signed]).remove(0).unwrap()
    }

    fn take(&mut self, request: &Verified<Signed<Request>>, now: u64, watch: bool) -> Result<Taken, RequestRefusal> {
        self.requests.take(request.clone(), self.authenticator.domain(), ms(now), watch, false)
    }

    /// Unwatched requests of ten bytes, each of a client with a timestamp.
    fn take_all(&mut self, all: &[(usize, u64)]) {
        for (client, timestamp) in all {
            let request = self.request(*client, *timestamp, &[0; 10]);
            assert_eq!(self.take(&request, 0, false), Ok(Taken::Waiting));
        }
    }

    fn names(&self, requests: &[Verified<Signed<Request>>]) -> Vec<(usize, u64)> {
        let client = |id: ClientId| (0..3).find(|client| self.id(*client) == id).unwrap();
        requests.iter().map(|request| (client(request.client), request.timestamp.0)).collect()
    }

    fn next_batch(&mut self, most: usize) -> Vec<(usize, u64)> {
        let batch = self.requests.next_batch(ms(0), most, 1 << 20);
        self.names(&batch)
    }

    fn batch(&self, all: &[(usize, u64)]) -> Verified<Batch> {
        Batch::of_verified(1, all.iter().map(|(client, timestamp)| self.request(*client, *timestamp, &[0; 10])).collect())
    }

    /// Clients with something that is not proposed, requests that wait, and their bytes.
    fn waiting(&self) -> (usize, usize, usize) {
        (self.requests.turn.len(), self.requests.count(), self.requests.bytes())
    }
}

#[test]
fn r18_clients_are_served_in_turn_each_its_lowest_first() {
    let mut desk = Desk::new();
    desk.take_all(&[(2, 9), (0, 3), (0, 1), (1, 5), (2, 8), (0, 2)]);
    assert_eq!(desk.next_batch(4), [(2, 8), (0, 1), (1, 5), (2, 9)]);
    assert_eq!(desk.next_batch(4), [(0, 2), (0, 3)]);
    assert_eq!(desk.waiting().0, 0);
}

#[test]
fn r04_a_batch_takes_what_fits_and_who_does_not_fit_comes_next() {
    let mut desk = Desk::new();
    let large = desk.request(1, 1, &[0; 1000]);
    desk.take_all(&[(0, 1)]);
    desk.take(&large, 0, false).unwrap();
    desk.take_all(&[(2, 1), (0, 2)]);
    let small = desk.request(0, 1, &[0; 10]).size();
    // The batch itself takes 64 bytes.
    let batch = desk.requests.next_batch(ms(0), 10, small + large.size() + 63);
    assert_eq!(desk.names(&batch), [(0, 1)]);
    let batch = desk.requests.next_batch(ms(0), 10, small + large.size() + 64);
    assert_eq!(desk.names(&batch), [(1, 1), (2, 1)]);
    assert_eq!(desk.next_batch(10), [(0, 2)]);
}

#[test]
fn r10_what_is_ordered_frees_its_place() {
    let mut desk = Desk::new();
    desk.take_all(&[(0, 1), (0, 2), (1, 1)]);
    let size = desk.request(0, 1, &[0; 10]).size();
    assert_eq!(desk.waiting(), (2, 3, 3 * size));
    let batch = desk.batch(&[(0, 1)]);
    desk.requests.ordered(&batch, ms(1));
    assert_eq!(desk.waiting(), (2, 2, 2 * size));
    let batch = desk.batch(&[(1, 1)]);
    desk.requests.ordered(&batch, ms(1));
    assert_eq!(desk.waiting(), (1, 1, size));
    assert_eq!(desk.next_batch(10), [(0, 2)]);
    let batch = desk.batch(&[(0, 2)]);
    desk.requests.ordered(&batch, ms(1));
    assert_eq!(desk.waiting(), (0, 0, 0));
    assert!(desk.requests.waiting.is_empty(), "nothing is kept of clients that wait for nothing");
    let again = desk.request(0, 2, &[0; 10]);
    assert_eq!(desk.take(&again, 1, true), Ok(Taken::Ordered));
}

#[test]
fn r10_what_is_in_a_proposal_is_not_proposed_and_others_of_its_client_are() {
    let mut desk = Desk::new();
    desk.take_all(&[(0, 1), (0, 2), (1, 1), (2, 1)]);
    let batch = desk.batch(&[(0, 1), (1, 1), (1, 7)]);
    desk.requests.proposed(&batch, ms(1));
    assert_eq!(desk.waiting().0, 2);
    assert!(!desk.requests.is_unproposed(desk.id(0), Timestamp(1)));
    assert!(desk.requests.is_unproposed(desk.id(0), Timestamp(2)));
    assert_eq!(desk.next_batch(10), [(0, 2), (2, 1)]);
}

#[test]
fn r19_what_is_not_proposed_is_counted() {
    let mut desk = Desk::new();
    desk.take_all(&[(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)]);
    let size = desk.request(0, 1, &[0; 10]).size();
    let unproposed = |desk: &Desk| desk.requests.size_unproposed();
    assert_eq!(unproposed(&desk), (6, 6 * size));
    desk.next_batch(1);
    assert_eq!(unproposed(&desk), (5, 5 * size));
    let batch = desk.batch(&[(0, 1), (1, 1), (2, 1)]);
    desk.requests.proposed(&batch, ms(1));
    assert_eq!(unproposed(&desk), (3, 3 * size), "one of them was in a batch before");
    let batch = desk.batch(&[(0, 1), (0, 2)]);
    desk.requests.ordered(&batch, ms(2));
    assert_eq!(unproposed(&desk), (2, 2 * size));
    desk.requests.requeue(ms(3));
    assert_eq!((unproposed(&desk).0, desk.requests.count()), (4, 4));
}

#[test]
fn r18_of_each_client_the_lowest_request_is_measured() {
    let mut desk = Desk::new();
    for (timestamp, at) in [(2, 5), (1, 7)] {
        let request = desk.request(0, timestamp, b"");
        desk.take(&request, at, false).unwrap();
    }
    let measured = |desk: &Desk| desk.requests.longest_unproposed().map(|(request, since)| (request.timestamp.0, since));
    assert_eq!(measured(&desk), Some((1, ms(7))));
    let request = desk.request(1, 9, b"");
    desk.take(&request, 6, false).unwrap();
    assert_eq!(measured(&desk), Some((9, ms(6))));
}

#[test]
fn r10_a_request_is_watched_once_it_is_to_be() {
    let mut desk = Desk::new();
    let request = desk.request(0, 1, b"");
    assert_eq!(desk.take(&request, 1, false), Ok(Taken::Waiting));
    assert_eq!(desk.requests.watched_since(), None);
    assert_eq!(desk.take(&request, 2, true), Ok(Taken::Watched));
    assert_eq!(desk.requests.watched_since(), Some(ms(2)));
    assert_eq!(desk.take(&request, 3, true), Ok(Taken::Waiting), "for the first time only");
    assert_eq!(desk.requests.watched_since(), Some(ms(2)));
    let other = desk.request(0, 1, b"other");
    assert_eq!(desk.take(&other, 4, true), Err(RequestRefusal::TimestampReused));
}

#[test]
fn r10_the_clock_is_that_of_the_lowest_request_that_is_watched() {
    let mut desk = Desk::new();
    desk.take_all(&[(0, 1)]);
    for (timestamp, at) in [(3, 1), (2, 2)] {
        let request = desk.request(0, timestamp, &[0; 10]);
        desk.take(&request, at, true).unwrap();
    }
    assert_eq!(desk.requests.watched_since(), Some(ms(2)), "the lowest is not watched");
    let batch = desk.batch(&[(0, 2)]);
    desk.requests.ordered(&batch, ms(5));
    assert_eq!(desk.requests.watched_since(), Some(ms(5)));
    let batch = desk.batch(&[(0, 3)]);
    desk.requests.ordered(&batch, ms(6));
    assert_eq!(desk.requests.watched_since(), None);
}

#[test]
fn r10_the_primary_is_reminded_again_after_as_long_and_in_a_new_view_anew() {
    let mut desk = Desk::new();
    let request = desk.request(0, 1, b"");
    desk.take(&request, 100, true).unwrap();
    let reminded = |desk: &mut Desk, at| desk.requests.reminders(ms(at), ms(50)).len();
    // Longer than so long.
    assert_eq!([149, 150, 151].map(|at| reminded(&mut desk, at)), [0, 0, 1]);
    assert_eq!([152, 201, 202].map(|at| reminded(&mut desk, at)), [0, 0, 1]);
    desk.requests.requeue(ms(203));
    assert_eq!([253, 254].map(|at| reminded(&mut desk, at)), [0, 1]);
}

#[test]
fn r10_a_new_view_proposes_and_watches_all_that_waits() {
    let mut desk = Desk::new();
    desk.take_all(&[(1, 1), (0, 1), (0, 2)]);
    assert_eq!(desk.next_batch(2), [(1, 1), (0, 1)]);
    desk.requests.requeue(ms(7));
    assert_eq!(desk.requests.watched_since(), Some(ms(7)));
    let again = desk.request(0, 2, &[0; 10]);
    assert_eq!(desk.take(&again, 8, true), Ok(Taken::Waiting), "it is watched already");
    assert_eq!(desk.next_batch(10), [(0, 1), (1, 1), (0, 2)]);
}

#[test]
fn r14_a_fetched_state_says_what_was_ordered_and_who_is_authorised() {
    let mut desk = Desk::new();
    desk.take_all(&[(0, 1), (0, 2), (1, 1), (2, 1)]);
    let mut ordered = RequestWindow::new(IN_FLIGHT);
    ordered.insert(Timestamp(1));
    let windows = BTreeMap::from([(desk.id(0), ordered), (desk.id(1), RequestWindow::new(IN_FLIGHT))]);
    desk.requests.restore(windows, ms(1));
    assert_eq!(desk.next_batch(10), [(0, 2), (1, 1)]);
    let (known, unknown) = (desk.request(0, 1, b""), desk.request(2, 2, b""));
    assert_eq!(desk.take(&known, 2, false), Ok(Taken::Ordered));
    assert_eq!(desk.take(&unknown, 2, false), Err(RequestRefusal::UnknownClient));
}
