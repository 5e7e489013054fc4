use super::frozen::FrozenState;
use super::installed::{InstalledState, Part, is_named_by};
use super::merkle::{chunk_digest, root_of};
use super::{MAX_CHUNK_BYTES, MAX_CHUNKS};
use pbft_crypto::Digest;
use pbft_message::{
    CheckpointState, ChunkPiece, FetchState, ReplicaId, SequenceNumber, StableCertificate, StatePart, StateReply, Verified,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long an answer may take, and each MiB of a chunk that needs several answers; each failure in a row doubles it, up
/// to the maximum.
const BASE_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(16);

/// The most chunks named in one question.
const MAX_ASKED: usize = 1024;

/// Fetches the state of a stable certificate (R14): first its outline, checked against the certificate, then each chunk
/// that is not here yet, checked against the outline.
///
/// Call [`poll`](Self::poll) after [`new`](Self::new) and [`retarget`](Self::retarget), after every
/// [`handle`](Self::handle), and when the time of [`poll_timeout`](Self::poll_timeout) has come. It asks one peer at a
/// time, in turn, those that failed least first. What a peer sends is trusted in nothing.
#[derive(Debug)]
pub struct Transfer {
    target: Verified<StableCertificate>,
    /// The first is the one to ask. Those that failed less often stand before the others.
    peers: VecDeque<Peer>,
    local: Option<FrozenState>,
    /// Where the local chunks are, by digest.
    local_chunks: BTreeMap<Digest, (StatePart, u32)>,
    outline: Option<Outline>,
    /// The fetched chunks, by digest: so they outlive a new target.
    fetched: BTreeMap<Digest, Vec<u8>>,
    /// The chunks yet to fetch, each digest once.
    missing: VecDeque<Missing>,
    /// The first missing chunk as far as it came, all from the first peer: so that a lie has one author.
    partial: Vec<u8>,
    /// When the rest of it must be here: so that nobody stalls the transfer with crumbs.
    partial_until: Duration,
    wait: Wait,
    /// How often peers failed since the last good answer.
    failures: u32,
    complete: bool,
}

#[derive(Debug)]
struct Peer {
    id: ReplicaId,
    /// How often it did not answer in time, or to no use.
    failures: u32,
}

#[derive(Debug)]
struct Outline {
    state: CheckpointState,
    service: Vec<Digest>,
    clients: Vec<Digest>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    part: StatePart,
    index: u32,
    digest: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Nothing: the next question may go.
    Nothing,
    /// The first peer's answer, until this time.
    Answer(Duration),
    /// All peers failed in turn; go on at this time.
    Pause(Duration),
}

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Go on.
    Continue,
    /// The peer sent something that the certificate contradicts. The next peer is asked.
    Poisoned {
        /// The liar, or a peer whose memory or disk is damaged.
        peer: ReplicaId,
        /// What was wrong.
        what: Poison,
    },
    /// The peer no longer has the state. The next peer is asked; a newer target may be better.
    Gone {
        /// The newest state that the peer claims to have; not proven.
        newest: SequenceNumber,
    },
    /// The state is here, all of it checked. The transfer is over.
    Complete(Box<InstalledState>),
}

/// What was wrong with an answer in state transfer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// The outline is not of the certified state.
    #[error("the outline is not the state that the certificate names")]
    Outline,
    /// The list of chunks is not the certified one.
    #[error("the digests of the {0:?} part's chunks do not give the certified root")]
    Leaves(StatePart),
    /// A piece does not fit its chunk, or the chunk exceeds the limit.
    #[error("a piece of chunk {index} of the {part:?} part does not fit a chunk of the size it claims, or that is over the limit")]
    Piece {
        /// The part.
        part: StatePart,
        /// The chunk.
        index: u32,
    },
    /// A chunk is not the certified one.
    #[error("chunk {index} of the {part:?} part is not the certified one")]
    Chunk {
        /// The part.
        part: StatePart,
        /// The chunk.
        index: u32,
    },
}

