use crate::checks::{Checker, Invariant};
use crate::client::Client;
use crate::network::{Network, Party};
use crate::plan::Plan;
use crate::process::Process;
use crate::random::Random;
use crate::trace::Trace;
use pbft_message::{
    Authenticator, ClientMessage, Message, ReplicaId, ReplicaMessage, Request, RequestRefusal, Signed, StateReply, Timestamp,
    VerifiedMessage, View, codec,
};
use pbft_protocol::Traffic;
use pbft_replica::Order;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// So many timers of one process may fire without time going on.
const MOST_TIMEOUTS_AT_ONCE: u32 = 1000;

/// Something that happens at a time.
pub enum Happening {
    /// A frame of a replica's process arrives at another's.
    Frame {
        from: u32,
        to: u32,
        bytes: Rc<[u8]>,
    },
    /// A client's frame arrives at a process.
    Asked {
        client: u32,
        to: u32,
        bytes: Rc<[u8]>,
    },
    /// A process's answer arrives at a client.
    Answer {
        from: ReplicaId,
        client: u32,
        bytes: Rc<[u8]>,
    },
    /// A process has a connection to a replica.
    PeerUp {
        process: u32,
        peer: ReplicaId,
    },
    /// A client has a connection to a replica.
    Connected {
        client: u32,
        replica: ReplicaId,
    },
    /// The disk has come to what a process's journal wants.
    Journal {
        process: u32,
        incarnation: u64,
    },
    /// A process's executor has come to its next order.
    Execute {
        process: u32,
        incarnation: u64,
    },
    /// A full disk has room again.
    Room {
        process: u32,
    },
    /// A process's snapshot is to be written.
    Save {
        process: u32,
        incarnation: u64,
    },
    Start {
        process: u32,
    },
    Resume {
        process: u32,
    },
    /// A client sends its next request.
    Think {
        client: u32,
    },
    /// Of a replica's disk.
    Copy {
        process: u32,
    },
    /// A replica forgets.
    Lapse {
        process: u32,
    },
    /// Somebody looks after a replica that halted.
    Operator {
        process: u32,
    },
    /// Something befalls the environment.
    Trouble,
}

/// Whether a message to this replica is lost.
pub type Withheld = Box<dyn Fn(u32, &Message) -> bool>;

/// A cluster, its clients and its surroundings, all in one thread and one time.
pub struct World {
    pub plan: Plan,
    pub authenticator: Authenticator,
    pub now: Duration,
    pub processes: Vec<Process>,
    pub clients: Vec<Client>,
    pub network: Network,
    pub checker: Checker,
    pub trace: Trace,
    pub random: Random,
    queue: BTreeMap<(Duration, u64), Happening>,
    serial: u64,
    wakes: Vec<Option<Duration>>,
    client_wakes: Vec<Option<Duration>>,
    timeouts_at_once: u32,
    /// The faults have stopped.
    pub healed: bool,
    /// The highest view of a correct replica when each request was sent that is not answered, or when the faults stopped.
    pub asked_in: BTreeMap<(u32, Timestamp), View>,
    /// What of correct replicas' messages is lost.
    pub withheld: Option<Withheld>,
}

impl World {
    /// `ids` are the replicas of the processes; `lies` says who is no correct replica.
    pub fn new(seed: u64, plan: Plan, ids: &[u32], lies: impl Fn(u32) -> bool, in_words: bool) -> Self {
        let mut random = Random::new(seed);
        let genesis = crate::cluster::genesis(&plan);
        let authenticator = Authenticator::with_memory(genesis, 1 << 16);
        let checker = Checker::new(&authenticator, &plan.limits, (0..plan.replicas).map(|id| !lies(id)));
        let mut processes: Vec<Process> = ids.iter().map(|id| Process::new(*id, !lies(*id), &plan, &authenticator)).collect();
        for process in &mut processes {
            let seed = random.next();
            if let Some(lie) = plan.liars.get(&process.id.0) {
                let context =
                    pbft_byzantine::Context { authenticator: authenticator.clone(), signer: process.signer.clone(), seed };
                process.outbound = Some(lie.outbound(&context));
            }
        }
        let clients = (0..plan.clients + plan.operators).map(|id| Client::new(id, &plan, &authenticator, random.fork())).collect();
        let network = Network::new(plan.network.clone(), random.fork());
        Self {
            wakes: vec![None; processes.len()],
            client_wakes: vec![None; (plan.clients + plan.operators) as usize],
            plan,
            authenticator,
            now: Duration::ZERO,
            processes,
            clients,
            network,
            checker,
            trace: Trace::new(in_words),
            random,
            queue: BTreeMap::new(),
            serial: 0,
            timeouts_at_once: 0,
            healed: false,
            withheld: None,
            asked_in: BTreeMap::new(),
        }
    }

