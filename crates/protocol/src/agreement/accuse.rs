//! Evidence against replicas that lied (R17): whatever a replica signed is compared with all that is held of it, wherever
//! that stands: in the log, in certificates, in view-changes and in new-views, and among what was overheard.

use super::*;
use pbft_crypto::Signature;

/// The most pieces of evidence of one kind kept against one replica; the first ones are kept.
const MOST_OF_A_KIND: usize = 4;
/// And of all kinds together.
pub(super) const MOST_PER_REPLICA: usize = MOST_OF_A_KIND * EvidenceKind::ALL.len();

impl Replica {
    /// Keeps evidence that this replica found: the two messages were verified when they came in, and are verified
    /// together here, so that nothing is stored that a third party would not accept. What is known costs nothing again.
    pub(super) fn accuse(&mut self, evidence: Evidence) {
        if !self.is_news(&evidence) {
            return;
        }
        if let Ok(evidence) = self.config.authenticator.verify_evidence(evidence) {
            // It is news: nothing is refused.
            let _ = self.on_evidence(evidence);
        }
    }

    /// Stores a new piece durably, tells all others once, and treats the accused primary's time as expired (R10).
    pub(super) fn on_evidence(&mut self, evidence: Verified<Evidence>) -> Result<(), Rejection> {
        let (accused, kind, view) = evidence.lie();
        if view == self.view {
            self.suspect_the_accused(accused);
        }
        if !self.is_news(&evidence) {
            return Err(Rejection::Duplicate);
        }
        self.evidence.push(evidence.clone());
        self.output.record(Record::Evidence((*evidence).clone()));
        self.output.after(Action::Broadcast(Message::Evidence(evidence.into_inner())));
        self.output.after(Action::Tell(Event::Evidence { accused, kind }));
        Ok(())
    }

    /// Neither known nor one too many.
    fn is_news(&self, evidence: &Evidence) -> bool {
        let (accused, kind, _) = evidence.lie();
        let alike = self.evidence.iter().map(|known| known.lie()).filter(|known| (known.0, known.1) == (accused, kind));
        alike.count() < MOST_OF_A_KIND && !self.is_known(evidence.lie())
    }

    fn is_known(&self, lie: Lie) -> bool {
        self.evidence.iter().any(|known| known.lie() == lie)
    }

    /// Compares what was signed with what is held of the same signer, and accuses whoever contradicts itself.
    pub(super) fn compare(&mut self, statements: &[Statement]) {
        let contradictions: Vec<Evidence> = statements.iter().flat_map(|statement| self.contradictions(statement)).collect();
        for evidence in contradictions {
            self.accuse(evidence);
        }
    }

    /// The certificates that a view-change reports.
    pub(super) fn compare_reported(&mut self, change: &Signed<ViewChange>) {
        let genesis = self.config.authenticator.genesis().clone();
        for certificate in &change.prepared {
            if self.is_disputed(certificate.view, certificate.sequence, certificate.digest) {
                self.compare(&certificate.statements(&genesis).collect::<Vec<_>>());
            }
        }
    }

    /// The view-changes and the pre-prepares of a new-view.
    pub(super) fn compare_cited(&mut self, new_view: &Signed<NewView>) {
        for change in &new_view.view_changes {
            self.compare(&[Statement::ViewChange(Box::new(change.clone()))]);
            self.compare_reported(change);
        }
        self.compare(&new_view.pre_prepares.iter().cloned().map(Statement::PrePrepare).collect::<Vec<_>>());
    }

    /// A prepare for another digest than what is known of its number carries the other half of an equivocation (R5).
    pub(super) fn compare_proposals(&mut self, prepare: &Prepare, pre_prepare: Signature) {
        let Prepare { view, sequence, digest, .. } = *prepare;
        let primary = self.genesis().primary(view);
        if self.is_known((primary, EvidenceKind::TwoPrePrepares, view)) || !self.is_disputed(view, sequence, digest) {
            return;
        }
        let half = PrePrepare { view, sequence, digest, replica: primary };
        if let Ok(half) = self.config.authenticator.verify_header(half, pre_prepare) {
            self.compare(&[Statement::PrePrepare(half.into_inner())]);
        }
    }

    /// Whether anything is held that was proposed or prepared at this place with another digest.
    fn is_disputed(&self, view: View, sequence: SequenceNumber, digest: Digest) -> bool {
        let prepared =
            |slot: &log::Slot| slot.prepares.values().any(|(prepare, _)| prepare.view == view && prepare.digest != digest);
        self.log.slot(sequence).is_some_and(prepared)
            || self.headers(view, sequence).any(|header| header.digest != digest)
            || self.certificates(view, sequence).any(|certificate| certificate.digest != digest)
    }

    fn contradictions(&self, statement: &Statement) -> Vec<Evidence> {
        let held = match statement {
            Statement::PrePrepare(header) => self.other_pre_prepares(header),
            Statement::Prepare(prepare) => self.other_prepares(prepare),
            Statement::Commit(commit) => self.other_commits(commit),
            Statement::ViewChange(change) => self.other_view_changes(change),
            Statement::NewView(new_view) => self.other_new_views(new_view),
            Statement::Checkpoint(_) => vec![],
        };
        let overheard = self.overheard.of(statement.place().signer);
        held.iter().chain(overheard).filter_map(|other| Evidence::between(other, statement)).collect()
    }

    fn other_pre_prepares(&self, header: &Signed<PrePrepare>) -> Vec<Statement> {
        let PrePrepare { view, sequence, digest, .. } = **header;
        let known = self.headers(view, sequence).filter(|known| known.digest != digest).cloned();
        let certificates = self.certificates(view, sequence).filter(|known| known.digest != digest);
        let certified = certificates.map(|certificate| certificate.pre_prepare(self.genesis()));
        known.chain(certified).chain(self.attached(header)).map(Statement::PrePrepare).collect()
    }

