use crate::checks::{Invariant, Violation};
use crate::options::Options;
use crate::plan::{Loss, Plan};
use crate::world::{Happening, World};
use pbft_message::{Timestamp, View};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Between two looks at what is costly to look at, in events.
const INSPECTION: u64 = 64;
/// Requests that every correct client sends at least once the faults have stopped.
const FRESH_REQUESTS: u64 = 2;
/// And at most, if faults kept it from sending more before.
const LATE_REQUESTS: u64 = 10;

/// Views that it may take to meet, before a request has its f + 1.
const MEETING: u64 = 1;

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed, or the number of the scenario.
    pub seed: u64,
    /// Equal for equal runs.
    pub hash: u64,
    /// How much happened.
    pub events: u64,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// What happened, in words, if they were asked for.
    pub lines: Vec<String>,
}

/// Runs a seed to its end: faults and lies first, then liveness. With `in_words` the outcome tells what happened.
pub fn run(seed: u64, options: &Options, in_words: bool) -> Outcome {
    let plan = Plan::draw(seed, options);
    let ids: Vec<u32> = (0..plan.replicas).collect();
    let faulty = plan.faulty();
    let mut world = World::new(seed, plan, &ids, |id| faulty.contains(&id), in_words);
    guarded(seed, &mut world, live)
}

/// Runs a world; a panic is a violation like any other.
pub fn guarded(seed: u64, world: &mut World, live: impl FnOnce(&mut World)) -> Outcome {
    let ended = catch_unwind(AssertUnwindSafe(|| live(world)));
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.checker.fail(Invariant::NoPanic, || text.unwrap_or_else(|| "a panic without words".to_owned()));
    }
    let violation = world.checker.violation().cloned();
    let trace = std::mem::replace(&mut world.trace, crate::trace::Trace::new(false));
    Outcome { seed, hash: trace.hash(), events: trace.events(), violation, lines: trace.into_lines() }
}

pub fn live(world: &mut World) {
    begin(world);
    world.endure(world.plan.safety);
    world.heal();
    world.prove_liveness();
    world.expect_evidence_everywhere();
    world.rest_and_drill();
    world.expect_just_audit();
    world.checker.finish();
}

/// Everybody starts.
pub fn begin(world: &mut World) {
    world.trace.say(Duration::ZERO, || format!("{:#?}", world.plan));
    world.keep_losses();
    for process in 0..world.processes.len() as u32 {
        let delay = world.random.micros(0, 20_000);
        world.schedule(delay, Happening::Start { process });
    }
    for client in 0..world.clients.len() as u32 {
        world.schedule(Duration::from_millis(30), Happening::Think { client });
        world.clients[client as usize].thinking = true;
    }
    if !world.plan.safety.is_zero() {
        world.schedule(Duration::from_millis(100), Happening::Trouble);
    }
    world.schedule_lapses();
}

impl World {
    pub fn run_until(&mut self, end: Duration) {
        while self.step(end) {
            self.inspect_now_and_then();
        }
        self.now = self.now.max(end);
    }

    /// The faults go on until this time, or until all has been answered in spite of them.
    fn endure(&mut self, end: Duration) {
        while !self.are_clients_done() && self.step(end) {
            self.inspect_now_and_then();
        }
    }

    pub fn inspect_now_and_then(&mut self) {
        if !self.trace.events().is_multiple_of(INSPECTION) {
            return;
        }
        for process in &self.processes {
            if let (true, Some(running)) = (process.correct, &process.running) {
                self.checker.inspect(process.id.0, &running.replica);
            }
        }
    }

    /// The replicas that are connected and correct, or made to follow again.
    fn core(&self) -> impl Iterator<Item = &crate::process::Process> {
        self.processes
            .iter()
            .filter(|process| (process.correct || process.is_mended) && !self.plan.lost.contains_key(&process.id.0))
    }

    pub fn are_clients_done(&self) -> bool {
        self.clients.iter().all(|client| client.lies || (client.left == 0 && client.session.in_flight() == 0))
    }

    /// How long the cluster may take for whatever is asked once the network is whole: a faulty primary for each view of
    /// f + 1, each with the longest time-out twice over, and a client that asks again after its longest pause.
    fn patience(&self) -> Duration {
        let views = self.authenticator.genesis().weak_quorum() as u32 + 1;
        let timing = &self.plan.timing;
        let round_trip = Duration::from_micros(self.plan.healed_delay.1) * 2;
        (timing.max_timeout * 2 + timing.resend * 2 + round_trip) * views + Duration::from_secs(8)
    }

    /// With the network whole, all is answered, all meet in one view, and all have one state.
    pub fn prove_liveness(&mut self) {
        let slow = self.network.is_slow();
        self.count_views_anew();
        for client in 0..self.clients.len() as u32 {
            let calm = self.plan.safety.is_zero();
            let one = &mut self.clients[client as usize];
            if !one.lies {
                let most = if slow { FRESH_REQUESTS } else { LATE_REQUESTS };
                one.left = if calm { one.left } else { one.left.min(most) } + FRESH_REQUESTS;
                self.think(client);
            }
        }
        if !self.are_answered() {
            return;
        }
        if self.plan.lone_client {
            self.confine_a_client();
            self.clients[0].left += 1;
            self.think(0);
            if !self.are_answered() {
                return;
            }
        }
        let deadline = self.now + self.patience();
        while !self.are_even() {
            if !self.step(deadline) {
                return self.stuck(if self.do_views_meet() { Invariant::LaggardsCatchUp } else { Invariant::ViewsMeet });
            }
        }
        // Where four requests fill the queue, one may be turned away for longer than its time.
        if self.plan.is_faultless() && self.plan.value_bytes == 0 {
            self.expect_quiet();
        }
    }

