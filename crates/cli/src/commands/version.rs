//! `pbft version`.

use crate::output::{FormatOption, print_text};
use pbft_message::{PROTOCOL_VERSION, WIRE_VERSION};
use pbft_node::ExitCode;
use serde::Serialize;

/// Show the versions of this program, its wire format and its protocol.
///
/// Show the versions of this program, of its wire format and of the protocol. Replicas and clients whose wire formats
/// differ refuse each other.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pbft version\n  pbft version -o json")]
pub struct Version {
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    version: &'static str,
    wire_version: u16,
    protocol_version: u16,
}

impl Version {
    pub fn run(self) -> ExitCode {
        let answer =
            Answer { ok: true, version: pbft_node::VERSION, wire_version: WIRE_VERSION, protocol_version: PROTOCOL_VERSION };
        self.output.format.end(Ok((answer, ExitCode::Yes)), |answer| {
            let Answer { version, wire_version, protocol_version, .. } = answer;
            print_text(&format!("pbft {version} (wire format {wire_version}, protocol {protocol_version})"));
        })
    }
}
