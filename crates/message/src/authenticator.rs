mod memory;
mod rules;

use crate::*;
pub(crate) use memory::Memory;
use pbft_crypto::{SecretKey, SignedDigest, verify_all};
use std::ops::Range;
use std::sync::Arc;

/// Why something signed was not accepted: the broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A signature does not verify (R1, R20).
    #[error("a signature does not verify")]
    BadSignature,
    /// The signer is not a replica of this cluster.
    #[error("signed by a replica that is not in the genesis")]
    UnknownReplica,
    /// The signer is not the replica whose connection it came on.
    #[error("the signer is not the sender")]
    NotTheSender,
    /// A pre-prepare or new-view not by the view's primary, or a prepare by it (R4, R5, R12).
    #[error("the signer has the wrong role in this view")]
    WrongRole,
    /// A certificate with too few, repeated, unsorted or wrong signers (R5, R6, R9).
    #[error("a certificate's signers are too few, repeated or not in order")]
    BadCertificate,
    /// A view-change that breaks R11.
    #[error("the view-change breaks R11: {0}")]
    BadViewChange(&'static str),
    /// A new-view that breaks R12 before O is even compared.
    #[error("the new-view breaks R12: {0}")]
    BadNewView(&'static str),
    /// The body is not the one that the header or certificate names.
    #[error("the body does not match its digest")]
    WrongBody,
    /// Evidence that proves nothing (R17).
    #[error("the evidence proves nothing: {0}")]
    NoEvidence(&'static str),
    /// A request that its bytes alone disqualify.
    #[error("{0}")]
    BadRequest(RequestRefusal),
}

impl Invalid {
    /// The reason's name, for counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BadSignature => "bad_signature",
            Self::UnknownReplica => "unknown_replica",
            Self::NotTheSender => "not_the_sender",
            Self::WrongRole => "wrong_role",
            Self::BadCertificate => "bad_certificate",
            Self::BadViewChange(_) => "bad_view_change",
            Self::BadNewView(_) => "bad_new_view",
            Self::WrongBody => "wrong_body",
            Self::NoEvidence(_) => "no_evidence",
            Self::BadRequest(_) => "bad_request",
        }
    }
}

type Check = Result<(), Invalid>;

/// Checks signatures against the genesis; the only maker of [`Verified`] values off the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticator {
    genesis: Arc<Genesis>,
    domain: Domain,
    memory: Option<Memory>,
}

/// A message that is verified once its claims are.
struct Pending {
    message: VerifiedMessage,
    /// The claims on which the message itself stands.
    claims: Range<usize>,
    /// The claims of the clients in the body that it carries.
    body_claims: Range<usize>,
}

impl Authenticator {
    /// An authenticator for the first epoch of the genesis.
    pub fn new(genesis: Arc<Genesis>) -> Self {
        let domain = Domain { cluster: genesis.cluster_id(), epoch: Epoch(0) };
        Self { genesis, domain, memory: None }
    }

    /// One that remembers up to twice so many signatures that it found valid, and verifies none of them again (R11). Its
    /// clones share what they remember. About 160 bytes each.
    pub fn with_memory(genesis: Arc<Genesis>, signatures: usize) -> Self {
        Self { memory: Some(Memory::new(signatures)), ..Self::new(genesis) }
    }

    /// The voice of a replica in this domain. What it signs, this authenticator knows as valid and need not verify, if it
    /// remembers at all.
    pub fn signer(&self, replica: ReplicaId, key: SecretKey) -> Signer {
        Signer::new(replica, self.domain, key).remembered_by(self.memory.clone())
    }

    /// Names the claims that do not hold, by index.
    fn check(&self, claims: &[SignedDigest]) -> Result<(), Vec<usize>> {
        match &self.memory {
            Some(memory) => memory.check(claims),
            None => verify_all(claims),
        }
    }

    /// The domain that signatures must be made in.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The genesis that keys come from.
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// Checks messages with their senders, all signatures together. The answers are in the same order.
    pub fn verify_messages(&self, messages: Vec<(ReplicaId, Message)>) -> Vec<Result<VerifiedMessage, Invalid>> {
        let mut claims = Vec::new();
        let prepare = |(sender, message)| {
            let start = claims.len();
            self.prepare(sender, message, &mut claims).inspect_err(|_| claims.truncate(start))
        };
        let pending: Vec<_> = messages.into_iter().map(prepare).collect();
        let culprits = self.check(&claims).err().unwrap_or_default();
        let bad = |range: &Range<usize>| {
            let first = culprits.partition_point(|culprit| *culprit < range.start);
            culprits.get(first).is_some_and(|culprit| range.contains(culprit))
        };
        let settle = |pending: Pending| {
            if bad(&pending.claims) {
                return Err(Invalid::BadSignature);
            }
            if bad(&pending.body_claims) {
                return with_invalid_body(pending.message);
            }
            Ok(pending.message)
        };
        pending.into_iter().map(|pending| pending.and_then(settle)).collect()
    }

