//! To be written.
#[derive(clap::Args)]
pub struct EvidenceCommand {}
impl EvidenceCommand {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
