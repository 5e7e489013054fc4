//! What processes do: the daemon's threads, as steps.

use crate::checks::Invariant;
use crate::network::Party;
use crate::world::{Happening, World};
use pbft_message::{Message, ReplicaId, ReplicaMessage, codec};
use pbft_protocol::agreement::{Action, Alarm, Event, Record};
use pbft_protocol::{Outgoing, Traffic};
use pbft_replica::{ExecutionEffect, FromExecutor, Order, SnapshotPolicy, order_of, save_snapshot};
use pbft_storage::{Journal, Unsynced};
use std::rc::Rc;
use std::time::Duration;

impl World {
    /// Starts a process, unless it runs.
    pub fn start(&mut self, process: u32) {
        let one = &mut self.processes[process as usize];
        if one.running.is_some() {
            return;
        }
        let (now, plan) = (self.now, &self.plan);
        // Now and then it dies again while it comes back.
        let operations =
            (!self.healed && !one.is_new && self.plan.trouble.crash > 0 && self.random.percent(15)).then(|| self.random.below(6));
        if let Some(operations) = operations {
            one.disk.fail_after(operations);
        }
        let result = one.start(now, plan);
        self.trace.event(now, [5, u64::from(process), 0], &[], || {
            format!("{process} starts: {}", if result.is_ok() { "up" } else { "down" })
        });
        match result {
            Ok(()) => self.started(process),
            Err(_) if operations.is_some() => self.crash(process),
            Err(error) => {
                let correct = one.correct;
                if correct {
                    self.checker.fail(Invariant::Recovers, || format!("process {process}: {error}"));
                }
            }
        }
    }

    fn started(&mut self, process: u32) {
        let one = &self.processes[process as usize];
        let (id, correct, incarnation) = (one.id, one.correct, one.incarnation);
        if correct && incarnation > 1 {
            let mut records = Vec::new();
            let copy = one.disk.copy();
            let opened = Journal::open(copy, &one.identity, |bytes| records.extend(codec::decode::<Record>(bytes)));
            if let (Ok(_), Some(running)) = (opened, &one.running) {
                self.checker.recovered(id.0, &records, &running.replica, running.execution.executed());
            }
        }
        self.settle(process);
        for peer in self.authenticator.genesis().replica_ids().filter(|peer| *peer != id).collect::<Vec<_>>() {
            self.connect(process, peer);
        }
        for client in 0..self.clients.len() as u32 {
            self.schedule(Duration::from_millis(2), Happening::Connected { client, replica: id });
        }
    }

    /// A connection comes up, at both of its ends.
    fn connect(&mut self, process: u32, peer: ReplicaId) {
        let own = self.processes[process as usize].id;
        let delay = self.random.micros(500, 20_000);
        self.schedule(delay, Happening::PeerUp { process, peer });
        for other in self.processes_of(peer) {
            self.schedule(delay, Happening::PeerUp { process: other, peer: own });
        }
    }

    /// A process dies; what was not synced is lost, kept or torn.
    pub fn crash(&mut self, process: u32) {
        let shape = self.random.below(4);
        let mut dice = self.random.fork();
        let one = &mut self.processes[process as usize];
        one.running = None;
        one.fuse = None;
        one.disk.crash(|unsynced| match (shape, unsynced) {
            (0, _) => 0,
            (1, _) => usize::MAX,
            (_, Unsynced::Name { .. }) => dice.below(2) as usize,
            (_, Unsynced::Write { bytes, .. }) => {
                if dice.percent(50) {
                    0
                } else {
                    dice.below(bytes.len() as u64 + 1) as usize
                }
            }
        });
        self.trace.event(self.now, [6, u64::from(process), shape], &[], || format!("{process} crashes"));
        self.rewind(process);
        if !self.plan.lost.contains_key(&process) || !self.healed {
            let down = if self.healed { Duration::from_millis(50) } else { self.random.micros(1000, 1_500_000) };
            self.schedule(down, Happening::Start { process });
        }
    }

