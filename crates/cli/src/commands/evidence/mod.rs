//! `pbft evidence`: proofs that a replica lied. Anyone can check them with the genesis alone.

mod export;
pub mod file;
mod list;
mod verify;

pub use list::one_of_each;

use pbft_message::Evidence;
use pbft_node::ExitCode;

/// Show and verify the proofs of lies.
///
/// Show and verify the proofs that a replica lied.
#[derive(clap::Args)]
pub struct EvidenceCommand {
    #[command(subcommand)]
    command: EvidenceSubcommand,
}

#[derive(clap::Subcommand)]
enum EvidenceSubcommand {
    /// Collect the evidence that the replicas hold.
    ///
    /// Each piece is verified here, with the genesis, and written to a file of its own; what proves nothing is left out.
    #[command(after_help = "Examples:\n  pbft evidence list --home net/client-0\n  pbft evidence list --output-dir proofs -o json")]
    List(list::List),
    /// Write one piece of evidence to a file.
    ///
    /// With the genesis, the file is all that a third party needs to verify it: it names the cluster and holds both messages.
    #[command(after_help = "Example:\n  pbft evidence export 3f9a proof.evidence --home net/client-0")]
    Export(export::Export),
    /// Verify a piece of evidence offline, with the genesis alone.
    ///
    /// Exit code 0 if it proves that the accused replica lied, 1 if it does not.
    #[command(
        after_help = "Examples:\n  pbft evidence verify --home net/client-0 net/client-0/evidence/ID.evidence\n  pbft evidence verify ID.evidence --genesis net/genesis.toml -o json"
    )]
    Verify(verify::Verify),
}

impl EvidenceCommand {
    pub fn run(self) -> ExitCode {
        match self.command {
            EvidenceSubcommand::List(command) => command.run(),
            EvidenceSubcommand::Export(command) => command.run(),
            EvidenceSubcommand::Verify(command) => command.run(),
        }
    }
}

/// What a piece of evidence proves, in one sentence.
pub fn lie(evidence: &Evidence) -> String {
    let (accused, view, sequence) = evidence.accused();
    let place = match sequence {
        Some(sequence) => format!("view {view}, sequence number {sequence}"),
        None => format!("view {view}"),
    };
    let what = match evidence {
        Evidence::PrePrepares(..) => "two pre-prepares with different digests",
        Evidence::Prepares(..) => "two prepares with different digests",
        Evidence::Commits(..) => "two commits with different digests",
        Evidence::ViewChanges(..) => "two different view-changes",
        Evidence::NewViews(..) => "two different new-views",
        Evidence::HiddenPrepared(..) => "a commit, and a later view-change that hides what the commit rests on",
        Evidence::InvalidBatch(..) => "a pre-prepare of an invalid batch",
        Evidence::FalseNewView(..) => "a new-view whose pre-prepares do not follow from its view-changes",
    };
    format!("replica {accused} signed {what}, for {place}")
}
