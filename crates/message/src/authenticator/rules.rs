//! The rules that signed things are checked against, signatures aside: those are collected as claims.

use super::{Authenticator, Check, Invalid};
use crate::plan::NewViewPlan;
use crate::*;
use pbft_crypto::{Digest, PublicKey, SignedDigest};

impl Authenticator {
    pub(super) fn claim<T: Body>(&self, signed: &Signed<T>, key: PublicKey) -> SignedDigest {
        SignedDigest { key, digest: signed.digest(&self.domain), signature: signed.signature() }
    }

    pub(super) fn signed<T: Body>(&self, signed: &Signed<T>, claims: &mut Vec<SignedDigest>) -> Result<ReplicaId, Invalid> {
        let Party::Replica(replica) = signed.signer() else { return Err(Invalid::UnknownReplica) };
        let entry = self.genesis.replica(replica).ok_or(Invalid::UnknownReplica)?;
        claims.push(self.claim(signed, entry.signing_key));
        Ok(replica)
    }

    pub(super) fn header(&self, header: &Signed<PrePrepare>, claims: &mut Vec<SignedDigest>) -> Check {
        if header.replica != self.genesis.primary(header.view) {
            return Err(Invalid::WrongRole);
        }
        self.signed(header, claims).map(|_| ())
    }

    pub(super) fn body(&self, body: Blob, claims: &mut Vec<SignedDigest>) -> Proposal {
        if body.is_empty() {
            return Proposal::Null;
        }
        match Batch::decode(body, &self.genesis.parameters) {
            Ok(batch) => {
                claims.extend(batch.requests().iter().map(|request| self.claim(request, request.client.0)));
                Proposal::Valid(Verified::new(batch))
            }
            Err(invalid) => Proposal::Invalid(invalid),
        }
    }

    /// The outer signatures: they alone say what was signed (R16).
    pub(super) fn votes(&self, votes: &Votes, claims: &mut Vec<SignedDigest>) -> Check {
        let Votes { pre_prepare, prepare, commit, checkpoint, view_change, new_view } = votes;
        pre_prepare.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        prepare.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        commit.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        checkpoint.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        view_change.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        new_view.as_ref().map(|signed| self.signed(signed, claims)).transpose()?;
        Ok(())
    }

    /// Signers must ascend, be replicas, and be at least `least` many. The digest is what each of them signed.
    pub(super) fn signers(
        &self,
        list: &SignatureList,
        least: usize,
        claims: &mut Vec<SignedDigest>,
        digest: impl Fn(ReplicaId) -> Digest,
    ) -> Check {
        if list.len() < least || !list.is_sorted_by(|(first, _), (second, _)| first < second) {
            return Err(Invalid::BadCertificate);
        }
        for (replica, signature) in list {
            let key = self.genesis.replica(*replica).ok_or(Invalid::UnknownReplica)?.signing_key;
            claims.push(SignedDigest { key, digest: digest(*replica), signature: *signature });
        }
        Ok(())
    }

    pub(super) fn prepared(&self, certificate: &PreparedCertificate, claims: &mut Vec<SignedDigest>) -> Check {
        let PreparedCertificate { view, sequence, digest, .. } = *certificate;
        let primary = self.genesis.primary(view);
        if certificate.prepares.iter().any(|(replica, _)| *replica == primary) {
            return Err(Invalid::WrongRole);
        }
        let header = PrePrepare { view, sequence, digest, replica: primary };
        self.header(&Signed::from_parts(header, certificate.pre_prepare), claims)?;
        let backups = self.genesis.quorum().saturating_sub(1);
        self.signers(&certificate.prepares, backups, claims, |replica| {
            self.domain.body_digest(&Prepare { view, sequence, digest, replica })
        })
    }

    pub(super) fn committed(&self, certificate: &CommitCertificate, claims: &mut Vec<SignedDigest>) -> Check {
        let CommitCertificate { view, sequence, digest, .. } = *certificate;
        self.signers(&certificate.commits, self.genesis.quorum(), claims, |replica| {
            self.domain.body_digest(&Commit { view, sequence, digest, replica })
        })
    }

    pub(super) fn stable(&self, certificate: &StableCertificate, claims: &mut Vec<SignedDigest>) -> Check {
        let StableCertificate { sequence, digest, .. } = *certificate;
        self.signers(&certificate.checkpoints, self.genesis.quorum(), claims, |replica| {
            self.domain.body_digest(&Checkpoint { sequence, digest, replica })
        })
    }

