//! `pbft version`.

use crate::output::{FormatOption, print_text};
use pbft_message::{PROTOCOL_VERSION, WIRE_VERSIONS};
use pbft_node::ExitCode;
use serde::Serialize;

/// Show the versions of this program, its wire format and its protocol.
///
/// Show the versions of this program, of its wire formats and of the protocol. Replicas and clients that have no wire format
/// in common refuse each other.
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
    /// The lowest and the highest that it speaks.
    wire_versions: [u16; 2],
    protocol_version: u16,
}

impl Version {
    pub fn run(self) -> ExitCode {
        let wire_versions = [*WIRE_VERSIONS.start(), *WIRE_VERSIONS.end()];
        let answer = Answer { ok: true, version: pbft_node::VERSION, wire_versions, protocol_version: PROTOCOL_VERSION };
        self.output.format.end(Ok((answer, ExitCode::Yes)), |answer| {
            let Answer { version, wire_versions: [first, last], protocol_version, .. } = answer;
            print_text(&format!("pbft {version} (wire formats {first} to {last}, protocol {protocol_version})"));
        })
    }
}
