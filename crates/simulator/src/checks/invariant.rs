use std::fmt;

/// What must hold in every run. "Correct" means: not lying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Invariant {
    Agreement,
    OnePreparedDigest,
    NoContradiction,
    DurableBeforeSaid,
    NoVoteInALeftView,
    NothingGoesBack,
    WatermarksFollowCertificates,
    VotesInsideTheWindow,
    BodiesAreHeld,
    CommitNeedsCertificate,
    CommittedIsReproposed,
    NewViewFollows,
    ViewChangeTellsAll,
    ExecutedOnceInOrder,
    SameState,
    StableWasComputed,
    AnswersAreRight,
    RequestsAreSigned,
    TimeIsNear,
    NullChangesNothing,
    Bounded,
    AnswersAreRationed,
    BodiesAreAskedAround,
    CertificatesAreSound,
    OnlyLiarsAreAccused,
    AuditIsJust,
    ContradictionsAreAccused,
    EvidenceIsEverywhere,
    NothingForeign,
    TransferForgetsNothing,
    NoPanic,
    Linearizable,
    CorrectMessagesVerify,
    Recovers,
    DamageIsFound,
    NoAlarm,
    WitnessesTellAll,
    WitnessesBeforeVotes,
    TheForgetfulHalt,
    TheHaltedAreMute,
    LearnersAreMute,
    QuietWithoutFaults,
    RestsWithoutWork,
    ClientsAreKnown,
    NoNeedlessViewChange,
    SilentPrimariesAreLeft,
    TimeOutsFit,
    NoViewIsSkipped,
    ProposalsAreFair,
    ViewsMeet,
    RequestsAreAnswered,
    FewViewsAreNeeded,
    LaggardsCatchUp,
    Deterministic,
}

