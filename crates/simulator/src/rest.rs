//! What a cluster does that has nothing to do: it shows that its primary lives, fills its log to the next checkpoint once,
//! and changes nothing else (R9, R10).

use crate::checks::Invariant;
use crate::process::Process;
use crate::world::World;
use pbft_message::{SequenceNumber, View};
use std::time::Duration;

/// What was suspected while the faults went on may be withdrawn until then.
pub const SETTLING: Duration = Duration::from_millis(1200);
/// The log is filled after half a second; a primary that shows no life is suspected after another one, or four.
const REST: Duration = Duration::from_millis(2000);

impl World {
    /// All replicas are correct, take part and are in one view, and the links are as they are between machines of one site.
    pub fn is_sound(&self) -> bool {
        let takes_part = |process: &Process| {
            let replica = process.running.as_ref().map(|running| &running.replica);
            process.correct && replica.is_some_and(|replica| replica.is_active() && replica.silence().is_none())
        };
        let all = self.plan.lost.is_empty() && !self.network.is_slow() && self.processes.iter().all(takes_part);
        all && self.processes.iter().all(|process| self.view_of(process.id.0) == self.view_of(0))
    }

    /// The view that a replica is in or wants to enter.
    pub fn view_of(&self, process: u32) -> View {
        self.processes[process as usize].running.as_ref().map_or(View(0), |running| running.replica.view())
    }

    /// The last number that each replica executed, and its h.
    fn standings(&self) -> Vec<(SequenceNumber, SequenceNumber)> {
        let replicas = self.processes.iter().filter_map(|process| process.running.as_ref()).map(|running| &running.replica);
        replicas.map(|replica| (replica.executed(), replica.low_watermark())).collect()
    }

    /// Where the log is filled up to if nothing more is asked for.
    pub fn next_checkpoint(&self) -> SequenceNumber {
        let executed = self.standings().into_iter().map(|(executed, _)| executed).max().unwrap_or_default();
        SequenceNumber(executed.0.next_multiple_of(self.plan.parameters.checkpoint_interval))
    }

    /// The log is filled once (R9), unless a message that the network kept for seconds brings a request.
    pub fn expect_nothing_beyond(&mut self, boundary: SequenceNumber) {
        let last = self.checker.last_with_requests();
        let boundary = boundary.max(SequenceNumber(last.0.next_multiple_of(self.plan.parameters.checkpoint_interval)));
        let standings = self.standings();
        if standings.iter().any(|(executed, _)| *executed > boundary) {
            self.checker.fail(Invariant::RestsWithoutWork, || {
                format!("the log is filled beyond {boundary}, of which no checkpoint is stable yet: executed and h {standings:?}")
            });
        }
    }

    /// Nobody asks for anything: nobody is suspected, no view changes, and all come to rest at the next checkpoint.
    pub fn expect_rest(&mut self) {
        if !self.is_sound() {
            return;
        }
        let interval = self.plan.parameters.checkpoint_interval;
        let mut last = self.standings().into_iter().map(|(executed, _)| executed).max().unwrap_or_default();
        let presses = self.checker.presses();
        self.run_until(self.now + REST);
        // A message that the network kept for seconds may bring a request that nobody had got.
        while self.checker.last_with_requests() > last {
            last = self.checker.last_with_requests();
            self.run_until(self.now + REST);
        }
        let pressed = self.checker.presses() - presses;
        if pressed > 0 {
            self.checker.fail(Invariant::RestsWithoutWork, || {
                format!("{pressed} times the primary of a cluster at rest was suspected or left")
            });
        }
        let boundary = SequenceNumber(last.0.next_multiple_of(interval));
        let standings = self.standings();
        if standings.iter().any(|standing| *standing != (boundary, boundary)) {
            self.checker.fail(Invariant::RestsWithoutWork, || {
                format!("{boundary} is the next checkpoint, and replicas come to rest with executed and h {standings:?}")
            });
        }
        self.expect_clients_known();
    }

    /// All that is ordered is executed: what agreement keeps of the clients is what the state has (R8).
    fn expect_clients_known(&mut self) {
        for process in &self.processes {
            let Some(running) = &process.running else { continue };
            let (known, executed) = (running.replica.windows(), running.execution.windows());
            self.checker.expect(*known == executed, Invariant::ClientsAreKnown, || {
                format!("replica {} knows as ordered {known:?}, and its state has {executed:?}", process.id)
            });
            let (connect, authorised) = (&running.authorised, running.execution.authorised());
            self.checker.expect(*connect == authorised, Invariant::ClientsAreKnown, || {
                format!("replica {} lets {connect:?} connect, and its state authorises {authorised:?}", process.id)
            });
        }
    }

    /// Suspicion is withdrawn and the log filled. Who comes to a checkpoint meanwhile, with no snapshot on the way, keeps
    /// what is above h - k and nothing else (R23).
    pub fn calm_down(&mut self) {
        let low = |process: &Process| {
            let running = process.running.as_ref().filter(|running| running.saving.is_none() && !running.snapshot_owed);
            running.map(|running| running.replica.low_watermark())
        };
        let lows: Vec<Option<SequenceNumber>> = self.processes.iter().map(low).collect();
        self.run_until(self.now + SETTLING);
        let window = self.plan.parameters.log_window;
        for (id, before) in (0..).zip(lows) {
            let Some(running) = &self.processes[id as usize].running else { continue };
            let (low, oldest) = (running.replica.low_watermark(), running.replica.status().oldest_served);
            if before.is_some_and(|before| low > before) && oldest.0 + window <= low.0 {
                self.checker.fail(Invariant::Bounded, || format!("replica {id} still keeps {oldest}, with h {low}"));
            }
        }
    }
}