    /// A cluster that is well comes to rest, and goes through some drills.
    fn rest_and_drill(&mut self) {
        if self.is_sound() {
            self.network.join_all();
            self.clients.iter_mut().filter(|client| client.lies).for_each(|client| client.left = 0);
            self.calm_down();
            self.expect_rest();
            self.drill();
        }
    }

    /// Until all is answered. From time to time something must be.
    fn are_answered(&mut self) -> bool {
        let mut deadline = self.now + self.patience();
        let mut waiting = self.unanswered();
        while !self.are_clients_done() {
            let goes_on = self.step(deadline);
            self.inspect_now_and_then();
            if self.unanswered() < waiting {
                waiting = self.unanswered();
                deadline = self.now + self.patience();
            }
            if !goes_on {
                self.stuck(Invariant::RequestsAreAnswered);
                return false;
            }
        }
        true
    }

    fn expect_quiet(&mut self) {
        let replicas = || self.processes.iter().filter_map(|one| one.running.as_ref()).map(|running| &running.replica);
        // Who is so far behind that it fetches a state may be so for longer than a time-out, and suspect (R10).
        let changes = self.checker.presses_of_the_even();
        let evidence: usize = replicas().map(|replica| replica.evidence().len()).sum();
        if changes > 0 || evidence > 0 {
            self.checker.fail(Invariant::QuietWithoutFaults, || {
                format!("{changes} suspicions or view changes, {evidence} pieces of evidence")
            });
        }
    }

    /// The highest view that a replica of the core wants or is in.
    pub fn highest_view(&self) -> View {
        self.core().filter_map(|process| process.running.as_ref()).map(|running| running.replica.view()).max().unwrap_or(View(0))
    }

    /// Views that went by so far are nobody's fault: there were faults; or, with a log that was full, a quorum needed a replica
    /// whose state had to be fetched first.
    pub fn count_views_anew(&mut self) {
        let view = self.checker.highest_view();
        self.asked_in.values_mut().for_each(|asked_in| *asked_in = view);
    }

    /// A request is answered: once the faults have stopped few views may have gone by since.
    pub fn count_views(&mut self, client: u32, timestamp: Timestamp) {
        let Some(asked_in) = self.asked_in.remove(&(client, timestamp)) else { return };
        let most = self.authenticator.genesis().weak_quorum() as u64 + MEETING;
        let views = self.checker.highest_view().0.saturating_sub(asked_in.0);
        if self.healed && !self.network.is_slow() && views > most {
            self.checker.fail(Invariant::FewViewsAreNeeded, || {
                format!("request {} of client {client} took {views} views, where {most} are enough", timestamp.0)
            });
        }
    }

    fn unanswered(&self) -> u64 {
        let correct = self.clients.iter().filter(|client| !client.lies);
        correct.map(|client| client.left + client.session.in_flight() as u64).sum()
    }

    /// All of the core are in one view, have executed the same, and have the same stable checkpoint, the last one there is.
    pub fn are_even(&self) -> bool {
        let interval = self.plan.parameters.checkpoint_interval;
        let mut standings = self.core().map(|process| {
            let replica = &process.running.as_ref()?.replica;
            let executed = process.running.as_ref()?.execution.executed();
            let (low, settled) = (replica.low_watermark(), executed == replica.executed());
            let silent = !process.is_learner && replica.silence().is_some();
            (settled && !silent && executed >= low && executed.above(low) < interval).then_some((executed, low))
        });
        let Some(Some(first)) = standings.next() else { return false };
        standings.all(|standing| standing == Some(first)) && self.do_views_meet()
    }

    /// Who entered a view is in the same one. Fewer than a weak quorum may want a higher one: they cannot go back, and
    /// need not be followed, or one liar could change views at will.
    fn do_views_meet(&self) -> bool {
        let core = || self.core().filter_map(|process| process.running.as_ref()).map(|running| &running.replica);
        let entered: BTreeSet<_> = core().filter(|replica| replica.is_active()).map(|replica| replica.view()).collect();
        let waiting = core().filter(|replica| !replica.is_active()).count();
        entered.len() == 1 && waiting < self.authenticator.genesis().weak_quorum()
    }

    pub fn stuck(&mut self, invariant: Invariant) {
        let stand = |process: &crate::process::Process| match &process.running {
            None => format!("{}: down", process.id),
            Some(running) => format!(
                "{}: view {}{} h {} executed {}{}{}",
                process.id,
                running.replica.view(),
                if running.replica.is_active() { "" } else { "?" },
                running.replica.low_watermark(),
                running.replica.executed(),
                if running.execution.executed() == running.replica.executed() { "" } else { ", not yet told" },
                running.replica.silence().map_or_else(String::new, |silence| format!(", {}", silence.name())),
            ),
        };
        let all: Vec<String> = self.processes.iter().map(stand).collect();
        let lost: Vec<String> = self.plan.lost.iter().map(|(id, loss): (&u32, &Loss)| format!("{id} {loss:?}")).collect();
        let detail = format!("{} unanswered, lost {lost:?}; {}", self.unanswered(), all.join("; "));
        self.checker.fail(invariant, || detail);
    }
}
