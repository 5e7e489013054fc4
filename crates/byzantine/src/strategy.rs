use crate::*;
use pbft_message::{Message, ReplicaId};
use pbft_protocol::{Outbound, Outgoing};
use std::str::FromStr;

/// A way to lie. What each does stands in its [`summary`](Strategy::summary), and in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the summaries say it")]
pub enum Strategy {
    Equivocate,
    Belated,
    DoubleVote,
    Mute,
    MutePrimary,
    SlowPrimary,
    Censor,
    HoleMaker,
    WindowRacer,
    Usurper,
    BodyWithholder,
    PoisonBatch,
    MalformedBatch,
    Reorderer,
    Stranger,
    TimeRacer,
    SplitCommit,
    ViewChangeLiar,
    ViewChangeForger,
    NewViewLiar,
    NewViewForger,
    NewViewSplitter,
    ViewChangeSpammer,
    Replayer,
    CheckpointLiar,
    CertificateForger,
    FalseWitness,
    BadSigner,
    StatusLiar,
    Flooder,
    WrongReplier,
    SmallScopeMutator,
    SelectiveSender,
    StateTransferPoisoner,
}

/// The name is no strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no strategy: one of {names}, each also as intermittent:NAME", names = names())]
pub struct UnknownStrategy(String);

fn names() -> String {
    Strategy::ALL.map(Strategy::name).join(", ")
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Equivocate,
        Self::Belated,
        Self::DoubleVote,
        Self::Mute,
        Self::MutePrimary,
        Self::SlowPrimary,
        Self::Censor,
        Self::HoleMaker,
        Self::WindowRacer,
        Self::Usurper,
        Self::BodyWithholder,
        Self::PoisonBatch,
        Self::MalformedBatch,
        Self::Reorderer,
        Self::Stranger,
        Self::TimeRacer,
        Self::SplitCommit,
        Self::ViewChangeLiar,
        Self::ViewChangeForger,
        Self::NewViewLiar,
        Self::NewViewForger,
        Self::NewViewSplitter,
        Self::ViewChangeSpammer,
        Self::Replayer,
        Self::CheckpointLiar,
        Self::CertificateForger,
        Self::FalseWitness,
        Self::BadSigner,
        Self::StatusLiar,
        Self::Flooder,
        Self::WrongReplier,
        Self::SmallScopeMutator,
        Self::SelectiveSender,
        Self::StateTransferPoisoner,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocate",
            Self::Belated => "belated",
            Self::DoubleVote => "double-vote",
            Self::Mute => "mute",
            Self::MutePrimary => "mute-primary",
            Self::SlowPrimary => "slow-primary",
            Self::Censor => "censor",
            Self::HoleMaker => "hole-maker",
            Self::WindowRacer => "window-racer",
            Self::Usurper => "usurper",
            Self::BodyWithholder => "body-withholder",
            Self::PoisonBatch => "poison-batch",
            Self::MalformedBatch => "malformed-batch",
            Self::Reorderer => "reorderer",
            Self::Stranger => "stranger",
            Self::TimeRacer => "time-racer",
            Self::SplitCommit => "split-commit",
            Self::ViewChangeLiar => "view-change-liar",
            Self::ViewChangeForger => "view-change-forger",
            Self::NewViewLiar => "new-view-liar",
            Self::NewViewForger => "new-view-forger",
            Self::NewViewSplitter => "new-view-splitter",
            Self::ViewChangeSpammer => "view-change-spammer",
            Self::Replayer => "replayer",
            Self::CheckpointLiar => "checkpoint-liar",
            Self::CertificateForger => "certificate-forger",
            Self::FalseWitness => "false-witness",
            Self::BadSigner => "bad-signer",
            Self::StatusLiar => "status-liar",
            Self::Flooder => "flooder",
            Self::WrongReplier => "wrong-replier",
            Self::SmallScopeMutator => "small-scope-mutator",
            Self::SelectiveSender => "selective-sender",
            Self::StateTransferPoisoner => "state-transfer-poisoner",
        }
    }

    /// What it does, in one line.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Equivocate => "as primary one proposal to one half, another to the rest; votes for both",
            Self::Belated => "as primary leaves one backup out, and proposes to it what contradicts what the others committed",
            Self::DoubleVote => "prepares and commits two digests for one number",
            Self::Mute => "says nothing at all",
            Self::MutePrimary => "says nothing while it is primary",
            Self::SlowPrimary => "as primary proposes just inside the time-out",
            Self::Censor => "leaves one client out",
            Self::HoleMaker => "as primary skips sequence numbers",
            Self::WindowRacer => "as primary proposes at the end of the window, beyond it, and at the very last number",
            Self::Usurper => "proposes and opens views where another is primary, and prepares where it is primary itself",
            Self::BodyWithholder => "as primary proposes to f + 1 backups or fewer, and serves no body",
            Self::PoisonBatch => "as primary puts one bad client signature into each batch",
            Self::MalformedBatch => "as primary proposes what is no batch: empty, too large, cut, or with a request for nothing",
            Self::Reorderer => "as primary orders requests again, and others with timestamps that were used",
            Self::Stranger => "as primary orders requests of a client that nobody knows",
            Self::TimeRacer => "as primary proposes batches of a time that has not come",
            Self::SplitCommit => "lets one replica commit, then stalls",
            Self::ViewChangeLiar => "reports less than it prepared, or an older stable checkpoint",
            Self::ViewChangeForger => "reports certificates that prove nothing",
            Self::NewViewLiar => "as new primary proposes what does not follow from the view-changes",
            Self::NewViewForger => "as new primary opens the view with view-changes that are no quorum",
            Self::NewViewSplitter => "as new primary opens the view with other view-changes for each half",
            Self::ViewChangeSpammer => "wants ever higher views, up to a million ahead",
            Self::Replayer => "sends old messages again, to anyone, some signed for another cluster or epoch",
            Self::CheckpointLiar => "signs false states, also of numbers far ahead",
            Self::CertificateForger => "sends certificates of commits and checkpoints that prove nothing",
            Self::FalseWitness => "accuses correct replicas falsely, and shows them votes that they never cast",
            Self::BadSigner => {
                "sends half of its votes, proposals and view changes, and of requests, with a signature that is none"
            }
            Self::StatusLiar => "lies about where it stands, suspects everyone, and gives signs of life in the primary's place",
            Self::Flooder => "asks without end: for all that it might have missed, and for one body hundreds of times",
            Self::WrongReplier => "gives clients false answers",
            Self::SmallScopeMutator => "alters one field of some messages, by one",
            Self::SelectiveSender => "talks to less than a quorum",
            Self::StateTransferPoisoner => "serves false states, crumbs, silence, and says that what it has is gone",
        }
    }

    /// What stands between the replica and the network.
    pub fn outbound(self, context: &Context) -> Outbound {
        let lie = match self {
            Self::Equivocate => equivocator::outbound(context),
            Self::Belated => belated::outbound(context),
            Self::DoubleVote => double_voter::outbound(context),
            Self::Mute => mute::outbound(),
            Self::MutePrimary => mute_primary::outbound(context),
            Self::SlowPrimary => slow_primary::outbound(context),
            Self::Censor => censor::outbound(context),
            Self::HoleMaker => hole_maker::outbound(context),
            Self::WindowRacer => window_racer::outbound(context),
            Self::Usurper => usurper::outbound(context),
            Self::BodyWithholder => body_withholder::outbound(context),
            Self::PoisonBatch => poison_batch::outbound(context),
            Self::MalformedBatch => malformed_batch::outbound(context),
            Self::Reorderer => reorderer::outbound(context),
            Self::Stranger => stranger::outbound(context),
            Self::TimeRacer => time_racer::outbound(context),
            Self::SplitCommit => split_commit::outbound(context),
            Self::ViewChangeLiar => view_change_liar::outbound(context),
            Self::ViewChangeForger => view_change_forger::outbound(context),
            Self::NewViewLiar => new_view_liar::outbound(context),
            Self::NewViewForger => new_view_forger::outbound(context),
            Self::NewViewSplitter => new_view_splitter::outbound(context),
            Self::ViewChangeSpammer => view_change_spammer::outbound(context),
            Self::Replayer => replayer::outbound(context),
            Self::CheckpointLiar => checkpoint_liar::outbound(context),
            Self::CertificateForger => certificate_forger::outbound(context),
            Self::FalseWitness => false_witness::outbound(context),
            Self::BadSigner => bad_signer::outbound(context),
            Self::StatusLiar => status_liar::outbound(context),
            Self::Flooder => flooder::outbound(context),
            Self::WrongReplier => wrong_replier::outbound(),
            Self::SmallScopeMutator => small_scope_mutator::outbound(context),
            Self::SelectiveSender => selective_sender::outbound(context),
            Self::StateTransferPoisoner => state_transfer_poisoner::outbound(context),
        };
        discreet(context.signer.replica(), lie)
    }
}

/// No liar testifies against itself, though the honest replica behind it would.
fn discreet(own: ReplicaId, mut lie: Outbound) -> Outbound {
    let testifies = move |outgoing: &Outgoing| match outgoing {
        Outgoing::Replica(_, Message::Evidence(evidence)) => evidence.accused().0 == own,
        _ => false,
    };
    Box::new(move |now, traffic| {
        let mut leaving = lie(now, traffic);
        leaving.retain(|outgoing| !testifies(outgoing));
        leaving
    })
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == text).ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}
