//! What a replica lets itself be asked for, and how it asks, seen from outside (R4, R19, R23).

use super::checker::Checker;
use super::invariant::Invariant;
use pbft_crypto::Digest;
use pbft_message::{Message, View};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two answers to the statuses of one replica, at least.
const GAP: Duration = Duration::from_millis(25);
/// So many bodies go to one replica at once, and one more after each of these.
const BURST: u64 = 640;
const INTERVAL: Duration = Duration::from_millis(5);
/// So often in a row one replica may be asked for one body, while there are others: once more for each time that the one who
/// asks begins anew.
const TIMES: u32 = 3;

/// What went from one replica to another since it started. Times are those of its own clock.
#[derive(Default)]
pub struct Asked {
    answered: BTreeMap<(u32, u32), Duration>,
    /// The bodies that it may still send, and since when.
    bodies: BTreeMap<(u32, u32), (u64, Duration)>,
    /// By replica and body: whom it asked last, in which view, and how often in a row.
    questions: BTreeMap<(u32, Digest), (u32, View, u32)>,
}

impl Asked {
    /// A replica starts anew, and so does its clock.
    pub fn forget(&mut self, id: u32) {
        self.answered.retain(|(from, _), _| *from != id);
        self.bodies.retain(|(from, _), _| *from != id);
        self.questions.retain(|(from, _), _| *from != id);
    }
}

impl Checker {
    /// A correct replica sends something to one other, at this time of its clock.
    pub fn sent_to(&mut self, id: u32, to: u32, message: &Message, now: Duration) {
        match message {
            Message::Evidence(evidence) => self.told_of(id, to, evidence.lie()),
            Message::Body(_) => self.served_body(id, to, now),
            Message::FetchBody { digest } => self.asked_for_body(id, to, *digest),
            Message::Witness(_)
            | Message::NewView(_)
            | Message::ViewChange(_)
            | Message::Stable(_)
            | Message::Checkpoint(_)
            | Message::Committed { .. }
            | Message::PrePrepare { .. }
            | Message::Prepare { .. }
            | Message::Commit(_) => self.answered_status(id, to, now),
            _ => {}
        }
    }

    /// All that goes to one replica alone answers its status. One answer has many parts.
    fn answered_status(&mut self, id: u32, to: u32, now: Duration) {
        let last = self.asked.answered.insert((id, to), now);
        let in_time = last.is_none_or(|last| last == now || now.saturating_sub(last) >= GAP);
        self.expect(in_time, Invariant::AnswersAreRationed, || {
            format!("replica {id} answers replica {to} at {now:?}, and did at {last:?}")
        });
    }

    fn served_body(&mut self, id: u32, to: u32, now: Duration) {
        let (room, since) = self.asked.bodies.entry((id, to)).or_insert((BURST, now));
        let more = (now.saturating_sub(*since).as_micros() / INTERVAL.as_micros()) as u64;
        *room = (*room + more).min(BURST);
        *since += INTERVAL * more as u32;
        let left = room.checked_sub(1);
        *room = left.unwrap_or(0);
        self.expect(left.is_some(), Invariant::AnswersAreRationed, || {
            format!("replica {id} serves replica {to} more than {BURST} bodies at once")
        });
    }

    fn asked_for_body(&mut self, id: u32, to: u32, digest: Digest) {
        let view = self.replicas[id as usize].view;
        let known = self.asked.questions.get(&(id, digest)).filter(|known| (known.0, known.1) == (to, view));
        let times = known.map_or(1, |known| known.2 + 1);
        self.asked.questions.insert((id, digest), (to, view, times));
        self.expect(times <= TIMES, Invariant::BodiesAreAskedAround, || {
            format!("replica {id} asks replica {to} for the body {} again and again, and nobody else", digest.short())
        });
    }
}