    /// Another half of the same equivocation, from the prepares: of f + 1 that differ one is of a correct replica, and the
    /// signature that came with it is right.
    fn attached(&self, header: &PrePrepare) -> Option<Signed<PrePrepare>> {
        let slot = self.log.slot(header.sequence)?;
        if self.is_known((header.replica, EvidenceKind::TwoPrePrepares, header.view)) {
            return None;
        }
        let differs = |prepare: &Prepare| prepare.view == header.view && prepare.digest != header.digest;
        let differing = slot.prepares.values().filter(|(prepare, _)| differs(prepare)).take(self.genesis().weak_quorum());
        let half = |(prepare, signature): &(Verified<Signed<Prepare>>, Signature)| {
            let half = PrePrepare { digest: prepare.digest, ..*header };
            self.config.authenticator.verify_header(half, *signature).ok()
        };
        differing.filter_map(half).next().map(Verified::into_inner)
    }

    fn other_prepares(&self, prepare: &Signed<Prepare>) -> Vec<Statement> {
        let Prepare { view, sequence, digest, replica } = **prepare;
        let known = self.log.slot(sequence).and_then(|slot| slot.prepares.get(&replica)).map(|(known, _)| (**known).clone());
        let known = known.filter(|known| known.view == view && known.digest != digest);
        let certificates = self.certificates(view, sequence).filter(|known| known.digest != digest);
        let certified = certificates.filter_map(|certificate| certificate.prepare_of(replica));
        known.into_iter().chain(certified).map(Statement::Prepare).collect()
    }

    fn other_commits(&self, commit: &Signed<Commit>) -> Vec<Statement> {
        let Commit { view, sequence, digest, replica } = **commit;
        let known = self.log.slot(sequence).and_then(|slot| slot.commits.get(&replica)).map(|known| (**known).clone());
        let known = known.filter(|known| known.view == view && known.digest != digest);
        let certificate = self.ordering.committed(sequence).map(|committed| &committed.certificate);
        let certificate = certificate.filter(|certificate| certificate.view == view && certificate.digest != digest);
        let certified = certificate.and_then(|certificate| certificate.commit_of(replica));
        let hiding = self.held_view_changes().filter(|change| change.hides(commit));
        let commits = known.into_iter().chain(certified).map(Statement::Commit);
        commits.chain(hiding.map(|change| Statement::ViewChange(Box::new(change.clone())))).collect()
    }

    fn other_view_changes(&self, change: &Signed<ViewChange>) -> Vec<Statement> {
        let same_place = |known: &&Signed<ViewChange>| (known.replica, known.view) == (change.replica, change.view);
        let others = self.held_view_changes().filter(same_place).filter(|known| ***known != **change);
        let voted = self.log.slots().filter_map(|(_, slot)| slot.commits.get(&change.replica)).map(|commit| (**commit).clone());
        let committed = self.ordering.committed_above(change.low_watermark()).map(|(_, committed)| &committed.certificate);
        let certified = committed.filter(|certificate| certificate.view < change.view);
        let certified = certified.filter_map(|certificate| certificate.commit_of(change.replica));
        let hidden = voted.chain(certified).find(|commit| change.hides(commit));
        let others = others.map(|known| Statement::ViewChange(Box::new(known.clone())));
        others.chain(hidden.map(Statement::Commit)).collect()
    }

    fn other_new_views(&self, new_view: &Signed<NewView>) -> Vec<Statement> {
        let current = self.view_changes.current.as_deref();
        let refused = self.evidence.iter().filter_map(|known| match &**known {
            Evidence::FalseNewView(refused) => Some(&**refused),
            _ => None,
        });
        let same_place = |known: &&Signed<NewView>| (known.replica, known.view) == (new_view.replica, new_view.view);
        let others = current.into_iter().chain(refused).filter(same_place).filter(|known| ***known != **new_view);
        others.map(|known| Statement::NewView(Box::new(known.clone()))).collect()
    }

    /// The primary's pre-prepares for a place: the one in the log, and the one in the new-view.
    fn headers(&self, view: View, sequence: SequenceNumber) -> impl Iterator<Item = &Signed<PrePrepare>> {
        let logged = self.log.slot(sequence).and_then(|slot| slot.header.as_ref()).map(|header| &*header.signed);
        let current = self.view_changes.current.as_ref().filter(|current| current.view == view);
        let proposed = current.and_then(|current| {
            let index = current.pre_prepares.binary_search_by_key(&sequence, |header| header.sequence).ok()?;
            current.pre_prepares.get(index)
        });
        logged.into_iter().chain(proposed).filter(move |header| header.view == view)
    }

    /// The prepared certificates for a place: the own one, and those in view-changes.
    fn certificates(&self, view: View, sequence: SequenceNumber) -> impl Iterator<Item = &PreparedCertificate> {
        let own = self.log.slot(sequence).and_then(|slot| slot.prepared.as_deref());
        let reported = self.held_view_changes().filter_map(move |change| {
            let index = change.prepared.binary_search_by_key(&sequence, |certificate| certificate.sequence).ok()?;
            change.prepared.get(index)
        });
        own.into_iter().chain(reported).filter(move |certificate| certificate.view == view)
    }

    /// Each sender's newest view-change, and those that the current new-view rests on. All were verified whole: their
    /// certificates stand in order.
    fn held_view_changes(&self) -> impl Iterator<Item = &Signed<ViewChange>> {
        let cited = self.view_changes.current.iter().flat_map(|new_view| &new_view.view_changes);
        self.view_changes.received.values().map(|change| &**change).chain(cited)
    }
}
