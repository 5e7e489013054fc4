//! Requests that take a detour, or are held up on the way (R2, R3, R10, R23).

use super::{RESENT, RETRY, SOON};
use crate::checks::Invariant;
use crate::world::World;
use pbft_message::Message;
use std::time::Duration;

/// Of a client that a primary neglects.
const REQUESTS_IN_A_ROW: u64 = 4;

impl World {
    pub(super) fn one_path(&mut self) {
        let (before, backup, client) = (self.checker.presses(), self.backups()[0], self.honest_client());
        self.confine(client, &[backup]);
        self.ask_one(client);
        // At half of its time the backup would remind the primary of it anyway.
        self.expect_answer(client, self.now + RETRY + Duration::from_millis(100), "that reached one backup");
        self.expect_no_press(before, "a client reached one backup only");
    }

    pub(super) fn lost_relay(&mut self) {
        let (before, backups, client) = (self.checker.presses(), self.backups(), self.honest_client());
        let primary = self.primary();
        let (least, most) = self.timeouts(&backups);
        let half = most / 2;
        self.confine(client, &backups[..1]);
        backups.iter().for_each(|backup| self.network.cut(*backup, primary));
        self.ask_one(client);
        // At once, or once the client has asked another one in vain.
        let latest = self.now + RETRY;
        let holds = |world: &Self, backup: u32| {
            world.processes[backup as usize].running.as_ref().is_some_and(|one| one.replica.held().requests > 0)
        };
        while !holds(self, backups[0]) && self.now < latest {
            self.run_until(self.now + Duration::from_millis(1));
        }
        let due = self.now + half + SOON;
        // It is passed on once more to be measured (R18), and that is lost too.
        self.run_until(self.now + least / 4);
        // All await it, so that the primary is left if it never orders it.
        if !backups.iter().all(|backup| holds(self, *backup)) {
            return self
                .checker
                .fail(Invariant::RequestsAreAnswered, || "a request that one backup has is not passed on to all".into());
        }
        backups.iter().for_each(|backup| self.network.join(*backup, primary));
        self.expect_answer(client, due, "that a backup passed on in vain");
        self.expect_no_press(before, "a request that was passed on was lost");
    }

    pub(super) fn relay_to_the_next(&mut self) {
        let (client, primary, view) = (self.honest_client(), self.primary(), self.view_of(0));
        let next = self.authenticator.genesis().primary(view.next()).0;
        let Some(backup) = self.backups().into_iter().find(|backup| *backup != next) else { return };
        let most = self.timeouts(&self.backups_of(primary)).1;
        self.confine(client, &[backup]);
        for process in self.backups_of(primary) {
            self.network.cut(process, primary);
            self.network.cut(process, next);
        }
        self.ask_one(client);
        self.run_until(self.now + RETRY + Duration::from_millis(30));
        self.lose(primary);
        self.backups_of(primary).into_iter().for_each(|process| self.network.join(process, next));
        if self.expect_left(view, primary, self.now + most + SOON) {
            // Before a backup passes it on to be measured (R18), a sixteenth of the time-out later.
            let at_once = self.plan.timing.base_timeout / 20;
            self.expect_answer(client, self.now + at_once, "that the old primary did not order");
        }
    }

    pub(super) fn neglected(&mut self) {
        let (view, client, primary) = (self.view_of(0), self.honest_client(), self.primary());
        let backups = self.backups_of(primary);
        let (least, most) = self.timeouts(&backups);
        // The client has to have several in flight, and the time-outs must be known.
        if self.plan.in_flight < REQUESTS_IN_A_ROW || least != most {
            return;
        }
        let by = self.now + RETRY + most + SOON;
        self.confine(client, &backups);
        self.withhold(|_, message| matches!(message, Message::Request(_)));
        let is_left = |world: &Self| backups.iter().any(|backup| world.view_of(*backup) > view);
        // Those that come later do not set the clock of the first anew (R10).
        for _ in 0..REQUESTS_IN_A_ROW {
            self.ask_one(client);
            if self.run_to(self.now + most / 4, is_left) {
                break;
            }
        }
        self.expect_left(view, primary, by);
    }

    pub(super) fn left_out(&mut self) {
        let (view, primary, client) = (self.view_of(0), self.primary(), self.honest_client());
        let next = self.authenticator.genesis().primary(view.next()).0;
        let Some(holder) = self.backups().into_iter().find(|backup| *backup != next) else { return };
        let most = self.timeouts(&self.backups_of(primary)).1;
        self.confine(client, &[primary]);
        self.backups_of(primary).into_iter().filter(|one| *one != holder).for_each(|one| self.network.cut(primary, one));
        self.ask_one(client);
        // It may take another one for the primary at first.
        self.run_until(self.now + RETRY + Duration::from_millis(30));
        self.lose(primary);
        if self.expect_left(view, primary, self.now + most + SOON) {
            self.expect_answer(client, self.now + SOON, "of a proposal that the new view left out");
        }
    }

    pub(super) fn withheld(&mut self) {
        let client = self.honest_client();
        let before = self.checker.presses();
        let kinds: [fn(&Message) -> bool; 4] = [
            |message| matches!(message, Message::PrePrepare { .. }),
            |message| matches!(message, Message::Prepare { .. }),
            |message| matches!(message, Message::Commit(_)),
            |message| matches!(message, Message::Checkpoint(_)),
        ];
        let is_of_kind = self.random.pick(&kinds);
        self.withhold(move |_, message| is_of_kind(message));
        self.ask_one(client);
        self.run_until(self.now + Duration::from_millis(60));
        if self.are_clients_done() {
            // Of a checkpoint: the log is filled up to it first, and no further while it is not stable.
            let boundary = self.next_checkpoint();
            self.run_until(self.now + Duration::from_millis(1300));
            self.expect_nothing_beyond(boundary);
        }
        self.withheld = None;
        self.expect_answer(client, self.now + RESENT, "of which one message was lost");
        self.expect_no_press(before, "one message was lost");
    }

    pub(super) fn fast_clock(&mut self) {
        let (before, client, primary) = (self.checker.presses(), self.honest_client(), self.primary());
        let ahead = self.plan.timing.clock_drift.as_micros() as i64 + 100_000;
        self.processes[primary as usize].wall_error = ahead;
        self.ask_one(client);
        self.expect_answer(client, self.now + Duration::from_millis(100) + SOON, "that waits for its time");
        self.processes[primary as usize].wall_error = 0;
        self.expect_no_press(before, "a primary's clock was a little ahead");
        // From now on times may lie ahead by more than a clock does: no two drills of this kind.
        self.run_until(self.now + Duration::from_millis(200));
    }
}
