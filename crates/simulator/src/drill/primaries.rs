//! Primaries that are not heard, and what the others do (R10), or that are slow (R18).

use super::{HEARTBEAT, RESENT, RETRY, SOON};
use crate::checks::Invariant;
use crate::rest::SETTLING;
use crate::world::World;
use pbft_byzantine::{Context, Strategy};
use pbft_message::{Message, View};
use std::time::Duration;

/// So many proposals in a row that are held are a habit, with some to spare.
const A_HABIT: u32 = 12;

/// Between two requests of a client that has one after the other answered.
const ONE_BY_ONE: Duration = Duration::from_millis(10);

impl World {
    /// The time-out doubles with each view change, and halves with each checkpoint without one.
    pub(super) fn lost_primaries(&mut self) {
        for _ in 0..self.random.between(1, 4) {
            self.lost_primary();
        }
        for _ in 0..self.random.between(0, 4) {
            self.come_to_a_checkpoint();
        }
        self.lost_primary();
    }

    fn come_to_a_checkpoint(&mut self) {
        let client = self.honest_client();
        self.ask_one(client);
        self.expect_answer(client, self.now + SOON, "of a cluster at rest");
        self.run_until(self.now + SETTLING);
    }

    fn lost_primary(&mut self) {
        let (view, primary) = (self.view_of(0), self.primary());
        let backups = self.backups_of(primary);
        let (least, most) = self.timeouts(&backups);
        let since = self.now;
        if self.random.percent(50) {
            self.lose(primary);
        } else {
            backups.iter().for_each(|backup| self.network.cut(primary, *backup));
        }
        self.run_to(since + most + SOON, |world| backups.iter().any(|backup| world.view_of(*backup) > view));
        let elapsed = self.now - since;
        if elapsed + HEARTBEAT + SOON / 4 < least || elapsed > most + SOON / 4 {
            return self.checker.fail(Invariant::TimeOutsFit, || {
                format!("an idle primary is left after {elapsed:?} of silence, where {least:?} to {most:?} are its time")
            });
        }
        if self.expect_left(view, primary, self.now + SOON) {
            self.assemble();
        }
    }

    pub(super) fn half_lost(&mut self) {
        let (view, primary, backups) = (self.view_of(0), self.primary(), self.backups());
        let deaf = &backups[..self.authenticator.genesis().weak_quorum()];
        let most = self.timeouts(deaf).1;
        deaf.iter().for_each(|backup| self.network.cut(primary, *backup));
        self.expect_left(view, primary, self.now + most + SOON);
    }

    pub(super) fn hardly_lost(&mut self) {
        let (view, primary, backups) = (self.view_of(0), self.primary(), self.backups());
        for deaf in backups.chunks(self.authenticator.genesis().max_faulty()).take(2) {
            deaf.iter().for_each(|backup| self.network.cut(primary, *backup));
            self.run_until(self.now + self.timeouts(deaf).1 + SETTLING);
            self.network.join_all();
            self.run_until(self.now + SETTLING);
        }
        if self.view_of(0) > view {
            self.checker.fail(Invariant::NoNeedlessViewChange, || {
                format!("f replicas at a time did not hear the primary of view {view}, and it was left")
            });
        }
    }

    pub(super) fn restarts(&mut self) {
        // Once around, and the first one is primary again: it counts its heartbeats anew.
        let goes_around = self.random.percent(50);
        let rounds = if goes_around { self.plan.replicas } else { 1 };
        if goes_around {
            self.run_until(self.now + SETTLING * 7);
        }
        let (view, primary) = (self.view_of(0), self.primary());
        self.crash(primary);
        // It says itself that it is the primary no longer: no time-out goes by.
        self.expect_left(view, primary, self.now + SOON * 3);
        self.assemble();
        for _ in 1..rounds {
            self.lost_primary();
        }
        if goes_around {
            (0..4).for_each(|_| self.come_to_a_checkpoint());
        }
    }

    /// No request is late, and yet a primary that makes a habit of it must go (R18).
    pub(super) fn held_proposals(&mut self) {
        let (view, primary, client) = (self.view_of(0), self.primary(), self.honest_client());
        let backups = self.backups_of(primary);
        // What it holds them for is a while only where time-outs are short; and how long a large batch was on its way is not known.
        if self.timeouts(&backups).1 > self.plan.timing.base_timeout * 2 || self.one_fills_a_batch() {
            return;
        }
        let context = Context {
            authenticator: self.authenticator.clone(),
            signer: self.processes[primary as usize].signer.clone(),
            seed: self.random.next(),
        };
        self.processes[primary as usize].outbound = Some(Strategy::SlowPrimary.outbound(&context));
        self.confine(client, &backups[..1]);
        for _ in 0..A_HABIT {
            self.submit_to_all(client);
            self.run_to(self.now + RETRY + RESENT, Self::are_clients_done);
        }
        // So that nothing is held any more.
        self.run_until(self.now + SETTLING);
        self.processes[primary as usize].outbound = None;
        self.expect_left(view, primary, self.now + SOON);
    }

    /// A request alone may make a large batch, by its number or its bytes, and others may have come first.
    fn one_fills_a_batch(&self) -> bool {
        self.plan.limits.batch_requests <= 4 || self.plan.value_bytes > 0
    }

