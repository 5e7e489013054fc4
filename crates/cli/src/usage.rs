//! Wrong use of the command line, for people and for programs.

use crate::output::print_json;
use pbft_node::ExitCode;

/// Ends the process for what clap did not accept; also for `--help` and `--version`, which it treats as errors.
pub fn end(error: &clap::Error) -> ExitCode {
    // Where a stream is gone, there is nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::Yes;
    }
    if wants_json(std::env::args()) {
        let message = error.to_string();
        print_json(&serde_json::json!({
            "ok": false,
            "error": { "code": "Usage", "message": message.trim_start_matches("error: ").trim_end() },
        }));
    }
    ExitCode::Usage
}

/// Whether arguments that clap refused ask for JSON.
fn wants_json(arguments: impl Iterator<Item = String>) -> bool {
    let mut follows_option = false;
    for argument in arguments {
        let joined = matches!(argument.as_str(), "-ojson" | "-o=json" | "--format=json");
        if joined || (follows_option && argument == "json") {
            return true;
        }
        follows_option = matches!(argument.as_str(), "-o" | "--format");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> bool {
        wants_json(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn json_is_recognised_among_arguments_that_are_not_valid() {
        assert!(
            of("pbft put -o json") && of("pbft put -ojson --bad") && of("pbft --format=json put") && of("pbft x --format json")
        );
        assert!(!of("pbft put -o table") && !of("pbft put json") && !of("pbft put -o"));
    }
}
