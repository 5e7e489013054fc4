use super::effects::Alarm;
use super::recover::RecoverError;
use pbft_message::{
    Authenticator, Batch, Blob, Checkpoint, Commit, CommitCertificate, Evidence, NewView, PrePrepare, Prepare, PreparedCertificate,
    Proposal, Signed, StableCertificate, Verified, View, ViewChange,
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
    /// It has no journal of what it signed before, and never votes under this key (R16).
    Learner,
    /// The operator's word: the state that differed is to be replaced by a certified one (R9).
    Repair,
    /// It was replaced: what halted it is past.
    Repaired,
}

/// A record whose signatures were checked again: what a replica recovers from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRecord(pub(super) Checked);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Opened(View),
    Body(Verified<Batch>),
    PrePrepare(Verified<Signed<PrePrepare>>),
    Prepare(Verified<Signed<Prepare>>),
    Prepared(Verified<PreparedCertificate>),
    Commit(Verified<Signed<Commit>>),
    Committed(Verified<CommitCertificate>),
    Checkpoint(Verified<Signed<Checkpoint>>),
    Stable(Verified<StableCertificate>),
    ViewChange(Verified<Signed<ViewChange>>),
    NewView(Verified<Signed<NewView>>),
    Evidence(Verified<Evidence>),
    Halted(Alarm),
    Learner,
    Repair,
    Repaired,
}

impl Record {
    /// Checks the record again, `index` being its place in the journal, from 0. No record needs another for that.
    pub fn verify(self, index: usize, authenticator: &Authenticator) -> Result<VerifiedRecord, RecoverError> {
        let invalid = |reason| RecoverError::Invalid { index, reason };
        let checked = match self {
            Self::Opened(view) => Checked::Opened(view),
            Self::Body(body) => match authenticator.verify_body(body) {
                Proposal::Valid(batch) => Checked::Body(batch),
                _ => return Err(RecoverError::InvalidBatch { index }),
            },
            Self::PrePrepare(header) => Checked::PrePrepare(authenticator.verify_signed(header).map_err(invalid)?),
            Self::Prepare(prepare) => Checked::Prepare(authenticator.verify_signed(prepare).map_err(invalid)?),
            Self::Prepared(certificate) => Checked::Prepared(authenticator.verify_prepared(certificate).map_err(invalid)?),
            Self::Commit(commit) => Checked::Commit(authenticator.verify_signed(commit).map_err(invalid)?),
            Self::Committed(certificate) => Checked::Committed(authenticator.verify_committed(certificate).map_err(invalid)?),
            Self::Checkpoint(checkpoint) => Checked::Checkpoint(authenticator.verify_signed(checkpoint).map_err(invalid)?),
            Self::Stable(certificate) => Checked::Stable(authenticator.verify_stable(certificate).map_err(invalid)?),
            Self::ViewChange(change) => Checked::ViewChange(authenticator.verify_view_change(change).map_err(invalid)?),
            Self::NewView(new_view) => Checked::NewView(authenticator.verify_new_view(new_view).map_err(invalid)?),
            Self::Evidence(evidence) => Checked::Evidence(authenticator.verify_evidence(evidence).map_err(invalid)?),
            Self::Halted(alarm) => Checked::Halted(alarm),
            Self::Learner => Checked::Learner,
            Self::Repair => Checked::Repair,
            Self::Repaired => Checked::Repaired,
        };
        Ok(VerifiedRecord(checked))
    }
}

/// Checks a whole journal again, one record after the other.
pub fn verify_records(authenticator: &Authenticator, records: Vec<Record>) -> Result<Vec<VerifiedRecord>, RecoverError> {
    records.into_iter().enumerate().map(|(index, record)| record.verify(index, authenticator)).collect()
}
