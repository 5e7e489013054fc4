//! Writes the seed corpus, `fuzz/corpus/TARGET/seed-*`: `cargo run --package pbft-fuzz-targets --example corpus`.
//! Files of other names there are inputs that once broke a property; they stay.

#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use pbft_crypto::Digest;
use pbft_fuzz_targets::cluster::cluster;
use pbft_message::*;
use pbft_protocol::agreement::{Alarm, Record};
use pbft_services::kv::{Compare, Expected, KvResult, Operation, RangeEnd, Relation, Step, Target};
use serde::Serialize;
use std::fs;
use std::path::Path;

const FIRST: SequenceNumber = SequenceNumber(1);

fn main() {
    let messages: Vec<Vec<u8>> = messages().iter().map(codec::encode).collect();
    write("decode", messages.iter().cloned().chain(others()).collect());
    write("authenticate", messages.iter().map(|message| [&[sender(message)], &message[..]].concat()).collect());
    write("certificates", certificates());
    write("view_changes", view_changes());
    write("config", configurations());
    write("frames", frames(&messages));
    write("signatures", (0..8).map(|kind| programme(kind, 60)).collect());
    write("journal_damage", (0..8).map(|kind| programme(kind, 40 + usize::from(kind) * 10)).collect());
    write("journal_forgery", (0..4).map(forged_segments).collect());
    write("snapshots", (0..8).map(|kind| [vec![kind], programme(kind, 40)].concat()).collect());
    write("transfer", (0..8).map(|kind| programme(kind, 50)).chain([vec![0], vec![1], vec![2], vec![3]]).collect());
    write("replica", pbft_fuzz_targets::replica::seeds());
}

fn write(target: &str, inputs: Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    for (number, input) in inputs.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:02}")), input).unwrap();
    }
}

/// Decisions in no special order, for targets that read them one by one.
fn programme(kind: u8, length: usize) -> Vec<u8> {
    let digest = |block: u8| *Digest::of("seed", &[&[kind, block]]).as_bytes();
    (0..=u8::MAX).flat_map(digest).take(length).collect()
}

/// The sender that the authenticator will find right, where it matters.
fn sender(message: &[u8]) -> u8 {
    match codec::decode(message) {
        Ok(Message::PrePrepare { header, .. }) => header.replica.0 as u8,
        Ok(Message::ViewChange(change)) => change.replica.0 as u8,
        Ok(Message::NewView(new_view)) => new_view.replica.0 as u8,
        _ => 2,
    }
}

fn status() -> Status {
    let (low, next) = (SequenceNumber(4), SequenceNumber(5));
    let bits = vec![3, 0];
    Status {
        view: View(1),
        active: true,
        low_watermark: low,
        executed: next,
        oldest_served: FIRST,
        prepared: bits.clone(),
        committed: bits,
        asks: Some(7),
        votes: true,
    }
}

fn changes(view: View) -> Vec<Signed<ViewChange>> {
    let digest = cluster().digest(2);
    let prepared = vec![cluster().prepared(View(0), SequenceNumber(6), digest)];
    let stable = cluster().stable(SequenceNumber(4), digest);
    vec![
        cluster().view_change(view, None, vec![], ReplicaId(0)),
        cluster().view_change(view, Some(stable.clone()), prepared, ReplicaId(1)),
        cluster().view_change(view, Some(stable), vec![], ReplicaId(2)),
    ]
}

fn evidence() -> Vec<Evidence> {
    let (one, other) = (cluster().digest(1), cluster().digest(2));
    let header = |digest| cluster().pre_prepare(View(0), FIRST, digest);
    let commit = |digest| cluster().commit(View(0), FIRST, digest, ReplicaId(2));
    let nonsense = Blob::from(&b"no batch"[..]);
    let mut false_view = (*cluster().new_view(View(1), changes(View(1)))).clone();
    false_view.pre_prepares.clear();
    let change = cluster().view_change(View(1), None, vec![], ReplicaId(2));
    let other_change = cluster().view_change(View(1), None, vec![cluster().prepared(View(0), FIRST, one)], ReplicaId(2));
    vec![
        Evidence::PrePrepares(header(one), header(other)),
        Evidence::Commits(commit(one), commit(other)),
        Evidence::HiddenPrepared(commit(one), Box::new(change.clone())),
        Evidence::ViewChanges(Box::new((change, other_change))),
        Evidence::InvalidBatch(header(batch_digest(&nonsense)), nonsense),
        Evidence::FalseNewView(Box::new(cluster().signer(ReplicaId(1)).sign(false_view).into_inner())),
    ]
}

fn messages() -> Vec<Message> {
    let digest = cluster().digest(1);
    let header = cluster().pre_prepare(View(0), FIRST, digest);
    let prepare = cluster().prepare(View(0), FIRST, digest, ReplicaId(2));
    let view = View(1);
    let mut messages = vec![
        Message::Prepare { prepare, pre_prepare: header.signature() },
        Message::PrePrepare { header, body: cluster().body(1) },
        Message::PrePrepare { header: cluster().pre_prepare(View(0), FIRST, NULL_DIGEST), body: Blob::default() },
        Message::Commit(cluster().commit(View(0), FIRST, digest, ReplicaId(2))),
        Message::Checkpoint(cluster().checkpoint(SequenceNumber(4), digest, ReplicaId(2))),
        Message::ViewChange(changes(view).remove(1)),
        Message::NewView(cluster().new_view(view, changes(view))),
        Message::Suspect { view },
        Message::Heartbeat { view, counter: 7 },
        Message::Status(status()),
        Message::Request(cluster().request(0, 1, 9)),
        Message::FetchBody { digest },
        Message::Body(cluster().body(1)),
        Message::Committed { certificate: cluster().committed(View(0), FIRST, digest), body: cluster().body(1) },
        Message::Stable(cluster().stable(SequenceNumber(4), digest)),
        Message::FetchState(fetch()),
        Message::State(state()),
    ];
    messages.extend(evidence().into_iter().map(Message::Evidence));
    messages
}

