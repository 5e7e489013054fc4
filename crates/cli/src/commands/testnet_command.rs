//! To be written.
#[derive(clap::Args)]
pub struct Testnet {}
impl Testnet {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
