use crate::*;

/// Something that a replica is bound to by its signature, as it stands alone or inside a message or certificate (R17).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after what was signed")]
pub enum Statement {
    PrePrepare(Signed<PrePrepare>),
    Prepare(Signed<Prepare>),
    Commit(Signed<Commit>),
    Checkpoint(Signed<Checkpoint>),
    ViewChange(Box<Signed<ViewChange>>),
    NewView(Box<Signed<NewView>>),
}

/// What kind of message a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is named after what was signed")]
pub enum StatementKind {
    PrePrepare,
    Prepare,
    Commit,
    Checkpoint,
    ViewChange,
    NewView,
}

/// Where a replica may say one thing only. What a kind does not have, a view or a number, is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Who signed.
    pub signer: ReplicaId,
    /// What kind of message.
    pub kind: StatementKind,
    /// The view.
    pub view: View,
    /// The sequence number.
    pub sequence: SequenceNumber,
}

impl Statement {
    /// Where it stands.
    pub fn place(&self) -> Place {
        use StatementKind as Kind;
        let (signer, kind, view, sequence) = match self {
            Self::PrePrepare(header) => (header.replica, Kind::PrePrepare, header.view, header.sequence),
            Self::Prepare(prepare) => (prepare.replica, Kind::Prepare, prepare.view, prepare.sequence),
            Self::Commit(commit) => (commit.replica, Kind::Commit, commit.view, commit.sequence),
            Self::Checkpoint(checkpoint) => (checkpoint.replica, Kind::Checkpoint, View(0), checkpoint.sequence),
            Self::ViewChange(change) => (change.replica, Kind::ViewChange, change.view, SequenceNumber::GENESIS),
            Self::NewView(new_view) => (new_view.replica, Kind::NewView, new_view.view, SequenceNumber::GENESIS),
        };
        Place { signer, kind, view, sequence }
    }

    /// Whether no correct replica says both: two things at one place, or a commit and a view-change that hides it.
    pub fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Commit(commit), Self::ViewChange(change)) | (Self::ViewChange(change), Self::Commit(commit)) => {
                change.hides(commit)
            }
            _ => self.place() == other.place() && !self.says_the_same(other),
        }
    }

    /// The same content; the signatures may differ.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PrePrepare(a), Self::PrePrepare(b)) => **a == **b,
            (Self::Prepare(a), Self::Prepare(b)) => **a == **b,
            (Self::Commit(a), Self::Commit(b)) => **a == **b,
            (Self::Checkpoint(a), Self::Checkpoint(b)) => **a == **b,
            (Self::ViewChange(a), Self::ViewChange(b)) => ***a == ***b,
            (Self::NewView(a), Self::NewView(b)) => ***a == ***b,
            _ => false,
        }
    }
}

impl PreparedCertificate {
    /// What its signers said: the primary's pre-prepare and the backups' prepares.
    pub fn statements(&self, genesis: &Genesis) -> impl Iterator<Item = Statement> {
        let prepares = self.prepares.iter().map(|(replica, signature)| self.prepare(*replica, *signature));
        std::iter::once(Statement::PrePrepare(self.pre_prepare(genesis))).chain(prepares.map(Statement::Prepare))
    }

    /// The pre-prepare, as the primary signed it.
    pub fn pre_prepare(&self, genesis: &Genesis) -> Signed<PrePrepare> {
        let (view, sequence, digest) = (self.view, self.sequence, self.digest);
        let header = PrePrepare { view, sequence, digest, replica: genesis.primary(view) };
        Signed::from_parts(header, self.pre_prepare)
    }

    /// The prepare of one of its signers.
    pub fn prepare_of(&self, replica: ReplicaId) -> Option<Signed<Prepare>> {
        let found = self.prepares.iter().find(|(signer, _)| *signer == replica);
        found.map(|(_, signature)| self.prepare(replica, *signature))
    }

    fn prepare(&self, replica: ReplicaId, signature: pbft_crypto::Signature) -> Signed<Prepare> {
        let (view, sequence, digest) = (self.view, self.sequence, self.digest);
        Signed::from_parts(Prepare { view, sequence, digest, replica }, signature)
    }
}

