use crate::checks::{Invariant, Violation};
use crate::options::Options;
use crate::plan::{Loss, Plan};
use crate::world::{Happening, World};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Between two looks at what is costly to look at, in events.
const INSPECTION: u64 = 64;
/// Requests that every correct client sends once the faults have stopped.
const FRESH_REQUESTS: u64 = 2;

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
    let liars: BTreeSet<u32> = plan.liars.keys().copied().collect();
    let mut world = World::new(seed, plan, &ids, |id| liars.contains(&id), in_words);
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

fn live(world: &mut World) {
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
    world.run_until(world.plan.safety);
    world.heal();
    world.prove_liveness();
    world.checker.finish();
}

impl World {
    pub fn run_until(&mut self, end: Duration) {
        while self.step(end) {
            self.inspect_now_and_then();
        }
        self.now = self.now.max(end);
    }

    fn inspect_now_and_then(&mut self) {
        if !self.trace.events().is_multiple_of(INSPECTION) {
            return;
        }
        for process in &self.processes {
            if let (true, Some(running)) = (process.correct, &process.running) {
                self.checker.inspect(process.id.0, &running.replica);
            }
        }
    }

    /// The correct replicas that are connected.
    fn core(&self) -> impl Iterator<Item = &crate::process::Process> {
        self.processes.iter().filter(|process| process.correct && !self.plan.lost.contains_key(&process.id.0))
    }

    fn are_clients_done(&self) -> bool {
        self.clients.iter().all(|client| client.lies || (client.left == 0 && client.session.in_flight() == 0))
    }

    /// How long the cluster may take for whatever is asked once the network is whole: a faulty primary for each view of
    /// f + 1, each with the longest time-out twice over, and a client that asks again after its longest pause.
    fn patience(&self) -> Duration {
        let views = self.authenticator.genesis().weak_quorum() as u32 + 1;
        let timing = &self.plan.timing;
        (timing.max_timeout * 2 + timing.resend * 2) * views + Duration::from_secs(8)
    }

    /// With the network whole, all is answered, all meet in one view, and all have one state.
    pub fn prove_liveness(&mut self) {
        for client in 0..self.clients.len() as u32 {
            if !self.clients[client as usize].lies {
                self.clients[client as usize].left += FRESH_REQUESTS;
                self.think(client);
            }
        }
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
                return self.stuck(Invariant::RequestsAreAnswered);
            }
        }
        let deadline = self.now + self.patience();
        while !self.are_even() {
            if !self.step(deadline) {
                return self.stuck(if self.do_views_meet() { Invariant::LaggardsCatchUp } else { Invariant::ViewsMeet });
            }
        }
        if self.plan.is_faultless() {
            self.expect_quiet();
        }
    }

    fn expect_quiet(&mut self) {
        let replicas = || self.processes.iter().filter_map(|one| one.running.as_ref()).map(|running| &running.replica);
        let changes: u64 = replicas().map(|replica| replica.view_change_count()).sum();
        let evidence: usize = replicas().map(|replica| replica.evidence().len()).sum();
        if changes > 0 || evidence > 0 {
            self.checker.fail(Invariant::QuietWithoutFaults, || format!("{changes} view changes, {evidence} pieces of evidence"));
        }
    }

    fn unanswered(&self) -> u64 {
        let correct = self.clients.iter().filter(|client| !client.lies);
        correct.map(|client| client.left + client.session.in_flight() as u64).sum()
    }

    /// All of the core are in one view, have executed the same, and have the same stable checkpoint, the last one there is.
    fn are_even(&self) -> bool {
        let interval = self.plan.parameters.checkpoint_interval;
        let mut standings = self.core().map(|process| {
            let replica = &process.running.as_ref()?.replica;
            let executed = process.running.as_ref()?.execution.executed();
            let (low, settled) = (replica.low_watermark(), executed == replica.executed());
            (settled && executed >= low && executed.above(low) < interval).then_some((executed, low))
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

    fn stuck(&mut self, invariant: Invariant) {
        let stand = |process: &crate::process::Process| match &process.running {
            None => format!("{}: down", process.id),
            Some(running) => format!(
                "{}: view {}{} h {} executed {}",
                process.id,
                running.replica.view(),
                if running.replica.is_active() { "" } else { "?" },
                running.replica.low_watermark(),
                running.replica.executed()
            ),
        };
        let all: Vec<String> = self.processes.iter().map(stand).collect();
        let lost: Vec<String> = self.plan.lost.iter().map(|(id, loss): (&u32, &Loss)| format!("{id} {loss:?}")).collect();
        let detail = format!("{} unanswered, lost {lost:?}; {}", self.unanswered(), all.join("; "));
        self.checker.fail(invariant, || detail);
    }
}
