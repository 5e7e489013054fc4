use crate::lapse::Lapse;
use crate::options::{Fault, Options};
use crate::random::Random;
use pbft_byzantine::{Lie, Strategy};
use pbft_message::{Parameters, SequenceNumber};
use pbft_protocol::agreement::{Limits, Timing};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All that a seed decides before the run begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many replicas.
    pub replicas: u32,
    pub parameters: Parameters,
    pub limits: Limits,
    pub timing: Timing,
    /// Bytes of journal between two snapshots.
    pub snapshot_bytes: u64,
    /// Bytes of state that each replica serves a second.
    pub transfer_bytes_per_second: u64,
    /// The length of a journal's segment, in bytes.
    pub segment_bytes: u64,
    /// Who lies, and how.
    pub liars: BTreeMap<u32, Lie>,
    /// Whose disk or service betrays it; they count with the liars.
    pub lapses: BTreeMap<u32, Lapse>,
    /// Correct replicas that are dead, or cut off one way, and stay so in the liveness phase.
    pub lost: BTreeMap<u32, Loss>,
    /// Whose disk forgets or garbles what it holds, and how. They do not lie, but count as faulty.
    pub damaged: BTreeMap<u32, Fault>,
    pub clients: u32,
    /// Of these, the last ones lie.
    pub lying_clients: u32,
    /// Whoever authorises and revokes clients meanwhile, and sends requests of theirs.
    pub operators: u32,
    /// Requests of each client.
    pub requests: u64,
    /// How many a client has in flight at most.
    pub in_flight: u64,
    /// The most operations in a request.
    pub operations: u64,
    /// The size of what clients write, in bytes; as small as can be if 0.
    pub value_bytes: usize,
    /// Once all is answered, a client that reaches one correct replica only asks once more.
    pub lone_client: bool,
    /// How long messages take then, in microseconds.
    pub healed_delay: (u64, u64),
    pub keys: u64,
    /// How long a client waits before the next request, in microseconds at most.
    pub think_micros: u64,
    pub network: Network,
    /// How often something happens to the environment, and how likely each thing is.
    pub trouble: Trouble,
    /// Of each replica: the rate of its clock, in thousandths, and the error of its wall clock in microseconds.
    pub clocks: Vec<(u64, i64)>,
    /// How long a sync takes, in microseconds.
    pub sync_micros: (u64, u64),
    /// How long a batch's execution takes, in microseconds.
    pub execute_micros: (u64, u64),
    /// When the faults stop, if not all requests are answered before.
    pub safety: Duration,
}

/// How a correct replica is lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is down.
    Dead,
    /// It hears and is not heard.
    Unheard,
    /// It is heard and does not hear.
    Deaf,
}

/// How links behave while there is trouble.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// In thousandths of the messages.
    pub loss: u64,
    pub duplication: u64,
    /// Again, after seconds.
    pub replay: u64,
    /// In microseconds.
    pub delay: (u64, u64),
    /// How many take up to ten time-outs longer, in thousandths.
    pub late: u64,
    /// Bytes a millisecond of each link; unlimited if none.
    pub bandwidth: Option<u64>,
}

/// Weights of what happens next to the environment; nothing happens if all are 0.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Between two happenings, in milliseconds at most.
    pub gap_millis: u64,
    pub crash: u64,
    pub storm: u64,
    pub partition: u64,
    pub clog: u64,
    pub pause: u64,
    pub calm: u64,
    pub disk_error: u64,
    pub full_disk: u64,
    pub damage: u64,
}

