//! What a correct primary proposes, and how far agreement and execution run ahead (R2, R12, R18, R19).

use super::checker::Checker;
use super::invariant::Invariant;
use pbft_crypto::Digest;
use pbft_message::{
    Batch, Blob, ClientId, Message, NULL_DIGEST, NewView, PrePrepare, Proposal, ReplicaId, SequenceNumber, Timestamp, View,
};
use pbft_protocol::Now;
use pbft_protocol::agreement::Replica;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What correct primaries proposed since the run began.
#[derive(Default)]
pub struct Proposals {
    /// By replica: the view and number that it proposed last.
    last: BTreeMap<u32, (View, SequenceNumber)>,
    /// Where each of its requests stands, in that view.
    requests: BTreeMap<(u32, ClientId, Timestamp), (View, SequenceNumber)>,
    /// The bodies that the new-view names with which it opened a view.
    opened_with: BTreeMap<u32, (View, BTreeSet<Digest>)>,
    /// Those who have not started again since.
    hold_them: BTreeSet<u32>,
}

impl Proposals {
    /// What a replica held in memory only is gone.
    pub fn restarted(&mut self, id: u32) {
        self.hold_them.remove(&id);
    }
}

impl Checker {
    /// A correct replica sends a pre-prepare of its own, perhaps again.
    pub(super) fn proposed(&mut self, id: u32, header: &PrePrepare, body: &Blob) {
        let place = (header.view, header.sequence);
        let again = self.proposals.last.get(&id).is_some_and(|last| *last >= place);
        let opened_with = self.proposals.opened_with.get(&id);
        let of_the_new_view = opened_with.is_some_and(|(view, names)| *view == header.view && names.contains(&header.digest));
        if header.digest == NULL_DIGEST || again || of_the_new_view {
            return;
        }
        self.proposals.last.insert(id, place);
        let Proposal::Valid(batch) = self.authenticator.verify_body(body.clone()) else {
            return self.fail(Invariant::ProposalsAreFair, || format!("replica {id} proposes an invalid batch at {}", place.1));
        };
        self.check_room(id, header.sequence, &batch);
        self.check_turns(id, &batch);
        for request in batch.requests() {
            let (client, timestamp) = (request.client, request.timestamp);
            let before = self.proposals.requests.insert((id, client, timestamp), place);
            let twice = before.is_some_and(|before| before.0 == place.0);
            let executed = self.reference.executed(client, timestamp).map(|executed| executed.position.0);
            // At its own number it may be proposed once more: as it was, to who lacks it (R23).
            let next = self.replicas[id as usize].next;
            let ordered = executed.is_some_and(|executed| executed < next && executed != header.sequence);
            self.expect(!twice && !ordered, Invariant::ProposalsAreFair, || {
                format!(
                    "replica {id} proposes {} of {client} at {}, ordered {executed:?}, proposed {before:?}",
                    timestamp.0, place.1
                )
            });
        }
    }

    /// The pipeline, and the limits on batches.
    fn check_room(&mut self, id: u32, sequence: SequenceNumber, batch: &Batch) {
        let watched = &self.replicas[id as usize];
        let mut frontier = watched.low.max(watched.next.minus(1));
        while watched.known.committed.contains_key(&frontier.next()) {
            frontier = frontier.next();
        }
        let limits = &self.limits;
        let most_bytes = self.genesis.parameters.max_batch_bytes;
        let (in_flight, count, bytes) = (sequence.above(frontier), batch.requests().len(), batch.bytes().len());
        let fits = in_flight <= limits.pipeline && count <= limits.batch_requests && bytes <= most_bytes;
        self.expect(fits, Invariant::Bounded, || {
            format!("replica {id} proposes {sequence} with {count} requests and {bytes} bytes, where {frontier} is committed")
        });
    }

    /// One request of each client in turn: between two of one client stands one of each that has more.
    fn check_turns(&mut self, id: u32, batch: &Batch) {
        let clients: Vec<ClientId> = batch.requests().iter().map(|request| request.client).collect();
        let unfair = (0..clients.len()).any(|place| {
            let again = (place + 1..clients.len()).find(|later| clients[*later] == clients[place]);
            again.is_some_and(|again| clients[again..].iter().any(|other| !clients[place..again].contains(other)))
        });
        self.expect(!unfair, Invariant::ProposalsAreFair, || format!("replica {id} does not serve clients in turn: {clients:?}"));
    }

    /// A correct replica hands a number to its executor.
    pub(super) fn check_lag(&mut self, id: u32, sequence: SequenceNumber) {
        let executed = self.replicas[id as usize].executed;
        self.expect(sequence.above(executed) <= self.limits.execution_lag, Invariant::Bounded, || {
            format!("replica {id} hands {sequence} to its executor, which has executed {executed}")
        });
    }

    /// R12: it holds every body in O.
    pub(super) fn opened(&mut self, id: u32, new_view: &NewView) {
        if new_view.replica.0 == id {
            let digests = new_view.pre_prepares.iter().map(|header| header.digest).collect();
            self.proposals.opened_with.insert(id, (new_view.view, digests));
            self.proposals.hold_them.insert(id);
        }
    }

    pub(super) fn fetched(&mut self, id: u32, digest: Digest) {
        let view = self.replicas[id as usize].view;
        let opened_with = self.proposals.opened_with.get(&id).filter(|_| self.proposals.hold_them.contains(&id));
        let lacks = opened_with.is_some_and(|(opened, names)| *opened == view && names.contains(&digest));
        self.expect(!lacks, Invariant::BodiesAreHeld, || {
            format!("replica {id} opened view {view} with {}, and asks others for it", digest.short())
        });
    }

    /// A correct replica says that these prepared: it serves their bodies (R13).
    pub(super) fn check_served(&mut self, id: u32, prepared: &[Digest], replica: &Replica) {
        let Some(peer) = (0..self.replicas.len() as u32).find(|peer| *peer != id).map(ReplicaId) else { return };
        let serves = |digest: Digest| {
            let asked = self.authenticator.verify_message(peer, Message::FetchBody { digest });
            let now = Now { monotonic: Duration::ZERO, wall: 0 };
            asked.is_ok_and(|asked| replica.clone().handle_message(now, peer, asked).is_ok())
        };
        let lacking = prepared.iter().copied().find(|digest| *digest != NULL_DIGEST && !serves(*digest));
        if let Some(lacking) = lacking {
            self.fail(Invariant::BodiesAreHeld, || {
                format!("replica {id} says that {} prepared, and does not serve its body", lacking.short())
            });
        }
    }
}
