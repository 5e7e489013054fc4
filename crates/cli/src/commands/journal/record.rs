//! A record in words that programs read.

use pbft_crypto::Digest;
use pbft_message::{SequenceNumber, SignatureList, View, batch_digest};
use pbft_protocol::agreement::Record;
use pbft_storage::Place;
use serde_json::{Map, Value, json};

/// The highest view that a record names, if it names one.
pub fn view(record: &Record) -> Option<View> {
    match record {
        Record::Opened(view) => Some(*view),
        Record::PrePrepare(header) => Some(header.view),
        Record::Prepare(prepare) => Some(prepare.view),
        Record::Prepared(certificate) => Some(certificate.view),
        Record::Commit(commit) => Some(commit.view),
        Record::Committed(certificate) => Some(certificate.view),
        Record::ViewChange(change) => Some(change.view),
        Record::NewView(new_view) => Some(new_view.view),
        Record::Body(_) | Record::Checkpoint(_) | Record::Stable(_) | Record::Evidence(_) => None,
        Record::Halted(_) | Record::Learner | Record::Repair | Record::Repaired => None,
    }
}

/// A record as one JSON object: where it stands, its kind, and its fields.
pub fn line(place: Place<'_>, record: &Record) -> Value {
    let (kind, fields) = fields(record);
    let mut line = Map::from_iter([
        ("segment".to_owned(), json!(place.file)),
        ("offset".to_owned(), json!(place.offset)),
        ("kind".to_owned(), json!(kind)),
    ]);
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    Value::Object(line)
}

fn fields(record: &Record) -> (&'static str, Value) {
    match record {
        Record::Opened(view) => ("opened", json!({ "view": view.0 })),
        Record::Body(body) => ("body", json!({ "digest": batch_digest(body).to_string(), "bytes": body.len() })),
        Record::PrePrepare(header) => ("pre_prepare", vote(header.view, header.sequence, header.digest, header.replica.0)),
        Record::Prepare(prepare) => ("prepare", vote(prepare.view, prepare.sequence, prepare.digest, prepare.replica.0)),
        Record::Prepared(of) => ("prepared", certificate(Some(of.view), of.sequence, of.digest, &of.prepares)),
        Record::Commit(commit) => ("commit", vote(commit.view, commit.sequence, commit.digest, commit.replica.0)),
        Record::Committed(of) => ("committed", certificate(Some(of.view), of.sequence, of.digest, &of.commits)),
        Record::Checkpoint(checkpoint) => {
            let digest = checkpoint.digest.to_string();
            ("checkpoint", json!({ "sequence": checkpoint.sequence.0, "digest": digest, "replica": checkpoint.replica.0 }))
        }
        Record::Stable(of) => ("stable", certificate(None, of.sequence, of.digest, &of.checkpoints)),
        Record::ViewChange(change) => {
            let prepared: Vec<u64> = change.prepared.iter().map(|certificate| certificate.sequence.0).collect();
            let (view, stable) = (change.view.0, change.low_watermark().0);
            ("view_change", json!({ "view": view, "stable": stable, "prepared": prepared, "replica": change.replica.0 }))
        }
        Record::NewView(new_view) => {
            let changes: Vec<u32> = new_view.view_changes.iter().map(|change| change.replica.0).collect();
            let proposed: Vec<u64> = new_view.pre_prepares.iter().map(|header| header.sequence.0).collect();
            let (view, replica) = (new_view.view.0, new_view.replica.0);
            ("new_view", json!({ "view": view, "view_changes": changes, "pre_prepares": proposed, "replica": replica }))
        }
        Record::Evidence(evidence) => {
            let (accused, view, sequence) = evidence.accused();
            let sequence = sequence.map(|sequence| sequence.0);
            let (id, lie) = (evidence.id().to_string(), evidence.kind().name());
            ("evidence", json!({ "id": id, "accused": accused.0, "lie": lie, "view": view.0, "sequence": sequence }))
        }
        Record::Halted(alarm) => ("halted", json!({ "reason": alarm.to_string() })),
        Record::Learner => ("learner", json!({})),
        Record::Repair => ("repair", json!({})),
        Record::Repaired => ("repaired", json!({})),
    }
}

fn vote(view: View, sequence: SequenceNumber, digest: Digest, replica: u32) -> Value {
    json!({ "view": view.0, "sequence": sequence.0, "digest": digest.to_string(), "replica": replica })
}

fn certificate(view: Option<View>, sequence: SequenceNumber, digest: Digest, signatures: &SignatureList) -> Value {
    let signers: Vec<u32> = signatures.iter().map(|(replica, _)| replica.0).collect();
    let mut fields = json!({ "sequence": sequence.0, "digest": digest.to_string(), "signers": signers });
    if let (Some(view), Value::Object(fields)) = (view, &mut fields) {
        fields.insert("view".to_owned(), json!(view.0));
    }
    fields
}