impl Plan {
    pub fn draw(seed: u64, options: &Options) -> Self {
        let random = &mut Random::new(seed ^ 0x5EED_0F9B_F700_0001);
        let replicas = options.replicas.unwrap_or_else(|| random.pick(&[4, 4, 4, 4, 5, 6, 7, 7, 10]));
        let faulty = replicas.saturating_sub(1) / 3;
        // A third of the runs has no environment faults, so that lies are met by a cluster that is otherwise well.
        let rough = !options.faults.is_empty() && !random.percent(30);
        // Each run has some of the faults: under all of them at once hardly any request would be ordered.
        let faults: BTreeSet<Fault> = options.faults.iter().copied().filter(|_| random.percent(45)).collect();
        let allowed = |fault| faults.contains(&fault);
        let lying = !options.lies.is_empty() && random.percent(75);
        let mut ids: Vec<u32> = (0..replicas as u32).collect();
        random.shuffle(&mut ids);
        let destructive: Vec<Fault> = Fault::DESTRUCTIVE.into_iter().filter(|fault| allowed(*fault)).collect();
        let damage = if rough && !destructive.is_empty() && random.percent(30) { random.between(1, faulty) } else { 0 };
        let liar_count = if lying { random.between(1, faulty).min(faulty - damage) } else { 0 };
        let one_for_all = random.percent(50).then(|| pick_lie(random, options));
        let liars: BTreeMap<u32, Lie> = ids
            .iter()
            .take(liar_count as usize)
            .map(|id| (*id, one_for_all.flatten().or_else(|| pick_lie(random, options))))
            .filter_map(|(id, lie)| lie.map(|lie| (id, lie)))
            .collect();
        let damaged = ids.iter().rev().take(damage as usize).map(|id| (*id, random.pick(&destructive))).collect();
        let room = faulty - damage - liars.len() as u64;
        let lost_count = if rough && allowed(Fault::Crash) && random.percent(25) { random.between(0, room) } else { 0 };
        let lost = ids.iter().skip(liars.len()).take(lost_count as usize);
        let lost = lost.map(|id| (*id, random.pick(&[Loss::Dead, Loss::Unheard, Loss::Deaf]))).collect();

        let checkpoint_interval = random.pick(&[2, 4, 8, 8, 16]);
        let log_window = checkpoint_interval * random.pick(&[2, 2, 3, 4]);
        let mut parameters = Parameters {
            checkpoint_interval,
            log_window,
            requests_in_flight: random.pick(&[8, 32, 256]),
            max_request_bytes: 4096,
            max_operations: 16,
            max_batch_bytes: random.pick(&[8192, 16_384, 65_536]),
            max_clients: 64,
            max_cached_result_bytes: random.pick(&[0, 2048, 1 << 20]),
        };
        let limits = Limits {
            pipeline: random.pick(&[1, 1, 2, 4]),
            batch_requests: random.pick(&[1, 4, 16, 64]) as usize,
            execution_lag: random.pick(&[2, 8, 32]),
            pending_requests: 1024,
            pending_bytes: 1 << 20,
            body_bytes: 8 << 20,
        };
        let (limits, value_bytes) = draw_limits(&mut Random::new(seed ^ 0x5EED_0F9B_F700_0003), limits);
        if value_bytes > 0 {
            parameters.max_batch_bytes = parameters.max_batch_bytes.min(16_384);
        }
        let clients = random.between(2, 5) as u32;
        // Who orders again has something to find with a client that signs two requests with one timestamp.
        let reorders = options.faults.contains(&Fault::Clients) && liars.values().any(|lie| lie.strategy == Strategy::Reorderer);
        let lying_clients = if (allowed(Fault::Clients) && random.percent(40)) || reorders { 1 } else { 0 };
        let honest = u64::from(clients.saturating_sub(lying_clients)).max(1);
        let clocks = (0..replicas).map(|_| {
            let drifts = rough && allowed(Fault::Drift) && random.percent(50);
            if drifts { (random.between(800, 1200), random.between(0, 6_000_000) as i64 - 3_000_000) } else { (1000, 0) }
        });
        let clocks = clocks.collect();
        let safety = Duration::from_millis(if rough { random.pick(&[3000, 8000, 20_000]) } else { 0 });
        let requests = options.requests / honest;
        // Requests are spread over the faults, or faults would meet an idle cluster.
        let busy = if liars.is_empty() && !rough { 0 } else { random.pick(&[1_500_000, 3_000_000]) };
        let spread = (busy * 2_u64).checked_div(requests).unwrap_or(0);
        let slow = rough && allowed(Fault::SlowDisk) && random.percent(20);
        Self {
            replicas: replicas as u32,
            timing: Timing::default(),
            snapshot_bytes: random.pick(&[4 << 10, 64 << 10, 256 << 10, 256 << 10, 1 << 20, 1 << 20, 1 << 20, 1 << 20]),
            transfer_bytes_per_second: random.pick(&[64 << 10, 1 << 20, 32 << 20]),
            segment_bytes: random.pick(&[4 << 10, 32 << 10, 128 << 10]),
            lapses: draw_lapses(
                Random::new(seed ^ 0x5EED_0F9B_F700_0002),
                rough,
                allowed,
                &ids[liars.len() + lost_count as usize..(faulty - damage) as usize],
            ),
            liars,
            lost,
            damaged,
            clients,
            lying_clients,
            operators: u32::from(Random::new(seed ^ 0x5EED_0F9B_F700_0006).percent(30)),
            requests,
            in_flight: random.pick(&[1, 4, 8, 16]).min(parameters.requests_in_flight as u64),
            operations: random.pick(&[1, 1, if value_bytes > 0 { 1 } else { 3 }]),
            value_bytes,
            lone_client: Random::new(seed ^ 0x5EED_0F9B_F700_0004).percent(25),
            healed_delay: draw_healed_delay(&mut Random::new(seed ^ 0x5EED_0F9B_F700_0005), rough && replicas <= 7),
            keys: random.pick(&[1, 3, 12]),
            think_micros: random.pick(&[spread, spread, spread / 2, 0]),
            network: if rough { Network::rough(random, allowed) } else { Network::calm() },
            trouble: if rough { Trouble::draw(random, allowed) } else { Trouble::default() },
            clocks,
            sync_micros: if slow { (500, random.pick(&[20_000, 120_000])) } else { (80, 400) },
            execute_micros: random.pick(&[(5, 50), (5, 50), (100, 4000)]),
            safety,
            parameters,
            limits,
        }
    }

