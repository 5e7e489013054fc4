use super::effects::Alarm;
use pbft_message::{
    Blob, Checkpoint, Commit, CommitCertificate, Evidence, NewView, PrePrepare, Prepare, PreparedCertificate, Signed,
    StableCertificate, View, ViewChange,
};
use serde::{Deserialize, Serialize};

/// What a replica must remember (R15): its promises, what they rest on, and what it needs to replay execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// As the view's primary it is about to propose in this view.
    Opened(View),
    /// The body of a batch.
    Body(Blob),
    /// It accepted this pre-prepare, or proposed it.
    PrePrepare(Signed<PrePrepare>),
    /// Its own prepare.
    Prepare(Signed<Prepare>),
    /// The certificate that its commit rests on.
    Prepared(PreparedCertificate),
    /// Its own commit.
    Commit(Signed<Commit>),
    /// A batch is committed; execution can be replayed from this without help.
    Committed(CommitCertificate),
    /// Its own checkpoint.
    Checkpoint(Signed<Checkpoint>),
    /// A stable checkpoint.
    Stable(StableCertificate),
    /// Its own view-change: it votes in no lower view again.
    ViewChange(Signed<ViewChange>),
    /// The new-view that it entered a view with.
    NewView(Signed<NewView>),
    /// Proof of a lie.
    Evidence(Evidence),
    /// It stopped voting for good.
    Halted(Alarm),
}
