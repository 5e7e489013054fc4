//! The replica: agreement on the order of batches.
//!
//! Upon receiving
//! - a *request* as primary: propose it in a batch, with PRE-PREPARE (R4, `propose`); as backup: relay it once and
//!   watch it (R2, R10);
//! - a *pre-prepare*: accept it if R4 allows, make body and vote durable, send PREPARE (R5, `normal_case`);
//! - `quorum - 1` matching *prepares*: the batch is prepared; make the certificate durable, send COMMIT (R6);
//! - a `quorum` of matching *commits*: the batch is committed; hand it to the executor in order (R7, `ordering`);
//! - a *checkpoint* quorum: the checkpoint is stable; h advances and the log below it is freed (R9, `checkpoint`);
//! - *suspicion* by a weak quorum: stop voting in the view, send VIEW-CHANGE (R10, R11, `view_change`);
//! - a quorum of *view-changes* as the new primary: send NEW-VIEW (R12); a valid *new-view*: enter it (R13, `new_view`);
//! - measurements that show a primary that wastes time: suspect it (R18, `pace`);
//! - a *status*: send what its sender lacks (R23, `catch_up`);
//! - a *witness*, after a restart: compare what others hold of this replica's votes with what it remembers (R16, `witness`);
//! - two messages of one signer that contradict each other: keep them as evidence and spread it once (R17, `accuse`).
//!
//! Deviations from the paper: every message is signed (its public-key variant); a commit certificate alone lets a
//! replica in any view execute (R6); suspicion is agreed on by a weak quorum before a view is left (R10); checkpoints
//! follow certificates, not the own execution (R9).
//!
//! Safety rests on this: two quorums share a correct replica; a correct replica votes once for each view and number,
//! in no view below one it has left, and remembers that across restarts (R15); whatever committed is in the prepared
//! certificates of every quorum of view-changes (R11, R12).

mod accuse;
mod catch_up;
mod checkpoint;
mod config;
mod delays;
mod effects;
mod held;
mod log;
mod new_view;
mod normal_case;
mod ordering;
mod overheard;
mod pace;
mod peer;
mod progress;
mod propose;
mod reason;
mod record;
mod recover;
mod rejection;
mod requests;
mod silence;
mod timeouts;
mod timers;
mod view_change;
mod witness;

pub use config::{Config, Limits, Timing};
pub use delays::{Delays, RequestDelays};
pub use effects::{Action, Alarm, Durable, Effects, Event, JournalPosition, Persist, Unpersisted};
pub use held::Held;
pub use progress::{PeerProgress, Progress};
pub use reason::Reason;
pub use record::{Record, VerifiedRecord, verify_records};
pub use recover::RecoverError;
pub use rejection::Rejection;
pub use silence::Silence;
pub use timers::Timer;

use crate::Now;
use crate::execution::RequestWindow;
use checkpoint::Checkpoints;
use effects::{Awaiting, Output};
use log::{Bodies, Log};
use ordering::Ordering;
use overheard::{Overheard, statement_of};
use pace::Pace;
use pbft_crypto::Digest;
use pbft_message::*;
use peer::Peer;
use requests::{Requests, Taken};
use silence::Repair;
use std::collections::BTreeMap;
use std::time::Duration;
use timers::Timers;
use view_change::{Suspicion, ViewChanges};
use witness::Recovery;

