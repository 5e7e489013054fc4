//! The states and what may happen in them, for stateright.

use crate::adversary;
use crate::node::{Happening, Node, Surroundings};
use crate::scenario::{Lies, Scenario};
use crate::table::{MessageId, Table};
use crate::world::{REPLICAS, World};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};

/// One correct replica's state, held once however many states of the model it is part of: equal numbers, equal nodes.
#[derive(Clone)]
pub struct Local {
    number: u32,
    node: Arc<Node>,
}

/// From, to (none: anyone), and which.
type Sent = (u32, Option<u32>, MessageId);

/// A state of the model: that of every correct replica, ascending. The network is what they ever sent and what the
/// liars could say, so it needs no place of its own.
pub type State = Vec<Local>;

/// Something that happens to one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The replica.
    pub replica: u32,
    /// What happens to it.
    pub happening: Happening,
}

/// The model of a scenario.
pub struct PbftModel {
    pub(crate) scenario: Scenario,
    pub(crate) world: World,
    memory: Mutex<Memory>,
    initial: State,
    /// How many states were examined.
    pub(crate) examined: AtomicUsize,
}

/// What was computed once. The core is deterministic: the same node and the same happening give the same node.
#[derive(Default)]
struct Memory {
    table: Table,
    nodes: HashMap<u64, Vec<Local>>,
    count: u32,
    steps: HashMap<(u32, Happening), Option<Local>>,
    lies: BTreeMap<Vec<MessageId>, Arc<Vec<MessageId>>>,
}

impl Local {
    pub fn node(&self) -> &Node {
        &self.node
    }
}

impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Local {}

impl Hash for Local {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Debug for Local {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "replica {} in its state {}", self.node.id, self.number)
    }
}

/// Hashes what is printed. Only to find candidates: nodes are the same if they are equal.
struct Hashing(DefaultHasher);

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Memory {
    fn hold(&mut self, node: Node) -> Local {
        let mut hashing = Hashing(DefaultHasher::new());
        let facts = (&node.sent, &node.executed, node.expired, &node.promises, node.journal.len(), node.crashed);
        write!(hashing, "{facts:?} {:?} {:?}", node.replica, node.unpersisted).unwrap();
        let candidates = self.nodes.entry(hashing.0.finish()).or_default();
        if let Some(known) = candidates.iter().find(|known| *known.node == node) {
            return known.clone();
        }
        let local = Local { number: self.count, node: Arc::new(node) };
        self.count += 1;
        candidates.push(local.clone());
        local
    }
}

impl PbftModel {
    /// The model of a scenario, from genesis.
    pub fn new(scenario: Scenario) -> Self {
        let mut model = Self {
            scenario,
            world: World::new(),
            memory: Mutex::new(Memory::default()),
            initial: Vec::new(),
            examined: AtomicUsize::new(0),
        };
        let correct = (0..REPLICAS).filter(|id| !model.scenario.byzantine.contains(id));
        model.initial = correct
            .map(|id| {
                let mut memory = model.memory();
                let around = &mut Surroundings { world: &model.world, scenario: &model.scenario, table: &mut memory.table };
                let node = Node::new(id, around);
                memory.hold(node)
            })
            .collect();
        model
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// From here on the liars say no more than this.
    pub fn lies(mut self, lies: Lies) -> Self {
        self.scenario.lies = lies;
        self.memory().lies.clear();
        self
    }

    pub(crate) fn initial(&self) -> &State {
        &self.initial
    }

    pub(crate) fn set_initial(&mut self, state: State) {
        self.initial = state;
    }

    /// How many different states of single replicas were met: so often the real core ran.
    pub fn local_states(&self) -> u32 {
        self.memory().count
    }

    /// The state after a step; none if it cannot happen or changes nothing.
    pub fn after(&self, state: &State, step: Step) -> Option<State> {
        let place = state.iter().position(|local| local.node.id == step.replica)?;
        let local = &state[place];
        let mut memory = self.memory();
        let key = (local.number, step.happening);
        let known = memory.steps.get(&key).cloned();
        let next = known.unwrap_or_else(|| {
            let around = &mut Surroundings { world: &self.world, scenario: &self.scenario, table: &mut memory.table };
            let next = local.node.step(step.happening, around);
            let next = next.filter(|node| *node != *local.node).map(|node| memory.hold(node));
            memory.steps.insert(key, next.clone());
            next
        })?;
        let mut state = state.clone();
        state[place] = next;
        Some(state)
    }

    /// All that may happen, in an order that is the same in every run.
    pub fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        let (said, sent) = self.network(state);
        for local in state {
            let node = &*local.node;
            let replica = node.id;
            if node.replica.is_none() {
                steps.push(Step { replica, happening: Happening::Recover });
                continue;
            }
            let delivered = sent.iter().filter(|(from, to, _)| *from != replica && to.is_none_or(|to| to == replica));
            let ids = said.iter().copied().chain(delivered.map(|(.., id)| *id));
            steps.extend(ids.map(|id| Step { replica, happening: Happening::Deliver(id) }));
            if !node.unpersisted.is_empty() {
                steps.push(Step { replica, happening: Happening::Durable });
            }
            if node.expired < self.scenario.timeouts {
                steps.push(Step { replica, happening: Happening::Timeout });
            }
            if node.may_crash {
                let durable = 0..=node.records_waiting();
                steps.extend(durable.map(|durable| Step { replica, happening: Happening::Crash(durable) }));
            }
        }
    }

    /// What the liars may say, and what correct replicas sent: from, to, number.
    fn network(&self, state: &State) -> (Arc<Vec<MessageId>>, Vec<Sent>) {
        let mut memory = self.memory();
        let ids: Vec<MessageId> = state.iter().flat_map(|local| local.node.sent.iter().copied()).collect();
        let sent = ids.iter().map(|id| {
            let entry = memory.table.get(*id);
            (entry.from, entry.to, *id)
        });
        let sent: Vec<_> = sent.collect();
        let heard: Vec<MessageId> = ids.into_iter().filter(|id| adversary::learns_from(&memory.table.get(*id).message)).collect();
        let said = memory.lies.get(&heard).cloned();
        let said = said.unwrap_or_else(|| {
            let said = Arc::new(adversary::lies(&self.world, &self.scenario, &mut memory.table, &heard));
            memory.lies.insert(heard, said.clone());
            said
        });
        (said, sent)
    }

    /// The messages that could arrive now.
    pub(crate) fn deliverable(&self, state: &State) -> Vec<MessageId> {
        let (said, sent) = self.network(state);
        said.iter().copied().chain(sent.into_iter().map(|(.., id)| id)).collect()
    }

    /// Looks at a message by its number.
    pub(crate) fn look<R>(&self, id: MessageId, look: impl FnOnce(&crate::table::Entry) -> R) -> R {
        look(self.memory().table.get(id))
    }

    /// A step in words.
    pub fn describe(&self, step: Step) -> String {
        let Step { replica, happening } = step;
        match happening {
            Happening::Deliver(id) => format!("{replica} gets {}", self.memory().table.describe(&self.world, id)),
            Happening::Request(index) => format!("{replica} is asked for d{}", index + 1),
            Happening::Durable => format!("{replica}: records become durable"),
            Happening::Timeout => format!("{replica}: time passes"),
            Happening::Crash(durable) => format!("{replica} crashes, {durable} of the records that wait are on disk"),
            Happening::Recover => format!("{replica} recovers"),
        }
    }
}
