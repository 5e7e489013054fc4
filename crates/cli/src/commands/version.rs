//! To be written.
#[derive(clap::Args)]
pub struct Version {}
impl Version {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
