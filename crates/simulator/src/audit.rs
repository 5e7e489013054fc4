//! What an auditor finds who gets the journals of all correct replicas (R17).

use crate::checks::Invariant;
use crate::process::Process;
use crate::random::Random;
use crate::world::World;
use pbft_message::{Evidence, codec};
use pbft_protocol::agreement::Record;
use pbft_replica::Audit;
use pbft_storage::Journal;

/// So many of a hundred records of a journal that is not to be trusted.
const TAMPERED: u64 = 5;

impl World {
    /// Reads what is on the disks of the correct replicas.
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::new(self.authenticator.clone());
        for process in self.processes.iter().filter(|process| process.correct) {
            read(process, |bytes| take_in(&mut audit, bytes));
        }
        audit
    }

    /// Reads the disks of all, liars included, on each of which somebody has tampered with some records.
    fn audit_of_forgers(&self, mut random: Random) -> Audit {
        let mut audit = Audit::new(self.authenticator.clone());
        for process in &self.processes {
            read(process, |bytes| {
                if random.percent(TAMPERED) {
                    let mut altered = bytes.to_vec();
                    if let Some(byte) = altered.get_mut(random.below(bytes.len() as u64) as usize) {
                        *byte ^= 1 << random.below(8);
                    }
                    take_in(&mut audit, &altered);
                }
                take_in(&mut audit, bytes);
            });
        }
        audit
    }

    /// Honest journals in half of the runs, forged ones in the other half: to read all of them takes time.
    pub fn expect_just_audit(&mut self) {
        let mut random = self.random.clone();
        if random.percent(50) {
            self.expect_just("the journals of the correct replicas", &self.audit());
        } else {
            self.expect_just("journals that were tampered with", &self.audit_of_forgers(random));
        }
    }

    fn expect_just(&mut self, whose: &str, audit: &Audit) {
        let accused = audit.lies().map(Evidence::accused).map(|(accused, ..)| accused);
        let diverged = audit.diverged().map(|(replica, _)| replica);
        if let Some(innocent) = accused.chain(diverged).find(|replica| self.checker.is_correct(replica.0)) {
            let lies: Vec<_> = audit.lies().map(Evidence::lie).filter(|(accused, ..)| *accused == innocent).collect();
            self.checker.fail(Invariant::AuditIsJust, || format!("{whose} accuse the correct replica {innocent}: {lies:?}"));
        }
    }
}

/// A journal that does not read tells nothing: whether it must, is for other invariants.
fn read(process: &Process, mut on_record: impl FnMut(&[u8])) {
    let _ = Journal::read(process.disk.copy(), |_, bytes| on_record(bytes));
}

fn take_in(audit: &mut Audit, bytes: &[u8]) {
    if let Ok(record) = codec::decode::<Record>(bytes) {
        audit.read(record);
    }
}

#[cfg(test)]
mod tests {
    use crate::options::Options;
    use crate::plan::Plan;
    use crate::run::live;
    use crate::world::World;
    use std::collections::BTreeSet;

    /// The kinds of the lies that the journals prove after this run, with liars of one strategy.
    fn proven(strategy: &str, seed: u64) -> BTreeSet<&'static str> {
        let options = Options { lies: vec![strategy.parse().unwrap()], replicas: Some(4), ..Options::default() };
        let plan = Plan::draw(seed, &options);
        let faulty = plan.faulty();
        let mut world = World::new(seed, plan, &[0, 1, 2, 3], |id| faulty.contains(&id), false);
        live(&mut world);
        assert_eq!(world.checker.violation(), None, "seed {seed}");
        let audit = world.audit();
        let checked = audit.lies().map(|lie| {
            assert!(faulty.contains(&lie.accused().0.0));
            world.authenticator.verify_evidence(lie.clone()).unwrap();
            lie.kind().name()
        });
        checked.collect()
    }

    #[test]
    fn r17_the_journals_of_correct_replicas_name_those_who_lied_and_how() {
        for (strategy, kind) in [
            ("equivocate", "two_pre_prepares"),
            ("double-vote", "two_commits"),
            ("double-vote", "two_prepares"),
            ("view-change-liar", "hidden_prepared"),
            ("new-view-liar", "false_new_view"),
            ("poison-batch", "invalid_batch"),
        ] {
            let found = (0..60).find(|seed| proven(strategy, *seed).contains(kind));
            println!("{strategy} {kind} {found:?}");
            assert!(found.is_some(), "no run with {strategy} proves {kind}");
        }
        assert_eq!(proven("mute-primary", 0), BTreeSet::new(), "silence is no lie");
    }
}
