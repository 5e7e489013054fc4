//! `pbft request status`.

use super::kv::result_json;
use crate::client_home::{ClientOptions, Cluster};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_crypto::Digest;
use pbft_message::{Blobs, ClientId, Outcome, RequestRefusal, RequestState, Timestamp};
use pbft_node::ExitCode;
use serde::Serialize;
use serde_json::Value;

/// Ask what became of a request.
#[derive(clap::Args)]
pub struct RequestCommand {
    #[command(subcommand)]
    command: RequestSubcommand,
}

#[derive(clap::Subcommand)]
enum RequestSubcommand {
    /// Ask what became of a request whose answer was lost. What f + 1 replicas agree on is shown.
    ///
    /// Exit code 0 means that it took effect; 1 that it did not, or not yet: replicas that lag behind say so too. To be
    /// sure, repeat the command that sent it with --timestamp: it takes effect once at most.
    #[command(
        after_help = "Examples:\n  pbft request status --home net/client-0 \\\n    3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29 1763884800000000\n  pbft request status -o json CLIENT TIMESTAMP"
    )]
    Status(Status),
}

#[derive(clap::Args)]
struct Status {
    /// The client: its public signing key, 64 hexadecimal digits.
    client: pbft_crypto::PublicKey,
    /// The request's timestamp.
    timestamp: u64,
    #[command(flatten)]
    options: ClientOptions,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Answer {
    ok: bool,
    client: String,
    timestamp: u64,
    /// executed, refused, not_executed, too_old or unknown_client.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Digest>,
    /// One for each operation; null if they are no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<No>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct No {
    code: &'static str,
    message: String,
}

impl RequestCommand {
    pub fn run(self) -> ExitCode {
        let RequestSubcommand::Status(status) = self.command;
        let answer = status.options.run(|cluster| status.ask(cluster));
        let with_code = |answer: Answer| {
            let code = if answer.ok { ExitCode::Yes } else { ExitCode::No };
            (answer, code)
        };
        status.options.format.end(answer.map(with_code), show)
    }
}

impl Status {
    async fn ask(&self, cluster: Cluster) -> Result<Answer, Failure> {
        let client = ClientId(self.client);
        let state = cluster.client.request_state(client, Timestamp(self.timestamp), cluster.timeout).await;
        Ok(answer(client, self.timestamp, &state.map_err(|error| cluster.failure(&error))?))
    }
}

fn answer(client: ClientId, timestamp: u64, state: &RequestState) -> Answer {
    let no = |state: &'static str, code: &'static str, message: &str| Answer {
        ok: false,
        client: client.to_string(),
        timestamp,
        state,
        sequence: None,
        request: None,
        results: None,
        error: Some(No { code, message: message.to_owned() }),
    };
    match state {
        RequestState::NotExecuted => no("not_executed", "NotExecuted", "it was not executed, and it still may be"),
        RequestState::TooOld => {
            no("too_old", "TooOld", "it is below the window of remembered requests: whether it was executed is not known any more")
        }
        RequestState::UnknownClient => no("unknown_client", "UnknownClient", "the client is not authorised in this cluster"),
        RequestState::Executed { sequence, request, outcome } => {
            let (state, results, error) = match outcome {
                Outcome::Executed(results) => ("executed", Some(results_json(results)), None),
                Outcome::ExecutedResultGone => ("executed", None, None),
                Outcome::Refused(refusal) => ("refused", None, Some(refused(refusal))),
            };
            Answer {
                ok: error.is_none(),
                client: client.to_string(),
                timestamp,
                state,
                sequence: Some(sequence.0),
                request: Some(*request),
                results,
                error,
            }
        }
    }
}

fn refused(refusal: &RequestRefusal) -> No {
    No { code: refusal.name(), message: refusal.to_string() }
}

fn results_json(results: &Blobs) -> Vec<Value> {
    results.each().map(result_json).collect()
}

fn show(answer: &Answer) {
    let place = answer.sequence.map(|sequence| format!(" at sequence number {sequence}")).unwrap_or_default();
    print_text(&format!("{}{place}", answer.state.replace('_', " ")));
    for result in answer.results.iter().flatten() {
        print_text(&result.to_string());
    }
    if let Some(error) = &answer.error {
        eprintln!("pbft: {}", error.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::PublicKey;
    use pbft_message::SequenceNumber;

    fn of(state: RequestState) -> (bool, &'static str, Option<usize>) {
        let answer = answer(ClientId(PublicKey::from_bytes([7; 32])), 5, &state);
        (answer.ok, answer.state, answer.results.map(|results| results.len()))
    }

    #[test]
    fn only_what_took_effect_is_a_yes() {
        let executed = |outcome| RequestState::Executed { sequence: SequenceNumber(3), request: Digest::ZERO, outcome };
        assert_eq!(of(executed(Outcome::Executed(Blobs::new(&[b""])))), (true, "executed", Some(1)));
        assert_eq!(of(executed(Outcome::ExecutedResultGone)), (true, "executed", None));
        assert_eq!(of(executed(Outcome::Refused(RequestRefusal::TooOld))), (false, "refused", None));
        assert_eq!(of(RequestState::NotExecuted), (false, "not_executed", None));
        assert_eq!(of(RequestState::TooOld), (false, "too_old", None));
        assert_eq!(of(RequestState::UnknownClient), (false, "unknown_client", None));
    }
}
