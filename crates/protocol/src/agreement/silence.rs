//! Following without voting (R9, R16), and the way back to voting.

use super::*;

/// Why a replica follows and serves, and signs nothing of agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It lost the journal of what it signed, and never votes under this key again (R16).
    Learner,
    /// Something is wrong with it.
    Halted(Alarm),
    /// This was wrong with it, and a certified state is about to take the place of its own (R9).
    Repairing(Alarm),
    /// It has come back from its disk, and does not know yet whether that holds all that it signed (R16).
    Recovering,
}

impl Silence {
    /// The names of all of them.
    pub const NAMES: [&str; 4] = ["learner", "halted", "repairing", "recovering"];

    /// Its name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Halted(_) => "halted",
            Self::Repairing(_) => "repairing",
            Self::Recovering => "recovering",
        }
    }
}

/// How far the repair of a state is that differs from the certified one (R9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nobody asked for it.
    #[default]
    None,
    /// The operator did.
    Asked,
    /// A certified state is installed, and not durable yet.
    Installed(SequenceNumber),
}

impl Replica {
    /// Why it does not vote; none if it does.
    pub fn silence(&self) -> Option<Silence> {
        match self.halted {
            _ if self.learner => Some(Silence::Learner),
            Some(alarm) if self.repair == Repair::None => Some(Silence::Halted(alarm)),
            Some(alarm) => Some(Silence::Repairing(alarm)),
            None => self.is_recovering().then_some(Silence::Recovering),
        }
    }

    /// Whether it signs what agreement asks for.
    pub(super) fn votes(&self) -> bool {
        self.silence().is_none()
    }

    /// Stops voting for good: what was signed must not be contradicted, and what is wrong here must not spread. What no
    /// repair heals takes the place of what one would.
    pub(super) fn halt(&mut self, alarm: Alarm) {
        let is_graver = self.halted.is_none_or(|known| known.is_repairable() && !alarm.is_repairable());
        // The state that was to heal it went astray too, before it was durable.
        let is_anew = matches!(self.repair, Repair::Installed(_));
        if is_graver || is_anew {
            self.halted = Some(alarm);
            self.repair = Repair::None;
            self.output.record(Record::Halted(alarm));
            self.tell(Event::Alarm(alarm));
        }
    }

    /// The own state is not to be trusted: nothing more is executed on it, nor taken in to be executed.
    pub(super) fn has_diverged(&self) -> bool {
        self.halted.is_some_and(Alarm::is_repairable) && !matches!(self.repair, Repair::Installed(_))
    }

    /// What a diverged replica takes in: questions, and what leads to another state if it is to have one.
    pub(super) const fn is_for_diverged(&self, message: &VerifiedMessage) -> bool {
        match message {
            VerifiedMessage::Witness(_)
            | VerifiedMessage::Status(_)
            | VerifiedMessage::FetchBody { .. }
            | VerifiedMessage::Evidence(_) => true,
            VerifiedMessage::Stable(_) => matches!(self.repair, Repair::Asked),
            _ => false,
        }
    }

    /// The first state that may take the place of the own one: one that a quorum certified, not below where the own one
    /// differed, nor below a checkpoint that was signed: no second one may be.
    pub(super) fn repairs_from(&self) -> Option<SequenceNumber> {
        let (Alarm::Diverged(sequence) | Alarm::ReplayDiffers(sequence)) = self.halted? else { return None };
        let signed = self.checkpoints.own.keys().next_back().copied();
        (self.repair == Repair::Asked).then_some(signed.map_or(sequence, |signed| signed.max(sequence)))
    }

    /// A certified state is installed.
    pub(super) fn repair_installed(&mut self, sequence: SequenceNumber) {
        if self.repairs_from().is_some_and(|least| sequence >= least) {
            self.repair = Repair::Installed(sequence);
        }
    }

    /// A state is durable: after a repair it is the certified one, and votes may rest on it.
    pub(super) fn repair_durable(&mut self, sequence: SequenceNumber) {
        if !matches!(self.repair, Repair::Installed(installed) if sequence >= installed) {
            return;
        }
        self.halted = None;
        self.repair = Repair::None;
        self.output.record(Record::Repaired);
        self.tell(Event::Repaired { sequence });
        if self.votes() {
            // As after a restart: who may have proposed in its view leaves it first (R15).
            self.begin();
        }
    }

    /// Votes for what came while it did not vote.
    pub(super) fn catch_up_on_votes(&mut self) {
        for (sequence, digest) in self.checkpoints.computed.clone() {
            self.sign_checkpoint(sequence, digest);
        }
        let known: Vec<SequenceNumber> = self.log.slots().filter(|(_, slot)| slot.header.is_some()).map(|(s, _)| s).collect();
        for sequence in known {
            self.try_accept(sequence);
            let Some(slot) = self.log.slot(sequence) else { continue };
            if let (Some(header), None) = (slot.accepted().filter(|header| header.view == self.view).cloned(), &slot.own_prepare) {
                self.send_prepare(&header);
            }
            self.try_prepared(sequence);
        }
    }
}
