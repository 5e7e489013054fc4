//! To be written.
#[derive(clap::Args)]
pub struct RequestCommand {}
impl RequestCommand {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
