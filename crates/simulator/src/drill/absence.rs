//! Replicas that are away for a while (R9, R14, R23).

use super::{RESENT, RETRY, SOON};
use crate::checks::Invariant;
use crate::rest::SETTLING;
use crate::world::World;
use std::time::Duration;

impl World {
    pub(super) fn short_absence(&mut self) {
        let (before, client, away) = (self.checker.presses(), self.honest_client(), self.backups()[0]);
        let installed = self.checker.installs();
        self.lose(away);
        let end = self.now + Duration::from_millis(250);
        let (interval, window) = (self.plan.parameters.checkpoint_interval, self.plan.parameters.log_window);
        for _ in 1..(window - interval).min(16) {
            self.ask_one(client);
            if !self.run_to(end, Self::are_clients_done) {
                break;
            }
        }
        self.network.join_all();
        self.expect_answer(client, self.now + SOON, "while one replica was away");
        // It learns of a checkpoint before it is served what that covers.
        for _ in 0..interval {
            self.ask_one(client);
            self.expect_answer(client, self.now + SOON, "after one replica was away");
        }
        // Large batches are let go of earlier: then it fetches a state.
        let (tight, patience) = if self.plan.value_bytes > 0 { (true, SETTLING * 2) } else { (false, RESENT) };
        if !self.run_to(self.now + patience, Self::are_even) {
            self.stuck(Invariant::LaggardsCatchUp);
        }
        let installs = self.checker.installs() - installed;
        if installs == 0 {
            self.expect_no_press(before, "a replica was away for a moment");
        } else if !tight {
            self.checker.fail(Invariant::LaggardsCatchUp, || {
                "a replica fetched a state though the others serve all that it missed".to_owned()
            });
        }
    }

    pub(super) fn long_absence(&mut self) {
        let window = self.plan.parameters.log_window;
        if window > 16 {
            return self.short_absence();
        }
        let (client, away) = (self.honest_client(), self.backups()[0]);
        self.lose(away);
        self.confine(client, &[away]);
        self.ask_one(client);
        self.run_until(self.now + RETRY);
        self.network.join_client(client);
        for _ in 0..=window * 2 + self.plan.parameters.checkpoint_interval {
            self.expect_answer(client, self.now + SOON * 10, "while one replica was away");
            self.ask_one(client);
        }
        self.expect_answer(client, self.now + SOON * 10, "while one replica was away");
        self.network.join_all();
        if !self.run_to(self.now + SETTLING * 4, Self::are_even) {
            self.stuck(Invariant::LaggardsCatchUp);
        }
    }
}
