//! How keys, values and results look, for programs and for people.

use super::error_name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pbft_services::kv::{Entry, KvResult, StepResult};
use serde::Serialize;
use serde_json::{Value, json};

/// A key: as text where it is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum KeyText {
    Text { key: String },
    Bytes { key_base64: String },
}

/// A value: as text where it is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ValueText {
    Text { value: String },
    Bytes { value_base64: String },
}

/// An entry of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryText {
    #[serde(flatten)]
    key: KeyText,
    #[serde(flatten)]
    value: ValueText,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
}

/// The answer to a step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum StepText {
    Put { revision: u64, previous_revision: Option<u64> },
    Get { revision: u64, kv: Option<EntryText> },
    Delete { revision: u64, deleted: u64 },
    Range { revision: u64, kvs: Vec<EntryText>, more: bool },
}

impl From<&[u8]> for KeyText {
    fn from(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text { key: text.to_owned() },
            Err(_) => Self::Bytes { key_base64: BASE64.encode(bytes) },
        }
    }
}

impl From<&[u8]> for ValueText {
    fn from(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text { value: text.to_owned() },
            Err(_) => Self::Bytes { value_base64: BASE64.encode(bytes) },
        }
    }
}

impl From<&Entry> for EntryText {
    fn from(entry: &Entry) -> Self {
        Self {
            key: (&*entry.key).into(),
            value: (&*entry.value).into(),
            create_revision: entry.create_revision,
            mod_revision: entry.mod_revision,
            version: entry.version,
        }
    }
}

impl From<&StepResult> for StepText {
    fn from(result: &StepResult) -> Self {
        match result {
            StepResult::Put { revision, previous } => Self::Put { revision: *revision, previous_revision: *previous },
            StepResult::Get { revision, entry } => Self::Get { revision: *revision, kv: entry.as_ref().map(EntryText::from) },
            StepResult::Delete { revision, deleted } => Self::Delete { revision: *revision, deleted: *deleted },
            StepResult::Range { revision, entries, more } => {
                Self::Range { revision: *revision, kvs: entries.iter().map(EntryText::from).collect(), more: *more }
            }
        }
    }
}

/// Bytes on one line for people: control characters escaped, base64 where they are not UTF-8.
pub fn line(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => {
            text.chars().flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] }).collect()
        }
        Err(_) => format!("base64:{}", BASE64.encode(bytes)),
    }
}

/// An entry's cells for people: key, value, create_revision, mod_revision, version.
pub fn cells(entry: &Entry) -> [String; 5] {
    let numbers = [entry.create_revision, entry.mod_revision, entry.version].map(|number| number.to_string());
    let [create, modified, version] = numbers;
    [line(&entry.key), line(&entry.value), create, modified, version]
}

/// A step's result for people.
pub fn step_line(result: &StepResult) -> String {
    match result {
        StepResult::Put { revision, .. } => format!("put: revision {revision}"),
        StepResult::Get { entry: Some(entry), .. } => format!("get: {} = {}", line(&entry.key), line(&entry.value)),
        StepResult::Get { entry: None, .. } => "get: no such key".to_owned(),
        StepResult::Delete { deleted, .. } => format!("delete: {deleted} deleted"),
        StepResult::Range { entries, more, .. } => {
            let list: Vec<String> = entries.iter().map(|entry| format!("{} = {}", line(&entry.key), line(&entry.value))).collect();
            format!("range: {}{}", list.join(", "), if *more { ", and more" } else { "" })
        }
    }
}

/// Any result of the service as JSON; base64 for what is none.
pub fn result_json(bytes: &[u8]) -> Value {
    match KvResult::decode(bytes) {
        Ok(KvResult::Step(step)) => json!(StepText::from(&step)),
        Ok(KvResult::CompareAndSwap { revision, swapped, current }) => {
            json!({ "op": "cas", "revision": revision, "swapped": swapped, "current": current.as_ref().map(EntryText::from) })
        }
        Ok(KvResult::Transaction { revision, succeeded, results }) => {
            let results: Vec<StepText> = results.iter().map(StepText::from).collect();
            json!({ "op": "txn", "revision": revision, "succeeded": succeeded, "results": results })
        }
        Ok(KvResult::Error(error)) => json!({ "error": { "code": error_name(&error), "message": error.to_string() } }),
        Err(_) => json!({ "base64": BASE64.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &[u8], value: &[u8]) -> Entry {
        Entry { key: key.into(), value: value.into(), create_revision: 2, mod_revision: 3, version: 4, lease: 0 }
    }

    #[test]
    fn what_is_not_utf8_is_base64_under_another_name() {
        let text = |entry: &Entry| json!(EntryText::from(entry));
        assert_eq!(
            text(&entry(b"k", b"v\n")),
            json!({ "key": "k", "value": "v\n", "create_revision": 2, "mod_revision": 3, "version": 4 })
        );
        assert_eq!(
            text(&entry(&[0xff], &[0xfe, 0])),
            json!({ "key_base64": "/w==", "value_base64": "/gA=", "create_revision": 2, "mod_revision": 3, "version": 4 })
        );
    }

    #[test]
    fn what_people_see_cannot_control_their_terminal() {
        assert_eq!(line("é\u{1b}[2J\n".as_bytes()), "é\\u{1b}[2J\\n");
        assert_eq!(line(&[0xff]), "base64:/w==");
    }

    #[test]
    fn results_of_a_request_are_told_by_their_operation() {
        let put = KvResult::Step(StepResult::Put { revision: 5, previous: None });
        assert_eq!(result_json(&put.encode()), json!({ "op": "put", "revision": 5, "previous_revision": null }));
        assert_eq!(result_json(&[1]), json!({ "base64": "AQ==" }));
    }
}
