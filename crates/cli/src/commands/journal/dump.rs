//! `pbft journal dump`.

use super::{read, record};
use crate::failure::Failure;
use crate::output::Format;
use pbft_node::ExitCode;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Dump {
    /// A replica's folder, or the `data` in it.
    directory: PathBuf,
}

impl Dump {
    pub fn run(self) -> ExitCode {
        let mut output = BufWriter::new(std::io::stdout().lock());
        // Once the reader of the lines is gone, nobody wants more of them.
        let mut wanted = true;
        let read = read(&self.directory, |place, record| {
            if wanted {
                let line = record::line(place, record);
                wanted = writeln!(output, "{line}").is_ok();
            }
        });
        let _ = output.flush();
        match read {
            Ok(Ok(_)) => ExitCode::Yes,
            Ok(Err(damage)) => Format::Table.fail(&Failure::new(ExitCode::No, "Damaged", damage.reason)),
            Err(failure) => Format::Table.fail(&failure),
        }
    }
}