    /// Who is not correct: it lies, or its disk or service betrays it.
    pub fn faulty(&self) -> BTreeSet<u32> {
        self.liars.keys().chain(self.damaged.keys()).chain(self.lapses.keys()).copied().collect()
    }

    /// Nothing at all goes wrong: then nothing may look as if it did.
    pub fn is_faultless(&self) -> bool {
        self.liars.is_empty() && self.lapses.is_empty() && self.lost.is_empty() && self.safety.is_zero()
    }
}

/// Of those that may still be faulty, some lapse. From a stream of its own, so that nothing else shifts.
fn draw_lapses(mut random: Random, rough: bool, allowed: impl Fn(Fault) -> bool, room: &[u32]) -> BTreeMap<u32, Lapse> {
    let kinds: Vec<Fault> =
        [Fault::Amnesiac, Fault::Rollback, Fault::Nondeterminism].into_iter().filter(|fault| rough && allowed(*fault)).collect();
    let mut lapses = BTreeMap::new();
    for id in room {
        let (Some(_), true) = (kinds.first(), random.percent(70)) else { continue };
        let lies = random.percent(50);
        let lapse = match random.pick(&kinds) {
            Fault::Amnesiac => Lapse::Amnesiac { lies },
            Fault::Rollback => Lapse::Rollback { lies },
            _ => Lapse::Nondeterminism(SequenceNumber(random.between(1, 60))),
        };
        lapses.insert(*id, lapse);
    }
    lapses
}

/// In some runs the limits are so tight, and the requests so large, that they are felt.
fn draw_limits(random: &mut Random, wide: Limits) -> (Limits, usize) {
    if !random.percent(20) {
        return (wide, 0);
    }
    let tight = Limits { pending_requests: 4, pending_bytes: 4 << 10, body_bytes: 64 << 10, ..wide };
    (tight, random.pick(&[200, 1000, 3000]))
}

/// In some runs a round trip takes longer than the first time-out, for good: time-outs must grow beyond it (R10).
fn draw_healed_delay(random: &mut Random, may_be_slow: bool) -> (u64, u64) {
    if may_be_slow && random.percent(10) { random.pick(&[(300_000, 400_000), (300_000, 750_000)]) } else { Network::calm().delay }
}

fn pick_lie(random: &mut Random, options: &Options) -> Option<Lie> {
    let index = random.below(options.lies.len() as u64) as usize;
    options.lies.get(index).copied()
}

impl Network {
    pub fn calm() -> Self {
        Self { delay: (100, 900), ..Self::default() }
    }

    fn rough(random: &mut Random, allowed: impl Fn(Fault) -> bool) -> Self {
        let slow = allowed(Fault::Delay) && random.percent(50);
        Self {
            loss: if allowed(Fault::Loss) { random.pick(&[0, 0, 10, 50, 150, 400]) } else { 0 },
            duplication: if allowed(Fault::Duplication) { random.pick(&[0, 0, 20, 100, 500]) } else { 0 },
            replay: if allowed(Fault::Duplication) { random.pick(&[0, 0, 10, 50]) } else { 0 },
            delay: if slow { random.pick(&[(100, 5000), (100, 60_000), (5000, 250_000)]) } else { (100, 900) },
            late: if slow { random.pick(&[0, 5, 30]) } else { 0 },
            bandwidth: (allowed(Fault::Bandwidth) && random.percent(20)).then(|| random.pick(&[100, 1000])),
        }
    }
}

impl Trouble {
    fn draw(random: &mut Random, allowed: impl Fn(Fault) -> bool) -> Self {
        let mut weight = |fault, most| if allowed(fault) { random.between(0, most) } else { 0 };
        Self {
            crash: weight(Fault::Crash, 6),
            storm: weight(Fault::Crash, 1),
            partition: weight(Fault::Partition, 4),
            clog: weight(Fault::Clog, 3),
            pause: weight(Fault::Pause, 3),
            calm: 2,
            disk_error: weight(Fault::DiskError, 4),
            full_disk: weight(Fault::FullDisk, 4),
            damage: weight(Fault::RottenDisk, 4) + weight(Fault::MisdirectedWrite, 4) + weight(Fault::LostWrite, 4),
            gap_millis: random.pick(&[200, 600, 2000]),
        }
    }
}
