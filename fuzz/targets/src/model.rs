//! The rules for certificates, view-changes and new-views (R5, R6, R9, R11, R12), once more and in the plainest form, to
//! check the authenticator's verdicts against.

use crate::cluster::{LOG_WINDOW, cluster};
use pbft_crypto::{Digest, Signature, SignedDigest, verify};
use pbft_message::*;
use std::collections::{BTreeMap, BTreeSet};

/// Whether the replica's key made the signature over this body.
pub fn signed_by<T: Body>(replica: ReplicaId, body: &T, signature: Signature) -> bool {
    let domain = cluster().authenticator.domain();
    let Some(entry) = cluster().genesis.replica(replica) else { return false };
    let digest = domain.digest(T::TYPE, &codec::encode(body));
    verify(&SignedDigest { key: entry.signing_key, digest, signature }).is_ok()
}

fn list_holds(list: &SignatureList, least: usize, signed: impl Fn(ReplicaId, Signature) -> bool) -> bool {
    let signers: Vec<ReplicaId> = list.iter().map(|(replica, _)| *replica).collect();
    let distinct: Vec<ReplicaId> = signers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    signers == distinct && signers.len() >= least && list.iter().all(|(replica, signature)| signed(*replica, *signature))
}

pub fn prepared(certificate: &PreparedCertificate) -> bool {
    let PreparedCertificate { view, sequence, digest, pre_prepare, .. } = *certificate;
    let primary = ReplicaId((view.0 % 4) as u32);
    let backup_signed =
        |replica, signature| replica != primary && signed_by(replica, &Prepare { view, sequence, digest, replica }, signature);
    signed_by(primary, &PrePrepare { view, sequence, digest, replica: primary }, pre_prepare)
        && list_holds(&certificate.prepares, 2, backup_signed)
}

pub fn committed(certificate: &CommitCertificate) -> bool {
    let CommitCertificate { view, sequence, digest, .. } = *certificate;
    let signed = |replica, signature| signed_by(replica, &Commit { view, sequence, digest, replica }, signature);
    list_holds(&certificate.commits, 3, signed)
}

pub fn stable(certificate: &StableCertificate) -> bool {
    let StableCertificate { sequence, digest, .. } = *certificate;
    let signed = |replica, signature| signed_by(replica, &Checkpoint { sequence, digest, replica }, signature);
    list_holds(&certificate.checkpoints, 3, signed)
}

pub fn view_change(change: &Signed<ViewChange>) -> bool {
    let low = change.stable.as_ref().map_or(0, |stable| stable.sequence.0);
    let ascending = change.prepared.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
    let in_window = |certificate: &PreparedCertificate| {
        certificate.sequence.0 > low && certificate.sequence.0 - low <= LOG_WINDOW && certificate.view < change.view
    };
    signed_by(change.replica, &**change, change.signature())
        && change.stable.as_ref().is_none_or(|certificate| certificate.sequence.0 > 0 && stable(certificate))
        && ascending
        && change.prepared.iter().all(|certificate| in_window(certificate) && prepared(certificate))
}

/// All of R12 but that O follows from V.
pub fn new_view(new_view: &Signed<NewView>) -> bool {
    let view = new_view.view;
    let primary = ReplicaId((view.0 % 4) as u32);
    let senders: Vec<ReplicaId> = new_view.view_changes.iter().map(|change| change.replica).collect();
    let of_primary = |header: &Signed<PrePrepare>| {
        header.view == view && header.replica == primary && signed_by(primary, &**header, header.signature())
    };
    view.0 > 0
        && new_view.replica == primary
        && signed_by(primary, &**new_view, new_view.signature())
        && senders.len() == 3
        && senders.windows(2).all(|pair| pair[0] < pair[1])
        && senders.contains(&primary)
        && new_view.view_changes.iter().all(|change| change.view == view && view_change(change))
        && new_view.pre_prepares.len() as u64 <= LOG_WINDOW
        && new_view.pre_prepares.iter().all(of_primary)
}

/// Whether O is what V demands; None if two certificates of one view contradict each other.
pub fn follows(new_view: &NewView) -> Option<bool> {
    let changes = &new_view.view_changes;
    let min = changes.iter().map(|change| change.low_watermark().0).max().unwrap_or(0);
    let mut best: BTreeMap<u64, (View, Digest)> = BTreeMap::new();
    for certificate in changes.iter().flat_map(|change| &change.prepared).filter(|certificate| certificate.sequence.0 > min) {
        let found = (certificate.view, certificate.digest);
        let known = best.entry(certificate.sequence.0).or_insert(found);
        if known.0 == found.0 && known.1 != found.1 {
            return None;
        }
        *known = if found.0 > known.0 { found } else { *known };
    }
    let max = best.keys().last().copied().unwrap_or(min);
    let demanded = (min + 1..=max).map(|sequence| (sequence, best.get(&sequence).map_or(NULL_DIGEST, |(_, digest)| *digest)));
    let given = new_view.pre_prepares.iter().map(|header| (header.sequence.0, header.digest));
    Some(demanded.eq(given))
}
