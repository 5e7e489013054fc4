use super::checker::Checker;
use super::invariant::Invariant;
use super::votes::{Kind, Vote};
use pbft_crypto::Digest;
use pbft_message::{Message, NULL_DIGEST, PrePrepare, SequenceNumber, View};
use pbft_protocol::agreement::{Record, Replica};

impl Checker {
    /// A correct replica sends a message.
    pub fn sent(&mut self, id: u32, message: &Message) {
        for vote in Vote::in_message(message, id) {
            self.vote(id, vote);
            let durable = self.replicas[id as usize].voted.contains(&vote);
            match (vote.kind, message) {
                (Kind::PrePrepare, Message::PrePrepare { header, .. }) => self.sent_pre_prepare(id, header),
                (Kind::PrePrepare, _) => {}
                (Kind::Prepare, _) => {
                    self.expect(durable, Invariant::DurableBeforeSaid, || {
                        format!("replica {id} sends {vote:?}, which is not durable")
                    });
                    let held = vote.digest == NULL_DIGEST || self.replicas[id as usize].durable.bodies.contains(&vote.digest);
                    let settled = self.replicas[id as usize].low >= vote.sequence;
                    self.expect(held || settled, Invariant::BodiesAreHeld, || {
                        format!("replica {id} prepares {} at {} without its body on the disk", vote.digest.short(), vote.sequence)
                    });
                }
                _ => {
                    self.expect(durable, Invariant::DurableBeforeSaid, || {
                        format!("replica {id} sends {vote:?}, which is not durable")
                    });
                }
            }
        }
        match message {
            Message::Committed { certificate, .. } => self.check_committed(id, certificate),
            Message::Stable(certificate) => self.check_stable(certificate),
            Message::Evidence(evidence) => {
                let durable = self.replicas[id as usize].durable.evidence.contains(&evidence.lie());
                self.expect(durable, Invariant::DurableBeforeSaid, || {
                    format!("replica {id} spreads evidence of {:?}, which is not durable", evidence.lie())
                });
            }
            Message::Suspect { .. } => self.suspected(id),
            Message::NewView(new_view) => self.opened(id, new_view),
            Message::PrePrepare { header, body } if header.replica.0 == id => self.proposed(id, header, body),
            Message::FetchBody { digest } => self.fetched(id, *digest),
            _ => {}
        }
    }

    /// The primary's proposals may be on their way to the disk, but that it proposes in this view is on it (R15).
    fn sent_pre_prepare(&mut self, id: u32, header: &PrePrepare) {
        let durable = &self.replicas[id as usize].durable;
        let opened = durable.opened.contains(&header.view) || durable.votes.iter().any(|vote| vote.opens(header.view));
        self.expect(opened, Invariant::DurableBeforeSaid, || {
            format!("replica {id} proposes in view {}, and that it opened it is not durable", header.view)
        });
    }

    /// A message was found valid at a correct replica. What a correct replica is said to have signed, it has signed.
    pub fn accepted(&mut self, id: u32, message: &Message) {
        for (signer, vote) in Vote::signed_in(message) {
            if !self.is_correct(signer) {
                continue;
            }
            let signed = self.votes.get(&(signer, vote.kind, vote.view, vote.sequence)) == Some(&vote.digest);
            self.expect(signed, Invariant::NothingForeign, || {
                format!("replica {id} accepts {vote:?} in the name of replica {signer}, who did not sign it in this cluster")
            });
        }
    }