    /// Checks one message.
    pub fn verify_message(&self, sender: ReplicaId, message: Message) -> Result<VerifiedMessage, Invalid> {
        self.verify_messages(vec![(sender, message)]).pop().unwrap_or(Err(Invalid::BadSignature))
    }

    /// Checks clients' requests, all together. The answers are in the same order.
    pub fn verify_requests(&self, requests: Vec<Signed<Request>>) -> Vec<Result<Verified<Signed<Request>>, RequestRefusal>> {
        let claims: Vec<_> = requests.iter().map(|request| self.claim(request, request.client.0)).collect();
        let culprits = self.check(&claims).err().unwrap_or_default();
        let settle = |(index, request): (usize, Signed<Request>)| {
            self.genesis.parameters.check_request(&request)?;
            if culprits.binary_search(&index).is_ok() {
                return Err(RequestRefusal::BadSignature);
            }
            Ok(Verified::new(request))
        };
        requests.into_iter().enumerate().map(settle).collect()
    }

    /// Checks anything signed by a replica that is of no further structure: a vote or a header.
    pub fn verify_signed<T: Body>(&self, signed: Signed<T>) -> Result<Verified<Signed<T>>, Invalid> {
        self.verify(signed, |this, signed, claims| this.signed(signed, claims).map(|_| ()))
    }

    /// Checks the signature of a statement, not those of what it holds.
    pub fn verify_statement(&self, statement: &Statement) -> Result<(), Invalid> {
        let mut claims = Vec::new();
        match statement {
            Statement::PrePrepare(header) => self.signed(header, &mut claims),
            Statement::Prepare(prepare) => self.signed(prepare, &mut claims),
            Statement::Commit(commit) => self.signed(commit, &mut claims),
            Statement::Checkpoint(checkpoint) => self.signed(checkpoint, &mut claims),
            Statement::ViewChange(change) => self.signed(change, &mut claims),
            Statement::NewView(new_view) => self.signed(new_view, &mut claims),
        }?;
        self.check(&claims).map_err(|_| Invalid::BadSignature)
    }

    /// Checks a header that is known by its content and the primary's signature (R5).
    pub fn verify_header(
        &self,
        header: PrePrepare,
        signature: pbft_crypto::Signature,
    ) -> Result<Verified<Signed<PrePrepare>>, Invalid> {
        self.verify(Signed::from_parts(header, signature), Self::header)
    }

    /// Checks a view-change, all its certificates included (R11).
    pub fn verify_view_change(&self, change: Signed<ViewChange>) -> Result<Verified<Signed<ViewChange>>, Invalid> {
        self.verify(change, Self::view_change)
    }

    /// Checks a new-view and all it holds, but not whether O follows from V (R12).
    pub fn verify_new_view(&self, new_view: Signed<NewView>) -> Result<Verified<Signed<NewView>>, Invalid> {
        self.verify(new_view, Self::new_view)
    }

    /// Checks a prepared certificate (R5).
    pub fn verify_prepared(&self, certificate: PreparedCertificate) -> Result<Verified<PreparedCertificate>, Invalid> {
        self.verify(certificate, Self::prepared)
    }

    /// Checks a commit certificate (R6).
    pub fn verify_committed(&self, certificate: CommitCertificate) -> Result<Verified<CommitCertificate>, Invalid> {
        self.verify(certificate, Self::committed)
    }

    /// Checks a stable certificate (R9).
    pub fn verify_stable(&self, certificate: StableCertificate) -> Result<Verified<StableCertificate>, Invalid> {
        self.verify(certificate, Self::stable)
    }

    /// Checks a body against R4.
    pub fn verify_body(&self, body: Blob) -> Proposal {
        let mut claims = Vec::new();
        let proposal = self.body(body, &mut claims);
        if self.check(&claims).is_ok() { proposal } else { forged(proposal) }
    }

    /// Checks that evidence proves what it says (R17).
    pub fn verify_evidence(&self, evidence: Evidence) -> Result<Verified<Evidence>, Invalid> {
        self.verify(evidence, Self::evidence)
    }

    fn verify<T>(&self, value: T, check: impl FnOnce(&Self, &T, &mut Vec<SignedDigest>) -> Check) -> Result<Verified<T>, Invalid> {
        let mut claims = Vec::new();
        check(self, &value, &mut claims)?;
        self.check(&claims).map_err(|_| Invalid::BadSignature)?;
        Ok(Verified::new(value))
    }

