use crate::Context;
use crate::seam::rewriting;
use pbft_crypto::Digest;
use pbft_message::*;
use pbft_protocol::Outbound;

/// How many forgeries there are.
const FORGERIES: u64 = 8;

/// Its view-changes hold certificates that prove nothing, in turn, beginning with any: one signer many times, prepared in the
/// new view itself, signatures over another digest, too few signers, a stranger, no signature of the primary, a prepare of its
/// own where it was the primary itself, and a stable checkpoint of one signer. None is valid.
pub fn outbound(context: &Context) -> Outbound {
    let context = context.clone();
    let mut turn = context.seed;
    rewriting(move |_, _, message| match message {
        Message::ViewChange(change) => {
            let forged = forged(&context, &change, turn % FORGERIES);
            turn = turn.wrapping_add(1);
            vec![Message::ViewChange(context.signer.sign(forged).into_inner())]
        }
        other => vec![other],
    })
}

fn forged(context: &Context, change: &ViewChange, turn: u64) -> ViewChange {
    let mut forged = change.clone();
    let mut certificate = forged.prepared.pop().unwrap_or_else(|| invented(context, change));
    match turn {
        0 => repeat_first(&mut certificate.prepares),
        1 => certificate.view = change.view,
        2 => certificate.digest = Digest::of("another batch", &[certificate.digest.as_bytes()]),
        3 => drop(certificate.prepares.pop()),
        4 => {
            if let Some((replica, _)) = certificate.prepares.last_mut() {
                *replica = ReplicaId(u32::MAX);
            }
        }
        5 => certificate.pre_prepare = certificate.prepares.first().map_or(certificate.pre_prepare, |(_, signature)| *signature),
        6 if context.leads(certificate.view) => prepare_own(context, &mut certificate),
        _ => forged.stable = Some(one_signer(context, change)),
    }
    forged.prepared.push(certificate);
    forged
}

fn repeat_first(signers: &mut SignatureList) {
    if let Some(first) = signers.first().copied() {
        signers.fill(first);
    }
}

/// The primary among the backups.
fn prepare_own(context: &Context, certificate: &mut PreparedCertificate) {
    let PreparedCertificate { view, sequence, digest, .. } = *certificate;
    let own = context.signer.replica();
    certificate.prepares.pop();
    certificate.prepares.push((own, context.signer.sign(Prepare { view, sequence, digest, replica: own }).signature()));
    certificate.prepares.sort_by_key(|(replica, _)| *replica);
}

/// Where nothing prepared: a certificate of nobody's votes but this replica's.
pub fn invented(context: &Context, change: &ViewChange) -> PreparedCertificate {
    let genesis = context.authenticator.genesis();
    let view = View(change.view.0.saturating_sub(1));
    let sequence = change.low_watermark().next();
    let digest = Digest::of("a batch that nobody proposed", &[]);
    let primary = genesis.primary(view);
    let signature = context.signer.sign(PrePrepare { view, sequence, digest, replica: primary }).signature();
    let backups = genesis.replica_ids().filter(|replica| *replica != primary).take(genesis.quorum().saturating_sub(1));
    let prepares = backups.map(|replica| (replica, signature)).collect();
    PreparedCertificate { view, sequence, digest, pre_prepare: signature, prepares }
}

/// A stable checkpoint that this replica alone signed, as often as it takes.
fn one_signer(context: &Context, change: &ViewChange) -> StableCertificate {
    let genesis = context.authenticator.genesis();
    let sequence = change.low_watermark().plus(genesis.parameters.checkpoint_interval);
    let digest = Digest::of("a state that nobody has", &[]);
    let own = context.signer.replica();
    let signature = context.signer.sign(Checkpoint { sequence, digest, replica: own }).signature();
    StableCertificate { sequence, digest, checkpoints: vec![(own, signature); genesis.quorum()] }
}
