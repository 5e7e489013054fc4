//! Drills: one thing goes wrong in a cluster that is at rest, and it must do about it exactly what it should, as soon as it
//! should (R2, R10, R18, R23). Elsewhere another of the protocol's means would come to the same in the end.

mod absence;
mod primaries;
mod requests;

use crate::checks::Invariant;
use crate::rest::SETTLING;
use crate::world::World;
use pbft_message::{Message, View};
use std::time::Duration;

/// More than agreement takes, a view change included, where nothing is lost.
const SOON: Duration = Duration::from_millis(120);
/// What was lost comes with the second status, in a cluster without work at the latest.
const RESENT: Duration = Duration::from_millis(750);
/// A client's first attempt has three quarters of this, or more, before it asks all replicas.
const RETRY: Duration = Duration::from_millis(300);
/// How many one cluster goes through: they cost little beside what comes before.
const DRILLS: usize = 4;
/// The primary shows that it lives this often.
const HEARTBEAT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drill {
    /// A client reaches one backup only.
    OnePath,
    /// The same, and what the backup passes on is lost.
    LostRelay,
    /// The same, and the next primary does not get it either, before it is the primary.
    RelayToTheNext,
    /// The primary gets no request, and a client sends one after the other.
    Neglected,
    /// The primary is cut off, or goes on without being heard.
    LostPrimaries,
    /// Just so many backups do not hear the primary that it is to be left.
    HalfLost,
    /// One too few.
    HardlyLost,
    /// Only one backup, and no client, has what the primary proposed last.
    LeftOut,
    /// The primary starts again.
    Restarts,
    /// All messages of one type are lost for a while.
    Withheld,
    /// A replica is away for less than others serve.
    ShortAbsence,
    /// A replica is away for more than others serve, and has a request that was ordered meanwhile.
    LongAbsence,
    /// The primary's clock is ahead by more than it may be.
    FastClock,
    /// The primary holds each proposal, for less than the time-out.
    HeldProposals,
    /// The primary passes over one client's requests, for less than the time-out, and serves another.
    PassedOver,
    /// What a new view begins with is not committed.
    StalledOpening,
    /// The next primary has no body of what its view begins with.
    MissingBody,
    /// Two replicas have each prepared something else for one number, in two views.
    TwoCertificates,
    /// No new-view arrives, and then one of those who waited for it is gone.
    LateJoin,
}

impl Drill {
    const ALL: [Self; 19] = [
        Self::OnePath,
        Self::LostRelay,
        Self::RelayToTheNext,
        Self::Neglected,
        Self::LostPrimaries,
        Self::HalfLost,
        Self::HardlyLost,
        Self::LeftOut,
        Self::Restarts,
        Self::Withheld,
        Self::ShortAbsence,
        Self::LongAbsence,
        Self::FastClock,
        Self::HeldProposals,
        Self::PassedOver,
        Self::StalledOpening,
        Self::MissingBody,
        Self::TwoCertificates,
        Self::LateJoin,
    ];
}

impl World {
    /// A cluster at rest, all of whose replicas are correct and whose clocks run alike, goes through some drills.
    pub fn drill(&mut self) {
        if self.plan.clocks.iter().any(|clock| *clock != (1000, 0)) {
            return;
        }
        let mut drills = Drill::ALL;
        self.random.shuffle(&mut drills);
        for drill in drills.into_iter().take(DRILLS) {
            if !self.is_sound() || self.checker.violation().is_some() {
                return;
            }
            self.trace.event(self.now, [16, drill as u64, 0], &[], || format!("a drill: {drill:?}"));
            self.go_through(drill);
            self.assemble();
            self.expect_rest();
        }
    }

    fn go_through(&mut self, drill: Drill) {
        match drill {
            Drill::OnePath => self.one_path(),
            Drill::LostRelay => self.lost_relay(),
            Drill::RelayToTheNext => self.relay_to_the_next(),
            Drill::Neglected => self.neglected(),
            Drill::LostPrimaries => self.lost_primaries(),
            Drill::HalfLost => self.half_lost(),
            Drill::HardlyLost => self.hardly_lost(),
            Drill::LeftOut => self.left_out(),
            Drill::Restarts => self.restarts(),
            Drill::Withheld => self.withheld(),
            Drill::ShortAbsence => self.short_absence(),
            Drill::LongAbsence => self.long_absence(),
            Drill::FastClock => self.fast_clock(),
            Drill::HeldProposals => self.held_proposals(),
            Drill::PassedOver => self.passed_over(),
            Drill::StalledOpening => self.stalled_opening(),
            Drill::MissingBody => self.missing_body(),
            Drill::TwoCertificates => self.two_certificates(),
            Drill::LateJoin => self.late_join(),
        }
    }