    /// One more step of a process. False if it was its last.
    fn survives(&mut self, process: u32) -> bool {
        let one = &mut self.processes[process as usize];
        if one.running.is_none() {
            return false;
        }
        match &mut one.fuse {
            Some(0) => {
                self.crash(process);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// Carries out what a process's core wants, as its core thread does.
    pub fn settle(&mut self, process: u32) {
        loop {
            let one = &mut self.processes[process as usize];
            let Some(running) = &mut one.running else { return };
            let effects = running.replica.poll_effects();
            let over = effects.is_empty();
            let (at_once, rest) = effects.split();
            if one.correct {
                self.checker.recorded(one.id.0, rest.records(), rest.is_rebase(), &running.replica);
                self.checker.observe(one.id.0, &running.replica);
            }
            if over {
                break;
            }
            let view = running.replica.view();
            for action in at_once {
                if !self.survives(process) {
                    return;
                }
                match order_of(&action, view) {
                    Some(order) => {
                        if let Order::Execute(ordered) = &order
                            && self.processes[process as usize].correct
                        {
                            let id = self.processes[process as usize].id.0;
                            self.checker.ordered(id, ordered);
                        }
                        self.order(process, order);
                    }
                    None => self.act(process, action),
                }
            }
            if !self.survives(process) {
                return;
            }
            let one = &mut self.processes[process as usize];
            let Some(running) = &mut one.running else { return };
            if !rest.is_empty() {
                running.writer.push(rest);
                if !running.journaling {
                    running.journaling = true;
                    self.schedule_journal(process);
                }
            }
        }
        self.rewind(process);
    }

    fn schedule_journal(&mut self, process: u32) {
        let (low, high) = if self.healed { (80, 400) } else { self.plan.sync_micros };
        let delay = self.random.micros(low, high);
        let incarnation = self.processes[process as usize].incarnation;
        self.schedule(delay, Happening::Journal { process, incarnation });
    }

    fn act(&mut self, process: u32, action: Action) {
        let one = &self.processes[process as usize];
        let (id, correct) = (one.id, one.correct);
        match action {
            Action::Broadcast(message) => {
                if correct {
                    self.checker.sent(id.0, &message);
                }
                let others: Vec<ReplicaId> = self.authenticator.genesis().replica_ids().filter(|other| *other != id).collect();
                if self.processes[process as usize].outbound.is_some() {
                    return others
                        .into_iter()
                        .for_each(|to| self.pass(process, Traffic::Leaving { to, message: Box::new(message.clone()) }));
                }
                let bytes: Rc<[u8]> = codec::encode(&message).into();
                for to in others {
                    if !self.survives(process) {
                        return;
                    }
                    self.transmit(process, to, &bytes);
                }
            }
            Action::Send(to, message) => {
                if correct {
                    self.checker.sent(id.0, &message);
                }
                self.send(process, to, message);
            }
            Action::Tell(event) => {
                self.trace.say(self.now, || format!("      {process} tells {event:?}"));
                if let (true, Event::Alarm(alarm)) = (correct, event)
                    && is_about_itself(alarm)
                {
                    self.checker.alarm(id.0, alarm);
                }
            }
            Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
        }
    }

    fn send(&mut self, process: u32, to: ReplicaId, message: Message) {
        if self.processes[process as usize].outbound.is_some() {
            return self.pass(process, Traffic::Leaving { to, message: Box::new(message) });
        }
        self.transmit(process, to, &codec::encode(&message).into());
    }

    /// Lets the liar see what passes, and sends what it wants instead.
    pub fn pass(&mut self, process: u32, traffic: Traffic<'_>) {
        let now = self.processes[process as usize].now(self.now);
        let Some(outbound) = &mut self.processes[process as usize].outbound else { return };
        for outgoing in outbound(now, traffic) {
            match outgoing {
                Outgoing::Replica(to, message) => self.transmit(process, to, &codec::encode(&message).into()),
                Outgoing::Client(message) => {
                    let name = match &message {
                        ReplicaMessage::Replies(replies) => replies.first().map(|reply| reply.client),
                        ReplicaMessage::Refused { client, .. } => Some(*client),
                        _ => None,
                    };
                    let client = (0..).zip(&self.clients).find(|(_, client)| Some(client.name) == name).map(|(id, _)| id);
                    if let Some(client) = client {
                        self.transmit_answer(process, client, &message);
                    }
                }
            }
        }
    }

    fn transmit(&mut self, process: u32, to: ReplicaId, bytes: &Rc<[u8]>) {
        for other in self.processes_of(to) {
            for at in self.network.arrivals(self.now, Party::Process(process), Party::Process(other), bytes.len()) {
                self.schedule_at(at, Happening::Frame { from: process, to: other, bytes: bytes.clone() });
            }
        }
    }

    pub fn order(&mut self, process: u32, order: Order) {
        let one = &mut self.processes[process as usize];
        let Some(running) = &mut one.running else { return };
        running.orders.push_back(order);
        if !running.executing {
            running.executing = true;
            let incarnation = one.incarnation;
            let (low, high) = self.plan.execute_micros;
            let delay = self.random.micros(low, high);
            self.schedule(delay, Happening::Execute { process, incarnation });
        }
    }

    /// Whether this is still under way: the process has not died since.
    fn is_current(&self, process: u32, incarnation: u64) -> bool {
        let one = &self.processes[process as usize];
        one.running.is_some() && one.incarnation == incarnation
    }

    pub fn on_journal(&mut self, process: u32, incarnation: u64) {
        if !self.is_current(process, incarnation) || self.hold_if_paused(process, || Happening::Journal { process, incarnation }) {
            return;
        }
        let one = &mut self.processes[process as usize];
        let (id, correct) = (one.id, one.correct);
        let Some(running) = &mut one.running else { return };
        let Some(group) = running.writer.next_group() else {
            running.journaling = false;
            return;
        };
        let (records, rebase) = (group.records().to_vec(), group.is_rebase());
        let Ok((actions, position)) = running.writer.write(group) else { return self.crash(process) };
        if correct {
            self.checker.durable(id.0, &records, rebase);
        }
        self.trace.event(self.now, [7, u64::from(process), position.0], &[], || {
            format!(
                "{process} has {} records durable{}",
                records.len(),
                if rebase { ", from which its journal begins anew" } else { "" }
            )
        });
        for action in actions {
            if !self.survives(process) {
                return;
            }
            self.act(process, action);
        }
        if !self.survives(process) {
            return;
        }
        let one = &mut self.processes[process as usize];
        let local = one.now(self.now);
        let Some(running) = &mut one.running else { return };
        running.replica.handle_durable(local, position);
        self.settle(process);
        let Some(running) = &mut self.processes[process as usize].running else { return };
        if running.writer.is_idle() {
            running.journaling = false;
        } else {
            self.schedule_journal(process);
        }
    }

    pub fn on_execute(&mut self, process: u32, incarnation: u64) {
        if !self.is_current(process, incarnation) || self.hold_if_paused(process, || Happening::Execute { process, incarnation }) {
            return;
        }
        let one = &mut self.processes[process as usize];
        let local = one.now(self.now);
        let (id, correct) = (one.id, one.correct);
        let Some(running) = &mut one.running else { return };
        let Some(order) = running.orders.pop_front() else {
            running.executing = false;
            return;
        };
        self.trace.event(self.now, [8, u64::from(process), running.execution.executed().0], &[], || format!("{process} executes"));
        match running.execution.handle(local.monotonic, order) {
            Ok(effects) => {
                for effect in effects {
                    if !self.survives(process) {
                        return;
                    }
                    self.execution_effect(process, effect);
                }
            }
            Err(error) => {
                if correct {
                    self.checker.fail(Invariant::ExecutedOnceInOrder, || format!("replica {id}: {error}"));
                }
                return;
            }
        }
        self.settle(process);
        let (low, high) = self.plan.execute_micros;
        let delay = self.random.micros(low, high);
        let Some(running) = &mut self.processes[process as usize].running else { return };
        if running.orders.is_empty() {
            running.executing = false;
        } else {
            self.schedule(delay, Happening::Execute { process, incarnation });
        }
    }

    pub fn execution_effect(&mut self, process: u32, effect: ExecutionEffect) {
        let one = &mut self.processes[process as usize];
        let (id, correct, local) = (one.id, one.correct, one.now(self.now));
        match effect {
            ExecutionEffect::Reply(replies) => {
                for reply in replies {
                    if correct {
                        self.checker.replied(id.0, &reply);
                    }
                    let client = (0..).zip(&self.clients).find(|(_, client)| client.name == reply.client).map(|(index, _)| index);
                    if let Some(client) = client {
                        self.answer(process, client, ReplicaMessage::Replies(vec![reply]));
                    }
                }
            }
            ExecutionEffect::Send(to, message) => self.send(process, to, message),
            ExecutionEffect::Tell(told) => {
                match &told {
                    FromExecutor::Installed { sequence, .. } if correct => self.checker.installed(id.0, *sequence),
                    FromExecutor::Executed { sequence, checkpoint: Some(digest) } if correct => {
                        self.checker.computed(id.0, *sequence, *digest);
                    }
                    _ => {}
                }
                self.trace.say(self.now, || format!("      {process} has {}", describe(&told)));
                if let Some(running) = &mut self.processes[process as usize].running {
                    told.tell(&mut running.replica, local);
                }
            }
            ExecutionEffect::Save { state, certificate, installed } => {
                if correct {
                    self.checker.state(&state.state);
                }
                let incarnation = one.incarnation;
                let Some(running) = &mut one.running else { return };
                let policy = SnapshotPolicy { journal_bytes: self.plan.snapshot_bytes };
                let due = installed || policy.is_due(running.writer.bytes(), running.last_snapshot_bytes);
                if !due || running.saving.is_some() {
                    return;
                }
                let sequence = certificate.sequence;
                running.saving = Some((state, certificate));
                FromExecutor::SnapshotStarted(sequence).tell(&mut running.replica, local);
                let delay = self.random.micros(100, 30_000);
                self.schedule(delay, Happening::Save { process, incarnation });
            }
            ExecutionEffect::Poisoned { .. } => {}
        }
    }

    pub fn on_save(&mut self, process: u32, incarnation: u64) {
        if !self.is_current(process, incarnation) || self.hold_if_paused(process, || Happening::Save { process, incarnation }) {
            return;
        }
        let one = &mut self.processes[process as usize];
        let local = one.now(self.now);
        let Some(running) = &mut one.running else { return };
        let Some((state, certificate)) = running.saving.take() else { return };
        self.trace.event(self.now, [9, u64::from(process), certificate.sequence.0], &[], || {
            format!("{process} saves a snapshot of {}", certificate.sequence)
        });
        let Ok(bytes) = save_snapshot(&mut running.snapshots, &state, &certificate) else { return self.crash(process) };
        running.last_snapshot_bytes = bytes;
        FromExecutor::Snapshot(certificate.sequence).tell(&mut running.replica, local);
        self.settle(process);
    }

    pub fn resume(&mut self, process: u32) {
        self.processes[process as usize].paused = false;
        self.trace.event(self.now, [10, u64::from(process), 0], &[], || format!("{process} goes on"));
        self.rewind(process);
    }
}

fn describe(told: &FromExecutor) -> String {
    match told {
        FromExecutor::Executed { sequence, checkpoint } => {
            format!("executed {sequence}{}", checkpoint.map_or_else(String::new, |digest| format!(", state {}", digest.short())))
        }
        FromExecutor::Installed { sequence, .. } => format!("installed the state at {sequence}"),
        FromExecutor::TransferFailed => "a fetched state that is of no use".to_owned(),
        FromExecutor::SnapshotStarted(sequence) => format!("begun a snapshot of {sequence}"),
        FromExecutor::Snapshot(sequence) => format!("a snapshot of {sequence}"),
    }
}

/// What a liar does, or the faults of others, may be told; that a replica itself is at its end may not happen.
const fn is_about_itself(alarm: Alarm) -> bool {
    match alarm {
        Alarm::Diverged(_) | Alarm::ReplayDiffers(_) | Alarm::TooManyFaults(_) => true,
        Alarm::TwoCheckpoints(..) | Alarm::ProposalContradictsCommitted(_) | Alarm::NoStableCheckpoint(_) => false,
    }
}
