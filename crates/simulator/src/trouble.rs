//! What befalls the environment.

use crate::plan::{Loss, Network, Trouble};
use crate::world::{Happening, World};
use std::time::Duration;

impl World {
    /// One thing happens to the environment, and the next one is planned.
    pub fn trouble(&mut self) {
        if self.healed {
            return;
        }
        let Trouble { gap_millis, crash, storm, partition, clog, pause, calm } = self.plan.trouble;
        let count = self.processes.len() as u32;
        let one = self.random.below(u64::from(count)) as u32;
        let mut choice = self.random.below(crash + storm + partition + clog + pause + calm);
        let mut is = |weight: u64| {
            let chosen = choice < weight;
            choice = choice.saturating_sub(weight);
            chosen
        };
        self.trace.event(self.now, [11, u64::from(one), 0], &[], || "trouble".to_owned());
        if is(crash) {
            self.doom(one);
        } else if is(storm) {
            (0..count).for_each(|process| self.doom(process));
        } else if is(partition) {
            self.network.join_all();
            let shape = self.network.partition(count);
            self.keep_losses();
            self.trace.say(self.now, || format!("a partition {shape}"));
        } else if is(clog) {
            let other = self.random.below(u64::from(count)) as u32;
            let until = self.now + self.random.micros(10_000, 1_500_000);
            self.network.clog(one, other, until);
            self.trace.say(self.now, || format!("the link from {one} to {other} stands still until {until:?}"));
        } else if is(pause) {
            if !self.processes[one as usize].paused {
                self.processes[one as usize].paused = true;
                let delay = self.random.micros(1000, 2_000_000);
                self.trace.say(self.now, || format!("{one} stands still for {delay:?}"));
                self.rewind(one);
                self.schedule(delay, Happening::Resume { process: one });
            }
        } else if is(calm) {
            self.network.join_all();
            self.keep_losses();
            self.trace.say(self.now, || "the links are whole".to_owned());
        }
        let gap = self.random.micros(1000, gap_millis * 1000);
        self.schedule(gap, Happening::Trouble);
    }

    /// It dies: at once, after some steps, or in the middle of what its disk does.
    fn doom(&mut self, process: u32) {
        if self.processes[process as usize].running.is_none() {
            return;
        }
        match self.random.below(3) {
            0 => self.crash(process),
            1 => {
                let steps = self.random.below(40);
                self.processes[process as usize].fuse = Some(steps);
            }
            _ => {
                let operations = self.random.below(12);
                self.processes[process as usize].disk.fail_after(operations);
            }
        }
    }

    /// Those that are lost for good stay lost, whatever heals.
    pub fn keep_losses(&mut self) {
        for (lost, loss) in self.plan.lost.clone() {
            for other in (0..self.processes.len() as u32).filter(|other| *other != lost) {
                match loss {
                    Loss::Dead => {}
                    Loss::Unheard => self.network.cut(lost, other),
                    Loss::Deaf => self.network.cut(other, lost),
                }
            }
        }
    }

    /// The faults stop. A correct core is whole and connected; liars go on lying, and who is lost stays lost.
    pub fn heal(&mut self) {
        self.healed = true;
        self.trace.event(self.now, [12, 0, 0], &[], || "the faults stop".to_owned());
        self.network.heal();
        self.keep_losses();
        self.network.conditions = Network::calm();
        for process in 0..self.processes.len() as u32 {
            let dead = self.plan.lost.get(&process) == Some(&Loss::Dead);
            let one = &mut self.processes[process as usize];
            one.paused = false;
            one.fuse = None;
            // An operation that was to fail never will.
            one.disk.fail_after(u64::MAX / 2);
            self.rewind(process);
            if dead {
                if self.processes[process as usize].running.is_some() {
                    self.crash(process);
                }
            } else {
                self.schedule(Duration::from_millis(1), Happening::Start { process });
            }
        }
        for process in 0..self.processes.len() as u32 {
            let peers: Vec<_> = self.authenticator.genesis().replica_ids().collect();
            for peer in peers {
                if self.processes[process as usize].id != peer && !self.network.is_cut(process, peer.0) {
                    self.schedule(Duration::from_millis(30), Happening::PeerUp { process, peer });
                }
            }
        }
    }
}
