//! What processes do: the daemon's threads, as steps.

use crate::checks::{Invariant, Written};
use crate::lapse::Lapse;
use crate::network::Party;
use crate::world::{Happening, World};
use pbft_message::{Message, ReplicaId, ReplicaMessage, codec};
use pbft_protocol::agreement::{Action, Alarm, Event, Record};
use pbft_protocol::{Outgoing, Traffic};
use pbft_replica::{
    ExecutionEffect, ExecutionError, FromExecutor, Order, RecoveryError, SnapshotPolicy, keep_for_forensics, order_of,
    save_snapshot,
};
use pbft_storage::{Journal, JournalError, OpenError, SnapshotError};
use std::rc::Rc;
use std::time::Duration;

/// Between two tries on a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// After a snapshot that found no room the state is saved again after this, or a newer one in its place, as in the daemon.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(5);

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
        if let Err(RecoveryError::Journal(OpenError::Disk(_)) | RecoveryError::Snapshot(SnapshotError::Disk(_))) = result {
            return self.crash(process);
        }
        self.after_damage(process, &result);
        let one = &self.processes[process as usize];
        match result {
            Ok(()) => self.started(process),
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
        let (id, correct, guarded, incarnation) = (one.id, one.correct, one.guarded, one.incarnation);
        if guarded {
            let mut records = Vec::new();
            let copy = one.disk.copy();
            let opened = Journal::open(copy, &one.identity, |_, bytes| records.extend(codec::decode::<Record>(bytes)));
            if let (Ok(_), Some(running)) = (opened, &one.running) {
                if correct && incarnation > 1 {
                    self.checker.recovered(id.0, &records, &running.replica, running.execution.executed());
                }
                self.checker.came_back(id.0, &records, &running.replica);
            }
        } else {
            self.reassure(process);
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

    /// R15: after a failed write or sync the journal leaves the disk alone, whatever it is asked.
    fn expect_no_other_try(&mut self, process: u32) {
        let one = &mut self.processes[process as usize];
        let Some(running) = &mut one.running else { return };
        let before = one.disk.operations();
        // Whether it refuses, or had nothing to do.
        let _ = running.writer.seal();
        if one.disk.operations() != before {
            self.checker.fail(Invariant::DurableBeforeSaid, || format!("the journal of {process} goes on after its disk failed"));
        }
    }

    /// A process dies; what was not synced is lost, kept or torn. Or the process alone dies, and what it wrote can still be
    /// read: that is durable only when somebody syncs it.
    pub fn crash(&mut self, process: u32) {
        let shape = self.random.below(5);
        let mut dice = self.random.fork();
        let one = &mut self.processes[process as usize];
        one.running = None;
        one.fuse = None;
        match shape {
            0 => one.disk.crash(|_| false),
            1 => one.disk.crash(|_| true),
            2 => one.disk.work_again(),
            _ => one.disk.crash(|_| dice.percent(50)),
        }
        self.trace.event(self.now, [6, u64::from(process), shape], &[], || format!("{process} crashes"));
        self.rewind(process);
        if !self.plan.lost.contains_key(&process) || !self.healed {
            // Some stay away until the others have let go of what they missed.
            let longest = if self.random.percent(25) { 8_000_000 } else { 1_500_000 };
            let down = if self.healed { Duration::from_millis(50) } else { self.random.micros(1000, longest) };
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
            let Some(running) = one.running.as_mut() else { return };
            if running.held_up {
                break;
            }
            let effects = running.replica.poll_effects();
            let over = effects.is_empty();
            let (at_once, rest) = effects.split();
            if one.correct {
                self.checker.recorded(one.id.0, &rest, &running.replica);
                self.checker.observe(one.id.0, &running.replica);
            }
            let had_halted = one.guarded && self.checker.recorded_since(one.id.0, rest.records(), &running.replica);
            let diverged = running.replica.halted().is_some_and(Alarm::is_repairable);
            let astray = had_halted && diverged && !one.is_mended;
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
                            let latest = self.latest_proposal();
                            self.checker.ordered(id, ordered, latest);
                        }
                        if let (true, Order::Execute(ordered)) = (astray, &order) {
                            let id = self.processes[process as usize].id.0;
                            self.checker.executes_halted(id, ordered.sequence);
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
        self.call_the_operator(process);
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
        if let Action::Broadcast(message) | Action::Send(_, message) = &action {
            if one.is_learner {
                self.checker.learner_sent(id.0, message);
            }
            if let Some(Lapse::Nondeterminism(_)) = self.plan.lapses.get(&id.0) {
                self.checker.astray_sent(id.0, message);
            }
        }
        match action {
            Action::Broadcast(message) => {
                if correct {
                    self.checker.sent(id.0, &message);
                }
                let others = self.authenticator.genesis().replica_ids().filter(|other| *other != id);
                let others: Vec<ReplicaId> = others.filter(|other| !self.is_withheld(*other, &message)).collect();
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
                    let now = self.processes[process as usize].now(self.now).monotonic;
                    self.checker.sent_to(id.0, to.0, &message, now);
                    if let Message::Witness(witness) = &message {
                        self.checker.testified(id.0, to.0, witness);
                    }
                }
                self.send(process, to, message);
            }
            Action::Tell(event) => {
                self.trace.say(self.now, || format!("      {process} tells {event:?}"));
                if let (true, Event::Alarm(alarm), Some(running)) = (correct, event, &self.processes[process as usize].running) {
                    self.checker.alarm(id.0, running.replica.view(), alarm);
                }
            }
            Action::Execute(_) | Action::Stable(_) | Action::TransferState(_) | Action::Answer(..) => {}
        }
    }

    fn is_withheld(&self, to: ReplicaId, message: &Message) -> bool {
        self.withheld.as_ref().is_some_and(|is_withheld| is_withheld(to.0, message))
    }

    fn send(&mut self, process: u32, to: ReplicaId, message: Message) {
        if self.is_withheld(to, &message) {
            return;
        }
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
        let written = Written::of(&group);
        let (actions, position) = match running.writer.write(group) {
            Ok(durable) => durable,
            Err(JournalError::Full(_)) => {
                running.held_up = true;
                let incarnation = one.incarnation;
                self.rewind(process);
                self.trace.say(self.now, || format!("{process} waits for room on its disk"));
                return self.schedule(RETRY, Happening::Journal { process, incarnation });
            }
            Err(_) => {
                self.expect_no_other_try(process);
                return self.crash(process);
            }
        };
        if correct {
            self.checker.durable(id.0, &written);
            self.checker.expect_spread(id.0, &written.records, &actions);
        }
        self.trace.event(self.now, [7, u64::from(process), position.0], &[], || {
            format!(
                "{process} has {} records durable{}",
                written.records.len(),
                if written.adopts_base { ", and its journal begins with its base" } else { "" }
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
        running.held_up = false;
        let set_aside = std::mem::take(&mut running.set_aside);
        running.replica.handle_durable(local, position);
        for (from, bytes) in set_aside {
            self.schedule(Duration::ZERO, Happening::Frame { from, to: process, bytes });
        }
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
            // The disk failed under what is fetched: the process ends.
            Err(ExecutionError::Disk(_)) => return self.crash(process),
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
                let executed = one.running.as_ref().map(|running| running.execution.executed()).unwrap_or_default();
                for reply in replies {
                    if correct {
                        self.checker.replied(id.0, &reply, executed);
                    }
                    let client = (0..).zip(&self.clients).find(|(_, client)| client.name == reply.client).map(|(index, _)| index);
                    if let Some(client) = client {
                        self.answer(process, client, ReplicaMessage::Replies(vec![reply]));
                    }
                }
            }
            // The simulated network lets all connect; whom it would, is looked at.
            ExecutionEffect::Authorise(clients) => {
                if let Some(running) = &mut one.running {
                    running.authorised = clients;
                }
            }
            ExecutionEffect::Send(to, message) => self.send(process, to, message),
            ExecutionEffect::Tell(told) => {
                match &told {
                    FromExecutor::Installed { sequence, .. } if correct => {
                        self.checker.installed(id.0, *sequence);
                        self.count_views_anew();
                    }
                    FromExecutor::Installed { .. } => self.checker.installed_since(id.0),
                    FromExecutor::Executed { sequence, checkpoint: Some(digest) } if correct => {
                        self.checker.computed(id.0, *sequence, *digest);
                    }
                    FromExecutor::Executed { sequence, checkpoint: Some(digest) } => {
                        self.checker.computed_since(id.0, *sequence, *digest);
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
                if let (true, Some(owed)) = (running.snapshot_owed, &mut running.saving) {
                    if certificate.sequence > owed.1.sequence {
                        *owed = (state, certificate);
                    }
                    return;
                }
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
            ExecutionEffect::Diverged { state, certificate } => {
                // A disk that does not take it loses nothing that was promised.
                let _ = keep_for_forensics(&mut one.disk, &one.identity, &state, &certificate);
            }
            ExecutionEffect::Poisoned { peer, what } => {
                self.trace.say(self.now, || format!("      {process} was sent false state by {peer}: {what}"));
                if correct {
                    self.checker.poisoned(id.0, peer.0);
                }
            }
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
        if std::mem::take(&mut running.snapshot_owed) {
            FromExecutor::SnapshotStarted(certificate.sequence).tell(&mut running.replica, local);
            running.saving = Some((state, certificate));
            let delay = self.random.micros(100, 30_000);
            self.schedule(delay, Happening::Save { process, incarnation });
            return self.settle(process);
        }
        self.trace.event(self.now, [9, u64::from(process), certificate.sequence.0], &[], || {
            format!("{process} saves a snapshot of {}", certificate.sequence)
        });
        let saved = save_snapshot(&mut running.snapshots, &state, &certificate);
        match saved {
            Ok(bytes) => running.last_snapshot_bytes = bytes,
            Err(SnapshotError::Full(_)) => {
                (running.saving, running.snapshot_owed) = (Some((state, certificate)), true);
                return self.schedule(SNAPSHOT_PAUSE, Happening::Save { process, incarnation });
            }
            Err(_) => return self.crash(process),
        }
        FromExecutor::Snapshot(certificate.sequence).tell(&mut running.replica, local);
        self.order(process, Order::Saved(certificate.sequence));
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
        FromExecutor::Diverged(sequence) => format!("has another state at {sequence} than the certified one"),
        FromExecutor::Executed { sequence, checkpoint } => {
            format!("executed {sequence}{}", checkpoint.map_or_else(String::new, |digest| format!(", state {}", digest.short())))
        }
        FromExecutor::Clients { sequence, .. } => format!("the clients that {sequence} authorised"),
        FromExecutor::Installed { sequence, .. } => format!("installed the state at {sequence}"),
        FromExecutor::TransferFailed => "a fetched state that is of no use".to_owned(),
        FromExecutor::TransferStalled => "nobody who serves the state".to_owned(),
        FromExecutor::SnapshotStarted(sequence) => format!("begun a snapshot of {sequence}"),
        FromExecutor::Snapshot(sequence) => format!("a snapshot of {sequence}"),
    }
}
