//! To be written.
#[derive(clap::Args)]
pub struct Demo {}
impl Demo {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
