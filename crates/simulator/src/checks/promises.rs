use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{Batch, Lie, SequenceNumber, View, batch_digest};
use pbft_protocol::agreement::Record;
use std::collections::{BTreeMap, BTreeSet};

/// What a replica's records bind it to, read by the checker's own eyes.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    pub bodies: BTreeSet<Digest>,
    /// Its own votes.
    pub votes: BTreeSet<Vote>,
    /// Accepted or proposed.
    pub accepted: BTreeSet<(View, SequenceNumber, Digest)>,
    /// All prepared certificates.
    pub prepared: BTreeSet<(SequenceNumber, View, Digest)>,
    /// Certified as committed.
    pub committed: BTreeMap<SequenceNumber, Digest>,
    pub opened: BTreeSet<View>,
    /// The views that it wanted, and those that it entered.
    pub wanted: View,
    pub entered: View,
    pub stable: SequenceNumber,
    pub halted: bool,
    pub learner: bool,
    /// Which lies of others it can prove.
    pub evidence: BTreeSet<Lie>,
}

impl Promises {
    pub fn of(id: u32, records: &[Record]) -> Self {
        let mut promises = Self::default();
        promises.extend(id, records);
        promises
    }

    pub fn extend(&mut self, id: u32, records: &[Record]) {
        records.iter().for_each(|record| self.add(id, record));
    }

    fn add(&mut self, id: u32, record: &Record) {
        match record {
            Record::Opened(view) => _ = self.opened.insert(*view),
            Record::Body(body) => _ = self.bodies.insert(batch_digest(body)),
            Record::PrePrepare(header) => {
                self.accepted.insert((header.view, header.sequence, header.digest));
                if header.replica.0 == id {
                    self.votes.insert(Vote::new(Kind::PrePrepare, header.view, header.sequence, header.digest));
                }
            }
            Record::Prepare(prepare) => {
                self.votes.insert(Vote::new(Kind::Prepare, prepare.view, prepare.sequence, prepare.digest));
            }
            Record::Prepared(certificate) => {
                self.prepared.insert((certificate.sequence, certificate.view, certificate.digest));
            }
            Record::Commit(commit) => {
                self.votes.insert(Vote::new(Kind::Commit, commit.view, commit.sequence, commit.digest));
            }
            Record::Committed(certificate) => _ = self.committed.insert(certificate.sequence, certificate.digest),
            Record::Checkpoint(checkpoint) => {
                self.votes.insert(Vote::new(Kind::Checkpoint, View(0), checkpoint.sequence, checkpoint.digest));
            }
            Record::Stable(certificate) => self.stable = self.stable.max(certificate.sequence),
            Record::ViewChange(change) => {
                self.wanted = self.wanted.max(change.view);
                self.votes.insert(Vote::whole(Kind::ViewChange, change.view, &**change));
            }
            Record::NewView(new_view) => {
                self.entered = self.entered.max(new_view.view);
                for header in &new_view.pre_prepares {
                    self.accepted.insert((header.view, header.sequence, header.digest));
                    if header.replica.0 == id {
                        self.votes.insert(Vote::new(Kind::PrePrepare, header.view, header.sequence, header.digest));
                    }
                }
                if new_view.replica.0 == id {
                    self.votes.insert(Vote::whole(Kind::NewView, new_view.view, &**new_view));
                }
            }
            Record::Evidence(evidence) => _ = self.evidence.insert(evidence.lie()),
            Record::Halted(_) => self.halted = true,
            Record::Repaired => self.halted = false,
            Record::Learner => self.learner = true,
            Record::Repair => {}
        }
    }

    /// The view below which it may not vote.
    pub fn view(&self) -> View {
        self.wanted.max(self.entered)
    }

    /// Whether it may have proposed in this view.
    pub fn has_opened(&self, view: View) -> bool {
        self.opened.contains(&view) || self.votes.iter().any(|vote| vote.opens(view))
    }

    /// The prepared certificate of the highest view for each number above this one.
    pub fn highest_prepared(&self, above: SequenceNumber) -> BTreeMap<SequenceNumber, (View, Digest)> {
        let mut highest = BTreeMap::new();
        // Ascending by view: the last one stays.
        for (sequence, view, digest) in self.prepared.iter().filter(|(sequence, ..)| *sequence > above) {
            highest.insert(*sequence, (*view, *digest));
        }
        highest
    }

    /// What the records of `later`, which replaced these, have lost that still binds.
    pub fn lost_in(&self, later: &Self) -> Option<String> {
        if later.view() < self.view() {
            return Some(format!("view {} is forgotten for {}", self.view(), later.view()));
        }
        if later.stable < self.stable {
            return Some(format!("the stable checkpoint {} is forgotten for {}", self.stable, later.stable));
        }
        if self.halted && !later.halted {
            return Some("that it halted is forgotten".to_owned());
        }
        if self.learner && !later.learner {
            return Some("that it is a learner is forgotten".to_owned());
        }
        if let Some((liar, kind, _)) = self.evidence.difference(&later.evidence).next() {
            return Some(format!("the evidence of {} against {liar} is forgotten", kind.name()));
        }
        let (view, low) = (self.view(), later.stable);
        if self.has_opened(view) && !later.has_opened(view) {
            return Some(format!("that it opened view {view} is forgotten"));
        }
        if self.entered == view {
            let binding = |vote: &&Vote| vote.view == view && vote.sequence > low && vote.is_agreement();
            if let Some(vote) = self.votes.iter().filter(binding).find(|vote| !later.votes.contains(vote)) {
                return Some(format!("its vote {vote:?} is forgotten"));
            }
        }
        let committed = |promises: &Self| promises.committed.range(low.next()..).map(|(sequence, _)| *sequence).collect::<Vec<_>>();
        let replayed = committed(later);
        if let Some(sequence) = committed(self).into_iter().find(|sequence| !replayed.contains(sequence)) {
            return Some(format!("that {sequence} is committed is forgotten"));
        }
        let (mine, theirs) = (self.highest_prepared(low), later.highest_prepared(low));
        mine.iter()
            .find(|(sequence, best)| theirs.get(sequence).is_none_or(|kept| kept.0 < best.0))
            .map(|(sequence, (view, _))| format!("the certificate for {sequence} in view {view} is forgotten"))
    }
}

/// The digest of a batch, or of the null request.
pub fn digest_of(batch: Option<&Batch>) -> Digest {
    batch.map_or(pbft_message::NULL_DIGEST, Batch::digest)
}
