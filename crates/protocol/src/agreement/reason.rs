/// Why a replica suspects its primary, or leaves a view (R10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// A watched request is not discharged in time.
    #[error("a request is not ordered in time")]
    LateRequest,
    /// Time after time the primary let requests wait that it could have proposed (R18).
    #[error("the primary is slow or unfair")]
    SlowPrimary,
    /// No heartbeat and nothing else.
    #[error("the primary shows no life")]
    NoHeartbeat,
    /// What O proposed again is not committed in time.
    #[error("the new view does not commit what it began with")]
    LateReproposal,
    /// A quorum wants the view, and its new-view does not come.
    #[error("the new primary sends no new-view")]
    NoNewView,
    /// The new-view breaks R12.
    #[error("the new primary sent a false new-view")]
    FalseNewView,
    /// There is evidence against the primary (R17).
    #[error("the primary lied, provably")]
    Evidence,
    /// The primary's own view-change.
    #[error("the primary itself leaves the view")]
    PrimaryLeft,
    /// Others suspect the primary, this replica does not.
    #[error("a weak quorum suspects the primary")]
    OthersSuspect,
    /// Others have gone on.
    #[error("a weak quorum is in a higher view")]
    OthersLeft,
    /// It may have proposed what it does not remember (R15).
    #[error("restarted as primary")]
    Restarted,
    /// It is to be stopped.
    #[error("the primary hands over before it stops")]
    HandedOver,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::LateRequest,
        Self::SlowPrimary,
        Self::NoHeartbeat,
        Self::LateReproposal,
        Self::NoNewView,
        Self::FalseNewView,
        Self::Evidence,
        Self::PrimaryLeft,
        Self::OthersSuspect,
        Self::OthersLeft,
        Self::Restarted,
        Self::HandedOver,
    ];

    /// The reason's name, for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LateRequest => "late_request",
            Self::SlowPrimary => "slow_primary",
            Self::NoHeartbeat => "no_heartbeat",
            Self::LateReproposal => "late_reproposal",
            Self::NoNewView => "no_new_view",
            Self::FalseNewView => "false_new_view",
            Self::Evidence => "evidence",
            Self::PrimaryLeft => "primary_left",
            Self::OthersSuspect => "others_suspect",
            Self::OthersLeft => "others_left",
            Self::Restarted => "restarted",
            Self::HandedOver => "handed_over",
        }
    }
}
