//! The Byzantine replicas: not a program but a vocabulary, everything they could have said by now.

use crate::scenario::Scenario;
use crate::table::{MessageId, Table};
use crate::world::{REPLICAS, World};
use pbft_crypto::{Digest, Signature};
use pbft_message::*;
use std::collections::BTreeMap;

type Certificates = BTreeMap<(View, SequenceNumber, Digest), PreparedCertificate>;

/// What the adversary has seen: it hears every message of a correct replica the moment that it leaves.
struct Knowledge<'a> {
    world: &'a World,
    scenario: &'a Scenario,
    heard: Vec<&'a Message>,
}

/// Whether a message of a correct replica lets the adversary say something new.
pub fn learns_from(message: &Message) -> bool {
    matches!(message, Message::PrePrepare { .. } | Message::Prepare { .. } | Message::ViewChange(_))
}

/// All that the adversary may say once it has heard this much.
pub fn lies(world: &World, scenario: &Scenario, table: &mut Table, heard: &[MessageId]) -> Vec<MessageId> {
    let messages: Vec<(u32, Message)> = {
        let heard = heard.iter().map(|id| &table.get(*id).message).collect();
        Knowledge { world, scenario, heard }.vocabulary()
    };
    let mut ids: Vec<MessageId> = messages.iter().filter_map(|(from, message)| table.intern(world, *from, None, message)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Knowledge<'_> {
    fn vocabulary(&self) -> Vec<(u32, Message)> {
        let mut said = Vec::new();
        for liar in self.scenario.byzantine.iter().copied() {
            for view in (0..=self.scenario.highest_view).map(View) {
                self.in_view(liar, view, &mut said);
            }
            for target in (1..=self.scenario.lies.view_changes_to).map(View) {
                let changes = self.view_changes(liar, target).into_iter().map(Message::ViewChange);
                said.extend(changes.map(|change| (liar, change)));
            }
            if self.scenario.lies.new_views {
                let views = (1..=self.scenario.highest_view).map(View).filter(|view| self.world.primary(*view) == liar);
                said.extend(views.flat_map(|view| self.new_views(liar, view)).map(|new_view| (liar, Message::NewView(new_view))));
            }
        }
        said
    }

    fn in_view(&self, liar: u32, view: View, said: &mut Vec<(u32, Message)>) {
        let (signer, replica) = (self.world.signer(liar), ReplicaId(liar));
        let primary = self.world.primary(view);
        let lies = &self.scenario.lies;
        if lies.suspects {
            said.push((liar, Message::Suspect { view }));
        }
        for sequence in (1..=self.scenario.sequences).map(SequenceNumber) {
            for value in &self.world.values {
                let digest = value.digest();
                let header = PrePrepare { view, sequence, digest, replica: ReplicaId(primary) };
                if lies.pre_prepares && primary == liar {
                    let header = signer.sign(header).into_inner();
                    said.push((liar, Message::PrePrepare { header, body: value.bytes().clone() }));
                }
                if !lies.votes.contains(&view.0) {
                    continue;
                }
                if primary != liar {
                    let prepare = signer.sign(Prepare { view, sequence, digest, replica }).into_inner();
                    let pre_prepare = self.header_signature(header).unwrap_or(Signature::from_bytes([0; 64]));
                    said.push((liar, Message::Prepare { prepare, pre_prepare }));
                }
                said.push((liar, Message::Commit(signer.sign(Commit { view, sequence, digest, replica }).into_inner())));
            }
        }
        // Bodies are never the problem here: whoever asks for one gets it.
        let bodies = self.world.values.iter().map(|value| (liar, Message::Body(value.bytes().clone())));
        said.extend(bodies.filter(|_| view.0 > 0));
    }

    /// The primary's signature over a header: its own, if it lies too, or one that was heard.
    fn header_signature(&self, header: PrePrepare) -> Option<Signature> {
        if self.scenario.byzantine.contains(&header.replica.0) {
            return Some(self.world.signer(header.replica.0).sign(header).signature());
        }
        self.heard.iter().find_map(|message| match message {
            Message::PrePrepare { header: known, .. } if **known == header => Some(known.signature()),
            Message::Prepare { prepare, pre_prepare }
                if (prepare.view, prepare.sequence, prepare.digest) == (header.view, header.sequence, header.digest) =>
            {
                Some(*pre_prepare)
            }
            _ => None,
        })
    }

    /// The prepared certificates that can be put together from what was heard and own signatures.
    fn certificates(&self) -> Certificates {
        let mut votes: BTreeMap<(View, SequenceNumber, Digest), BTreeMap<ReplicaId, Signature>> = BTreeMap::new();
        for message in &self.heard {
            if let Message::Prepare { prepare, .. } = message {
                let key = (prepare.view, prepare.sequence, prepare.digest);
                votes.entry(key).or_default().insert(prepare.replica, prepare.signature());
            }
        }
        for ((view, sequence, digest), signers) in &mut votes {
            let (view, sequence, digest) = (*view, *sequence, *digest);
            for liar in self.scenario.byzantine.iter().filter(|liar| self.world.primary(view) != **liar) {
                let replica = ReplicaId(*liar);
                let prepare = self.world.signer(*liar).sign(Prepare { view, sequence, digest, replica });
                signers.insert(replica, prepare.signature());
            }
        }
        let certificate = |(key, signers): ((View, SequenceNumber, Digest), BTreeMap<ReplicaId, Signature>)| {
            let (view, sequence, digest) = key;
            let backups = self.world.quorum() - 1;
            let header = PrePrepare { view, sequence, digest, replica: ReplicaId(self.world.primary(view)) };
            let pre_prepare = self.header_signature(header)?;
            let prepares: SignatureList = signers.into_iter().take(backups).collect();
            (prepares.len() == backups).then_some((key, PreparedCertificate { view, sequence, digest, pre_prepare, prepares }))
        };
        votes.into_iter().filter_map(certificate).collect()
    }

    /// Every choice of at most one certificate of a lower view for each number.
    fn view_changes(&self, liar: u32, target: View) -> Vec<Signed<ViewChange>> {
        let certificates = self.certificates();
        let mut choices: Vec<Vec<PreparedCertificate>> = vec![Vec::new()];
        for sequence in (1..=self.scenario.sequences).map(SequenceNumber) {
            let known: Vec<_> =
                certificates.values().filter(|entry| entry.sequence == sequence && entry.view < target).cloned().collect();
            let longer = choices.iter().flat_map(|choice| {
                known.iter().map(|entry| choice.iter().cloned().chain(std::iter::once(entry.clone())).collect())
            });
            let longer: Vec<Vec<PreparedCertificate>> = longer.collect();
            choices.extend(longer);
        }
        let signer = self.world.signer(liar);
        let change = |prepared| ViewChange { view: target, stable: None, prepared, replica: ReplicaId(liar) };
        choices.into_iter().map(|prepared| signer.sign(change(prepared)).into_inner()).collect()
    }

    /// From each quorum of view-changes with an own one: the O that follows, and null over what prepared.
    fn new_views(&self, liar: u32, view: View) -> Vec<Signed<NewView>> {
        let signer = self.world.signer(liar);
        let mut built = Vec::new();
        for view_changes in self.quorums(liar, view) {
            let bodies: Vec<&ViewChange> = view_changes.iter().map(|change| &**change).collect();
            let Ok(plan) = NewViewPlan::of(bodies) else { continue };
            let honest: Vec<(SequenceNumber, Digest)> = plan.proposals().collect();
            let null: Vec<_> = honest.iter().map(|(sequence, _)| (*sequence, NULL_DIGEST)).collect();
            let differs = null != honest;
            for proposals in std::iter::once(honest).chain(differs.then_some(null)) {
                let header =
                    |(sequence, digest)| signer.sign(PrePrepare { view, sequence, digest, replica: ReplicaId(liar) }).into_inner();
                let pre_prepares = proposals.into_iter().map(header).collect();
                let view_changes = view_changes.clone();
                built.push(signer.sign(NewView { view, view_changes, pre_prepares, replica: ReplicaId(liar) }).into_inner());
            }
        }
        built
    }

    fn quorums(&self, liar: u32, view: View) -> Vec<Vec<Signed<ViewChange>>> {
        let mut quorums: Vec<Vec<Signed<ViewChange>>> = vec![Vec::new()];
        for replica in 0..REPLICAS {
            let known = self.known_view_changes(replica, view);
            let with = quorums.iter().flat_map(|chosen| {
                known.iter().map(|change| chosen.iter().cloned().chain(std::iter::once(change.clone())).collect::<Vec<_>>())
            });
            let with: Vec<_> = with.collect();
            if replica == liar {
                quorums = with;
            } else {
                quorums.extend(with);
            }
        }
        quorums.retain(|chosen| chosen.len() == self.world.quorum());
        quorums
    }

    fn known_view_changes(&self, replica: u32, view: View) -> Vec<Signed<ViewChange>> {
        if self.scenario.byzantine.contains(&replica) {
            return self.view_changes(replica, view);
        }
        let heard = self.heard.iter().filter_map(|message| match message {
            Message::ViewChange(change) if change.replica.0 == replica && change.view == view => Some(change.clone()),
            _ => None,
        });
        heard.take(1).collect()
    }
}