    pub fn schedule(&mut self, delay: Duration, happening: Happening) {
        self.schedule_at(self.now + delay, happening);
    }

    pub fn schedule_at(&mut self, at: Duration, happening: Happening) {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
    }

    /// Does what comes next, if it comes by `end`. False if nothing does, or if an invariant is broken.
    pub fn step(&mut self, end: Duration) -> bool {
        if self.checker.violation().is_some() {
            return false;
        }
        let timer = (0..).zip(&self.wakes).filter_map(|(process, at)| at.map(|at| (at, process))).min();
        let client = (0..).zip(&self.client_wakes).filter_map(|(id, at)| at.map(|at| (at, id))).min();
        let next = self.queue.first_key_value().map(|(key, _)| *key);
        let soonest = [timer.map(|(at, _)| at), client.map(|(at, _)| at), next.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(soonest) = soonest.filter(|at| *at <= end) else { return false };
        if soonest > self.now {
            self.timeouts_at_once = 0;
        }
        self.now = self.now.max(soonest);
        if let Some((_, process)) = timer.filter(|(at, _)| *at == soonest) {
            self.wake(process);
        } else if let Some((_, id)) = client.filter(|(at, _)| *at == soonest) {
            self.clients[id as usize].session.handle_timeout(soonest);
            self.settle_client(id);
        } else if let Some(happening) = next.and_then(|key| self.queue.remove(&key)) {
            self.happen(happening);
        }
        true
    }

    fn wake(&mut self, process: u32) {
        self.timeouts_at_once += 1;
        if self.timeouts_at_once > MOST_TIMEOUTS_AT_ONCE {
            return self.checker.fail(Invariant::RequestsAreAnswered, || format!("a timer of process {process} fires for ever"));
        }
        let now = self.now;
        self.trace.event(now, [1, u64::from(process), 0], &[], || format!("{process} wakes"));
        let one = &mut self.processes[process as usize];
        let local = one.now(now);
        let Some(running) = &mut one.running else { return };
        if !running.held_up && running.replica.poll_timeout().is_some_and(|deadline| deadline <= local.monotonic) {
            running.replica.handle_timeout(local);
        }
        // The disk failed under what is fetched: the process ends.
        let Ok(effects) = running.execution.handle_timeout(local.monotonic) else { return self.crash(process) };
        effects.into_iter().for_each(|effect| self.execution_effect(process, effect));
        self.settle(process);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame { from, to, bytes } => self.on_frame(from, to, &bytes),
            Happening::Asked { client, to, bytes } => self.on_asked(client, to, &bytes),
            Happening::Answer { from, client, bytes } => self.on_answer(from, client, &bytes),
            Happening::PeerUp { process, peer } => {
                if self.hold_if_paused(process, || Happening::PeerUp { process, peer }) {
                    return;
                }
                let one = &mut self.processes[process as usize];
                let local = one.now(self.now);
                if let Some(running) = &mut one.running {
                    if one.correct {
                        self.checker.connected(one.id.0, peer.0, &running.replica);
                    }
                    running.replica.handle_peer_up(local, peer);
                    self.settle(process);
                }
            }
            Happening::Connected { client, replica } => {
                self.clients[client as usize].session.handle_connected(replica);
                self.settle_client(client);
            }
            Happening::Journal { process, incarnation } => self.on_journal(process, incarnation),
            Happening::Execute { process, incarnation } => self.on_execute(process, incarnation),
            Happening::Save { process, incarnation } => self.on_save(process, incarnation),
            Happening::Start { process } => self.start(process),
            Happening::Resume { process } => self.resume(process),
            Happening::Room { process } => self.processes[process as usize].disk.leave_room(None),
            Happening::Think { client } => self.submit(client),
            Happening::Copy { process } => self.on_copy(process),
            Happening::Lapse { process } => self.on_lapse(process),
            Happening::Operator { process } => self.on_operator(process),
            Happening::Trouble => self.trouble(),
        }
    }

    /// A process that stands still takes what has come when it goes on.
    pub fn hold_if_paused(&mut self, process: u32, happening: impl FnOnce() -> Happening) -> bool {
        let paused = self.processes[process as usize].paused;
        if paused {
            self.schedule(Duration::from_millis(5), happening());
        }
        paused
    }