    /// It gets one client's requests when backups remind it, at half of the time-out (R18).
    pub(super) fn passed_over(&mut self) {
        let (view, primary) = (self.view_of(0), self.primary());
        let backups = self.backups_of(primary);
        let (least, most) = self.timeouts(&backups);
        let honest = self.plan.clients - self.plan.lying_clients;
        if most > self.plan.timing.base_timeout || self.one_fills_a_batch() || honest < 2 {
            return;
        }
        let one = self.honest_client();
        let (other, name) = ((one + 1) % honest, self.clients[one as usize].name);
        self.confine(one, &backups);
        for _ in 0..A_HABIT {
            self.withhold(move |to, message| to == primary && matches!(message, Message::Request(of) if of.client == name));
            self.submit_to_all(one);
            let (reminded, latest) = (self.now + least * 9 / 20, self.now + least);
            while self.clients[one as usize].session.in_flight() > 0 && self.now < latest {
                self.withheld.take_if(|_| self.now >= reminded);
                if self.clients[other as usize].session.in_flight() == 0 {
                    self.ask_one(other);
                }
                self.run_until(self.now + ONE_BY_ONE);
            }
        }
        self.expect_left(view, primary, self.now + SOON);
    }

    pub(super) fn stalled_opening(&mut self) {
        let (view, primary, client) = (self.view_of(0), self.primary(), self.honest_client());
        let others = self.backups_of(primary);
        let most = self.timeouts(&others).1;
        self.confine(client, &[primary]);
        self.withhold(|_, message| matches!(message, Message::Commit(_)));
        self.ask_one(client);
        self.run_until(self.now + RETRY + SOON / 4);
        self.lose(primary);
        if !self.expect_left(view, primary, self.now + most + SOON) {
            return;
        }
        // Nobody waits for a request, and the new primary shows that it lives.
        let (entered, most) = (self.view_of(others[0]), self.timeouts(&others).1);
        self.expect_left(entered, primary, self.now + most + SOON);
    }

    pub(super) fn missing_body(&mut self) {
        let (view, primary, client) = (self.view_of(0), self.primary(), self.honest_client());
        let next = self.authenticator.genesis().primary(view.next()).0;
        let others = self.backups_of(primary);
        let most = self.timeouts(&others).1;
        self.confine(client, &[primary]);
        self.network.cut(primary, next);
        self.withhold(|_, message| matches!(message, Message::FetchBody { .. } | Message::Body(_) | Message::Committed { .. }));
        self.ask_one(client);
        self.run_until(self.now + RETRY + SOON / 4);
        self.lose(primary);
        self.run_to(self.now + most + SOON, |world| others.iter().all(|other| world.view_of(*other) > view));
        // The view-changes say what it has to propose again, and it asks for that.
        self.run_until(self.now + SOON / 4);
        self.withheld = None;
        if self.expect_left(view, primary, self.now + RESENT) && self.view_of(next) != view.next() {
            self.stuck(Invariant::ViewsMeet);
        }
    }

    /// In each of two views one replica alone prepares, and not the same: the next view begins with what the later prepared (R12).
    pub(super) fn two_certificates(&mut self) {
        let (view, genesis) = (self.view_of(0), self.authenticator.genesis().clone());
        let [second, third] = [View(view.0 + 1), View(view.0 + 2)].map(|view| genesis.primary(view).0);
        let rest: Vec<u32> = (0..self.plan.replicas).filter(|one| ![second, third].contains(one)).collect();
        let alone = self.random.pick(&rest);
        let client = self.honest_client();
        self.withhold(move |to, message| match message {
            Message::Prepare { prepare, .. } => to != if prepare.view == view { alone } else { third },
            Message::Commit(_) => true,
            _ => false,
        });
        self.ask_one(client);
        self.run_until(self.now + SOON / 4);
        self.lose(alone);
        let others = self.backups_of(alone);
        if !self.expect_left(view, alone, self.now + RETRY + self.timeouts(&others).1 + SOON) {
            return;
        }
        self.run_until(self.now + SOON / 4);
        // They may take part, without f of the others: what both have prepared is seen.
        let faulty: Vec<u32> = others.into_iter().filter(|one| *one != third).take(genesis.max_faulty()).collect();
        let rest: Vec<u32> = (0..self.plan.replicas).filter(|one| !faulty.contains(one)).collect();
        self.network.join_all();
        self.network.separate(&[rest.clone(), faulty]);
        let latest = self.now + self.plan.timing.max_timeout * 2;
        self.run_to(latest, |world| rest.iter().any(|one| world.view_of(*one).0 > view.0 + 1));
        self.withheld = None;
        let entered = |world: &Self| rest.iter().all(|one| world.is_active(*one) && world.view_of(*one).0 > view.0 + 1);
        if !self.run_to(latest, entered) {
            self.stuck(Invariant::ViewsMeet);
        }
    }

    pub(super) fn late_join(&mut self) {
        let (view, mut backups) = (self.view_of(0), self.backups());
        let away = backups.swap_remove(0);
        self.lose(away);
        self.withhold(|_, message| matches!(message, Message::NewView(_) | Message::Heartbeat { .. }));
        let far = View(view.0 + 4);
        let next = self.authenticator.genesis().primary(far).0;
        let others = self.backups_of(away);
        let Some(gone) = others.iter().copied().find(|other| *other != next) else { return };
        let latest = self.now + self.plan.timing.max_timeout * 5;
        let want = |world: &Self, view: View| others.iter().all(|other| world.view_of(*other) >= view);
        self.run_to(latest, |world| want(world, View(far.0 - 1)));
        // All know by then that all want it, and wait for its primary.
        self.run_until(self.now + SOON);
        // Of a quorum that wants the next view one is gone before its primary knows: it takes who was away.
        self.network.cut(gone, next);
        if !self.run_to(latest, |world| want(world, far)) || next == away {
            return;
        }
        self.network.join_all();
        self.lose(gone);
        self.withheld = None;
        let met = self.run_to(self.now + Duration::from_millis(900), |world| {
            let rest = world.backups_of(gone);
            rest.iter().all(|one| world.is_active(*one) && world.view_of(*one) == far)
        });
        if !met {
            self.stuck(Invariant::ViewsMeet);
        }
    }
}
