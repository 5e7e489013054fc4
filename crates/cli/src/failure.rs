use pbft_node::ExitCode;

/// Why a command did not do what it was asked: a name for programs, a sentence for people, an exit code for scripts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: ExitCode,
    /// A name that programs can rely on.
    pub code: &'static str,
    /// What was wrong, where, and what to do.
    pub message: String,
}

impl Failure {
    pub fn new(exit: ExitCode, code: &'static str, message: impl ToString) -> Self {
        Self { exit, code, message: message.to_string() }
    }

    pub fn io(message: impl ToString) -> Self {
        Self::new(ExitCode::Io, "Io", message)
    }

    pub fn configuration(message: impl ToString) -> Self {
        Self::new(ExitCode::Configuration, "Configuration", message)
    }
}