impl CommitCertificate {
    /// What its signers said.
    pub fn statements(&self) -> impl Iterator<Item = Statement> {
        self.commits.iter().map(|(replica, signature)| Statement::Commit(self.commit(*replica, *signature)))
    }

    /// The commit of one of its signers.
    pub fn commit_of(&self, replica: ReplicaId) -> Option<Signed<Commit>> {
        let found = self.commits.iter().find(|(signer, _)| *signer == replica);
        found.map(|(_, signature)| self.commit(replica, *signature))
    }

    fn commit(&self, replica: ReplicaId, signature: pbft_crypto::Signature) -> Signed<Commit> {
        let (view, sequence, digest) = (self.view, self.sequence, self.digest);
        Signed::from_parts(Commit { view, sequence, digest, replica }, signature)
    }
}

impl StableCertificate {
    /// What its signers said.
    pub fn statements(&self) -> impl Iterator<Item = Statement> {
        let (sequence, digest) = (self.sequence, self.digest);
        self.checkpoints.iter().map(move |(replica, signature)| {
            Statement::Checkpoint(Signed::from_parts(Checkpoint { sequence, digest, replica: *replica }, *signature))
        })
    }
}

impl Signed<ViewChange> {
    /// What its signer and those of its certificates said.
    pub fn statements(&self, genesis: &Genesis) -> impl Iterator<Item = Statement> {
        let stable = self.stable.iter().flat_map(StableCertificate::statements);
        let prepared = self.prepared.iter().flat_map(|certificate| certificate.statements(genesis));
        std::iter::once(Statement::ViewChange(Box::new(self.clone()))).chain(stable).chain(prepared)
    }
}

impl Signed<NewView> {
    /// What its signer and those of all that it holds said.
    pub fn statements(&self, genesis: &Genesis) -> impl Iterator<Item = Statement> {
        let changes = self.view_changes.iter().flat_map(|change| change.statements(genesis));
        let headers = self.pre_prepares.iter().map(|header| Statement::PrePrepare(header.clone()));
        std::iter::once(Statement::NewView(Box::new(self.clone()))).chain(changes).chain(headers)
    }
}

impl Evidence {
    /// The evidence in two statements, if there is any. Two checkpoints are none: they show that states differ.
    pub fn between(first: &Statement, second: &Statement) -> Option<Self> {
        if !first.contradicts(second) {
            return None;
        }
        match (first.clone(), second.clone()) {
            (Statement::PrePrepare(a), Statement::PrePrepare(b)) => Some(Self::PrePrepares(a, b)),
            (Statement::Prepare(a), Statement::Prepare(b)) => Some(Self::Prepares(a, b)),
            (Statement::Commit(a), Statement::Commit(b)) => Some(Self::Commits(a, b)),
            (Statement::ViewChange(a), Statement::ViewChange(b)) => Some(Self::ViewChanges(Box::new((*a, *b)))),
            (Statement::NewView(a), Statement::NewView(b)) => Some(Self::NewViews(Box::new((*a, *b)))),
            (Statement::Commit(commit), Statement::ViewChange(change))
            | (Statement::ViewChange(change), Statement::Commit(commit)) => Some(Self::HiddenPrepared(commit, change)),
            _ => None,
        }
    }

    /// The statements in it.
    pub fn statements(&self) -> Vec<Statement> {
        match self {
            Self::PrePrepares(a, b) => vec![Statement::PrePrepare(a.clone()), Statement::PrePrepare(b.clone())],
            Self::Prepares(a, b) => vec![Statement::Prepare(a.clone()), Statement::Prepare(b.clone())],
            Self::Commits(a, b) => vec![Statement::Commit(a.clone()), Statement::Commit(b.clone())],
            Self::ViewChanges(pair) => [&pair.0, &pair.1].map(|change| Statement::ViewChange(Box::new(change.clone()))).into(),
            Self::NewViews(pair) => [&pair.0, &pair.1].map(|new_view| Statement::NewView(Box::new(new_view.clone()))).into(),
            Self::HiddenPrepared(commit, change) => vec![Statement::Commit(commit.clone()), Statement::ViewChange(change.clone())],
            Self::InvalidBatch(header, _) => vec![Statement::PrePrepare(header.clone())],
            Self::FalseNewView(new_view) => vec![Statement::NewView(new_view.clone())],
        }
    }
}
