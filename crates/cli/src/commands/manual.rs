//! `pbft man` and `pbft completions`: made of the same description of the command line that parses it.

use crate::failure::Failure;
use crate::output::print_bytes;
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use pbft_node::ExitCode;
use std::fs;
use std::path::PathBuf;

/// Write the man pages of pbft, of each of its commands, and of pbftd.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  pbft man /usr/local/share/man/man1")]
pub struct Man {
    /// The folder for the pages; it is made if it does not exist.
    folder: PathBuf,
}

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft completions bash > /etc/bash_completion.d/pbft\n  pbft completions bash pbftd > /etc/bash_completion.d/pbftd"
)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
    /// For which program.
    #[arg(value_enum, default_value_t)]
    program: Program,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Program {
    #[default]
    Pbft,
    Pbftd,
}

impl Program {
    fn command(self) -> clap::Command {
        match self {
            Self::Pbft => crate::Arguments::command(),
            Self::Pbftd => pbft_node::arguments::Arguments::command(),
        }
    }
}

impl Man {
    pub fn run(self) -> ExitCode {
        let write = || {
            fs::create_dir_all(&self.folder)?;
            [Program::Pbft, Program::Pbftd]
                .into_iter()
                .try_for_each(|program| clap_mangen::generate_to(program.command(), &self.folder))
        };
        match write() {
            Ok(()) => ExitCode::Yes,
            Err(error) => {
                let failure = Failure::io(format!("cannot write man pages to {}: {error}", self.folder.display()));
                crate::output::Format::Table.fail(&failure)
            }
        }
    }
}

impl Completions {
    pub fn run(self) -> ExitCode {
        let mut command = self.program.command();
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        print_bytes(&text);
        ExitCode::Yes
    }
}