/// One replica's part in agreement, as a pure state machine.
///
/// The driver
/// 1. makes one with [`new`](Self::new), or with [`recover`](Self::recover) from its journal;
/// 2. hands in what happens, with the time: [`handle_message`](Self::handle_message),
///    [`handle_request`](Self::handle_request), [`handle_durable`](Self::handle_durable),
///    [`handle_executed`](Self::handle_executed), [`handle_installed`](Self::handle_installed),
///    [`handle_snapshot`](Self::handle_snapshot), [`handle_peer_up`](Self::handle_peer_up);
/// 3. then takes [`poll_effects`](Self::poll_effects) and carries them out in order: what is split off at once, the
///    rest through the journal, whose position goes back in by `handle_durable`;
/// 4. sleeps no longer than [`poll_timeout`](Self::poll_timeout) and then calls
///    [`handle_timeout`](Self::handle_timeout).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    config: Config,
    signer: Signer,
    now: Now,
    view: View,
    /// Entered, by a new-view or because it is view 0.
    active: bool,
    log: Log,
    bodies: Bodies,
    ordering: Ordering,
    requests: Requests,
    pace: Pace,
    checkpoints: Checkpoints,
    view_changes: ViewChanges,
    peers: BTreeMap<ReplicaId, Peer>,
    evidence: Vec<Verified<Evidence>>,
    overheard: Overheard,
    timers: Timers,
    output: Output,
    /// A snapshot of the state at this number is being written: the journal's next base begins from there.
    base_from: Option<SequenceNumber>,
    /// The snapshot at this number is durable, since the last poll.
    durable_snapshot: Option<SequenceNumber>,
    /// The snapshot beside which the journal's newest base was written.
    base_beside: Option<SequenceNumber>,
    /// How many snapshots in a row were begun without a base.
    missed_bases: u32,
    /// Voting stopped for good, or until a repair.
    halted: Option<Alarm>,
    repair: Repair,
    /// It never votes (R16).
    learner: bool,
    /// It came back from its disk; none if it began without one (R16).
    recovery: Option<Recovery>,
}

impl Replica {
    /// A replica at genesis that has no disk to come back from: it votes at once.
    pub fn new(config: Config, signer: Signer, now: Now) -> Self {
        let mut replica = Self::empty(config, signer, now);
        replica.start();
        replica
    }

    fn empty(config: Config, signer: Signer, now: Now) -> Self {
        let genesis = config.genesis();
        let others = genesis.replica_ids().filter(|replica| *replica != signer.replica());
        Self {
            log: Log::new(SequenceNumber::GENESIS, genesis.parameters.log_window),
            bodies: Bodies::default(),
            ordering: Ordering::default(),
            requests: Requests::new(genesis, config.limits.pending_requests, config.limits.pending_bytes),
            pace: Pace::default(),
            checkpoints: Checkpoints::default(),
            view_changes: ViewChanges::default(),
            peers: others.map(|replica| (replica, Peer::default())).collect(),
            evidence: Vec::new(),
            overheard: Overheard::default(),
            timers: Timers::default(),
            output: Output::default(),
            base_from: None,
            durable_snapshot: None,
            base_beside: None,
            missed_bases: 0,
            halted: None,
            repair: Repair::None,
            learner: false,
            recovery: None,
            view: View(0),
            active: true,
            now,
            config,
            signer,
        }
    }

    /// Starts the timers that always run, and opens view 0 as its primary.
    fn start(&mut self) {
        self.timers.set(Timer::Status, self.now.monotonic);
        if !self.active {
            return;
        }
        if !self.is_primary() {
            self.heard_primary();
        } else if self.votes() {
            self.open_view();
        }
    }

    /// A message from another replica, whose connection it came on.
    pub fn handle_message(&mut self, now: Now, from: ReplicaId, message: VerifiedMessage) -> Result<(), Rejection> {
        self.now = now;
        if !self.peers.contains_key(&from) {
            return Err(Rejection::Unsolicited);
        }
        self.note_votes(from, &message);
        let statement = statement_of(&message);
        if let Some(statement) = &statement {
            self.compare(std::slice::from_ref(statement));
        }
        let taken = self.take_in(from, message);
        if let (Err(rejection), Some(statement)) = (taken, statement)
            && rejection.leaves_it_aside()
        {
            self.overheard.keep(statement);
        }
        taken
    }

    fn take_in(&mut self, from: ReplicaId, message: VerifiedMessage) -> Result<(), Rejection> {
        if self.is_recovering() && !Self::is_for_recovering(&message) {
            return Err(Rejection::Recovering);
        }
        if self.has_diverged() && !self.is_for_diverged(&message) {
            return Err(Rejection::Diverged);
        }
        match message {
            VerifiedMessage::PrePrepare { header, body } => self.on_pre_prepare(header, body),
            VerifiedMessage::Prepare { prepare, pre_prepare } => self.on_prepare(prepare, pre_prepare),
            VerifiedMessage::Commit(commit) => self.on_commit(commit),
            VerifiedMessage::Checkpoint(checkpoint) => self.on_checkpoint(checkpoint),
            VerifiedMessage::ViewChange(change) => self.on_view_change(change),
            VerifiedMessage::NewView(new_view) => self.on_new_view(new_view),
            VerifiedMessage::Suspect { view } => self.on_suspect(from, view),
            VerifiedMessage::Heartbeat { view, counter } => self.on_heartbeat(from, view, counter),
            VerifiedMessage::Status(status) => self.on_status(from, status),
            VerifiedMessage::Request(request) => self.on_relayed_request(request),
            VerifiedMessage::FetchBody { digest } => self.on_fetch_body(from, digest),
            VerifiedMessage::Body(body) => self.on_body(body),
            VerifiedMessage::Committed { certificate, body } => self.on_committed(certificate, body),
            VerifiedMessage::Stable(certificate) => self.on_stable(certificate),
            VerifiedMessage::Evidence(evidence) => self.on_evidence(evidence),
            VerifiedMessage::Witness(witness) => self.on_witness(from, &witness),
            VerifiedMessage::FetchState(_) | VerifiedMessage::State(_) => Err(Rejection::NotForAgreement),
        }
    }