    fn on_frame(&mut self, from: u32, to: u32, bytes: &Rc<[u8]>) {
        if self.hold_if_paused(to, || Happening::Frame { from, to, bytes: bytes.clone() }) {
            return;
        }
        let sender = self.processes[from as usize].id;
        let decoded = codec::decode::<Message>(bytes);
        self.trace.event(self.now, [2, u64::from(from), u64::from(to)], bytes, || match &decoded {
            Ok(message) => format!("{from} -> {to}  {}", describe(message)),
            Err(error) => format!("{from} -> {to}  {error}"),
        });
        let says_truth = self.processes[from as usize].correct;
        let Ok(message) = decoded else {
            return self.expect_valid(says_truth, from, || "a message does not decode".to_owned());
        };
        let now = self.now;
        let one = &mut self.processes[to as usize];
        let local = one.now(now);
        let Some(running) = &mut one.running else { return };
        if !running.throttle.admits(sender, &message, local.monotonic) {
            return;
        }
        if !one.guarded && matches!(message, Message::Witness(_)) {
            return;
        }
        if running.held_up && !matches!(message, Message::FetchState(_) | Message::State(_)) {
            if matches!(message, Message::Evidence(_)) {
                running.set_aside.push((from, bytes.clone()));
            }
            return;
        }
        if one.outbound.is_some() {
            self.pass(to, Traffic::Received { from: sender, message: &message });
        }
        match self.authenticator.verify_message(sender, message.clone()) {
            Err(invalid) => self.expect_valid(says_truth, from, || format!("{}: {invalid}", message.name())),
            Ok(verified) => {
                let one = &self.processes[to as usize];
                let (id, correct, guarded, takes_part) = (one.id.0, one.correct, one.guarded, one.takes_part());
                let (mut lies, mut votes) = (Vec::new(), Vec::new());
                if let (true, Some(running)) = (correct, &one.running) {
                    self.checker.accepted(id, &message);
                    if takes_part {
                        self.checker.heard(id, &message);
                        lies = self.checker.contradictions(id, &message, &running.replica);
                        votes = self.checker.keeps(&message, &running.replica);
                    }
                }
                if let (true, Message::Witness(witness)) = (guarded, &message) {
                    self.checker.witnessed(id, sender.0, witness);
                }
                let taken = self.take(to, sender, verified);
                if let (true, true, Some(running)) = (correct, takes_part, &self.processes[to as usize].running) {
                    self.checker.expect_accused(id, &lies, &running.replica);
                    if taken {
                        self.checker.took(id, &message, votes);
                    }
                }
            }
        }
    }

    /// The latest time of a batch that some correct replica may have accepted by now.
    pub fn latest_proposal(&self) -> u64 {
        let correct = self.processes.iter().filter(|process| process.correct);
        correct.map(|process| process.latest_proposal(self.now)).max().unwrap_or(0)
    }

    fn expect_valid(&mut self, says_truth: bool, from: u32, what: impl FnOnce() -> String) {
        if says_truth {
            self.checker.fail(Invariant::CorrectMessagesVerify, || format!("process {from}: {}", what()));
        }
    }

    /// Whether its core took it in.
    fn take(&mut self, to: u32, from: ReplicaId, message: VerifiedMessage) -> bool {
        match message {
            VerifiedMessage::FetchState(question) => self.order(to, Order::Fetch { from, question }),
            VerifiedMessage::State(reply) => self.order(to, Order::State { from, reply: Box::new(reply) }),
            message => {
                let local = self.processes[to as usize].now(self.now);
                let Some(running) = &mut self.processes[to as usize].running else { return false };
                let result = running.replica.handle_message(local, from, message);
                if let Err(rejection) = result {
                    self.trace.say(self.now, || format!("      {to} rejects it: {rejection}"));
                }
                self.settle(to);
                return result.is_ok();
            }
        }
        false
    }

    fn on_asked(&mut self, client: u32, to: u32, bytes: &Rc<[u8]>) {
        if self.hold_if_paused(to, || Happening::Asked { client, to, bytes: bytes.clone() }) {
            return;
        }
        self.trace.event(self.now, [3, u64::from(client), u64::from(to)], bytes, || format!("client {client} -> {to}"));
        let Ok(ClientMessage::Request(request)) = codec::decode::<ClientMessage>(bytes) else { return };
        let local = self.processes[to as usize].now(self.now);
        let Some(running) = &mut self.processes[to as usize].running else { return };
        let (name, timestamp) = (request.client, request.timestamp);
        let verified = self.authenticator.verify_requests(vec![request]).pop();
        let view = running.replica.view();
        let refusal = match verified {
            Some(Ok(_)) if running.held_up => Some(RequestRefusal::Busy { retry_after_ms: 1000 }),
            Some(Ok(request)) => running.replica.handle_request(local, request).err(),
            Some(Err(refusal)) => Some(refusal),
            None => None,
        };
        if let Some(refusal) = refusal {
            self.trace.say(self.now, || format!("      {to} refuses it: {refusal}"));
            self.answer(to, client, ReplicaMessage::Refused { client: name, timestamp, view, refusal });
        }
        self.settle(to);
    }

