//! To be written.
#[derive(clap::Args)]
pub struct Keygen {}
impl Keygen {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
