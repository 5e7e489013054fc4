use super::frozen::FrozenState;
use pbft_message::{Parameters, SequenceNumber, StableCertificate};
use std::collections::{BTreeMap, BTreeSet};

/// The frozen states and the certificates of those that are stable (R9): the two newest stable ones can be served, newer
/// ones wait for their certificates. Either may come first: h follows certificates, executed follows execution. Older
/// stable ones stay while they are pinned.
pub(super) struct Checkpoints {
    frozen: BTreeMap<SequenceNumber, FrozenState>,
    certificates: BTreeMap<SequenceNumber, StableCertificate>,
    pinned: BTreeSet<SequenceNumber>,
    most_waiting: usize,
}

impl Checkpoints {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let in_window = parameters.log_window.checked_div(parameters.checkpoint_interval).unwrap_or(0);
        let most_waiting = usize::try_from(in_window.saturating_add(2)).unwrap_or(usize::MAX);
        Self { frozen: BTreeMap::new(), certificates: BTreeMap::new(), pinned: BTreeSet::new(), most_waiting }
    }

    pub(super) fn insert(&mut self, frozen: FrozenState) {
        self.frozen.insert(frozen.state.sequence, frozen);
        self.prune();
    }

    pub(super) fn stable(&mut self, certificate: StableCertificate) {
        self.certificates.insert(certificate.sequence, certificate);
        self.prune();
    }

    /// These stay until others are pinned.
    pub(super) fn pin(&mut self, pinned: BTreeSet<SequenceNumber>) {
        self.pinned = pinned;
        self.prune();
    }

    /// The states that can be served, ascending. A state that differs from its certificate is none of them.
    pub(super) fn servable(&self) -> impl DoubleEndedIterator<Item = (&FrozenState, &StableCertificate)> {
        self.certificates.values().filter_map(|certificate| {
            let frozen = self.frozen.get(&certificate.sequence)?;
            (frozen.state.digest() == certificate.digest).then_some((frozen, certificate))
        })
    }

    pub(super) fn get(&self, sequence: SequenceNumber) -> Option<(&FrozenState, &StableCertificate)> {
        self.servable().find(|(frozen, _)| frozen.state.sequence == sequence)
    }

    /// The state at this number, if it is not the certified one.
    pub(super) fn diverged(&self, sequence: SequenceNumber) -> Option<(&FrozenState, &StableCertificate)> {
        let (frozen, certificate) = (self.frozen.get(&sequence)?, self.certificates.get(&sequence)?);
        (frozen.state.digest() != certificate.digest).then_some((frozen, certificate))
    }

    fn prune(&mut self) {
        let servable: Vec<_> = self.servable().map(|(frozen, _)| frozen.state.sequence).collect();
        let last = servable.last().copied();
        let newest = servable.iter().rev().take(2);
        let kept: BTreeSet<_> = newest.chain(servable.iter().filter(|sequence| self.pinned.contains(sequence))).copied().collect();
        let keep = |sequence: &SequenceNumber| kept.contains(sequence) || last.is_none_or(|last| *sequence > last);
        self.frozen.retain(|sequence, _| keep(sequence));
        self.certificates.retain(|sequence, _| keep(sequence));
        let most = self.most_waiting.saturating_add(kept.len());
        forget_oldest(&mut self.frozen, most, &kept);
        forget_oldest(&mut self.certificates, most, &kept);
    }
}

/// The oldest go first, but never those that can be served.
fn forget_oldest<T>(map: &mut BTreeMap<SequenceNumber, T>, most: usize, servable: &BTreeSet<SequenceNumber>) {
    while map.len() > most {
        let Some(oldest) = map.keys().find(|sequence| !servable.contains(sequence)).copied() else { return };
        map.remove(&oldest);
    }
}
