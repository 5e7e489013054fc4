//! To be written.
#[derive(clap::Args)]
pub struct Devnet {}
impl Devnet {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
