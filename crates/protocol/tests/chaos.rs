//! Seeded chaos: loss, partitions, crashes and restarts together, then peace. Nothing may be contradicted, and everything
//! must be served in the end.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let n = [4, 4, 5, 6, 7][usize::try_from(random.below(5)).unwrap()];
    let mut cluster = Cluster::new(n);
    let loss = random.below(40);
    let mut dice = Random(seed.wrapping_mul(31) | 1);
    cluster.lie = Box::new(move |_, _, message| {
        let copies = if dice.below(100) < loss { 0 } else { 1 + u64::from(dice.below(20) == 0) };
        (0..copies).map(|_| message.clone()).collect()
    });
    for number in 0..40 {
        cluster.submit_to_all(&format!("{number}"));
        cluster.run(random.below(120));
        let victim = u32::try_from(random.below(n)).unwrap();
        match random.below(12) {
            0 | 1 if cluster.replica_is_up(victim) => cluster.crash(victim),
            2..=4 => restart_all(&mut cluster),
            5 => cluster.isolate(victim, true),
            6 | 7 => cluster.cut.clear(),
            8 => {
                let other = u32::try_from(random.below(n)).unwrap();
                cluster.cut.insert((victim, other));
            }
            _ => {}
        }
    }
    restart_all(&mut cluster);
    cluster.cut.clear();
    cluster.lie = Box::new(|_, _, message| vec![message]);
    // Their clients ask again.
    for number in 0..5 {
        cluster.submit_to_all(&format!("after {number}"));
        cluster.run(200);
    }
    let asked = cluster.asked.clone();
    for request in asked {
        for id in cluster.alive() {
            let _ = cluster.with_replica(id, |replica, now| replica.handle_request(now, request.clone()));
        }
    }
    cluster.run_until(60_000, |cluster| cluster.all_served(45));
    for id in cluster.alive() {
        assert!(cluster.evidence(id).is_empty(), "seed {seed}: an honest replica is accused: {:?}", cluster.evidence(id));
        assert_eq!(cluster.replica(id).halted(), None, "seed {seed}");
    }
    cluster.run(5_000);
    let low = cluster.replica(0).low_watermark();
    assert!(cluster.alive().iter().all(|id| cluster.replica(*id).low_watermark() == low), "seed {seed}: {}", cluster.describe());
}

fn restart_all(cluster: &mut Cluster) {
    for id in 0..u32::try_from(cluster.nodes.len()).unwrap() {
        if !cluster.replica_is_up(id) {
            cluster.restart(id);
        }
    }
}

#[test]
fn r15_r23_chaos_contradicts_nothing_and_peace_serves_everything() {
    let first: u64 = std::env::var("PBFT_CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count: u64 = std::env::var("PBFT_CHAOS_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in first..first + count {
        println!("seed {seed}");
        run(seed);
    }
}