    /// Checks all but signatures, and collects those.
    fn prepare(&self, sender: ReplicaId, message: Message, claims: &mut Vec<SignedDigest>) -> Result<Pending, Invalid> {
        let start = claims.len();
        let mut body_claims = 0..0;
        let message = match message {
            Message::PrePrepare { header, body } => {
                self.header(&header, claims)?;
                from_sender(sender, header.replica)?;
                let body_start = claims.len();
                let body = self.body(body, claims);
                if body.digest() != header.digest {
                    return Err(Invalid::WrongBody);
                }
                body_claims = body_start..claims.len();
                VerifiedMessage::PrePrepare { header: Verified::new(header), body }
            }
            Message::Prepare { prepare, pre_prepare } => {
                from_sender(sender, prepare.replica)?;
                if prepare.replica == self.genesis.primary(prepare.view) {
                    return Err(Invalid::WrongRole);
                }
                self.signed(&prepare, claims)?;
                VerifiedMessage::Prepare { prepare: Verified::new(prepare), pre_prepare }
            }
            Message::Commit(commit) => {
                from_sender(sender, commit.replica)?;
                self.signed(&commit, claims)?;
                VerifiedMessage::Commit(Verified::new(commit))
            }
            Message::Checkpoint(checkpoint) => {
                from_sender(sender, checkpoint.replica)?;
                self.signed(&checkpoint, claims)?;
                VerifiedMessage::Checkpoint(Verified::new(checkpoint))
            }
            Message::ViewChange(change) => {
                from_sender(sender, change.replica)?;
                self.view_change(&change, claims)?;
                VerifiedMessage::ViewChange(Verified::new(change))
            }
            Message::NewView(new_view) => {
                self.new_view(&new_view, claims)?;
                VerifiedMessage::NewView(Verified::new(new_view))
            }
            Message::Body(body) => {
                let body = self.body(body, claims);
                body_claims = start..claims.len();
                VerifiedMessage::Body(body)
            }
            Message::Committed { certificate, body } => {
                self.committed(&certificate, claims)?;
                let body_start = claims.len();
                let body = self.body(body, claims);
                if body.digest() != certificate.digest {
                    return Err(Invalid::WrongBody);
                }
                body_claims = body_start..claims.len();
                let body = match body {
                    Proposal::Null => None,
                    Proposal::Valid(batch) => Some(batch),
                    Proposal::Invalid(_) => {
                        return Err(Invalid::WrongBody);
                    }
                };
                VerifiedMessage::Committed { certificate: Verified::new(certificate), body }
            }
            Message::Stable(certificate) => {
                self.stable(&certificate, claims)?;
                VerifiedMessage::Stable(Verified::new(certificate))
            }
            Message::Evidence(evidence) => {
                self.evidence(&evidence, claims)?;
                VerifiedMessage::Evidence(Verified::new(evidence))
            }
            Message::Request(request) => {
                self.genesis.parameters.check_request(&request).map_err(Invalid::BadRequest)?;
                claims.push(self.claim(&request, request.client.0));
                VerifiedMessage::Request(Verified::new(request))
            }
            Message::Suspect { view } => VerifiedMessage::Suspect { view },
            Message::Heartbeat { view, counter } => VerifiedMessage::Heartbeat { view, counter },
            Message::Status(status) => VerifiedMessage::Status(status),
            Message::FetchBody { digest } => VerifiedMessage::FetchBody { digest },
            Message::FetchState(fetch) => VerifiedMessage::FetchState(fetch),
            Message::State(reply) => VerifiedMessage::State(reply),
            Message::Witness(witness) => {
                self.votes(&witness.votes, claims)?;
                VerifiedMessage::Witness(Box::new(Verified::new(*witness)))
            }
            // Ends at the intake.
            #[cfg(pbft_next_wire)]
            Message::Note => return Err(Invalid::WrongRole),
        };
        let end = if body_claims.is_empty() { claims.len() } else { body_claims.start };
        Ok(Pending { message, claims: start..end, body_claims })
    }
}

fn from_sender(sender: ReplicaId, signer: ReplicaId) -> Check {
    if sender == signer { Ok(()) } else { Err(Invalid::NotTheSender) }
}

fn with_invalid_body(message: VerifiedMessage) -> Result<VerifiedMessage, Invalid> {
    match message {
        VerifiedMessage::PrePrepare { header, body } => Ok(VerifiedMessage::PrePrepare { header, body: forged(body) }),
        VerifiedMessage::Body(body) => Ok(VerifiedMessage::Body(forged(body))),
        _ => Err(Invalid::BadSignature),
    }
}

fn forged(proposal: Proposal) -> Proposal {
    match proposal {
        Proposal::Valid(batch) => Proposal::Invalid(InvalidBatch {
            body: batch.bytes().clone(),
            digest: batch.digest(),
            reason: "a client's signature does not verify".to_owned(),
        }),
        other => other,
    }
}
