//! Certificates made of votes that were verified one by one, and parts of messages that were verified whole.

use crate::*;

impl Verified<PreparedCertificate> {
    /// The prepared certificate of a pre-prepare, if enough of the prepares match it (R5).
    pub fn assemble<'a>(
        header: &Verified<Signed<PrePrepare>>,
        prepares: impl IntoIterator<Item = &'a Verified<Signed<Prepare>>>,
        genesis: &Genesis,
    ) -> Option<Self> {
        let PrePrepare { view, sequence, digest, replica: primary } = ***header;
        let matching = prepares.into_iter().filter(|prepare| {
            (prepare.view, prepare.sequence, prepare.digest) == (view, sequence, digest) && prepare.replica != primary
        });
        let backups = genesis.quorum().saturating_sub(1);
        let prepares = signatures(matching.map(|prepare| (prepare.replica, prepare.signature())), backups)?;
        Some(Self::new(PreparedCertificate { view, sequence, digest, pre_prepare: header.signature(), prepares }))
    }
}

impl Verified<CommitCertificate> {
    /// The commit certificate for what `vote` commits, if enough of the commits match it (R6).
    pub fn assemble<'a>(
        vote: &Commit,
        commits: impl IntoIterator<Item = &'a Verified<Signed<Commit>>>,
        genesis: &Genesis,
    ) -> Option<Self> {
        let Commit { view, sequence, digest, .. } = *vote;
        let matching =
            commits.into_iter().filter(|commit| (commit.view, commit.sequence, commit.digest) == (view, sequence, digest));
        let commits = signatures(matching.map(|commit| (commit.replica, commit.signature())), genesis.quorum())?;
        Some(Self::new(CommitCertificate { view, sequence, digest, commits }))
    }
}

impl Verified<StableCertificate> {
    /// The stable certificate for what `vote` states, if enough of the checkpoint messages match it (R9).
    pub fn assemble<'a>(
        vote: &Checkpoint,
        checkpoints: impl IntoIterator<Item = &'a Verified<Signed<Checkpoint>>>,
        genesis: &Genesis,
    ) -> Option<Self> {
        let Checkpoint { sequence, digest, .. } = *vote;
        let matching = checkpoints.into_iter().filter(|other| (other.sequence, other.digest) == (sequence, digest));
        let checkpoints = signatures(matching.map(|other| (other.replica, other.signature())), genesis.quorum())?;
        Some(Self::new(StableCertificate { sequence, digest, checkpoints }))
    }
}

/// The first `count` signatures, ascending by signer and without repetition; none if there are fewer.
fn signatures(votes: impl Iterator<Item = (ReplicaId, pbft_crypto::Signature)>, count: usize) -> Option<SignatureList> {
    let distinct: std::collections::BTreeMap<_, _> = votes.collect();
    (distinct.len() >= count).then(|| distinct.into_iter().take(count).collect())
}

impl Verified<Signed<ViewChange>> {
    /// C, which was verified with the whole.
    pub fn stable(&self) -> Option<Verified<StableCertificate>> {
        self.stable.clone().map(Verified::new)
    }
}

impl Verified<Signed<NewView>> {
    /// V, which was verified with the whole.
    pub fn view_changes(&self) -> impl Iterator<Item = Verified<Signed<ViewChange>>> {
        self.view_changes.iter().cloned().map(Verified::new)
    }

    /// O, which was verified with the whole.
    pub fn pre_prepares(&self) -> impl Iterator<Item = Verified<Signed<PrePrepare>>> {
        self.pre_prepares.iter().cloned().map(Verified::new)
    }
}

impl Verified<Batch> {
    /// The requests, which were verified with the whole, with bytes of their own: they may outlive it.
    pub fn verified_requests(&self) -> impl Iterator<Item = Verified<Signed<Request>>> {
        (**self).requests().iter().map(|request| Verified::new(request.apart()))
    }
}