impl Transfer {
    /// Begins to fetch the target's state from these peers. Chunks that are in the local state are not fetched.
    pub fn new(target: Verified<StableCertificate>, peers: Vec<ReplicaId>, local: Option<FrozenState>) -> Self {
        let local_chunks = local.iter().flat_map(|local| {
            let part = |part| (0..).zip(local.leaves(part)).map(move |(index, digest)| (*digest, (part, index)));
            part(StatePart::Service).chain(part(StatePart::Clients))
        });
        Self {
            target,
            peers: peers.into_iter().map(|id| Peer { id, failures: 0 }).collect(),
            local_chunks: local_chunks.collect(),
            local,
            outline: None,
            fetched: BTreeMap::new(),
            missing: VecDeque::new(),
            partial: Vec::new(),
            partial_until: Duration::ZERO,
            wait: Wait::Nothing,
            failures: 0,
            complete: false,
        }
    }

    /// The certificate of the state that is being fetched.
    pub const fn target(&self) -> &Verified<StableCertificate> {
        &self.target
    }

    /// Goes for a newer state, and keeps the chunks that were fetched. No effect for an older one.
    pub fn retarget(&mut self, certificate: Verified<StableCertificate>) {
        if certificate.sequence <= self.target.sequence {
            return;
        }
        self.target = certificate;
        self.outline = None;
        self.missing.clear();
        // Whoever has not answered by now is passed over: a dead peer must not be asked anew for every new target.
        let failures = u32::from(matches!(self.wait, Wait::Answer(_)));
        self.next_peer(failures);
        self.wait = Wait::Nothing;
        self.failures = 0;
    }

    /// The question to send now, if there is one.
    pub fn poll(&mut self, now: Duration) -> Option<(ReplicaId, FetchState)> {
        match self.wait {
            _ if self.complete => return None,
            Wait::Answer(until) | Wait::Pause(until) if now < until => return None,
            Wait::Answer(_) => self.give_up(),
            Wait::Nothing if !self.partial.is_empty() && now >= self.partial_until => self.give_up(),
            Wait::Nothing | Wait::Pause(_) => {}
        }
        let peer = self.peers.front()?.id;
        self.wait = Wait::Answer(now.saturating_add(self.patience()));
        Some((peer, self.question()))
    }

    /// When to poll again, if nothing comes before.
    pub const fn poll_timeout(&self) -> Option<Duration> {
        match self.wait {
            _ if self.complete => None,
            Wait::Answer(until) | Wait::Pause(until) => Some(until),
            Wait::Nothing => None,
        }
    }

    /// Takes an answer. What was not asked of this peer just now is ignored: it may be a late answer.
    pub fn handle(&mut self, now: Duration, from: ReplicaId, reply: StateReply) -> Progress {
        let expected = matches!(self.wait, Wait::Answer(_)) && self.peers.front().is_some_and(|peer| peer.id == from);
        if !expected || self.complete {
            return Progress::Continue;
        }
        let handled = match reply {
            StateReply::Gone { sequence, newest } if sequence == self.target.sequence => {
                self.fail(now);
                return Progress::Gone { newest };
            }
            StateReply::Outline { state, service, clients } if state.sequence == self.target.sequence => {
                self.take_outline(Outline { state, service, clients })
            }
            StateReply::Chunks { sequence, part, pieces } if sequence == self.target.sequence => {
                self.take_pieces(now, part, pieces)
            }
            _ => return Progress::Continue,
        };
        if let Err(what) = handled {
            self.fail(now);
            return Progress::Poisoned { peer: from, what };
        }
        if self.wait == Wait::Nothing && self.partial.is_empty() {
            self.next_peer(0);
        }
        match self.outline.take_if(|_| self.missing.is_empty()) {
            Some(outline) => self.finish(outline),
            None => Progress::Continue,
        }
    }

    fn question(&self) -> FetchState {
        let sequence = self.target.sequence;
        let Some(first) = self.missing.front().filter(|_| self.outline.is_some()) else {
            return FetchState::Outline { sequence };
        };
        let same_part = self.missing.iter().take_while(|missing| missing.part == first.part);
        let indices = same_part.take(MAX_ASKED).map(|missing| missing.index).collect();
        FetchState::Chunks { sequence, part: first.part, indices, offset: self.partial.len() as u64 }
    }

    fn take_outline(&mut self, outline: Outline) -> Result<(), Poison> {
        if self.outline.is_some() {
            return Ok(());
        }
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
        let mut wanted = BTreeMap::new();
        for (part, leaves, _) in parts {
            for (index, digest) in (0..).zip(leaves) {
                wanted.entry(*digest).or_insert(Missing { part, index, digest: *digest });
            }
        }
        self.fetched.retain(|digest, _| wanted.contains_key(digest));
        let here = |digest: &Digest| self.fetched.contains_key(digest) || self.local_chunks.contains_key(digest);
        let mut missing: Vec<Missing> = wanted.into_values().filter(|missing| !here(&missing.digest)).collect();
        missing.sort_by_key(|missing| (missing.part, missing.index));
        self.missing = missing.into();
        self.outline = Some(outline);
        self.succeed();
        Ok(())
    }