impl Invariant {
    /// Its name, for programs; the words are its `Display`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::OnePreparedDigest => "one-prepared-digest",
            Self::NoContradiction => "no-contradiction",
            Self::DurableBeforeSaid => "durable-before-said",
            Self::NoVoteInALeftView => "no-vote-in-a-left-view",
            Self::NothingGoesBack => "nothing-goes-back",
            Self::WatermarksFollowCertificates => "watermarks-follow-certificates",
            Self::VotesInsideTheWindow => "votes-inside-the-window",
            Self::BodiesAreHeld => "bodies-are-held",
            Self::CommitNeedsCertificate => "commit-needs-certificate",
            Self::CommittedIsReproposed => "committed-is-reproposed",
            Self::NewViewFollows => "new-view-follows",
            Self::ViewChangeTellsAll => "view-change-tells-all",
            Self::ExecutedOnceInOrder => "executed-once-in-order",
            Self::SameState => "same-state",
            Self::StableWasComputed => "stable-was-computed",
            Self::AnswersAreRight => "answers-are-right",
            Self::RequestsAreSigned => "requests-are-signed",
            Self::TimeIsNear => "time-is-near",
            Self::NullChangesNothing => "null-changes-nothing",
            Self::Bounded => "bounded",
            Self::AnswersAreRationed => "answers-are-rationed",
            Self::BodiesAreAskedAround => "bodies-are-asked-around",
            Self::CertificatesAreSound => "certificates-are-sound",
            Self::OnlyLiarsAreAccused => "only-liars-are-accused",
            Self::AuditIsJust => "audit-is-just",
            Self::ContradictionsAreAccused => "contradictions-are-accused",
            Self::EvidenceIsEverywhere => "evidence-is-everywhere",
            Self::NothingForeign => "nothing-foreign",
            Self::TransferForgetsNothing => "transfer-forgets-nothing",
            Self::NoPanic => "no-panic",
            Self::Linearizable => "linearizable",
            Self::CorrectMessagesVerify => "correct-messages-verify",
            Self::Recovers => "recovers",
            Self::DamageIsFound => "damage-is-found",
            Self::NoAlarm => "no-alarm",
            Self::WitnessesTellAll => "witnesses-tell-all",
            Self::WitnessesBeforeVotes => "witnesses-before-votes",
            Self::TheForgetfulHalt => "the-forgetful-halt",
            Self::TheHaltedAreMute => "the-halted-are-mute",
            Self::LearnersAreMute => "learners-are-mute",
            Self::QuietWithoutFaults => "quiet-without-faults",
            Self::RestsWithoutWork => "rests-without-work",
            Self::ClientsAreKnown => "clients-are-known",
            Self::NoNeedlessViewChange => "no-needless-view-change",
            Self::SilentPrimariesAreLeft => "silent-primaries-are-left",
            Self::TimeOutsFit => "time-outs-fit",
            Self::NoViewIsSkipped => "no-view-is-skipped",
            Self::ProposalsAreFair => "proposals-are-fair",
            Self::ViewsMeet => "views-meet",
            Self::RequestsAreAnswered => "requests-are-answered",
            Self::FewViewsAreNeeded => "few-views-are-needed",
            Self::LaggardsCatchUp => "laggards-catch-up",
            Self::Deterministic => "deterministic",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Agreement => {
                "for one number, all correct replicas commit the same batch, across views; who knows it proposes and votes for no other"
            }
            Self::OnePreparedDigest => "no two prepared certificates for one view and number differ",
            Self::NoContradiction => {
                "no correct replica signs two things for one view and number, nor two checkpoints for one number"
            }
            Self::DurableBeforeSaid => "what a sent message, a counted vote or an answer rests on is durable",
            Self::NoVoteInALeftView => "no correct replica votes in a view below one that it wants or has entered",
            Self::NothingGoesBack => "views and h never go back, across restarts; executed only to what replay restores",
            Self::WatermarksFollowCertificates => "h is that of the newest stable certificate",
            Self::VotesInsideTheWindow => "own votes are only in (h, H]",
            Self::BodiesAreHeld => "what is prepared or committed is held durably by enough correct replicas until it is stable",
            Self::CommitNeedsCertificate => "every commit is backed by a prepared certificate",
            Self::CommittedIsReproposed => "what committed is in the O of every later valid new-view whose min-s is below it",
            Self::NewViewFollows => "O follows from V, wherever it is computed, and spans at most the window",
            Self::ViewChangeTellsAll => "a view-change holds the certificate of the highest view for each prepared number above h",
            Self::ExecutedOnceInOrder => "execution has no gaps, and each request takes effect once",
            Self::SameState => "at one number all correct replicas have the same state and client table",
            Self::StableWasComputed => "a stable checkpoint was computed by f + 1 correct replicas, and is one for its number",
            Self::AnswersAreRight => "what a client accepts, and a correct replica replies, is the reference model's answer",
            Self::RequestsAreSigned => "every executed request was signed by its client",
            Self::TimeIsNear => "no batch is executed whose time is further ahead of every correct clock than the bound on drift",
            Self::NullChangesNothing => "a null request changes nothing",
            Self::Bounded => "what a replica holds stays within its bounds",
            Self::AnswersAreRationed => "whoever asks without end is answered at a bounded rate",
            Self::BodiesAreAskedAround => "a missing body is asked of one replica after the other",
            Self::CertificatesAreSound => "a certificate counts no signer twice, no stranger, and nobody who did not sign",
            Self::OnlyLiarsAreAccused => "only liars are accused, by evidence or of false state",
            Self::AuditIsJust => {
                "an audit of all correct replicas' journals accuses liars only, and so does one of everybody's in which records were altered"
            }
            Self::ContradictionsAreAccused => "whoever lied provably before a correct replica's eyes is accused of it by that one",
            Self::EvidenceIsEverywhere => {
                "once the network is whole, all correct replicas hold evidence of whom one of them can prove a liar"
            }
            Self::NothingForeign => "nothing from another cluster or epoch, nor in a correct replica's name, is accepted",
            Self::TransferForgetsNothing => "neither a state transfer nor a new journal loses a promise or lowers what is executed",
            Self::NoPanic => "no input from a replica or client causes a panic",
            Self::Linearizable => "the clients' histories are linearizable",
            Self::CorrectMessagesVerify => "what a correct replica says is valid everywhere",
            Self::Recovers => "a replica comes back from every crash with all that it made durable",
            Self::DamageIsFound => {
                "what is damaged on disk is refused with its place, or costs no promise but a traceless last write"
            }
            Self::NoAlarm => "no correct replica halts or raises an alarm while at most f lie",
            Self::WitnessesTellAll => {
                "a replica that comes back from its disk is told the highest of its votes that another one got from it"
            }
            Self::WitnessesBeforeVotes => {
                "a replica that comes back from its disk signs nothing before a quorum has told it what it signed"
            }
            Self::TheForgetfulHalt => "a replica that is shown a vote that its disk has lost halts, and signs nothing more",
            Self::TheHaltedAreMute => {
                "a replica whose state is not the certified one halts, and signs and executes nothing more until it is repaired"
            }
            Self::LearnersAreMute => "a learner signs nothing and presses for nothing",
            Self::QuietWithoutFaults => "without faults nobody suspects, changes the view or accuses",
            Self::RestsWithoutWork => "correct replicas without work come to rest at a checkpoint, in their view",
            Self::ClientsAreKnown => {
                "agreement and connections know the clients that the state authorises, and what it has of them"
            }
            Self::NoNeedlessViewChange => "no primary is left for what others than it make late, or fewer than f + 1 suspect",
            Self::SilentPrimariesAreLeft => "a primary that f + 1 backups hear nothing of is left in time, also without requests",
            Self::TimeOutsFit => "time-outs double with each view change and halve with each checkpoint without one",
            Self::ProposalsAreFair => "a correct primary serves clients in turn, and proposes nothing twice, nor what was ordered",
            Self::NoViewIsSkipped => "nobody correct wants a view more than one above all that correct replicas wanted before",
            Self::ViewsMeet => "once the network is whole, the correct replicas meet in one view",
            Self::RequestsAreAnswered => "once the network is whole, every request of a correct client is answered in time",
            Self::FewViewsAreNeeded => {
                "once the network is whole, a request is answered within f + 1 views after that in which all meet"
            }
            Self::LaggardsCatchUp => "once the network is whole, every correct replica reaches the others' state and checkpoint",
            Self::Deterministic => "the same seed gives the same run",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words())
    }
}

/// An invariant that did not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}
