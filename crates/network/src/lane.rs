use std::fmt;

/// One of the three streams of a connection in each direction. Frames keep their order within a lane, not across lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Small and urgent: votes, view changes, requests and replies. Sent before all else.
    Votes,
    /// Large and needed soon: batches of requests.
    Bodies,
    /// State transfer: sent when nothing else waits.
    Bulk,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Votes, Self::Bodies, Self::Bulk];

    /// The byte that opens a stream of this lane.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Votes => 1,
            Self::Bodies => 2,
            Self::Bulk => 3,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.tag() == tag)
    }

    /// QUIC sends what waits on a stream of higher priority first.
    pub(crate) const fn priority(self) -> i32 {
        match self {
            Self::Votes => 2,
            Self::Bodies => 1,
            Self::Bulk => 0,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Votes => "votes",
            Self::Bodies => "bodies",
            Self::Bulk => "bulk",
        })
    }
}
