//! Checkpoints and the low watermark (R9).

use super::*;

/// What is known of checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoints {
    /// The proof of h; none at genesis.
    pub stable: Option<Verified<StableCertificate>>,
    /// Checkpoint messages inside (h, H], by number and sender.
    votes: BTreeMap<SequenceNumber, BTreeMap<ReplicaId, Verified<Signed<Checkpoint>>>>,
    /// Each sender's newest above H: a weak quorum of these means that this replica is behind.
    beyond: BTreeMap<ReplicaId, Verified<Signed<Checkpoint>>>,
    /// The states that the executor came to above h, by number.
    pub computed: BTreeMap<SequenceNumber, Digest>,
    /// The own ones not yet stable; they count once they are durable, in `votes`.
    pub own: BTreeMap<SequenceNumber, Verified<Signed<Checkpoint>>>,
}

impl Checkpoints {
    /// How many messages of others and its own are held.
    pub fn count(&self) -> usize {
        self.votes.values().map(BTreeMap::len).sum::<usize>().saturating_add(self.beyond.len())
    }

    /// How many that name the same state are held for a number above h.
    pub fn matching_at(&self, sequence: SequenceNumber) -> usize {
        let mut counts: BTreeMap<Digest, usize> = BTreeMap::new();
        for checkpoint in self.votes.get(&sequence).into_iter().flat_map(BTreeMap::values) {
            let count = counts.entry(checkpoint.digest).or_default();
            *count = count.saturating_add(1);
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// The own ones that are durable, above `sequence`.
    pub fn own_durable_above(
        &self,
        sequence: SequenceNumber,
        id: ReplicaId,
    ) -> impl Iterator<Item = &Verified<Signed<Checkpoint>>> {
        let durable = move |number: &SequenceNumber| self.votes.get(number).is_some_and(|votes| votes.contains_key(&id));
        self.own.range(sequence.next()..).filter(move |(number, _)| durable(number)).map(|(_, checkpoint)| checkpoint)
    }
}

impl Replica {
    /// The executor's state at a checkpoint.
    pub(super) fn on_own_checkpoint(&mut self, sequence: SequenceNumber, digest: Digest) {
        if let Some(stable) = self.checkpoints.stable.as_ref().filter(|stable| stable.sequence == sequence) {
            if stable.digest != digest {
                self.halt(Alarm::Diverged(sequence));
            }
            return;
        }
        if let Some(signed) = self.checkpoints.own.get(&sequence) {
            if signed.digest != digest {
                self.halt(Alarm::ReplayDiffers(sequence));
            }
            return;
        }
        if sequence > self.log.low() {
            self.checkpoints.computed.insert(sequence, digest);
            self.sign_checkpoint(sequence, digest);
        }
    }

    pub(super) fn sign_checkpoint(&mut self, sequence: SequenceNumber, digest: Digest) {
        if !self.votes() || self.checkpoints.own.contains_key(&sequence) {
            return;
        }
        let checkpoint = self.signer.sign(Checkpoint { sequence, digest, replica: self.id() });
        self.checkpoints.own.insert(sequence, checkpoint.clone());
        let checkpoint = checkpoint.into_inner();
        self.output.record(Record::Checkpoint(checkpoint.clone()));
        self.output.await_durable(Awaiting::Checkpoint(sequence));
        self.output.after(Action::Broadcast(Message::Checkpoint(checkpoint)));
    }

    pub(super) fn own_checkpoint_durable(&mut self, sequence: SequenceNumber) {
        let Some(own) = self.checkpoints.own.get(&sequence).cloned() else { return };
        self.checkpoints.votes.entry(sequence).or_default().insert(own.replica, own.clone());
        self.try_stable(&own);
    }

    pub(super) fn on_checkpoint(&mut self, checkpoint: Verified<Signed<Checkpoint>>) -> Result<(), Rejection> {
        let (sequence, sender) = (checkpoint.sequence, checkpoint.replica);
        if sequence <= self.log.low() {
            return Err(Rejection::Stale);
        }
        if sequence.0.checked_rem(self.genesis().parameters.checkpoint_interval) != Some(0) {
            return Err(Rejection::OutsideWatermarks);
        }
        if sequence > self.log.high() {
            return self.on_checkpoint_beyond(checkpoint);
        }
        let votes = self.checkpoints.votes.entry(sequence).or_default();
        if let Some(known) = votes.get(&sender) {
            if known.digest == checkpoint.digest {
                return Err(Rejection::Duplicate);
            }
            self.tell(Event::Alarm(Alarm::TwoCheckpoints(sequence, sender)));
            return Err(Rejection::ConflictingVote);
        }
        votes.insert(sender, checkpoint.clone());
        self.try_stable(&checkpoint);
        Ok(())
    }

    /// A weak quorum above H means that this replica is behind: the answers to its status bring the certificate.
    fn on_checkpoint_beyond(&mut self, checkpoint: Verified<Signed<Checkpoint>>) -> Result<(), Rejection> {
        let sender = checkpoint.replica;
        if self.checkpoints.beyond.get(&sender).is_some_and(|known| known.sequence >= checkpoint.sequence) {
            return Err(Rejection::Duplicate);
        }
        self.checkpoints.beyond.insert(sender, checkpoint);
        if self.checkpoints.beyond.len() >= self.genesis().weak_quorum() {
            self.timers.set(Timer::Status, self.now.monotonic);
        }
        Ok(())
    }

    fn try_stable(&mut self, vote: &Checkpoint) {
        let Some(votes) = self.checkpoints.votes.get(&vote.sequence) else { return };
        if let Some(certificate) = Verified::<StableCertificate>::assemble(vote, votes.values(), self.genesis()) {
            self.settle(certificate);
        }
    }

    pub(super) fn on_stable(&mut self, certificate: Verified<StableCertificate>) -> Result<(), Rejection> {
        if certificate.sequence <= self.log.low() {
            return Err(Rejection::Stale);
        }
        self.settle(certificate);
        Ok(())
    }

    fn settle(&mut self, certificate: Verified<StableCertificate>) {
        self.advance_stable(certificate);
        self.forget_settled();
        self.dispatch();
    }

    /// h follows certificates; execution follows on its own (R9). What is settled by it is forgotten by the caller, see
    /// `forget_settled`.
    pub(super) fn advance_stable(&mut self, certificate: Verified<StableCertificate>) {
        let sequence = certificate.sequence;
        if sequence <= self.log.low() {
            return;
        }
        let signed = self.checkpoints.own.get(&sequence).map(|own| own.digest);
        let computed = self.checkpoints.computed.get(&sequence).copied();
        if signed.into_iter().chain(computed).any(|digest| digest != certificate.digest) {
            self.halt(Alarm::Diverged(sequence));
        }
        self.output.record(Record::Stable((*certificate).clone()));
        self.checkpoints.stable = Some(certificate.clone());
        self.checkpoints.own = self.checkpoints.own.split_off(&sequence.next());
        self.checkpoints.computed = self.checkpoints.computed.split_off(&sequence.next());
        self.checkpoints.votes = self.checkpoints.votes.split_off(&sequence.next());
        self.log.advance(sequence);
        let high = self.log.high();
        let beyond = std::mem::take(&mut self.checkpoints.beyond);
        let (inside, beyond): (BTreeMap<_, _>, BTreeMap<_, _>) =
            beyond.into_iter().partition(|(_, checkpoint)| checkpoint.sequence <= high);
        self.checkpoints.beyond = beyond;
        self.view_changes.stable_checkpoint(sequence);
        if self.view_changes.outstanding.is_empty() {
            self.timers.clear(Timer::Reproposed);
        }
        self.output.at_once(Action::Stable(certificate));
        self.tell(Event::StableCheckpoint { sequence });
        for checkpoint in inside.into_values() {
            // One that is stale by now is of no use.
            let _ = self.on_checkpoint(checkpoint);
        }
    }
}
