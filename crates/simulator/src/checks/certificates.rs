use super::checker::Checker;
use super::invariant::Invariant;
use super::votes::Kind;
use pbft_crypto::Digest;
use pbft_message::{
    CommitCertificate, NULL_DIGEST, PreparedCertificate, ReplicaId, SequenceNumber, SignatureList, StableCertificate, View,
};

impl Checker {
    /// Every signer is counted once, exists, and signed exactly this if it is correct.
    fn check_signers(
        &mut self,
        kind: Kind,
        (view, sequence, digest): (View, SequenceNumber, Digest),
        list: &SignatureList,
        least: usize,
    ) {
        let distinct = list.is_sorted_by(|one, other| one.0 < other.0);
        let members = list.iter().all(|(signer, _)| (signer.0 as usize) < self.replicas.len());
        self.expect(distinct && members && list.len() >= least, Invariant::CertificatesAreSound, || {
            let signers: Vec<ReplicaId> = list.iter().map(|(signer, _)| *signer).collect();
            format!("{kind:?} certificate of view {view} at {sequence} has the signers {signers:?}; {least} are needed")
        });
        for (signer, _) in list {
            self.check_signer(kind, signer.0, (view, sequence, digest));
        }
    }

    fn check_signer(&mut self, kind: Kind, signer: u32, (view, sequence, digest): (View, SequenceNumber, Digest)) {
        if !self.is_correct(signer) {
            return;
        }
        let signed = self.votes.get(&(signer, kind, view, sequence)) == Some(&digest);
        self.expect(signed, Invariant::CertificatesAreSound, || {
            format!(
                "a certificate names replica {signer}, who did not sign {kind:?} of {} in view {view} at {sequence}",
                digest.short()
            )
        });
    }

    pub(super) fn check_prepared(&mut self, certificate: &PreparedCertificate) {
        let PreparedCertificate { view, sequence, digest, prepares, .. } = certificate;
        let what = (*view, *sequence, *digest);
        let primary = self.genesis.primary(*view);
        self.check_signers(Kind::Prepare, what, prepares, self.genesis.quorum() - 1);
        self.check_signer(Kind::PrePrepare, primary.0, what);
        let primary_prepared = prepares.iter().any(|(signer, _)| *signer == primary);
        self.expect(!primary_prepared, Invariant::CertificatesAreSound, || {
            format!("the prepared certificate of view {view} at {sequence} counts a prepare of its primary {primary}")
        });
        let known = *self.prepared.entry((*sequence, *view)).or_insert(*digest);
        self.expect(known == *digest, Invariant::OnePreparedDigest, || {
            format!("in view {view} at {sequence} both {} and {} prepared", known.short(), digest.short())
        });
    }

    pub(super) fn check_committed(&mut self, id: u32, certificate: &CommitCertificate) {
        let CommitCertificate { view, sequence, digest, commits } = certificate;
        self.check_signers(Kind::Commit, (*view, *sequence, *digest), commits, self.genesis.quorum());
        self.agreed(id, *sequence, *digest);
        let lowest = self.committed_in.entry(*sequence).or_insert(*view);
        *lowest = (*lowest).min(*view);
        self.check_reproposed(*sequence, *digest);
    }

    pub(super) fn check_stable(&mut self, certificate: &StableCertificate) {
        let StableCertificate { sequence, digest, checkpoints } = certificate;
        self.check_signers(Kind::Checkpoint, (View(0), *sequence, *digest), checkpoints, self.genesis.quorum());
        let known = *self.stable.entry(*sequence).or_insert(*digest);
        self.expect(known == *digest, Invariant::StableWasComputed, || {
            format!("at {sequence} both {} and {} are stable", known.short(), digest.short())
        });
        let computed = checkpoints.iter().filter(|(signer, _)| self.is_correct(signer.0)).count();
        self.expect(computed >= self.genesis.weak_quorum(), Invariant::StableWasComputed, || {
            format!("only {computed} correct replicas computed the stable checkpoint at {sequence}")
        });
    }

    /// What is committed is on the disks of a weak quorum of correct replicas, until it is stable (R13).
    pub(super) fn check_holders(&mut self, id: u32, sequence: SequenceNumber, digest: Digest) {
        let settled = self.replicas.iter().any(|replica| replica.correct && replica.low >= sequence);
        if settled || digest == NULL_DIGEST {
            return;
        }
        let holders = self.replicas.iter().filter(|replica| replica.correct && replica.durable.bodies.contains(&digest)).count();
        let liars = self.replicas.iter().filter(|replica| !replica.correct).count();
        let needed = self.genesis.quorum().saturating_sub(liars);
        self.expect(holders >= needed, Invariant::BodiesAreHeld, || {
            format!("replica {id} knows {sequence} as committed, and only {holders} correct replicas hold its body, not {needed}")
        });
    }
}
