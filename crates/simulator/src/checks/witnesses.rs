//! What a replica may do that came back from its disk, as the checker sees it (R16).

use super::checker::Checker;
use super::invariant::Invariant;
use super::promises::Promises;
use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{Message, SequenceNumber, Votes, Witness};
use pbft_protocol::agreement::{Alarm, Record, Replica, Silence};
use std::collections::{BTreeMap, BTreeSet};

/// A replica since it came back, honest but for its disk.
#[derive(Clone, Debug)]
pub struct Comeback {
    /// What its disk said, and what it has recorded since.
    promises: Promises,
    /// What it asks with; a learner asks nothing.
    asked: Option<u64>,
    answered: BTreeSet<u32>,
    /// What others showed it that its disk has lost.
    lost: Option<Vote>,
    /// The states that its executor came to since it has the one that it stands on.
    computed: BTreeMap<SequenceNumber, Digest>,
}

/// The highest votes that one replica took from another since it came back.
pub type Heard = BTreeMap<(u32, u32, Kind), Vote>;

/// The votes of `id` in what another replica holds.
fn votes_of(id: u32, votes: &Votes) -> Vec<Vote> {
    let Votes { pre_prepare, prepare, commit, checkpoint, view_change, new_view } = votes.clone();
    let header = pre_prepare.map(|header| Message::PrePrepare { header, body: Default::default() });
    let prepare = prepare.map(|prepare| Message::Prepare { pre_prepare: prepare.signature(), prepare });
    let rest = [
        commit.map(Message::Commit),
        checkpoint.map(Message::Checkpoint),
        view_change.map(Message::ViewChange),
        new_view.map(Message::NewView),
    ];
    let messages = [header, prepare].into_iter().chain(rest).flatten();
    messages.flat_map(|message| Vote::signed_in(&message)).filter(|(signer, _)| *signer == id).map(|(_, vote)| vote).collect()
}

impl Comeback {
    /// Whether this vote would stand behind the end of its disk.
    fn lacks(&self, vote: &Vote) -> bool {
        let (view, low) = (self.promises.view(), self.promises.stable);
        let is_known = || self.promises.votes.contains(vote);
        match vote.kind {
            Kind::Checkpoint => vote.sequence > low && !is_known(),
            Kind::ViewChange => vote.view > view,
            _ if vote.view != view => vote.view > view,
            Kind::PrePrepare | Kind::NewView => !self.promises.has_opened(view),
            Kind::Prepare | Kind::Commit => vote.sequence > low && !is_known(),
        }
    }
}

impl Checker {
    /// A replica came back with these records; what others heard of it before may be asked of them.
    pub fn came_back(&mut self, id: u32, records: &[Record], replica: &Replica) {
        let promises = Promises::of(id, records);
        let lost = promises.evidence.iter().find(|lie| replica.evidence().iter().all(|evidence| evidence.lie() != **lie)).copied();
        self.expect(lost.is_none(), Invariant::Recovers, || format!("replica {id} comes back without its evidence of {lost:?}"));
        let asked = replica.status().asks;
        let computed = BTreeMap::new();
        let learns = replica.silence() == Some(Silence::Learner);
        self.expect(asked.is_some() || learns, Invariant::WitnessesBeforeVotes, || {
            format!("replica {id} comes back, and asks nobody what it signed")
        });
        let is_new = asked.is_none_or(|asked| self.asked_with.insert((id, asked)));
        self.expect(is_new, Invariant::WitnessesBeforeVotes, || {
            format!("replica {id} asks with {asked:?}, as at an earlier start: the answers to that are of no use")
        });
        self.comebacks.insert(id, Comeback { promises, asked, answered: BTreeSet::new(), lost: None, computed });
        self.heard.retain(|(hearer, ..), _| *hearer != id);
        self.asked.forget(id);
    }

    /// A replica that takes part was sent something by another one.
    pub fn heard(&mut self, id: u32, message: &Message) {
        if matches!(message, Message::NewView(_)) {
            return;
        }
        for (signer, vote) in Vote::signed_in(message) {
            let known = self.heard.entry((id, signer, vote.kind)).or_insert(vote);
            if (known.view, known.sequence) < (vote.view, vote.sequence) {
                *known = vote;
            }
        }
    }

    /// A correct replica tells another one of its votes: no less than it took from it.
    pub fn testified(&mut self, id: u32, to: u32, witness: &Witness) {
        let told = votes_of(to, &witness.votes);
        let heard = self.heard.range((id, to, Kind::PrePrepare)..=(id, to, Kind::NewView));
        let tells = |heard: &Vote| {
            told.iter().any(|told| told.kind == heard.kind && (told.view, told.sequence) >= (heard.view, heard.sequence))
        };
        if let Some(hidden) = heard.map(|(_, vote)| *vote).find(|vote| !tells(vote)) {
            self.fail(Invariant::WitnessesTellAll, || format!("replica {id} does not tell replica {to} of its {hidden:?}"));
        }
    }

