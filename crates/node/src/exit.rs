/// What a process's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Yes.
    Yes = 0,
    /// The answer is no: a failed check, a mismatch, a missing key, invalid evidence.
    No = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// Configuration, keys or genesis.
    Configuration = 3,
    /// Refused by the cluster.
    Refused = 4,
    /// No quorum or time-out: the outcome is unknown.
    Unknown = 5,
    /// Input, output or port.
    Io = 6,
    /// Interrupted.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
