use crate::failure::Failure;
use clap::ValueEnum;
use pbft_node::ExitCode;
use serde::Serialize;

/// How results look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document on standard output, errors included.
    Json,
}

impl Format {
    /// Ends a command: what it found, as JSON or by `show`; or its failure, for people on standard error.
    pub fn end<T: Serialize>(self, result: Result<(T, ExitCode), Failure>, show: impl FnOnce(&T)) -> ExitCode {
        match result {
            Ok((found, code)) => {
                match self {
                    Self::Json => print_json(&found),
                    Self::Table => show(&found),
                }
                code
            }
            Err(failure) => self.fail(&failure),
        }
    }

    /// Reports a failure.
    pub fn fail(self, failure: &Failure) -> ExitCode {
        if self == Self::Json {
            print_json(&serde_json::json!({
                "ok": false,
                "error": { "code": failure.code, "message": failure.message },
            }));
        }
        eprintln!("pbft: {failure}");
        failure.exit
    }
}

/// Prints one JSON document. Standard output may be gone: that is its reader's business.
pub fn print_json(value: &impl Serialize) {
    use std::io::Write;
    if let Ok(text) = serde_json::to_string(value) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
