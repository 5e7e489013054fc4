use pbft_crypto::{Digest, Signature};
use pbft_message::{
    Batch, Commit, NULL_DIGEST, PrePrepare, Prepare, PreparedCertificate, ReplicaId, SequenceNumber, Signed, Verified, View,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The numbers between the watermarks, (h, H] (R4), and what is known of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    low: SequenceNumber,
    window: u64,
    slots: BTreeMap<SequenceNumber, Slot>,
}

/// One sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The pre-prepare of the current view.
    pub header: Option<Header>,
    /// The prepares of the current view, each with the primary's signature that came along (R5).
    pub prepares: BTreeMap<ReplicaId, (Verified<Signed<Prepare>>, Signature)>,
    /// Each sender's commit of the highest view.
    pub commits: BTreeMap<ReplicaId, Verified<Signed<Commit>>>,
    /// The own prepare in the current view; it counts only once it is durable, in `prepares`.
    pub own_prepare: Option<Verified<Signed<Prepare>>>,
    /// The own commit in the current view; it counts only once it is durable, in `commits`.
    pub own_commit: Option<Verified<Signed<Commit>>>,
    /// The prepared certificate of the highest view. Entering a view never deletes it (R11).
    pub prepared: Option<Verified<PreparedCertificate>>,
    /// When the pre-prepare of the current view was accepted.
    pub accepted_at: Duration,
    /// When this replica last said something new about the number.
    pub spoke_at: Duration,
}

/// The pre-prepare of the current view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub signed: Verified<Signed<PrePrepare>>,
    /// Parked until the body is here and the time has come, then accepted.
    pub accepted: bool,
}

impl Log {
    pub fn new(low: SequenceNumber, window: u64) -> Self {
        Self { low, window, slots: BTreeMap::new() }
    }

    /// h.
    pub fn low(&self) -> SequenceNumber {
        self.low
    }

    /// H = h + k.
    pub fn high(&self) -> SequenceNumber {
        self.low.plus(self.window)
    }

    /// h < s <= H.
    pub fn contains(&self, sequence: SequenceNumber) -> bool {
        sequence > self.low && sequence <= self.high()
    }

    pub fn slot(&self, sequence: SequenceNumber) -> Option<&Slot> {
        self.slots.get(&sequence)
    }

    /// The slot of a number inside the window; none outside.
    pub fn slot_mut(&mut self, sequence: SequenceNumber) -> Option<&mut Slot> {
        self.contains(sequence).then(|| self.slots.entry(sequence).or_default())
    }

    pub fn slots(&self) -> impl DoubleEndedIterator<Item = (SequenceNumber, &Slot)> {
        self.slots.iter().map(|(sequence, slot)| (*sequence, slot))
    }

    pub fn slots_mut(&mut self) -> impl Iterator<Item = (SequenceNumber, &mut Slot)> {
        self.slots.iter_mut().map(|(sequence, slot)| (*sequence, slot))
    }

    /// h = s; what is at or below it is forgotten.
    pub fn advance(&mut self, stable: SequenceNumber) {
        self.low = stable;
        self.slots = self.slots.split_off(&stable.next());
    }
}

impl Slot {
    /// The accepted pre-prepare of the current view.
    pub fn accepted(&self) -> Option<&Verified<Signed<PrePrepare>>> {
        self.header.as_ref().filter(|header| header.accepted).map(|header| &header.signed)
    }

    /// Whether this number is prepared in `view`.
    pub fn is_prepared_in(&self, view: View) -> bool {
        self.prepared.as_ref().is_some_and(|certificate| certificate.view == view)
    }
}

/// The batches whose bodies are held, by digest, and those that are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bodies {
    held: BTreeMap<Digest, Held>,
    bytes: usize,
    /// Missing bodies, with how often each was asked for.
    pub wanted: BTreeMap<Digest, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    batch: Verified<Batch>,
    journaled: bool,
}

impl Bodies {
    /// The null request has no body; it is never missing.
    pub fn holds(&self, digest: &Digest) -> bool {
        *digest == NULL_DIGEST || self.held.contains_key(digest)
    }

    pub fn get(&self, digest: &Digest) -> Option<&Verified<Batch>> {
        self.held.get(digest).map(|held| &held.batch)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn hold(&mut self, batch: Verified<Batch>, journaled: bool) {
        let digest = batch.digest();
        self.wanted.remove(&digest);
        if self.held.contains_key(&digest) {
            return;
        }
        self.bytes = self.bytes.saturating_add(batch.bytes().len());
        self.held.insert(digest, Held { batch, journaled });
    }

    /// The body, if it has not been journaled; from now on it counts as journaled.
    pub fn take_unjournaled(&mut self, digest: &Digest) -> Option<Verified<Batch>> {
        let held = self.held.get_mut(digest).filter(|held| !held.journaled)?;
        held.journaled = true;
        Some(held.batch.clone())
    }

    /// The journal has begun anew and holds just these.
    pub fn journaled_are(&mut self, written: &BTreeSet<Digest>) {
        for (digest, held) in &mut self.held {
            held.journaled = written.contains(digest);
        }
    }

    /// The size of a held body, in bytes.
    pub fn size(&self, digest: &Digest) -> usize {
        self.get(digest).map_or(0, |batch| batch.bytes().len())
    }

    /// Forgets all bodies but these.
    pub fn retain(&mut self, needed: &BTreeSet<Digest>) {
        self.held.retain(|digest, _| needed.contains(digest));
        self.wanted.retain(|digest, _| needed.contains(digest));
        self.bytes = self.held.values().fold(0, |sum, held| sum.saturating_add(held.batch.bytes().len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_the_bytes_of_bodies_are_those_that_are_held_each_once() {
        let mut bodies = Bodies::default();
        let batches: Vec<_> = (1..4).map(|time| Batch::of_verified(time, vec![])).collect();
        let size = batches[0].bytes().len();
        for batch in [&batches[0], &batches[1], &batches[0], &batches[2]] {
            bodies.wanted.insert(batch.digest(), 1);
            bodies.hold(batch.clone(), false);
        }
        assert_eq!((bodies.bytes(), bodies.wanted.len()), (3 * size, 0));
        let kept = BTreeSet::from([batches[0].digest(), batches[2].digest()]);
        bodies.retain(&kept);
        assert_eq!((bodies.bytes(), bodies.size(&batches[1].digest())), (2 * size, 0));
        assert!(bodies.holds(&batches[0].digest()) && !bodies.holds(&batches[1].digest()) && bodies.holds(&NULL_DIGEST));
    }

    #[test]
    fn r15_a_body_is_journaled_once_and_again_when_the_journal_begins_without_it() {
        let mut bodies = Bodies::default();
        let [one, other] = [1, 2].map(|time| Batch::of_verified(time, vec![]));
        bodies.hold(one.clone(), false);
        bodies.hold(other.clone(), true);
        assert_eq!(bodies.take_unjournaled(&one.digest()), Some(one.clone()));
        assert_eq!((bodies.take_unjournaled(&one.digest()), bodies.take_unjournaled(&other.digest())), (None, None));
        bodies.journaled_are(&BTreeSet::from([one.digest()]));
        assert_eq!(bodies.take_unjournaled(&one.digest()), None);
        assert_eq!(bodies.take_unjournaled(&other.digest()), Some(other));
    }
}