    /// A correct replica wants a record made durable.
    pub(super) fn record(&mut self, id: u32, record: &Record, replica: &Replica) {
        let known = &self.replicas[id as usize].known;
        let (view, entered) = (known.view(), known.entered);
        match record {
            Record::Prepare(prepare) => {
                self.not_against_committed(id, prepare.sequence, prepare.digest);
                self.own_vote(id, "prepares", (prepare.view, prepare.sequence), (view, entered), replica);
                let accepted =
                    self.replicas[id as usize].known.accepted.contains(&(prepare.view, prepare.sequence, prepare.digest));
                self.expect(accepted, Invariant::DurableBeforeSaid, || {
                    format!(
                        "replica {id} prepares {} at {} without a pre-prepare in its journal",
                        prepare.digest.short(),
                        prepare.sequence
                    )
                });
            }
            Record::Commit(commit) => {
                self.not_against_committed(id, commit.sequence, commit.digest);
                self.own_vote(id, "commits", (commit.view, commit.sequence), (view, entered), replica);
                let backed = self.replicas[id as usize].known.prepared.contains(&(commit.sequence, commit.view, commit.digest));
                self.expect(backed, Invariant::CommitNeedsCertificate, || {
                    format!(
                        "replica {id} commits {} in view {} at {} without a certificate",
                        commit.digest.short(),
                        commit.view,
                        commit.sequence
                    )
                });
            }
            Record::PrePrepare(header) if header.replica.0 == id => {
                self.not_against_committed(id, header.sequence, header.digest);
                self.own_vote(id, "proposes", (header.view, header.sequence), (view, entered), replica);
            }
            Record::Prepared(certificate) => {
                self.check_prepared(certificate);
                self.own_counts(
                    id,
                    Kind::Prepare,
                    certificate.prepares.iter().any(|(signer, _)| signer.0 == id),
                    certificate.view,
                    certificate.sequence,
                );
            }
            Record::Committed(certificate) => {
                self.check_committed(id, certificate);
                self.own_counts(
                    id,
                    Kind::Commit,
                    certificate.commits.iter().any(|(signer, _)| signer.0 == id),
                    certificate.view,
                    certificate.sequence,
                );
            }
            Record::Stable(certificate) => {
                self.pressure.stable(id);
                let watched = &mut self.replicas[id as usize];
                watched.replays &= watched.executed < certificate.sequence;
                self.check_stable(certificate);
                self.own_counts(
                    id,
                    Kind::Checkpoint,
                    certificate.checkpoints.iter().any(|(signer, _)| signer.0 == id),
                    View(0),
                    certificate.sequence,
                );
            }
            Record::Checkpoint(checkpoint) => {
                self.computed(id, checkpoint.sequence, checkpoint.digest);
            }
            Record::ViewChange(change) => {
                self.left(id, change.view);
                let prepared: Vec<Digest> = change.prepared.iter().map(|certificate| certificate.digest).collect();
                self.check_served(id, &prepared, replica);
                self.check_view_change(id, change);
            }
            Record::NewView(new_view) => {
                self.entered(new_view.view);
                self.check_new_view(id, new_view);
            }
            _ => {}
        }
    }

    /// R6: no vote for another digest than the one that it knows as committed.
    fn not_against_committed(&mut self, id: u32, sequence: SequenceNumber, digest: Digest) {
        let known = self.replicas[id as usize].known.committed.get(&sequence).copied();
        self.expect(known.is_none_or(|known| known == digest), Invariant::Agreement, || {
            format!("replica {id} votes for {} at {sequence}, where it knows another digest as committed", digest.short())
        });
    }

    /// An own vote is in the view that the replica entered last, and inside the window.
    fn own_vote(
        &mut self,
        id: u32,
        verb: &str,
        (view, sequence): (View, SequenceNumber),
        (current, entered): (View, View),
        replica: &Replica,
    ) {
        self.expect(view >= current && view <= entered, Invariant::NoVoteInALeftView, || {
            format!("replica {id} {verb} {sequence} in view {view}; it wants {current} and entered {entered}")
        });
        let (before, low) = (self.replicas[id as usize].low, replica.low_watermark());
        let inside = sequence > before && sequence <= low.plus(self.genesis.parameters.log_window);
        self.expect(inside, Invariant::VotesInsideTheWindow, || format!("replica {id} {verb} {sequence} with h {low}"));
    }

    /// An own vote counts only once it is durable (R15).
    fn own_counts(&mut self, id: u32, kind: Kind, counted: bool, view: View, sequence: SequenceNumber) {
        let voted = &self.replicas[id as usize].voted;
        let lowest = Vote::new(kind, view, sequence, Digest::ZERO);
        let found =
            voted.range(lowest..).next().is_some_and(|vote| (vote.kind, vote.view, vote.sequence) == (kind, view, sequence));
        let holds = !counted || found;
        self.expect(holds, Invariant::DurableBeforeSaid, || {
            format!("replica {id} counts its own {kind:?} in view {view} at {sequence} before it is durable")
        });
    }
}
