//! To be written.
#[derive(clap::Args)]
pub struct Status {}
impl Status {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