    fn on_answer(&mut self, from: ReplicaId, client: u32, bytes: &[u8]) {
        self.trace.event(self.now, [4, u64::from(from.0), u64::from(client)], bytes, || format!("{from} answers client {client}"));
        let Ok(message) = codec::decode::<ReplicaMessage>(bytes) else { return };
        self.clients[client as usize].session.handle_message(self.now, from, message);
        self.settle_client(client);
        self.check_session(client);
    }

    /// Sends the client's next request, if it has one.
    pub fn submit(&mut self, id: u32) {
        let now = self.now;
        let client = &mut self.clients[id as usize];
        client.thinking = false;
        if client.left == 0 || !client.session.has_room() || client.session.in_flight() as u64 >= self.plan.in_flight {
            return;
        }
        client.left -= 1;
        if client.lies {
            let sends = client.lie(&self.authenticator, now);
            for (replica, message) in sends {
                let ClientMessage::Request(request) = &message else { continue };
                self.client_signed(id, request);
                self.ask(id, replica, &message);
            }
            return self.think(id);
        }
        let operations = client.next_operations();
        let wall = crate::client::WALL_AT_START + now.as_micros() as u64;
        let Ok(timestamp) = client.session.submit(now, wall, operations) else { return };
        self.asked(id, timestamp);
        let Some(request) = self.clients[id as usize].of_a_stranger(&self.authenticator, timestamp) else { return };
        self.trace.say(now, || format!("stranger {} asks {}", request.client, timestamp.0));
        self.checker.client_signed(&request);
        let message = ClientMessage::Request(request);
        for replica in self.authenticator.genesis().clone().replica_ids() {
            self.ask(id, replica, &message);
        }
    }

    /// A client sends its next request to all replicas at once.
    pub fn submit_to_all(&mut self, id: u32) {
        let (now, client) = (self.now, &mut self.clients[id as usize]);
        let timestamp = Timestamp(crate::client::WALL_AT_START + now.as_micros() as u64);
        let operations = client.next_operations();
        let Ok(request) = client.session.sign(timestamp, operations) else { return };
        if client.session.resubmit(now, request).is_ok() {
            self.asked(id, timestamp);
        }
    }

    fn asked(&mut self, id: u32, timestamp: Timestamp) {
        let now = self.now;
        self.checker.client_asked(self.clients[id as usize].name, timestamp, now);
        self.asked_in.insert((id, timestamp), self.checker.highest_view());
        self.trace.say(now, || format!("client {id} asks {}", timestamp.0));
        self.settle_client(id);
    }

    /// Only what bears the client's own name counts as signed by it.
    fn client_signed(&mut self, id: u32, request: &Signed<Request>) {
        if request.client == self.clients[id as usize].name {
            self.checker.client_signed(request);
        }
    }

    fn settle_client(&mut self, id: u32) {
        while let Some((replica, message)) = self.clients[id as usize].session.poll_transmit() {
            if let ClientMessage::Request(request) = &message {
                self.client_signed(id, request);
            }
            self.ask(id, replica, &message);
        }
        while let Some(completed) = self.clients[id as usize].session.poll_completed() {
            let now = self.now;
            self.trace.say(now, || format!("client {id} has its answer to {}", completed.timestamp.0));
            self.checker.client_answered(&completed, now);
            self.count_views(id, completed.timestamp);
        }
        self.client_wakes[id as usize] = self.clients[id as usize].session.poll_timeout();
        self.think(id);
    }

    /// It believes in no view that nobody correct is in, and asks again in time (R2).
    fn check_session(&mut self, client: u32) {
        let session = &self.clients[client as usize].session;
        let highest = self.checker.highest_view();
        let (view, wakes) = (session.view(), session.poll_timeout());
        if view > highest {
            self.checker.fail(Invariant::AnswersAreRight, || format!("client {client} believes in view {view}"));
        }
        let latest = self.now + pbft_protocol::session::Settings::default().retry_max;
        if session.in_flight() > 0 && wakes.is_none_or(|wakes| wakes > latest) {
            self.checker.fail(Invariant::RequestsAreAnswered, || format!("client {client} does not ask again before {wakes:?}"));
        }
    }

