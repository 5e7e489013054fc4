//! What befalls the environment.

use crate::network::Party;
use crate::plan::{Loss, Network, Trouble};
use crate::world::{Happening, World};
use std::time::Duration;

impl World {
    /// One thing happens to the environment, and the next one is planned.
    pub fn trouble(&mut self) {
        if self.healed {
            return;
        }
        let Trouble { gap_millis, crash, storm, partition, clog, pause, calm, disk_error, full_disk, damage } = self.plan.trouble;
        let count = self.processes.len() as u32;
        let one = self.random.below(u64::from(count)) as u32;
        let mut choice = self.random.below(crash + storm + partition + clog + pause + calm + disk_error + full_disk + damage);
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
            if self.random.percent(40) {
                self.network.partition_clients(self.plan.clients, count);
            }
            self.keep_losses();
            self.trace.say(self.now, || format!("a partition {shape}"));
        } else if is(clog) {
            let other = self.random.below(u64::from(count + self.plan.clients)) as u32;
            let other = if other < count { Party::Process(other) } else { Party::Client(other - count) };
            let link = (Party::Process(one), other);
            let (from, to) = if self.random.percent(50) { link } else { (link.1, link.0) };
            let until = self.now + self.random.micros(10_000, 1_500_000);
            self.network.clog(from, to, until);
            self.trace.say(self.now, || format!("the link from {from:?} to {to:?} stands still until {until:?}"));
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
        } else if is(disk_error) {
            let operations = self.random.below(12);
            self.processes[one as usize].disk.fail_after(operations);
            self.trace.say(self.now, || format!("the disk of {one} fails after {operations} operations"));
        } else if is(full_disk) {
            if self.processes[one as usize].running.is_some() {
                let (room, delay) = (self.random.below(8192), self.random.micros(1000, 2_500_000));
                self.processes[one as usize].disk.leave_room(Some(room));
                self.trace.say(self.now, || format!("the disk of {one} has {room} bytes left, for {delay:?}"));
                self.schedule(delay, Happening::Room { process: one });
            }
        } else if is(damage) {
            for (process, fault) in self.plan.damaged.clone() {
                self.damage(process, fault);
            }
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
        self.network.conditions = Network { delay: self.plan.healed_delay, ..Network::calm() };
        for process in 0..self.processes.len() as u32 {
            let dead = self.plan.lost.get(&process) == Some(&Loss::Dead);
            let one = &mut self.processes[process as usize];
            one.paused = false;
            one.fuse = None;
            one.disk.work_again();
            one.disk.leave_room(None);
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

    /// One client has no way but through one correct replica, which passes on what it asks (R2).
    pub fn confine_a_client(&mut self) {
        let core = self.processes.iter().filter(|process| process.correct && !self.plan.lost.contains_key(&process.id.0));
        let core: Vec<u32> = core.map(|process| process.id.0).collect();
        let only = self.random.pick(&core);
        self.network.confine(0, &[only], self.plan.replicas);
        self.trace.say(self.now, || format!("client 0 reaches {only} only"));
    }
}