    /// A request that a client sent here itself.
    pub fn handle_request(&mut self, now: Now, request: Verified<Signed<Request>>) -> Result<(), RequestRefusal> {
        self.now = now;
        let (client, timestamp) = (request.client, request.timestamp);
        let watch = !self.leads();
        let taken = self.requests.take(request.clone(), self.config.authenticator.domain(), now.monotonic, watch, false)?;
        match taken {
            Taken::Ordered => self.output.at_once(Action::Answer(client, timestamp)),
            Taken::Watched => self.output.at_once(Action::Broadcast(Message::Request(request.into_inner()))),
            Taken::Waiting => {}
        }
        Ok(())
    }

    /// A request that another replica passed on: watched too, but not passed on again (R2).
    fn on_relayed_request(&mut self, request: Verified<Signed<Request>>) -> Result<(), Rejection> {
        let watch = !self.leads();
        let taken = self.requests.take(request, self.config.authenticator.domain(), self.now.monotonic, watch, true);
        taken.map(|_| ()).map_err(|_| Rejection::RequestNotTaken)
    }

    /// All records up to this position are durable (R15).
    pub fn handle_durable(&mut self, now: Now, position: JournalPosition) {
        self.now = now;
        while let Some(awaiting) = self.output.next_durable(position) {
            match awaiting {
                Awaiting::Prepare(view, sequence) => self.own_prepare_durable(view, sequence),
                Awaiting::Commit(view, sequence) => self.own_commit_durable(view, sequence),
                Awaiting::Checkpoint(sequence) => self.own_checkpoint_durable(sequence),
                Awaiting::ViewChange(view) => self.own_view_change_durable(view),
                Awaiting::NewView(view) => self.own_new_view_durable(view),
                Awaiting::Opened(view) => self.view_changes.opened = Some(view),
            }
        }
    }

    /// The executor has executed this number; at a checkpoint it tells the state's digest.
    pub fn handle_executed(&mut self, now: Now, sequence: SequenceNumber, checkpoint: Option<Digest>) {
        self.now = now;
        self.ordering.executed = self.ordering.executed.max(sequence);
        if let Some(digest) = checkpoint {
            self.on_own_checkpoint(sequence, digest);
        }
        self.dispatch();
    }

    /// The executor has installed a fetched state, with these requests marked as executed (R14).
    pub fn handle_installed(&mut self, now: Now, sequence: SequenceNumber, windows: BTreeMap<ClientId, RequestWindow>) {
        self.now = now;
        self.ordering.installed(sequence);
        self.repair_installed(sequence);
        self.requests.restore(windows, now.monotonic);
        self.mark_ordered_above(sequence);
        self.advance_frontier();
        self.dispatch();
    }

    /// With this number an operator may have changed who is authorised (R8).
    pub fn handle_clients(&mut self, now: Now, sequence: SequenceNumber, windows: BTreeMap<ClientId, RequestWindow>) {
        self.now = now;
        self.requests.restore(windows, now.monotonic);
        self.mark_ordered_above(sequence);
    }

    /// The executor could not get the state asked for; another attempt follows when it is due.
    pub fn handle_transfer_failed(&mut self, now: Now) {
        self.now = now;
        self.ordering.transfer_failed();
        self.advance_frontier();
        self.dispatch();
    }