    /// A replica that came back is told of its votes.
    pub fn witnessed(&mut self, id: u32, from: u32, witness: &Witness) {
        let Some(comeback) = self.comebacks.get_mut(&id) else { return };
        if comeback.asked == Some(witness.asked) {
            comeback.answered.insert(from);
        }
        if comeback.asked.is_some() && comeback.lost.is_none() {
            comeback.lost = votes_of(id, &witness.votes).into_iter().find(|vote| comeback.lacks(vote));
        }
    }

    /// It wants these records to be made durable. Whether it had halted before.
    pub fn recorded_since(&mut self, id: u32, records: &[Record], replica: &Replica) -> bool {
        let quorum = self.genesis.quorum();
        let Some(comeback) = self.comebacks.get_mut(&id) else { return false };
        let is_told = comeback.asked.is_none() || comeback.answered.len() + 1 >= quorum;
        let (had_halted, lost) = (comeback.promises.halted, comeback.lost);
        let (mut votes, mut votes_halted) = (false, false);
        for record in records {
            let opens = matches!(record, Record::Opened(view) if !comeback.promises.has_opened(*view));
            let (before, halted) = (comeback.promises.votes.len(), comeback.promises.halted);
            comeback.promises.extend(id, std::slice::from_ref(record));
            let binds = opens || comeback.promises.votes.len() > before;
            votes |= binds;
            votes_halted |= binds && halted;
        }
        let written = replica.halted().is_none() || comeback.promises.halted;
        let takes_part = replica.silence().is_none();
        self.expect((!votes && !takes_part) || is_told, Invariant::WitnessesBeforeVotes, || {
            format!("replica {id} {} before a quorum has told it what it signed", if votes { "votes" } else { "takes part" })
        });
        self.expect(!votes_halted, Invariant::TheHaltedAreMute, || format!("replica {id} has halted, and signs something"));
        self.expect(written, Invariant::TheHaltedAreMute, || {
            format!("replica {id} has halted, and will not know it after a restart")
        });
        let halted = matches!(replica.halted(), Some(alarm) if lost.is_none() || !alarm.is_repairable());
        let heeds = lost.is_none() || (halted && !votes);
        self.expect(heeds, Invariant::TheForgetfulHalt, || {
            let stands = replica.halted().map_or("goes on".to_owned(), |alarm: Alarm| alarm.to_string());
            format!("replica {id} was shown its {lost:?}, which its disk has lost, and {}", if votes { "votes" } else { &stands })
        });
        self.expect_divergence_noticed(id, replica);
        had_halted
    }

    /// A replica whose state is not the certified one has halted (R9).
    fn expect_divergence_noticed(&mut self, id: u32, replica: &Replica) {
        let (Some(stable), Some(comeback)) = (replica.stable_certificate(), self.comebacks.get(&id)) else { return };
        let differs = comeback.computed.get(&stable.sequence).is_some_and(|computed| *computed != stable.digest);
        self.expect(!differs || replica.halted().is_some(), Invariant::TheHaltedAreMute, || {
            format!("replica {id} has another state at {} than the certified one, and goes on", stable.sequence)
        });
    }

    /// Its executor came to this state at a checkpoint.
    pub fn computed_since(&mut self, id: u32, sequence: SequenceNumber, digest: Digest) {
        if let Some(comeback) = self.comebacks.get_mut(&id) {
            comeback.computed.insert(sequence, digest);
        }
    }

    /// Another state took the place of its own.
    pub fn installed_since(&mut self, id: u32) {
        if let Some(comeback) = self.comebacks.get_mut(&id) {
            comeback.computed.clear();
        }
    }

    /// A replica whose service went astray, and whose disk did not, sends a message: it too says one thing only.
    pub fn astray_sent(&mut self, id: u32, message: &Message) {
        for vote in Vote::in_message(message, id) {
            self.vote(id, vote);
        }
    }

    /// A replica that halted hands a batch to its executor.
    pub fn executes_halted(&mut self, id: u32, sequence: SequenceNumber) {
        self.fail(Invariant::TheHaltedAreMute, || {
            format!("replica {id} has halted because its state is not the certified one, and executes {sequence} on it")
        });
    }

    /// A learner sends a message.
    pub fn learner_sent(&mut self, id: u32, message: &Message) {
        let signs = !Vote::in_message(message, id).is_empty();
        let presses = matches!(message, Message::Suspect { .. } | Message::Heartbeat { .. });
        self.expect(!signs && !presses, Invariant::LearnersAreMute, || format!("the learner {id} sends a {}", message.name()));
    }
}
