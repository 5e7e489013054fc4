//! To be written.
#[derive(clap::Args)]
pub struct Put {}
impl Put {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
#[derive(clap::Args)]
pub struct Get {}
impl Get {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
#[derive(clap::Args)]
pub struct Delete {}
impl Delete {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
#[derive(clap::Args)]
pub struct Cas {}
impl Cas {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
#[derive(clap::Args)]
pub struct Range {}
impl Range {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
#[derive(clap::Args)]
pub struct Txn {}
impl Txn {
    pub fn run(self) -> pbft_node::ExitCode {
        pbft_node::ExitCode::Usage
    }
}