    pub(super) fn view_change(&self, change: &Signed<ViewChange>, claims: &mut Vec<SignedDigest>) -> Check {
        self.signed(change, claims)?;
        let low = change.low_watermark();
        let high = low.plus(self.genesis.parameters.log_window);
        if let Some(stable) = &change.stable {
            if stable.sequence == SequenceNumber::GENESIS {
                return Err(Invalid::BadViewChange("a certificate for the genesis state"));
            }
            self.stable(stable, claims)?;
        }
        if !change.prepared.is_sorted_by(|first, second| first.sequence < second.sequence) {
            return Err(Invalid::BadViewChange("prepared certificates repeated or not in order"));
        }
        for certificate in &change.prepared {
            if certificate.sequence <= low || certificate.sequence > high {
                return Err(Invalid::BadViewChange("a prepared certificate outside the watermarks"));
            }
            if certificate.view >= change.view {
                return Err(Invalid::BadViewChange("a prepared certificate of the new view or a later one"));
            }
            self.prepared(certificate, claims)?;
        }
        Ok(())
    }

    pub(super) fn new_view(&self, new_view: &Signed<NewView>, claims: &mut Vec<SignedDigest>) -> Check {
        if new_view.replica != self.genesis.primary(new_view.view) || new_view.view == View(0) {
            return Err(Invalid::WrongRole);
        }
        self.signed(new_view, claims)?;
        let changes = &new_view.view_changes;
        if changes.len() != self.genesis.quorum() || !changes.is_sorted_by(|first, second| first.replica < second.replica) {
            return Err(Invalid::BadNewView("V is not a quorum of distinct replicas in order"));
        }
        if !changes.iter().any(|change| change.replica == new_view.replica) {
            return Err(Invalid::BadNewView("V lacks the new primary's own view-change"));
        }
        for change in changes {
            if change.view != new_view.view {
                return Err(Invalid::BadNewView("V holds a view-change for another view"));
            }
            self.view_change(change, claims)?;
        }
        if new_view.pre_prepares.len() as u64 > self.genesis.parameters.log_window {
            return Err(Invalid::BadNewView("O is longer than the log window"));
        }
        for header in &new_view.pre_prepares {
            if header.view != new_view.view {
                return Err(Invalid::BadNewView("O holds a pre-prepare of another view"));
            }
            self.header(header, claims)?;
        }
        Ok(())
    }

    pub(super) fn evidence(&self, evidence: &Evidence, claims: &mut Vec<SignedDigest>) -> Check {
        let same = |holds: bool| if holds { Ok(()) } else { Err(Invalid::NoEvidence("the two do not contradict each other")) };
        match evidence {
            Evidence::PrePrepares(a, b) => {
                same((a.replica, a.view, a.sequence) == (b.replica, b.view, b.sequence) && a.digest != b.digest)?;
                self.header(a, claims)?;
                self.header(b, claims)
            }
            Evidence::Prepares(a, b) => {
                same((a.replica, a.view, a.sequence) == (b.replica, b.view, b.sequence) && a.digest != b.digest)?;
                self.signed(a, claims)?;
                self.signed(b, claims).map(|_| ())
            }
            Evidence::Commits(a, b) => {
                same((a.replica, a.view, a.sequence) == (b.replica, b.view, b.sequence) && a.digest != b.digest)?;
                self.signed(a, claims)?;
                self.signed(b, claims).map(|_| ())
            }
            Evidence::ViewChanges(pair) => {
                let (a, b) = &**pair;
                same((a.replica, a.view) == (b.replica, b.view) && **a != **b)?;
                self.signed(a, claims)?;
                self.signed(b, claims).map(|_| ())
            }
            Evidence::NewViews(pair) => {
                let (a, b) = &**pair;
                same((a.replica, a.view) == (b.replica, b.view) && **a != **b)?;
                self.signed(a, claims)?;
                self.signed(b, claims).map(|_| ())
            }
            Evidence::HiddenPrepared(commit, change) => {
                if !change.hides(commit) {
                    return Err(Invalid::NoEvidence("the view-change does not hide what the commit rests on"));
                }
                self.signed(commit, claims)?;
                self.signed(change, claims).map(|_| ())
            }
            Evidence::InvalidBatch(header, body) => {
                self.header(header, claims)?;
                match self.verify_body(body.clone()) {
                    Proposal::Invalid(invalid) if invalid.digest == header.digest => Ok(()),
                    _ => Err(Invalid::NoEvidence("the batch is valid, or not the one proposed")),
                }
            }
            Evidence::FalseNewView(new_view) => {
                self.new_view(new_view, claims)?;
                if new_view.follows() != Ok(false) {
                    return Err(Invalid::NoEvidence("O follows from V"));
                }
                Ok(())
            }
        }
    }
}

impl NewView {
    /// Whether O is exactly what V demands (R13); an error if V itself proves more than f faults.
    pub fn follows(&self) -> Result<bool, plan::TooManyFaults> {
        let plan = NewViewPlan::of(self.view_changes.iter().map(|change| &**change))?;
        let given = self.pre_prepares.iter().map(|header| (header.sequence, header.digest));
        Ok(plan.proposals().eq(given))
    }
}
