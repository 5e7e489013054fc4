//! What replicas and clients say to each other: wire types, their canonical bounded encoding, and the types that
//! prove a signature was checked.
//!
//! What comes off the wire is [`Signed`] or a bare certificate. Only an [`Authenticator`] turns it into a
//! [`Verified`], which cannot be built or decoded in any other way.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod agreement;
mod assemble;
mod authenticator;
mod batch;
mod blob;
mod blobs;
mod certificate;
mod client;
pub mod codec;
mod evidence;
mod genesis;
mod hello;
mod ids;
mod membership;
mod plan;
mod report;
mod request;
mod signed;
mod state;
mod statement;
mod wire;
mod witness;

pub use agreement::{Checkpoint, Commit, NewView, PrePrepare, Prepare, Status, ViewChange};
pub use authenticator::{Authenticator, Invalid};
pub use batch::{Batch, InvalidBatch, NULL_DIGEST, batch_digest};
pub use blob::Blob;
pub use blobs::Blobs;
pub use certificate::{CommitCertificate, PreparedCertificate, SignatureList, StableCertificate};
pub use client::{ClientMessage, Outcome, ReplicaMessage, Reply, RequestRefusal, RequestState};
pub use evidence::{Evidence, EvidenceKind, Lie};
pub use genesis::{ClientEntry, Genesis, GenesisError, Parameters, ReplicaEntry, ServiceParameters};
pub use hello::{Hello, HelloRefused, Role, WIRE_VERSIONS, alpn};
pub use ids::{ClientId, Epoch, ReplicaId, SequenceNumber, Timestamp, View};
pub use membership::{ClientRole, MembershipError, MembershipOperation, MembershipResult, Standing};
pub use plan::{NewViewPlan, TooManyFaults};
pub use report::{Awaited, Condition, PeerReport, ReplicaReport};
pub use request::Request;
pub use signed::{Body, Domain, Party, Signed, Signer, Verified, sign_request};
pub use state::{CheckpointState, ChunkPiece, FetchState, StatePart, StateReply};
pub use statement::{Place, Statement, StatementKind};
pub use wire::{Message, Proposal, VerifiedMessage};
pub use witness::{Votes, Witness};

/// The version of the rules that signatures are made under (R1).
pub const PROTOCOL_VERSION: u16 = 1;