fn fetch() -> FetchState {
    FetchState::Chunks { sequence: SequenceNumber(4), part: StatePart::Clients, indices: vec![1, 2], offset: 3 }
}

fn state() -> StateReply {
    let piece = ChunkPiece { index: 1, offset: 0, size: 5, bytes: Blob::from(&b"chunk"[..]) };
    StateReply::Chunks { sequence: SequenceNumber(4), part: StatePart::Service, pieces: vec![piece] }
}

/// What is no message between replicas.
fn others() -> Vec<Vec<u8>> {
    let request = cluster().request(0, 1, 9);
    let cluster_id = cluster().genesis.cluster_id();
    let role = Role::Replica { replica: ReplicaId(1), status: Some(status()) };
    let (client, timestamp) = (request.client, request.timestamp);
    let refusal = RequestRefusal::TooLarge { limit: "bytes".into(), maximum: 9 };
    let outcome = Outcome::Executed(Blobs::new(&[b"result"]));
    let digest = cluster().digest(1);
    let reply = Reply { epoch: Epoch(0), view: View(0), client, timestamp, request: digest, sequence: FIRST, outcome };
    let compare = Compare { key: Blob::from(&b"k"[..]), relation: Relation::Equal, target: Target::Version(3) };
    let operation = Operation::Transaction {
        compare: vec![compare],
        success: vec![Step::put("k", "v")],
        failure: vec![Step::range("a", RangeEnd::before("z"), 2)],
    };
    let encoded: Vec<Vec<u8>> = vec![
        bytes(&ClientMessage::Request(request)),
        bytes(&ClientMessage::RequestStatus { query: 1, client, timestamp }),
        bytes(&ReplicaMessage::Replies(vec![reply.clone(), reply])),
        bytes(&ReplicaMessage::Refused { client, timestamp, view: View(0), refusal }),
        bytes(&ReplicaMessage::Evidence { query: 1, evidence: evidence() }),
        bytes(&Hello::new(cluster_id, role)),
        bytes(&Record::NewView(cluster().new_view(View(1), changes(View(1))))),
        bytes(&Record::Halted(Alarm::TwoCheckpoints(FIRST, ReplicaId(1)))),
        bytes(&Record::Prepared(cluster().prepared(View(0), FIRST, digest))),
        bytes(&*cluster().genesis),
        operation.encode(),
        Operation::compare_and_swap("k", Expected::Absent, "v").encode(),
        KvResult::decode(&[]).map(|result| result.encode()).unwrap_or_default(),
        cluster().body(3).to_vec(),
    ];
    encoded
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value)
}

/// Valid ones decision by decision, and encoded ones.
fn certificates() -> Vec<Vec<u8>> {
    let digest = cluster().digest(1);
    vec![
        vec![0, 0, 1, 1, 0, 2, 1, 0, 2, 0],
        vec![1, 0, 1, 1, 3, 0, 0, 1, 0, 2, 0],
        vec![2, 0, 4, 1, 4, 0, 0, 1, 0, 2, 0, 3, 0],
        [vec![3], bytes(&cluster().prepared(View(5), FIRST, digest))].concat(),
        [vec![4], bytes(&cluster().committed(View(5), FIRST, digest))].concat(),
        [vec![5], bytes(&cluster().stable(FIRST, digest))].concat(),
    ]
}

fn view_changes() -> Vec<Vec<u8>> {
    let change = [vec![0], bytes(changes(View(1)).last().unwrap())].concat();
    let new_view = [vec![1], bytes(&cluster().new_view(View(1), changes(View(1))))].concat();
    (0..6).map(|kind| [vec![2], programme(kind, 60)].concat()).chain([change, new_view, vec![2; 60]]).collect()
}

fn configurations() -> Vec<Vec<u8>> {
    let minimal = "replica = 0\nlisten = \"127.0.0.1:7000\"\nreplicas = [\"a:1\", \"b:1\", \"c:1\", \"d:1\"]\n";
    let timing = "[timing]\nbase_timeout = \"2s\"\nmax_timeout = \"16s\"\nheartbeat = \"400ms\"\n";
    let limits = "[limits]\npipeline = 8\nbatch_requests = 100\npending_bytes = 67108864\njournal_bytes = 1\n";
    let genesis = toml_of_genesis();
    vec![minimal.into(), format!("{minimal}{timing}{limits}").into(), genesis.into()]
}

fn toml_of_genesis() -> String {
    toml::to_string(&*cluster().genesis).unwrap()
}

fn frames(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let framed = |message: &Vec<u8>| [&(message.len() as u32).to_le_bytes(), &message[..]].concat();
    let wire: Vec<u8> = messages.iter().take(4).flat_map(framed).collect();
    vec![
        [vec![0xff, 0xff, 0, 3, 100, 255], wire.clone()].concat(),
        [vec![0x00, 0x01, 7, 7, 7, 7], wire].concat(),
        vec![4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 2, 0, 0, 0, 8, 7, 0, 0, 0, 0],
    ]
}

fn forged_segments(kind: u8) -> Vec<u8> {
    let segment = |number: u8| [vec![80, 0, 100, 0, number, 0], programme(kind + number, 80)].concat();
    [vec![kind], segment(0), segment(1), segment(2)].concat()
}
