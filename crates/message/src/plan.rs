use crate::{NULL_DIGEST, PreparedCertificate, SequenceNumber, StableCertificate, ViewChange};
use pbft_crypto::Digest;
use std::collections::BTreeMap;

/// What a new view must begin with: a pure function of V, the same for whoever computes it (R12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewViewPlan<'a> {
    /// min-s with its proof; none at genesis.
    pub stable: Option<&'a StableCertificate>,
    /// min-s: the highest stable checkpoint in V.
    pub min: SequenceNumber,
    /// max-s: the highest prepared number in V, at least min-s.
    pub max: SequenceNumber,
    /// The prepared certificate of the highest view for each number above min-s that has one.
    pub prepared: BTreeMap<SequenceNumber, &'a PreparedCertificate>,
}

/// Two certificates of one view and number with different digests: more than f replicas lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two prepared certificates of one view contradict each other at {sequence}: more than f replicas are faulty")]
pub struct TooManyFaults {
    /// Where they contradict each other.
    pub sequence: SequenceNumber,
}

impl<'a> NewViewPlan<'a> {
    /// Computes the plan from all of V.
    pub fn of(view_changes: impl IntoIterator<Item = &'a ViewChange> + Clone) -> Result<Self, TooManyFaults> {
        let stable =
            view_changes.clone().into_iter().filter_map(|change| change.stable.as_ref()).max_by_key(|stable| stable.sequence);
        let min = stable.map_or(SequenceNumber::GENESIS, |stable| stable.sequence);
        let mut prepared: BTreeMap<SequenceNumber, &PreparedCertificate> = BTreeMap::new();
        for certificate in view_changes.into_iter().flat_map(|change| &change.prepared) {
            if certificate.sequence <= min {
                continue;
            }
            let best = prepared.entry(certificate.sequence).or_insert(certificate);
            if certificate.view == best.view && certificate.digest != best.digest {
                return Err(TooManyFaults { sequence: certificate.sequence });
            }
            if certificate.view > best.view {
                *best = certificate;
            }
        }
        let max = prepared.last_key_value().map_or(min, |(sequence, _)| *sequence);
        Ok(Self { stable, min, max, prepared })
    }

    /// O without its signatures: every number in (min-s, max-s] with its digest, null where nothing prepared.
    pub fn proposals(&self) -> impl Iterator<Item = (SequenceNumber, Digest)> {
        let first = self.min.next().0;
        (first..=self.max.0)
            .map(SequenceNumber)
            .map(|sequence| (sequence, self.prepared.get(&sequence).map_or(NULL_DIGEST, |certificate| certificate.digest)))
    }
}
