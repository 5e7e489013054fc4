//! `pbft txn`.

use super::text::{StepText, step_line};
use super::{No, Place, RequestOptions, bytes, read_input, unexpected, usage};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_message::Blob;
use pbft_node::ExitCode;
use pbft_services::kv::{Compare, KvResult, Operation, RangeEnd, Relation, Step, StepResult, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Run a transaction: compare, then one list of operations or another.
///
/// Run a transaction: if all comparisons hold, the operations of `success`, otherwise those of `failure`; all of them
/// or none, with nothing in between. If a comparison does not hold the answer is no: exit code 1.
#[derive(clap::Args)]
#[command(after_help = FORMAT)]
pub struct Txn {
    /// The transaction as JSON; `-` reads it from standard input.
    file: String,
    #[command(flatten)]
    options: RequestOptions,
}

const FORMAT: &str = r#"Examples:
  pbft txn --home net/client-0 transfer.json
  pbft txn -o json - <<'END'
  {"compare": [{"key": "alice", "target": "value", "op": "=", "value": "10"}],
   "success": [{"op": "put", "key": "alice", "value": "7"}, {"op": "put", "key": "bob", "value": "3"}],
   "failure": [{"op": "get", "key": "alice"}]}
  END

compare: target is value, version, create_revision or mod_revision; op is =, !=, > or <. The numbers of an absent key are 0.
operations: {"op": "put", "key", "value"}, {"op": "get", "key"}, {"op": "delete", "key"}, and {"op": "range", "key"} with
  "prefix": true, "to": END or "all": true, and "limit": N.
key_base64, value_base64 and to_base64 stand for key, value and to where the bytes are not text."#;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TxnText {
    compare: Vec<CompareText>,
    success: Vec<StepInput>,
    failure: Vec<StepInput>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareText {
    key: Option<String>,
    key_base64: Option<String>,
    target: TargetText,
    op: RelationText,
    value: Option<Value>,
    value_base64: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetText {
    Value,
    Version,
    #[serde(alias = "create")]
    CreateRevision,
    #[serde(alias = "mod")]
    ModRevision,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RelationText {
    #[serde(alias = "=", alias = "==")]
    Equal,
    #[serde(alias = "!=")]
    NotEqual,
    #[serde(alias = ">")]
    Greater,
    #[serde(alias = "<")]
    Less,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpText {
    Put,
    Get,
    Delete,
    Range,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepInput {
    op: OpText,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    to: Option<String>,
    to_base64: Option<String>,
    #[serde(default)]
    prefix: bool,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    limit: u64,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    revision: u64,
    succeeded: bool,
    results: Vec<StepText>,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<No>,
    #[serde(skip)]
    steps: Vec<StepResult>,
}

impl Txn {
    pub fn run(self) -> ExitCode {
        self.options.client.format.end(self.transact(), show)
    }

    fn transact(&self) -> Result<(Answer, ExitCode), Failure> {
        let operation = parse(&read_input(&self.file)?)?;
        let (result, place) = self.options.execute(&operation)?;
        let KvResult::Transaction { revision, succeeded, results: steps } = result else { return Err(unexpected()) };
        let results = steps.iter().map(StepText::from).collect();
        let no = No { code: "CompareFailed", message: "a comparison does not hold: the operations of failure were run" };
        let code = if succeeded { ExitCode::Yes } else { ExitCode::No };
        let error = (!succeeded).then_some(no);
        Ok((Answer { ok: succeeded, revision, succeeded, results, place, error, steps }, code))
    }
}

fn show(answer: &Answer) {
    for step in &answer.steps {
        print_text(&step_line(step));
    }
    print_text(&format!("{}; revision {}", if answer.succeeded { "succeeded" } else { "failed" }, answer.revision));
    if let Some(error) = answer.error {
        eprintln!("pbft: {}", error.message);
    }
}

fn parse(text: &[u8]) -> Result<Operation, Failure> {
    let text: TxnText = serde_json::from_slice(text)
        .map_err(|error| usage(format!("the transaction is not valid: {error}; see pbft txn --help for its form")))?;
    let steps = |steps: Vec<StepInput>| steps.into_iter().map(StepInput::step).collect::<Result<Vec<_>, _>>();
    let compare = text.compare.into_iter().map(CompareText::compare).collect::<Result<_, _>>()?;
    Ok(Operation::Transaction { compare, success: steps(text.success)?, failure: steps(text.failure)? })
}

/// The bytes that one of two fields gives.
fn field(name: &str, text: Option<&str>, base64: Option<&str>) -> Result<Option<Blob>, Failure> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(usage(format!("{name} and {name}_base64 cannot both be given"))),
        (Some(text), None) => Ok(Some(text.as_bytes().into())),
        (None, Some(text)) => bytes(&format!("{name}_base64"), text, true).map(|bytes| Some(bytes.into())),
        (None, None) => Ok(None),
    }
}

fn needed(name: &str, text: Option<&str>, base64: Option<&str>) -> Result<Blob, Failure> {
    field(name, text, base64)?.ok_or_else(|| usage(format!("{name} is missing in the transaction")))
}

impl CompareText {
    fn compare(self) -> Result<Compare, Failure> {
        let key = needed("key", self.key.as_deref(), self.key_base64.as_deref())?;
        let relation = match self.op {
            RelationText::Equal => Relation::Equal,
            RelationText::NotEqual => Relation::NotEqual,
            RelationText::Greater => Relation::Greater,
            RelationText::Less => Relation::Less,
        };
        let target = match self.target {
            TargetText::Value => Target::Value(self.bytes()?),
            TargetText::Version => Target::Version(self.number()?),
            TargetText::CreateRevision => Target::CreateRevision(self.number()?),
            TargetText::ModRevision => Target::ModRevision(self.number()?),
        };
        Ok(Compare { key, relation, target })
    }

    fn bytes(&self) -> Result<Blob, Failure> {
        let text = match &self.value {
            Some(Value::String(text)) => Some(text.as_str()),
            None => None,
            Some(_) => return Err(usage("the value of a comparison with target value must be a string")),
        };
        needed("value", text, self.value_base64.as_deref())
    }

    fn number(&self) -> Result<u64, Failure> {
        let number = self.value.as_ref().and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        number.ok_or_else(|| usage("the value of a comparison with a version or revision must be a number, 0 or more"))
    }
}

impl StepInput {
    fn step(self) -> Result<Step, Failure> {
        let key = field("key", self.key.as_deref(), self.key_base64.as_deref())?;
        let value = field("value", self.value.as_deref(), self.value_base64.as_deref())?;
        let to = field("to", self.to.as_deref(), self.to_base64.as_deref())?;
        if value.is_some() != (self.op == OpText::Put) {
            return Err(usage("value belongs to put, and to no other operation of a transaction"));
        }
        let ends = [to.is_some(), self.prefix, self.all];
        if self.op != OpText::Range && (ends.contains(&true) || self.limit > 0) {
            return Err(usage("to, prefix, all and limit belong to range, and to no other operation of a transaction"));
        }
        if ends.into_iter().filter(|given| *given).count() > 1 {
            return Err(usage("only one of to, prefix and all can be given"));
        }
        let end = match (to, self.prefix, self.all) {
            (Some(to), _, _) => RangeEnd::Before(to),
            (None, true, _) => RangeEnd::Prefix,
            (None, _, true) => RangeEnd::Last,
            (None, false, false) => RangeEnd::Start,
        };
        if self.op == OpText::Range && end != RangeEnd::Start {
            return Ok(Step::Range { start: key.unwrap_or_default(), end, limit: self.limit });
        }
        let key = key.ok_or_else(|| usage("key is missing in an operation of the transaction"))?;
        Ok(match self.op {
            OpText::Put => Step::Put { key, value: value.unwrap_or_default() },
            OpText::Get => Step::Get { key },
            OpText::Delete => Step::Delete { key },
            OpText::Range => Step::Range { start: key, end, limit: self.limit },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read_with_all_its_operations() {
        let text = r#"{
            "compare": [{"key": "a", "target": "value", "op": "=", "value": "1"},
                        {"key": "b", "target": "mod_revision", "op": "<", "value": 7},
                        {"key_base64": "/w==", "target": "version", "op": "not_equal", "value": "2"}],
            "success": [{"op": "put", "key": "a", "value_base64": "/w=="}, {"op": "delete", "key": "b"}],
            "failure": [{"op": "get", "key": "a"}, {"op": "range", "key": "u/", "prefix": true, "limit": 3},
                        {"op": "range", "all": true}, {"op": "range", "key": "a", "to": "c"}]
        }"#;
        let expected = Operation::Transaction {
            compare: vec![
                Compare::new("a", Relation::Equal, Target::Value(b"1".as_slice().into())),
                Compare::new("b", Relation::Less, Target::ModRevision(7)),
                Compare::new([0xff], Relation::NotEqual, Target::Version(2)),
            ],
            success: vec![Step::put("a", [0xff]), Step::delete("b")],
            failure: vec![
                Step::get("a"),
                Step::range("u/", RangeEnd::Prefix, 3),
                Step::range("", RangeEnd::Last, 0),
                Step::range("a", RangeEnd::before("c"), 0),
            ],
        };
        assert_eq!(parse(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_no_transaction_is_wrong_use_and_says_why() {
        for (text, why) in [
            ("{", "not valid"),
            (r#"{"sucess": []}"#, "unknown field `sucess`"),
            (r#"{"success": [{"op": "put", "key": "a"}]}"#, "value belongs to put"),
            (r#"{"success": [{"op": "get", "key": "a", "value": "b"}]}"#, "value belongs to put"),
            (r#"{"success": [{"op": "get"}]}"#, "key is missing"),
            (r#"{"success": [{"op": "get", "key": "a", "limit": 1}]}"#, "belong to range"),
            (r#"{"success": [{"op": "range", "key": "a", "all": true, "prefix": true}]}"#, "only one of"),
            (r#"{"compare": [{"key": "a", "target": "version", "op": "=", "value": "x"}]}"#, "must be a number"),
            (r#"{"compare": [{"key": "a", "target": "value", "op": "=", "value": 1}]}"#, "must be a string"),
            (r#"{"compare": [{"key": "a", "target": "value", "op": "=", "value_base64": "?"}]}"#, "not valid base64"),
        ] {
            let failure = parse(text.as_bytes()).unwrap_err();
            assert_eq!(failure.exit, ExitCode::Usage, "{text}");
            assert!(failure.message.contains(why), "{text}: {failure}");
        }
    }
}
