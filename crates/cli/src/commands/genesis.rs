//! To be written.
#[derive(clap::Args)]
pub struct GenesisCommand {}
impl GenesisCommand {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
