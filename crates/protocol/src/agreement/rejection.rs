/// Why a verified message had no effect: the broken rule. The driver counts and drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Rejection {
    /// Of another view than the current one (R4, R5, R10).
    #[error("of another view")]
    WrongView,
    /// Not above h, or above H (R4).
    #[error("outside the watermarks")]
    OutsideWatermarks,
    /// Another pre-prepare was accepted for this view and number (R4). The evidence is kept.
    #[error("contradicts the accepted pre-prepare")]
    ConflictingPrePrepare,
    /// Contradicts the same sender's earlier vote (R17). The evidence is kept.
    #[error("contradicts an earlier vote of the same sender")]
    ConflictingVote,
    /// The batch breaks R4. The evidence is kept.
    #[error("a batch that no correct primary proposes")]
    InvalidBatch,
    /// O does not follow from V (R13). The evidence is kept.
    #[error("a new-view whose O does not follow from its V")]
    FalseNewView,
    /// Already known.
    #[error("already known")]
    Duplicate,
    /// Below what the sender said before, or below what is settled.
    #[error("stale")]
    Stale,
    /// Nobody asked for it.
    #[error("not asked for")]
    Unsolicited,
    /// Only the primary of the view says such a thing.
    #[error("not from the primary")]
    NotPrimary,
    /// No room for the body (R19).
    #[error("no room for the body")]
    LogFull,
    /// No room for the request, or of no use (R19).
    #[error("request not taken")]
    RequestNotTaken,
    /// Whether it forgot anything is not known yet (R16). It is sent again.
    #[error("back from its disk, and its witnesses are not heard yet")]
    Recovering,
    /// The own state is not the certified one, and nothing is to be built on it (R9).
    #[error("the own state differs from the certified one")]
    Diverged,
    /// Belongs to state transfer, which the executor handles.
    #[error("not for agreement")]
    NotForAgreement,
}

impl Rejection {
    /// The reason's name, for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongView => "wrong_view",
            Self::OutsideWatermarks => "outside_watermarks",
            Self::ConflictingPrePrepare => "conflicting_pre_prepare",
            Self::ConflictingVote => "conflicting_vote",
            Self::InvalidBatch => "invalid_batch",
            Self::FalseNewView => "false_new_view",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Unsolicited => "unsolicited",
            Self::NotPrimary => "not_primary",
            Self::LogFull => "log_full",
            Self::RequestNotTaken => "request_not_taken",
            Self::Recovering => "recovering",
            Self::Diverged => "diverged",
            Self::NotForAgreement => "not_for_agreement",
        }
    }

    /// What was signed has no place in the log, where it would be compared with what comes later.
    pub(super) const fn leaves_it_aside(self) -> bool {
        matches!(self, Self::WrongView | Self::OutsideWatermarks | Self::Stale | Self::LogFull | Self::Recovering | Self::Diverged)
    }

    /// Ordinary in a correct cluster: a retransmission, or a message that was overtaken.
    pub const fn is_ordinary(self) -> bool {
        matches!(
            self,
            Self::WrongView
                | Self::OutsideWatermarks
                | Self::Duplicate
                | Self::Stale
                | Self::Unsolicited
                | Self::RequestNotTaken
                | Self::Recovering
                | Self::Diverged
        )
    }
}