    /// The executor's state at a stable checkpoint is not the certified one, however far h has gone on meanwhile (R9).
    pub fn handle_diverged(&mut self, now: Now, sequence: SequenceNumber) {
        self.now = now;
        self.halt(Alarm::Diverged(sequence));
    }

    /// Nobody serves the state that is being fetched any longer: a newer one may be had.
    pub fn handle_transfer_stalled(&mut self, now: Now) {
        self.now = now;
        if self.ordering.transferring.is_some() {
            self.fetch_newest_state();
        }
    }

    /// A snapshot of the state at this stable checkpoint is about to be written: what must be remembered beside it is
    /// gathered now, while all that comes after it is at hand.
    pub fn handle_snapshot_started(&mut self, now: Now, sequence: SequenceNumber) {
        self.now = now;
        self.base_from = Some(sequence);
    }

    /// The snapshot that was begun last is durable: earlier records may go (R9).
    pub fn handle_snapshot(&mut self, now: Now, sequence: SequenceNumber) {
        self.now = now;
        self.durable_snapshot = Some(sequence);
        self.repair_durable(sequence);
    }

    /// A connection to another replica is up. It may have been away when evidence was spread (R17).
    pub fn handle_peer_up(&mut self, now: Now, peer: ReplicaId) {
        self.now = now;
        let mut status = self.status();
        // Also once enough have answered: this one may hold what they do not (R16).
        let unheard = self.recovery.as_ref().filter(|recovery| !recovery.answered.contains(&peer));
        status.asks = unheard.map(|recovery| recovery.asked);
        self.output.at_once(Action::Send(peer, Message::Status(status)));
        for evidence in &self.evidence {
            self.output.after(Action::Send(peer, Message::Evidence((**evidence).clone())));
        }
    }

    /// What is to be done since the last call.
    pub fn poll_effects(&mut self) -> Effects {
        self.propose();
        self.watch_pace();
        if !self.is_idle() {
            self.timers.set_at_most(Timer::Status, self.now.monotonic.saturating_add(self.config.timing.status));
        }
        let (base, adopt) = self.change_base();
        self.output.take(base, adopt)
    }

    /// The journal's next base, and whether the journal begins with the newest one from now on. Only once the snapshot beside
    /// that one is durable: one that is durable later or earlier does not stand for what it leaves out (R9).
    fn change_base(&mut self) -> (Option<Vec<Record>>, bool) {
        let durable = self.durable_snapshot.take();
        if self.base_beside.is_some() && durable == self.base_beside {
            self.base_beside = None;
            return (None, true);
        }
        let Some(sequence) = self.base_from.take() else { return (None, false) };
        let Some(base) = self.next_base(sequence) else { return (None, false) };
        let adopt = durable == Some(sequence);
        self.base_beside = (!adopt).then_some(sequence);
        (Some(base), adopt)
    }

    /// The view that this replica is in or wants to enter.
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether it has entered the view.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// h.
    pub fn low_watermark(&self) -> SequenceNumber {
        self.log.low()
    }

    /// The last number that the executor reported.
    pub fn executed(&self) -> SequenceNumber {
        self.ordering.executed
    }

    /// What is ordered of each authorised client.
    pub fn windows(&self) -> &BTreeMap<ClientId, RequestWindow> {
        self.requests.windows()
    }

    /// The proof of the stable checkpoint at h.
    pub fn stable_certificate(&self) -> Option<&Verified<StableCertificate>> {
        self.checkpoints.stable.as_ref()
    }

    /// How often it left a view.
    pub fn view_change_count(&self) -> u64 {
        self.view_changes.count
    }

    /// The proofs of lies that it holds.
    pub fn evidence(&self) -> &[Verified<Evidence>] {
        &self.evidence
    }

    /// Why it stopped voting, if it did.
    pub fn halted(&self) -> Option<Alarm> {
        self.halted
    }

    fn id(&self) -> ReplicaId {
        self.signer.replica()
    }

    fn primary(&self) -> ReplicaId {
        self.config.genesis().primary(self.view)
    }

    fn is_primary(&self) -> bool {
        self.primary() == self.id()
    }

    /// The primary of a view that has begun here.
    fn leads(&self) -> bool {
        self.active && self.is_primary()
    }

    fn genesis(&self) -> &Genesis {
        self.config.genesis()
    }

    fn tell(&mut self, event: Event) {
        self.output.at_once(Action::Tell(event));
    }
}
