//! The journal of a stopped replica, read by `pbft journal`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod network;

use network::{command, path, pbft};
use pbft_crypto::{Digest, SecretKey};
use pbft_message::{Authenticator, Genesis, Prepare, ReplicaId, SequenceNumber, Signer, View, codec};
use pbft_protocol::agreement::Record;
use pbft_storage::{FileDisk, Identity, Journal};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

const FILE: &str = "journal-00000001.log";

fn prepare(view: u64, sequence: u64) -> Record {
    let genesis = Genesis {
        name: "a".to_owned(),
        test_network: true,
        parameters: Default::default(),
        service: Default::default(),
        replicas: vec![],
        operators: vec![],
        clients: vec![],
    };
    let signer = Signer::new(ReplicaId(2), *Authenticator::new(Arc::new(genesis)).domain(), SecretKey::from_seed(&[7; 32]));
    let digest = Digest::from_bytes([9; 32]);
    let body = Prepare { view: View(view), sequence: SequenceNumber(sequence), digest, replica: ReplicaId(2) };
    Record::Prepare(signer.sign(body).into_inner())
}

/// A replica's folder with a journal of these groups.
fn home(folder: &Path, groups: &[&[Record]]) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let identity = Identity { cluster: Digest::from_bytes([1; 32]), owner: SecretKey::from_seed(&[7; 32]).public() };
    let mut journal = Journal::create(FileDisk::open(&data).unwrap(), &identity, &[3; 32], 64 << 10).unwrap();
    for group in groups {
        journal.commit(&group.iter().map(codec::encode).collect::<Vec<_>>()).unwrap();
    }
    folder.to_owned()
}

fn verify(home: &Path) -> (i32, Value) {
    let ended = pbft(&["journal", "verify", path(home), "-o", "json"]);
    (ended.code, ended.json())
}

fn change(home: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let file = home.join("data").join(FILE);
    let mut bytes = fs::read(&file).unwrap();
    change(&mut bytes);
    fs::write(&file, bytes).unwrap();
}

#[test]
fn a_whole_journal_is_counted_and_dumped_with_the_place_of_each_record() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), &[&[Record::Opened(View(3)), prepare(3, 17)], &[prepare(4, 18)]]);
    let before = fs::read(home.join("data").join(FILE)).unwrap();
    let (code, found) = verify(&home);
    assert_eq!((code, &found["ok"], &found["damage"], &found["torn_tail"]), (0, &json!(true), &Value::Null, &Value::Null));
    let counts = ["segments", "frames", "records", "bytes", "newest_view"].map(|name| found[name].as_u64().unwrap());
    assert_eq!(counts, [1, 2, 3, 1024, 4]);
    assert_eq!(found["cluster_id"], "01".repeat(32));
    assert_eq!(verify(&home.join("data")), (0, found), "its data directory names it as well");

    let dumped = pbft(&["journal", "dump", path(&home)]);
    let lines: Vec<Value> = dumped.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(dumped.code, 0);
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "prepare", "prepare"]);
    let last = json!({
        "segment": FILE, "offset": 1024 + 76, "kind": "prepare",
        "view": 4, "sequence": 18, "digest": "09".repeat(32), "replica": 2,
    });
    assert_eq!(lines[2], last);
    assert_eq!(fs::read(home.join("data").join(FILE)).unwrap(), before, "nothing is changed");

    let mut shown = command().args(["journal", "dump", path(&home)]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(shown.stdout.take());
    let mut complaint = String::new();
    shown.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((shown.wait().unwrap().code(), complaint.as_str()), (Some(0), ""), "a reader may go away");
}

#[test]
fn damage_is_told_with_file_and_offset_and_what_is_before_it_is_dumped() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path(), &[&[prepare(3, 17)], &[prepare(4, 18)], &[prepare(4, 19)]]);
    change(&home, |bytes| bytes[1024 + 100] ^= 1);
    let (code, found) = verify(&home);
    assert_eq!((code, &found["ok"], &found["records"], &found["newest_view"]), (1, &json!(false), &json!(1), &json!(3)));
    assert_eq!((&found["damage"]["file"], &found["damage"]["offset"]), (&json!(FILE), &json!(1024)));
    let dumped = pbft(&["journal", "dump", path(&home)]);
    assert_eq!((dumped.code, dumped.text().lines().count()), (1, 1));
    assert!(dumped.stderr.contains("journal-00000001.log, offset 1024: a frame that was acknowledged"), "{}", dumped.stderr);
}

#[test]
fn a_torn_tail_is_told_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let long: Vec<Record> = (0..20).map(|sequence| prepare(4, sequence)).collect();
    let home = home(folder.path(), &[&[prepare(3, 17)], &long]);
    change(&home, |bytes| bytes[1024 + 512..1024 + 1024].fill(0));
    let (code, found) = verify(&home);
    assert_eq!((code, &found["ok"], &found["records"]), (0, &json!(true), &json!(1)));
    assert_eq!((&found["torn_tail"]["file"], &found["torn_tail"]["offset"]), (&json!(FILE), &json!(1024)));
    assert!(pbft(&["journal", "verify", path(&home)]).text().contains("torn tail, never acknowledged"));
}

#[test]
fn what_is_no_journal_of_this_format_or_in_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |home: &Path| {
        let (code, found) = verify(home);
        (code, found["error"]["code"].as_str().unwrap().to_owned(), found["error"]["message"].as_str().unwrap().to_owned())
    };
    let (code, name, _) = refused(folder.path());
    assert_eq!((code, name.as_str()), (3, "Configuration"));
    assert_eq!(refused(&folder.path().join("nowhere")).0, 6);

    let home = home(folder.path(), &[&[prepare(3, 17)]]);
    // A process that another test is about to start may hold the lock that was just given back, until it runs.
    let running = (0..1_000_000).find_map(|_| FileDisk::open(&home.join("data")).ok()).unwrap();
    let (code, name, message) = refused(&home);
    assert_eq!((code, name.as_str()), (6, "Locked"));
    assert!(message.contains("stop its replica first"), "{message}");
    drop(running);

    for version in [1u8, 3] {
        change(&home, |bytes| {
            bytes[8] = version;
            let checksum = crc32c(&bytes[..164]);
            bytes[164..168].copy_from_slice(&checksum.to_le_bytes());
        });
        let (code, name, message) = refused(&home);
        assert_eq!((code, name.as_str()), (3, "Format"));
        assert!(message.contains(&format!("{FILE} has journal format {version}, this program reads format 2")), "{message}");
    }
}

/// Castagnoli's CRC, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