    /// Takes the pieces that continue what is here, and passes over all others.
    fn take_pieces(&mut self, now: Duration, part: StatePart, pieces: Vec<ChunkPiece>) -> Result<(), Poison> {
        for piece in pieces {
            let Some(missing) = self.missing.front().copied() else { break };
            let next = (missing.part, missing.index, self.partial.len() as u64);
            if next == (part, piece.index, piece.offset) {
                self.take_piece(now, missing, &piece)?;
            }
        }
        Ok(())
    }

    fn take_piece(&mut self, now: Duration, missing: Missing, piece: &ChunkPiece) -> Result<(), Poison> {
        let Missing { part, index, digest } = missing;
        let end = piece.offset.saturating_add(piece.bytes.len() as u64);
        if piece.size > MAX_CHUNK_BYTES || end > piece.size {
            return Err(Poison::Piece { part, index });
        }
        if piece.bytes.is_empty() && piece.size > 0 {
            return Ok(());
        }
        if self.partial.is_empty() {
            let mebibytes = u32::try_from(piece.size >> 20).unwrap_or(u32::MAX).saturating_add(2);
            self.partial_until = now.saturating_add(self.patience().saturating_mul(mebibytes));
        }
        self.partial.extend_from_slice(&piece.bytes);
        self.succeed();
        if end < piece.size {
            return Ok(());
        }
        if chunk_digest(&self.partial) != digest {
            return Err(Poison::Chunk { part, index });
        }
        self.fetched.insert(digest, std::mem::take(&mut self.partial));
        self.missing.pop_front();
        Ok(())
    }

    fn succeed(&mut self) {
        self.failures = 0;
        self.wait = Wait::Nothing;
    }

    /// The answer was no use. Once round all the peers without success, a pause.
    fn fail(&mut self, now: Duration) {
        self.give_up();
        let round = usize::try_from(self.failures).unwrap_or(usize::MAX) >= self.peers.len();
        self.wait = if round { Wait::Pause(now.saturating_add(BASE_TIMEOUT)) } else { Wait::Nothing };
    }

    /// The first peer does not deliver.
    fn give_up(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.next_peer(1);
    }

    /// The first peer goes behind all that failed no more often than it.
    fn next_peer(&mut self, failures: u32) {
        self.partial.clear();
        if let Some(mut peer) = self.peers.pop_front() {
            peer.failures = peer.failures.saturating_add(failures);
            self.peers.push_back(peer);
            self.peers.make_contiguous().sort_by_key(|peer| peer.failures);
        }
    }

    fn patience(&self) -> Duration {
        BASE_TIMEOUT.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(MAX_TIMEOUT)
    }

    fn finish(&mut self, outline: Outline) -> Progress {
        self.complete = true;
        let Outline { state, service, clients } = outline;
        let mut uses: BTreeMap<Digest, u32> = BTreeMap::new();
        for digest in service.iter().chain(&clients) {
            let count = uses.entry(*digest).or_default();
            *count = count.saturating_add(1);
        }
        let mut part = |leaves: Vec<Digest>| {
            let chunks = leaves.iter().map(|digest| self.chunk(digest, &mut uses)).collect();
            Part { chunks, leaves }
        };
        let (service, clients) = (part(service), part(clients));
        Progress::Complete(Box::new(InstalledState { certificate: self.target.clone(), state, service, clients }))
    }

    /// A chunk that is here. Its last use moves it.
    fn chunk(&mut self, digest: &Digest, uses: &mut BTreeMap<Digest, u32>) -> Vec<u8> {
        let left = uses.entry(*digest).or_default();
        *left = left.saturating_sub(1);
        let fetched = if *left == 0 { self.fetched.remove(digest) } else { self.fetched.get(digest).cloned() };
        let local = || {
            let (part, index) = self.local_chunks.get(digest)?;
            Some(self.local.as_ref()?.snapshot(*part).chunk(*index))
        };
        fetched.or_else(local).unwrap_or_default()
    }
}