    /// Lets the client send again soon.
    pub fn think(&mut self, id: u32) {
        let client = &mut self.clients[id as usize];
        if client.left == 0 || client.thinking {
            return;
        }
        client.thinking = true;
        let delay = self.random.micros(0, self.plan.think_micros);
        self.schedule(delay, Happening::Think { client: id });
    }

    fn ask(&mut self, client: u32, replica: ReplicaId, message: &ClientMessage) {
        let bytes: Rc<[u8]> = codec::encode(message).into();
        for to in self.processes_of(replica) {
            for at in self.network.arrivals(self.now, Party::Client(client), Party::Process(to), bytes.len()) {
                self.schedule_at(at, Happening::Asked { client, to, bytes: bytes.clone() });
            }
        }
    }

    pub fn answer(&mut self, process: u32, client: u32, message: ReplicaMessage) {
        if self.processes[process as usize].outbound.is_some() {
            return self.pass(process, Traffic::Answering { message: Box::new(message) });
        }
        self.transmit_answer(process, client, &message);
    }

    pub fn transmit_answer(&mut self, process: u32, client: u32, message: &ReplicaMessage) {
        let bytes: Rc<[u8]> = codec::encode(message).into();
        let from = self.processes[process as usize].id;
        for at in self.network.arrivals(self.now, Party::Process(process), Party::Client(client), bytes.len()) {
            self.schedule_at(at, Happening::Answer { from, client, bytes: bytes.clone() });
        }
    }

    pub fn processes_of(&self, replica: ReplicaId) -> Vec<u32> {
        let found = (0..).zip(&self.processes).filter(|(_, process)| process.id == replica);
        found.map(|(index, _)| index).collect()
    }

    /// A process's timers may have changed.
    pub fn rewind(&mut self, process: u32) {
        self.wakes[process as usize] = self.processes[process as usize].wakes_at();
    }
}

/// A message in words.
pub fn describe(message: &Message) -> String {
    let name = message.name();
    match message {
        Message::PrePrepare { header, .. } => {
            format!("{name} view {} number {} digest {} by {}", header.view, header.sequence, header.digest.short(), header.replica)
        }
        Message::Prepare { prepare, .. } => {
            format!("{name} view {} number {} digest {}", prepare.view, prepare.sequence, prepare.digest.short())
        }
        Message::Commit(commit) => {
            format!("{name} view {} number {} digest {}", commit.view, commit.sequence, commit.digest.short())
        }
        Message::Checkpoint(checkpoint) => format!("{name} number {} digest {}", checkpoint.sequence, checkpoint.digest.short()),
        Message::ViewChange(change) => {
            let prepared: Vec<String> =
                change.prepared.iter().map(|one| format!("{}@{} {}", one.sequence, one.view, one.digest.short())).collect();
            format!("{name} to {} from h {} prepared [{}]", change.view, change.low_watermark(), prepared.join(", "))
        }
        Message::NewView(new_view) => {
            let of: Vec<u32> = new_view.view_changes.iter().map(|change| change.replica.0).collect();
            let o: Vec<String> =
                new_view.pre_prepares.iter().map(|one| format!("{} {}", one.sequence, one.digest.short())).collect();
            format!("{name} {} by {} from {of:?}: [{}]", new_view.view, new_view.replica, o.join(", "))
        }
        Message::Suspect { view } => format!("{name} view {view}"),
        Message::Heartbeat { view, counter } => format!("{name} view {view} number {counter}"),
        Message::Status(status) => format!(
            "{name} view {}{} h {} executed {}",
            status.view,
            if status.active { "" } else { " wanted" },
            status.low_watermark,
            status.executed
        ),
        Message::Committed { certificate, .. } => {
            format!("{name} number {} in view {} digest {}", certificate.sequence, certificate.view, certificate.digest.short())
        }
        Message::Stable(certificate) => format!("{name} number {}", certificate.sequence),
        Message::FetchState(question) => format!("{name} {question:?}"),
        Message::State(StateReply::Outline { state, .. }) => format!("{name}: outline of {}", state.sequence),
        Message::State(StateReply::Chunks { sequence, pieces, .. }) => format!("{name}: {} pieces of {sequence}", pieces.len()),
        Message::State(StateReply::Gone { sequence, newest }) => format!("{name}: {sequence} is gone, the newest is {newest}"),
        Message::FetchBody { digest } => format!("{name} {}", digest.short()),
        Message::Evidence(evidence) => format!("{name} {:?} against {}", evidence.kind(), evidence.accused().0),
        Message::Request(request) => format!("{name} {} of {}", request.timestamp.0, request.client),
        _ => name.to_owned(),
    }
}
