//! Twins (Bano et al., OPODIS 2021): one or two replicas run as two honest processes with one key. Nobody lies in any
//! message, and yet the two copies contradict each other as soon as a partition tells them different things. Scenarios are
//! enumerated, not drawn: who is a twin, and round for round how the network is split and for how long.
//!
//! The space has 8.7 * 10^20 scenarios (`scenario_count` says exactly how many): 4 to 7 replicas, every set of up to f of
//! them as twins, so that the primary of view 0, 1, 2 or of none is one; 2 to 5 rounds; and for each round a partition of
//! all processes into up to 3 groups, and 0.4, 0.8 or 1.5 seconds. Indices are dealt to its parts in turn, and within a
//! part they stride through it, so that any run of indices is spread over all of it.

mod space;
#[cfg(test)]
mod tests;

use crate::plan::{Network, Plan, Trouble};
use crate::run::{Outcome, guarded};
use crate::world::{Happening, World};
use pbft_message::Parameters;
use pbft_protocol::agreement::{Limits, Timing};
use std::collections::BTreeMap;
use std::time::Duration;

pub use space::scenario_count;

const CLIENTS: u32 = 2;
/// Requests of each client while the network is split.
const REQUESTS: u64 = 4;
/// So long before the end of a round clients ask again: about as long as agreement takes, so that the next partition finds
/// some replicas prepared and others not.
const LATE: Duration = Duration::from_millis(4);

/// How long the network stays split in one way, and in which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round {
    /// The group of each process; only those of one group hear each other. Second copies follow the replicas.
    pub groups: Vec<u8>,
    /// How long it lasts.
    pub millis: u64,
}

/// Who is a twin, and what befalls the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TwinsScenario {
    /// How many replicas.
    pub replicas: u32,
    /// Which of them run twice.
    pub twins: Vec<u32>,
    /// What happens before the network is whole.
    pub rounds: Vec<Round>,
}

/// Runs the scenario with this number to its end. With `in_words` the outcome tells what happened.
pub fn run_twins(index: u64, in_words: bool) -> Outcome {
    TwinsScenario::number(index).run(index, in_words)
}

impl TwinsScenario {
    /// The scenario with this number. No two numbers below `scenario_count` have the same one.
    pub fn number(index: u64) -> Self {
        space::scenario(index)
    }

    /// Splits the network round for round, then proves liveness with the twins going on. `seed` decides on delays only.
    pub fn run(&self, seed: u64, in_words: bool) -> Outcome {
        self.run_under(self.plan(), seed, in_words)
    }

    fn run_under(&self, plan: Plan, seed: u64, in_words: bool) -> Outcome {
        let mut ids: Vec<u32> = (0..self.replicas).collect();
        ids.extend(&self.twins);
        let mut world = World::new(seed, plan, &ids, |id| self.twins.contains(&id), in_words);
        // Two copies that propose at the same time still propose different batches.
        for (error, copy) in (1..).zip(world.processes.iter_mut().skip(self.replicas as usize)) {
            copy.wall_error = error * 7;
        }
        guarded(seed, &mut world, |world| self.live(world))
    }

    fn live(&self, world: &mut World) {
        world.trace.say(Duration::ZERO, || format!("{self:?}"));
        for process in 0..world.processes.len() as u32 {
            world.schedule(Duration::from_micros(u64::from(process) * 100), Happening::Start { process });
        }
        for (number, round) in (0..).zip(&self.rounds) {
            world.trace.event(world.now, [13, number, 0], &[], || format!("round {number}: {round:?}"));
            round.split(number, &mut world.network);
            let end = world.now + Duration::from_millis(round.millis);
            self.ask(world, number * 2);
            world.run_until(end - LATE);
            self.ask(world, number * 2 + 1);
            world.run_until(end);
        }
        world.heal();
        world.prove_liveness();
        world.expect_evidence_everywhere();
        world.expect_just_audit();
        world.checker.finish();
    }

    /// Each client sends requests, at the start of some rounds and shortly before the end of others.
    fn ask(&self, world: &mut World, occasion: u64) {
        let occasions = self.rounds.len() as u64 * 2;
        for client in 0..CLIENTS {
            // The clients take turns with their occasions.
            let due = |occasion: u64| REQUESTS * (occasion + u64::from(client)) / occasions;
            world.clients[client as usize].left += due(occasion + 1) - due(occasion);
            world.think(client);
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            replicas: self.replicas,
            parameters: Parameters {
                checkpoint_interval: 4,
                log_window: 8,
                requests_in_flight: 32,
                max_request_bytes: 4096,
                max_operations: 16,
                max_batch_bytes: 16_384,
                max_clients: 64,
                max_cached_result_bytes: 1 << 20,
            },
            limits: Limits {
                pipeline: 2,
                batch_requests: 2,
                execution_lag: 8,
                pending_requests: 1024,
                pending_bytes: 1 << 20,
                body_bytes: 8 << 20,
            },
            timing: Timing::default(),
            snapshot_bytes: 64 << 10,
            transfer_bytes_per_second: 32 << 20,
            segment_bytes: 16 << 10,
            liars: BTreeMap::new(),
            lapses: BTreeMap::new(),
            lost: BTreeMap::new(),
            damaged: BTreeMap::new(),
            clients: CLIENTS,
            lying_clients: 0,
            operators: 0,
            requests: 0,
            in_flight: 8,
            operations: 1,
            value_bytes: 0,
            lone_client: false,
            healed_delay: Network::calm().delay,
            keys: 3,
            think_micros: 4000,
            network: Network::calm(),
            trouble: Trouble::default(),
            clocks: Vec::new(),
            sync_micros: (80, 400),
            execute_micros: (5, 50),
            safety: Duration::from_millis(self.rounds.iter().map(|round| round.millis).sum()),
        }
    }
}

impl Round {
    fn split(&self, number: u64, network: &mut crate::network::Network) {
        network.join_all();
        let members = |group: u8| (0..).zip(&self.groups).filter(move |(_, its)| **its == group).map(|(process, _)| process);
        let count = self.groups.iter().max().map_or(0, |highest| highest + 1);
        let groups: Vec<Vec<u32>> = (0..count).map(|group| members(group).collect()).collect();
        network.separate(&groups);
        // A client is in one group, in every round in another: so the copies of one replica hear of different requests.
        for client in 0..CLIENTS {
            let own = (u64::from(client) + number) % groups.len() as u64;
            let foreign = (0..).zip(&groups).filter(|(group, _)| *group != own).flat_map(|(_, group)| group);
            foreign.for_each(|process| network.cut_client(client, *process));
        }
    }
}
