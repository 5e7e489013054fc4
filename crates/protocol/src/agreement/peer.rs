use pbft_message::{SequenceNumber, Status, View, Votes};
use std::time::Duration;

/// What is known of another replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    pub status: Option<Status>,
    pub answered_at: Option<Duration>,
    /// The view that it suspects the primary of, and until when that counts: suspicion is withdrawn by silence.
    pub suspects: Option<(View, Duration)>,
    pub heartbeat: u64,
    /// Up to which committed batch it was last sent what it lacks, and when.
    pub served: (SequenceNumber, Duration),
    /// Its highest votes, for when it comes back from its disk (R16).
    pub votes: Votes,
}

impl Peer {
    pub fn suspects(&self, view: View, now: Duration) -> bool {
        self.suspects.is_some_and(|(suspected, until)| suspected == view && until > now)
    }
}
