use super::MAX_CHUNKS;
use super::frozen::FrozenState;
use super::installed::{InstalledState, Part, is_named_by};
use super::merkle::{chunk_digest, root_of};
use super::poison::Poison;
use super::source::{Source, Wanted};
use pbft_crypto::Digest;
use pbft_message::{
    CheckpointState, ChunkPiece, FetchState, ReplicaId, SequenceNumber, StableCertificate, StatePart, StateReply, Verified,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most chunks named in one question.
const MAX_ASKED: usize = 1024;

/// Fetches the state of a stable certificate (R14): first its outline, checked against the certificate, then each chunk
/// that is not here yet, checked against the outline. All peers are asked at once, each for chunks of its own.
///
/// Call [`poll`](Self::poll) until it gives nothing: after [`new`](Self::new) and [`retarget`](Self::retarget), after
/// every [`handle`](Self::handle), and when the time of [`poll_timeout`](Self::poll_timeout) has come. Keep the chunks
/// that `handle` gives; once it [`is_complete`](Self::is_complete), [`finish`](Self::finish). What a peer sends is
/// trusted in nothing; one that lied is asked only while no other serves.
#[derive(Debug)]
pub struct Transfer {
    target: Verified<StableCertificate>,
    peers: BTreeMap<ReplicaId, Source>,
    local: FrozenState,
    /// Where the local chunks are, by digest.
    local_chunks: BTreeMap<Digest, (StatePart, u32)>,
    /// The chunks that the caller keeps, whatever target they were fetched for.
    kept: BTreeSet<Digest>,
    outline: Option<Outline>,
    /// The chunks that nobody is asked for now, each digest once.
    missing: Wanted,
    /// How many chunks are not here, asked for or not.
    left: usize,
    questions: u64,
    wakes_at: Option<Duration>,
}

#[derive(Debug)]
struct Outline {
    state: CheckpointState,
    service: Vec<Digest>,
    clients: Vec<Digest>,
}

/// What came of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Chunks that are whole and certified, with their digests: to be kept until the state is installed.
    pub chunks: Vec<(Digest, Vec<u8>)>,
    /// What the certificate contradicts: the peer lies, or its memory or disk is damaged.
    pub poison: Option<Poison>,
}

impl Transfer {
    /// Begins to fetch the target's state from these peers. Neither chunks of the local state nor those in `kept` are
    /// fetched.
    pub fn new(
        target: Verified<StableCertificate>,
        peers: impl IntoIterator<Item = ReplicaId>,
        local: FrozenState,
        kept: BTreeSet<Digest>,
    ) -> Self {
        let part = |part| (0..).zip(local.leaves(part)).map(move |(index, digest)| (*digest, (part, index)));
        let local_chunks = part(StatePart::Service).chain(part(StatePart::Clients)).collect();
        Self {
            target,
            peers: peers.into_iter().map(|id| (id, Source::default())).collect(),
            local,
            local_chunks,
            kept,
            outline: None,
            missing: Wanted::new(),
            left: 0,
            questions: 0,
            wakes_at: None,
        }
    }

    /// The certificate of the state that is being fetched.
    pub const fn target(&self) -> &Verified<StableCertificate> {
        &self.target
    }

    /// Goes for a newer state; what is here stays. No effect for an older one.
    pub fn retarget(&mut self, certificate: Verified<StableCertificate>) {
        if certificate.sequence <= self.target.sequence {
            return;
        }
        self.target = certificate;
        self.outline = None;
        self.missing.clear();
        self.peers.values_mut().for_each(Source::start_anew);
    }

    /// Whether any peer is trusted to answer. Otherwise a newer target may be better.
    pub fn is_served(&self) -> bool {
        self.peers.values().any(Source::serves)
    }

    /// All chunks are here.
    pub const fn is_complete(&self) -> bool {
        self.outline.is_some() && self.left == 0
    }

    /// The next question to send now, if there is one.
    pub fn poll(&mut self, now: Duration) -> Option<(ReplicaId, FetchState)> {
        self.wakes_at = None;
        if self.is_complete() {
            return None;
        }
        for peer in self.peers.values_mut().filter(|peer| peer.is_late(now)) {
            self.missing.extend(peer.fail(now));
        }
        let asked = self.next_peer(now).and_then(|id| self.ask(now, id));
        if asked.is_none() {
            let may_be_asked = self.peers.values().filter(|peer| self.is_of_use(peer));
            let waits = self.peers.values().filter_map(Source::answer_due).chain(may_be_asked.filter_map(Source::rest_over));
            self.wakes_at = waits.filter(|at| *at > now).min();
        }
        asked
    }

