//! Seeded chaos: loss, partitions, crashes, restarts and a liar together, then peace, in which the liar goes on lying.
//! Nothing may be contradicted, nobody else accused, and everything must be served in the end.

#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods, clippy::indexing_slicing, clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use pbft_crypto::Digest;
use pbft_message::*;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a liar makes of a message: in turn equivocation, double votes, silence towards some, and the truth.
fn lie(signer: &Signer, authenticator: &Authenticator, dice: &mut Random, to: u32, message: Message) -> Vec<Message> {
    let mood = dice.below(4);
    let other = Digest::of("another", &[]);
    match message {
        Message::PrePrepare { header, body } if mood < 2 && to % 2 == 1 => {
            let Proposal::Valid(batch) = authenticator.verify_body(body) else { return vec![] };
            let second = Batch::of_verified(batch.time() + 1, batch.verified_requests().collect());
            let header = signer.sign(PrePrepare { digest: second.digest(), ..*header }).into_inner();
            vec![Message::PrePrepare { header, body: second.bytes().clone() }]
        }
        Message::Prepare { prepare, pre_prepare } if mood < 2 => {
            let second = signer.sign(Prepare { digest: other, ..*prepare }).into_inner();
            vec![Message::Prepare { prepare: second, pre_prepare }, Message::Prepare { prepare, pre_prepare }]
        }
        Message::Commit(commit) if mood < 2 => vec![Message::Commit(signer.sign(Commit { digest: other, ..*commit }).into_inner())],
        Message::ViewChange(change) if mood < 2 => {
            let body = ViewChange { prepared: vec![], stable: None, ..(*change).clone() };
            vec![Message::ViewChange(signer.sign(body).into_inner())]
        }
        Message::NewView(new_view) if mood < 1 && new_view.replica == signer.replica() => {
            let body = NewView { pre_prepares: vec![], ..(*new_view).clone() };
            vec![Message::NewView(signer.sign(body).into_inner())]
        }
        _ if mood == 3 => vec![],
        message => vec![message],
    }
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let n = [4, 4, 5, 6, 7][usize::try_from(random.below(5)).unwrap()];
    let mut cluster = Cluster::new(n);
    let liar = (seed % 2 == 1).then(|| u32::try_from(random.below(n)).unwrap());
    let network = |loss: u64, cluster: &Cluster| -> Box<dyn FnMut(u32, u32, Message) -> Vec<Message>> {
        let mut dice = Random(seed.wrapping_mul(31) | 1);
        let signer = cluster.signer(u64::from(liar.unwrap_or(0)));
        let authenticator = cluster.config.authenticator.clone();
        Box::new(move |from, to, message| {
            let messages = if liar == Some(from) { lie(&signer, &authenticator, &mut dice, to, message) } else { vec![message] };
            let copies = if dice.below(100) < loss { 0 } else { 1 + u64::from(loss > 0 && dice.below(20) == 0) };
            (0..copies).flat_map(|_| messages.clone()).collect()
        })
    };
    cluster.lie = network(1 + random.below(40), &cluster);
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
    cluster.lie = network(0, &cluster);
    let correct: Vec<u32> = cluster.alive().into_iter().filter(|id| liar != Some(*id)).collect();
    // Their clients ask again.
    for number in 0..5 {
        cluster.submit_to_all(&format!("after {number}"));
        cluster.run(200);
    }
    for request in cluster.asked.clone() {
        for id in &correct {
            let _ = cluster.with_replica(*id, |replica, now| replica.handle_request(now, request.clone()));
        }
    }
    cluster.run_until(120_000, |cluster| correct.iter().all(|id| cluster.served(*id) >= 45));
    for id in &correct {
        let accused: Vec<_> = cluster.evidence(*id).into_iter().filter(|(accused, _)| Some(*accused) != liar).collect();
        assert!(accused.is_empty(), "seed {seed}: an honest replica is accused: {accused:?}");
        assert_eq!(cluster.replica(*id).halted(), None, "seed {seed}");
    }
    cluster.run_until(30_000, |cluster| {
        let low = cluster.replica(correct[0]).low_watermark();
        correct.iter().all(|id| cluster.replica(*id).low_watermark() == low)
    });
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