    /// All is whole again, and soon as it was.
    pub(super) fn assemble(&mut self) {
        self.network.join_all();
        self.withheld = None;
        let soon = self.now + SETTLING * 2;
        if !self.run_to(soon, |world| world.is_sound() && world.are_even() && world.are_clients_done()) {
            return self.stuck(if !self.are_clients_done() {
                Invariant::RequestsAreAnswered
            } else if self.is_sound() {
                Invariant::LaggardsCatchUp
            } else {
                Invariant::ViewsMeet
            });
        }
        self.calm_down();
    }

    /// Goes on until then, or until this is so. Tells which.
    pub(super) fn run_to(&mut self, end: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        loop {
            if is_so(self) {
                return true;
            }
            if !self.step(end) {
                self.now = self.now.max(end);
                return self.checker.violation().is_some();
            }
            self.inspect_now_and_then();
        }
    }

    pub(super) fn primary(&self) -> u32 {
        self.authenticator.genesis().primary(self.view_of(0)).0
    }

    pub(super) fn backups(&mut self) -> Vec<u32> {
        let primary = self.primary();
        let mut backups: Vec<u32> = (0..self.plan.replicas).filter(|id| *id != primary).collect();
        self.random.shuffle(&mut backups);
        backups
    }

    /// A client sends a request.
    pub(super) fn ask_one(&mut self, client: u32) {
        self.clients[client as usize].left += 1;
        self.submit(client);
    }

    pub(super) fn honest_client(&mut self) -> u32 {
        let honest = self.plan.clients - self.plan.lying_clients;
        self.random.below(u64::from(honest)) as u32
    }

    /// It reaches these only; all reach it.
    pub(super) fn confine(&mut self, client: u32, to: &[u32]) {
        self.network.confine(client, to, self.plan.replicas);
    }

    /// Those who answer say in which view they are (R2).
    pub(super) fn expect_answer(&mut self, client: u32, by: Duration, what: &str) {
        if !self.run_to(by, Self::are_clients_done) {
            return self.checker.fail(Invariant::RequestsAreAnswered, || format!("a request {what} is not answered in time"));
        }
        let (believed, view) = (self.clients[client as usize].session.view(), self.highest_view());
        if believed != view {
            self.checker.fail(Invariant::AnswersAreRight, || {
                format!("client {client} has an answer of view {view}, and believes in view {believed}")
            });
        }
    }

    /// What goes wrong is nothing that a primary must be left for.
    pub(super) fn expect_no_press(&mut self, before: u64, what: &str) {
        let pressed = self.checker.presses() - before;
        if pressed > 0 {
            self.checker.fail(Invariant::NoNeedlessViewChange, || format!("{what}, and {pressed} suspicions or view changes"));
        }
    }

    /// Messages for which this is so do not reach whom they are sent to.
    pub(super) fn withhold(&mut self, is_withheld: impl Fn(u32, &Message) -> bool + 'static) {
        self.withheld = Some(Box::new(is_withheld));
    }

    /// Nobody hears a replica, nor it anybody.
    pub(super) fn lose(&mut self, one: u32) {
        let rest = (0..self.plan.replicas).filter(|other| *other != one).collect();
        self.network.separate(&[vec![one], rest]);
    }

    pub(super) fn backups_of(&self, primary: u32) -> Vec<u32> {
        (0..self.plan.replicas).filter(|id| *id != primary).collect()
    }

    /// How long these wait for their primary: the least and the most.
    pub(super) fn timeouts(&self, processes: &[u32]) -> (Duration, Duration) {
        let timing = &self.plan.timing;
        let timeout = |process: &u32| {
            // A replica that was down counts what its journal tells it; then only the bounds are known.
            let exact = self.processes[*process as usize].incarnation == 1;
            let doublings = self.checker.attempts(*process).saturating_sub(1);
            let timeout = (timing.base_timeout * (1 << doublings)).min(timing.max_timeout);
            if exact { (timeout, timeout) } else { (timing.base_timeout, timing.max_timeout) }
        };
        let all: Vec<_> = processes.iter().map(timeout).collect();
        (all.iter().map(|both| both.0).min().unwrap_or_default(), all.iter().map(|both| both.1).max().unwrap_or_default())
    }

    /// All but `lost` enter a higher view by then.
    pub(super) fn expect_left(&mut self, view: View, lost: u32, by: Duration) -> bool {
        let left = self.run_to(by, |world| {
            let others = world.backups_of(lost);
            let met = others.iter().all(|other| world.view_of(*other) == world.view_of(others[0]));
            met && world.view_of(others[0]) > view && others.iter().all(|other| world.is_active(*other))
        });
        if !left {
            self.stuck(Invariant::SilentPrimariesAreLeft);
        }
        left
    }

    pub(super) fn is_active(&self, process: u32) -> bool {
        self.processes[process as usize].running.as_ref().is_some_and(|running| running.replica.is_active())
    }
}