    /// When to poll again, if nothing comes before.
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.wakes_at
    }

    /// Who is asked next: those that failed least, in turn.
    fn next_peer(&self, now: Duration) -> Option<ReplicaId> {
        let idle = self.peers.iter().filter(|(_, peer)| peer.is_idle(now) && self.is_of_use(peer));
        idle.min_by_key(|(_, peer)| (peer.is_avoided(), peer.failures, peer.turn)).map(|(id, _)| *id)
    }

    /// Whether there is something to ask of it: the outline of one peer, chunks of all.
    fn is_of_use(&self, peer: &Source) -> bool {
        if peer.is_avoided() && self.is_served() {
            return false;
        }
        match &self.outline {
            None => !self.peers.values().any(|peer| peer.is_asked_for(self.target.sequence)),
            Some(_) => peer.unfinished().is_some() || !self.missing.is_empty(),
        }
    }

    fn ask(&mut self, now: Duration, id: ReplicaId) -> Option<(ReplicaId, FetchState)> {
        let sequence = self.target.sequence;
        let count = self.missing.len().div_ceil(self.peers.len().max(1)).min(MAX_ASKED);
        let peer = self.peers.get_mut(&id)?;
        self.questions = self.questions.saturating_add(1);
        peer.turn = self.questions;
        if self.outline.is_none() {
            peer.ask(now, sequence, Wanted::new());
            return Some((id, FetchState::Outline { sequence }));
        }
        let unfinished = peer.unfinished();
        let first = unfinished.map(|(place, ..)| place).or_else(|| self.missing.keys().next().copied());
        let (part, from) = first.unwrap_or((StatePart::Service, 0));
        let places = self.missing.range((part, from)..=(part, u32::MAX)).take(count);
        let mut share: Wanted = places.map(|(place, digest)| (*place, *digest)).collect();
        self.missing.retain(|place, _| !share.contains_key(place));
        share.extend(unfinished.map(|(place, digest, _)| (place, digest)));
        let indices = share.keys().map(|(_, index)| *index).collect();
        let offset = unfinished.map_or(0, |(.., offset)| offset);
        peer.ask(now, sequence, share);
        Some((id, FetchState::Chunks { sequence, part, indices, offset }))
    }

    /// Takes an answer. What was not asked of this peer is ignored: it may be a late answer.
    pub fn handle(&mut self, now: Duration, from: ReplicaId, reply: StateReply) -> Taken {
        let mut taken = Taken::default();
        let sequence = sequence_of(&reply);
        let Some(share) = self.peers.get_mut(&from).and_then(|peer| peer.answers(sequence)) else { return taken };
        if sequence != self.target.sequence {
            return taken;
        }
        let was_of_use = match reply {
            StateReply::Chunks { part, pieces, .. } => self.take_pieces(now, from, share, (part, pieces), &mut taken.chunks),
            other => {
                self.missing.extend(share);
                self.take_outline(other)
            }
        };
        let Some(peer) = self.peers.get_mut(&from) else { return taken };
        match was_of_use {
            Ok(true) => peer.failures = 0,
            Ok(false) => self.missing.extend(peer.fail(now)),
            Err(poison) => {
                peer.poisoned = true;
                self.missing.extend(peer.fail(now));
                taken.poison = Some(poison);
            }
        }
        taken
    }

    /// Whether it was of use.
    fn take_outline(&mut self, reply: StateReply) -> Result<bool, Poison> {
        let StateReply::Outline { state, service, clients } = reply else { return Ok(false) };
        if self.outline.is_some() {
            return Ok(false);
        }
        let outline = Outline { state, service, clients };
        if !is_named_by(&outline.state, &self.target) {
            return Err(Poison::Outline);
        }
        let parts = [
            (StatePart::Service, &outline.service, outline.state.service_root),
            (StatePart::Clients, &outline.clients, outline.state.clients_root),
        ];
        for (part, leaves, root) in parts {
            if leaves.len() > MAX_CHUNKS || root_of(leaves) != root {
                return Err(Poison::Leaves(part));
            }
        }
        let mut seen = BTreeSet::new();
        for (place, digest) in outline.leaves() {
            let here = self.kept.contains(&digest) || self.local_chunks.contains_key(&digest);
            if !here && seen.insert(digest) {
                self.missing.insert(place, digest);
            }
        }
        self.left = self.missing.len();
        self.outline = Some(outline);
        Ok(true)
    }

    /// Takes the pieces that the peer was asked for, and passes over all others. Whether any was of use.
    fn take_pieces(
        &mut self,
        now: Duration,
        from: ReplicaId,
        mut share: Wanted,
        (part, pieces): (StatePart, Vec<ChunkPiece>),
        chunks: &mut Vec<(Digest, Vec<u8>)>,
    ) -> Result<bool, Poison> {
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(false) };
        let mut of_use = false;
        let mut poison = None;
        for piece in pieces {
            let place = (part, piece.index);
            let next = peer.unfinished().map_or((place, 0), |(place, _, offset)| (place, offset));
            let Some(digest) = share.get(&place).copied().filter(|_| next == (place, piece.offset)) else { continue };
            match peer.take_piece(now, place, digest, &piece) {
                Ok(Some(chunk)) => {
                    share.remove(&place);
                    self.left = self.left.saturating_sub(1);
                    self.kept.insert(digest);
                    chunks.push((digest, chunk));
                    of_use = true;
                }
                Ok(None) => of_use |= !piece.bytes.is_empty(),
                Err(lie) => {
                    poison = Some(lie);
                    break;
                }
            }
        }
        if let Some((place, ..)) = peer.unfinished() {
            share.remove(&place);
        }
        self.missing.append(&mut share);
        poison.map_or(Ok(of_use), Err)
    }

    /// The whole state, once it is complete. `read` gives a kept chunk back; one that was lost or damaged since is
    /// fetched again, as is a local one: then there is no state yet.
    pub fn finish<E>(&mut self, mut read: impl FnMut(&Digest) -> Result<Option<Vec<u8>>, E>) -> Result<Option<InstalledState>, E> {
        let Some(outline) = self.outline.as_ref().filter(|_| self.left == 0) else { return Ok(None) };
        let (mut service, mut clients) = (Vec::new(), Vec::new());
        for (place, digest) in outline.leaves() {
            let local = self.local_chunks.get(&digest).map(|(part, index)| self.local.snapshot(*part).chunk(*index));
            let is_local = local.is_some();
            let chunk = if is_local { local } else { read(&digest)? };
            // A disk or a memory may have altered it since, and a service may not have told that it changed it.
            match chunk.filter(|chunk| chunk_digest(chunk) == digest) {
                Some(chunk) if place.0 == StatePart::Service => service.push(chunk),
                Some(chunk) => clients.push(chunk),
                None if is_local => {
                    self.local_chunks.remove(&digest);
                    self.missing.insert(place, digest);
                }
                None if self.kept.remove(&digest) => _ = self.missing.insert(place, digest),
                None => {}
            }
        }
        self.left = self.missing.len();
        if self.left > 0 {
            return Ok(None);
        }
        let Some(Outline { state, service: service_leaves, clients: clients_leaves }) = self.outline.take() else {
            return Ok(None);
        };
        let service = Part { chunks: service, leaves: service_leaves };
        let clients = Part { chunks: clients, leaves: clients_leaves };
        Ok(Some(InstalledState { certificate: self.target.clone(), state, service, clients }))
    }
}

impl Outline {
    fn leaves(&self) -> impl Iterator<Item = ((StatePart, u32), Digest)> {
        let part = |part, leaves: &[Digest]| {
            let leaves: Vec<Digest> = leaves.to_vec();
            (0..).zip(leaves).map(move |(index, digest)| ((part, index), digest))
        };
        part(StatePart::Service, &self.service).chain(part(StatePart::Clients, &self.clients))
    }
}

const fn sequence_of(reply: &StateReply) -> SequenceNumber {
    match reply {
        StateReply::Gone { sequence, .. } | StateReply::Chunks { sequence, .. } => *sequence,
        StateReply::Outline { state, .. } => state.sequence,
    }
}
