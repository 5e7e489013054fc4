use crate::plan::Network as Conditions;
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An end of a link: a process of a replica, or a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    Process(u32),
    Client(u32),
}

/// Decides when, how often, and whether at all a message arrives.
#[derive(Debug)]
pub struct Network {
    pub conditions: Conditions,
    random: Random,
    /// Directed links that carry nothing.
    cut: BTreeSet<(Party, Party)>,
    /// Directed links that stand still until then.
    clogged: BTreeMap<(Party, Party), Duration>,
    /// When a link has sent all that was handed to it.
    busy: BTreeMap<(Party, Party), Duration>,
}

impl Network {
    pub fn new(conditions: Conditions, random: Random) -> Self {
        Self { conditions, random, cut: BTreeSet::new(), clogged: BTreeMap::new(), busy: BTreeMap::new() }
    }

    /// The times at which a message arrives: none, one or several.
    pub fn arrivals(&mut self, now: Duration, from: Party, to: Party, bytes: usize) -> Vec<Duration> {
        if self.cut.contains(&(from, to)) || self.random.permille(self.conditions.loss) {
            return Vec::new();
        }
        let departs = self.departure(now, from, to, bytes);
        let mut arrives = departs + self.delay();
        if let Some(until) = self.clogged.get(&(from, to)) {
            arrives = arrives.max(*until);
        }
        let mut arrivals = vec![arrives];
        if self.random.permille(self.conditions.duplication) {
            arrivals.push(arrives + self.delay());
        }
        if self.random.permille(self.conditions.replay) {
            arrivals.push(arrives + self.random.micros(500_000, 5_000_000));
        }
        arrivals
    }

    fn delay(&mut self) -> Duration {
        let (low, high) = self.conditions.delay;
        if self.random.permille(self.conditions.late) {
            return self.random.micros(high, 5_000_000);
        }
        self.random.micros(low, high)
    }

    fn departure(&mut self, now: Duration, from: Party, to: Party, bytes: usize) -> Duration {
        let Some(bandwidth) = self.conditions.bandwidth else { return now };
        let busy = self.busy.entry((from, to)).or_insert(now);
        *busy = (*busy).max(now) + Duration::from_micros(bytes as u64 * 1000 / bandwidth);
        *busy
    }

    /// Nothing is cut or clogged any more, and messages arrive soon.
    pub fn heal(&mut self) {
        self.conditions = Conditions::calm();
        self.busy.clear();
        self.join_all();
    }

    pub fn join_all(&mut self) {
        self.cut.clear();
        self.clogged.clear();
    }

    pub fn cut(&mut self, from: u32, to: u32) {
        self.cut.insert((Party::Process(from), Party::Process(to)));
    }

    /// Cuts a client off from a process, in both directions.
    pub fn cut_client(&mut self, client: u32, process: u32) {
        self.cut.insert((Party::Client(client), Party::Process(process)));
        self.cut.insert((Party::Process(process), Party::Client(client)));
    }

    /// A client's requests do not reach a process; its answers reach the client.
    pub fn cut_from_client(&mut self, client: u32, process: u32) {
        self.cut.insert((Party::Client(client), Party::Process(process)));
    }

    /// A client's links are whole again.
    pub fn join_client(&mut self, client: u32) {
        let own = Party::Client(client);
        self.cut.retain(|(from, to)| *from != own && *to != own);
    }

    pub fn join(&mut self, from: u32, to: u32) {
        self.cut.remove(&(Party::Process(from), Party::Process(to)));
    }

    /// Messages take longer than between machines of one site.
    pub const fn is_slow(&self) -> bool {
        self.conditions.delay.1 > 1000
    }

    pub fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cut.contains(&(Party::Process(from), Party::Process(to)))
    }

    pub fn clog(&mut self, from: Party, to: Party, until: Duration) {
        self.clogged.insert((from, to), until);
    }

    /// Cuts all links between these groups, in both directions.
    pub fn separate(&mut self, groups: &[Vec<u32>]) {
        for (index, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(index + 1).flatten() {
                for member in group {
                    self.cut(*member, *other);
                    self.cut(*other, *member);
                }
            }
        }
    }

    /// Leaves a client the way to one process, or to some, and from all.
    pub fn confine(&mut self, client: u32, to: &[u32], processes: u32) {
        (0..processes).filter(|process| !to.contains(process)).for_each(|process| self.cut_from_client(client, process));
    }

    /// Cuts clients' links: some reach a few processes, or are reached by a few.
    pub fn partition_clients(&mut self, clients: u32, processes: u32) {
        for client in 0..clients {
            let mut all: Vec<u32> = (0..processes).collect();
            self.random.shuffle(&mut all);
            let some = self.random.between(1, u64::from(processes)) as usize;
            match self.random.below(4) {
                0 => self.confine(client, &all[..1], processes),
                1 => self.confine(client, &all[..some], processes),
                2 => all[some..].iter().for_each(|process| self.cut_client(client, *process)),
                _ => {}
            }
        }
    }

    /// Cuts links after one of the shapes. Returns the shape's name.
    pub fn partition(&mut self, processes: u32) -> &'static str {
        let mut all: Vec<u32> = (0..processes).collect();
        self.random.shuffle(&mut all);
        match self.random.below(5) {
            0 => {
                let rest = all.split_off(1);
                self.separate(&[all, rest]);
                "isolates one"
            }
            1 => {
                let at = self.random.between(1, u64::from(processes) - 1) as usize;
                let rest = all.split_off(at);
                self.separate(&[all, rest]);
                "splits"
            }
            2 => {
                let count = all.len();
                for (place, one) in all.iter().enumerate() {
                    for (other_place, other) in all.iter().enumerate() {
                        let distance = place.abs_diff(other_place);
                        if distance > 1 && distance != count - 1 {
                            self.cut(*one, *other);
                        }
                    }
                }
                "leaves a ring"
            }
            3 => {
                let rest = all.split_off(1);
                let (left, right) = rest.split_at(rest.len() / 2);
                self.separate(&[left.to_vec(), right.to_vec()]);
                "leaves a bridge"
            }
            _ => {
                let at = self.random.between(1, u64::from(processes) - 1) as usize;
                let (unheard, others) = all.split_at(at);
                for from in unheard {
                    others.iter().for_each(|to| self.cut(*from, *to));
                }
                "cuts one way"
            }
        }
    }
}
