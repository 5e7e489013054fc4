use crate::failure::Failure;
use clap::ValueEnum;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use pbft_node::ExitCode;
use serde::Serialize;
use std::io::{IsTerminal, Write};

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
        // Standard error may be gone, or full: the code says enough.
        let _ = writeln!(std::io::stderr(), "pbft: {failure}");
        failure.exit
    }
}

/// The option of commands that do not speak to a cluster.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FormatOption {
    /// How results look: a table for people, or one JSON document for programs.
    #[arg(short = 'o', long = "format", value_enum, default_value_t)]
    pub format: Format,
}

/// Prints one JSON document.
pub fn print_json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        print_text(&text);
    }
}

/// Prints lines for people.
pub fn print_text(text: &str) {
    print_ended(text.as_bytes(), b"\n");
}

/// Prints bytes as they are; a terminal gets a line end too.
pub fn print_bytes(bytes: &[u8]) {
    print_ended(bytes, if std::io::stdout().is_terminal() { b"\n" } else { b"" });
}

/// Standard output may be gone: that is its reader's business.
fn print_ended(bytes: &[u8], end: &[u8]) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(bytes).and_then(|()| output.write_all(end)).and_then(|()| output.flush());
}

/// Prints a table. Colour is for terminals, and for people who did not say NO_COLOR.
pub fn print_table<R: Into<comfy_table::Row>>(header: &[&str], rows: impl IntoIterator<Item = R>) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header).add_rows(rows);
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if coloured {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    print_text(&table.to_string());
}
