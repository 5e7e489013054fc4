use pbft_message::{
    Authenticator, Evidence, Invalid, Lie, Place, ReplicaId, SequenceNumber, Statement, StatementKind, Verified, View,
};
use pbft_protocol::agreement::Record;
use std::collections::{BTreeMap, BTreeSet};

/// Compares what the journals of several replicas hold: own votes, and the signatures of others in certificates,
/// view-changes and new-views. Names those who contradict themselves, with the proof (R17).
///
/// Whose journal a record is from does not matter, nor whether its keeper is honest: a signature counts once it is checked,
/// and it is checked before anybody is named. Holds one statement for each signer, kind, view and number.
#[derive(Debug)]
pub struct Audit {
    authenticator: Authenticator,
    /// The first at each place. Its signature is checked only when another one contradicts it.
    statements: BTreeMap<Place, Statement>,
    lies: BTreeMap<Lie, Verified<Evidence>>,
    diverged: BTreeSet<(ReplicaId, SequenceNumber)>,
}

impl Audit {
    /// An audit that has seen nothing.
    pub fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, statements: BTreeMap::new(), lies: BTreeMap::new(), diverged: BTreeSet::new() }
    }

    /// Takes in a record of anyone's journal.
    pub fn read(&mut self, record: Record) {
        let genesis = self.authenticator.genesis().clone();
        match record {
            Record::PrePrepare(header) => self.compare(Statement::PrePrepare(header)),
            Record::Prepare(prepare) => self.compare(Statement::Prepare(prepare)),
            Record::Commit(commit) => self.compare(Statement::Commit(commit)),
            Record::Checkpoint(checkpoint) => self.compare(Statement::Checkpoint(checkpoint)),
            Record::Prepared(certificate) => self.compare_all(certificate.statements(&genesis)),
            Record::Committed(certificate) => self.compare_all(certificate.statements()),
            Record::Stable(certificate) => self.compare_all(certificate.statements()),
            Record::ViewChange(change) => self.compare_all(change.statements(&genesis)),
            Record::NewView(new_view) => {
                self.compare_all(new_view.statements(&genesis));
                if new_view.follows() == Ok(false) {
                    self.accuse(Evidence::FalseNewView(Box::new(new_view)));
                }
            }
            Record::Evidence(evidence) => {
                self.compare_all(evidence.statements());
                self.accuse(evidence);
            }
            Record::Opened(_) | Record::Body(_) | Record::Halted(_) | Record::Learner | Record::Repair | Record::Repaired => {}
        }
    }

    /// Who lied, how and in which view, each with its proof.
    pub fn lies(&self) -> impl Iterator<Item = &Evidence> {
        self.lies.values().map(|evidence| &**evidence)
    }

    /// Who signed two states for one checkpoint: no lie, but a state that another replica does not have.
    pub fn diverged(&self) -> impl Iterator<Item = (ReplicaId, SequenceNumber)> {
        self.diverged.iter().copied()
    }

    /// How many different statements were compared.
    pub fn statements(&self) -> usize {
        self.statements.len()
    }

    fn compare_all(&mut self, statements: impl IntoIterator<Item = Statement>) {
        statements.into_iter().for_each(|statement| self.compare(statement));
    }

    fn compare(&mut self, statement: Statement) {
        let place = statement.place();
        if self.authenticator.genesis().replica(place.signer).is_none() {
            return;
        }
        if let Some(known) = self.statements.get(&place)
            && (*known == statement || !self.takes_the_place(&known.clone(), &statement))
        {
            return;
        }
        self.look_for_hidden(&statement);
        self.statements.insert(place, statement);
    }

    /// Whether a statement is to stand where one stands that is not the same: if that one turns out to be forged. If both
    /// are signed and differ, their signer lied, or its state diverged.
    fn takes_the_place(&mut self, known: &Statement, statement: &Statement) -> bool {
        if self.check(known).is_err() {
            return true;
        }
        if known.contradicts(statement) && self.check(statement).is_ok() {
            let place = known.place();
            match Evidence::between(known, statement) {
                Some(evidence) => self.accuse(evidence),
                None => drop(self.diverged.insert((place.signer, place.sequence))),
            }
        }
        false
    }

    fn check(&self, statement: &Statement) -> Result<(), Invalid> {
        self.authenticator.verify_statement(statement)
    }

    /// R17 (b), in either order.
    fn look_for_hidden(&mut self, statement: &Statement) {
        let hidden: Vec<Evidence> = match statement {
            Statement::Commit(commit) => {
                let later = self.of(commit.replica, StatementKind::ViewChange, commit.view.next(), View(u64::MAX));
                later.filter_map(|change| Evidence::between(statement, change)).collect()
            }
            Statement::ViewChange(change) => {
                let before = View(change.view.0.saturating_sub(1));
                let commits = self.of(change.replica, StatementKind::Commit, View(0), before);
                commits.filter_map(|commit| Evidence::between(commit, statement)).collect()
            }
            _ => return,
        };
        hidden.into_iter().for_each(|evidence| self.accuse(evidence));
    }

    /// What a replica said of one kind in these views.
    fn of(&self, signer: ReplicaId, kind: StatementKind, from: View, to: View) -> impl Iterator<Item = &Statement> {
        let place = |view, sequence| Place { signer, kind, view, sequence };
        let range = place(from, SequenceNumber::GENESIS)..=place(to.max(from), SequenceNumber(u64::MAX));
        self.statements.range(range).map(|(_, statement)| statement)
    }

    /// Nobody is named without a proof that stands by itself.
    fn accuse(&mut self, evidence: Evidence) {
        let lie = evidence.lie();
        if self.lies.contains_key(&lie) {
            return;
        }
        if let Ok(evidence) = self.authenticator.verify_evidence(evidence) {
            self.lies.insert(lie, evidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::{Digest, SecretKey};
    use pbft_message::{
        Checkpoint, Commit, CommitCertificate, EvidenceKind, Genesis, Parameters, ReplicaEntry, ServiceParameters, Signed, Signer,
        ViewChange,
    };
    use std::sync::Arc;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    fn authenticator() -> Authenticator {
        let replica = |number: u8| ReplicaEntry { signing_key: key(number).public(), transport_key: key(number | 128).public() };
        let genesis = Genesis {
            name: "audit".into(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: (0..4).map(replica).collect(),
            operators: vec![],
            clients: vec![],
        };
        Authenticator::new(Arc::new(genesis))
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name, &[])
    }

    /// Replica 3's commit, signed with the key of `signer`.
    fn commit(signer: u8, view: u64, name: &str) -> Signed<Commit> {
        let body = Commit { view: View(view), sequence: SequenceNumber(5), digest: digest(name), replica: ReplicaId(3) };
        Signer::new(ReplicaId(3), *authenticator().domain(), key(signer)).sign(body).into_inner()
    }

    fn checkpoint(signer: u8, name: &str) -> Record {
        let body = Checkpoint { sequence: SequenceNumber(64), digest: digest(name), replica: ReplicaId(3) };
        Record::Checkpoint(Signer::new(ReplicaId(3), *authenticator().domain(), key(signer)).sign(body).into_inner())
    }

    fn hiding() -> Record {
        let body = ViewChange { view: View(2), stable: None, prepared: vec![], replica: ReplicaId(3) };
        Record::ViewChange(Signer::new(ReplicaId(3), *authenticator().domain(), key(3)).sign(body).into_inner())
    }

    fn audited(records: impl IntoIterator<Item = Record>) -> Audit {
        let mut audit = Audit::new(authenticator());
        records.into_iter().for_each(|record| audit.read(record));
        audit
    }

    fn kinds(audit: &Audit) -> Vec<EvidenceKind> {
        assert!(audit.lies().all(|lie| lie.accused().0 == ReplicaId(3)));
        audit.lies().map(Evidence::kind).collect()
    }

    #[test]
    fn r17_two_commits_are_named_though_one_stands_in_a_certificate_and_forged_ones_come_first() {
        let [forged, first, second] = [commit(1, 0, "forged"), commit(3, 0, "a"), commit(3, 0, "b")];
        let certified = Record::Committed(CommitCertificate {
            view: View(0),
            sequence: SequenceNumber(5),
            digest: digest("b"),
            commits: vec![(ReplicaId(3), second.signature())],
        });
        let all = [Record::Commit(forged), Record::Commit(first), certified];
        assert_eq!(kinds(&audited(all.clone())), [EvidenceKind::TwoCommits]);
        assert_eq!(kinds(&audited(all.into_iter().rev())), [EvidenceKind::TwoCommits]);
    }

    #[test]
    fn r17_what_a_replica_did_not_sign_itself_accuses_it_of_nothing() {
        let honest = || commit(3, 0, "a");
        let same_again = Record::Commit(honest());
        let in_its_name = Record::Commit(commit(1, 0, "b"));
        let invented = Record::Evidence(Evidence::Commits(honest(), commit(1, 0, "b")));
        let in_another_view = Record::Commit(commit(3, 1, "b"));
        let audit = audited([Record::Commit(honest()), same_again, in_its_name, invented, in_another_view, checkpoint(3, "a")]);
        assert_eq!(kinds(&audit), []);
        assert_eq!(audited([checkpoint(3, "a"), checkpoint(1, "b")]).diverged().count(), 0);
        let stranger = Signer::new(ReplicaId(9), *authenticator().domain(), key(9));
        let strange = |name| {
            let body = Commit { view: View(0), sequence: SequenceNumber(5), digest: digest(name), replica: ReplicaId(9) };
            Record::Commit(stranger.sign(body).into_inner())
        };
        assert_eq!(audited([strange("a"), strange("b")]).lies().count(), 0);
    }

    #[test]
    fn r17_a_hidden_commit_is_named_in_either_order_and_if_a_forged_one_came_before() {
        for records in [
            vec![Record::Commit(commit(3, 1, "a")), hiding()],
            vec![hiding(), Record::Commit(commit(3, 1, "a"))],
            vec![hiding(), Record::Commit(commit(1, 1, "a")), Record::Commit(commit(3, 1, "a"))],
        ] {
            assert_eq!(kinds(&audited(records)), [EvidenceKind::HiddenPrepared]);
        }
        assert_eq!(kinds(&audited([hiding(), Record::Commit(commit(3, 2, "a"))])), [], "of the same view");
    }

    #[test]
    fn r17_two_checkpoints_are_a_divergence_and_no_lie() {
        let audit = audited([checkpoint(3, "a"), checkpoint(3, "b")]);
        assert_eq!(kinds(&audit), []);
        assert_eq!(audit.diverged().collect::<Vec<_>>(), [(ReplicaId(3), SequenceNumber(64))]);
    }
}
