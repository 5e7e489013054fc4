use crate::{Blob, Commit, NewView, PrePrepare, Prepare, ReplicaId, SequenceNumber, Signed, View, ViewChange, codec};
use pbft_crypto::Digest;
use serde::{Deserialize, Serialize};

/// Proof that a replica lied (R17). Anyone can check it with the genesis alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// Two digests proposed for one view and number.
    PrePrepares(Signed<PrePrepare>, Signed<PrePrepare>),
    /// Two digests prepared for one view and number.
    Prepares(Signed<Prepare>, Signed<Prepare>),
    /// Two digests committed for one view and number.
    Commits(Signed<Commit>, Signed<Commit>),
    /// Two view-changes for one view.
    ViewChanges(Box<(Signed<ViewChange>, Signed<ViewChange>)>),
    /// Two new-views for one view.
    NewViews(Box<(Signed<NewView>, Signed<NewView>)>),
    /// A commit, and a later view-change that hides what was prepared for it.
    HiddenPrepared(Signed<Commit>, Box<Signed<ViewChange>>),
    /// A pre-prepare of a batch that breaks R4.
    InvalidBatch(Signed<PrePrepare>, Blob),
    /// A new-view whose O does not follow from its V.
    FalseNewView(Box<Signed<NewView>>),
}

/// A lie: who, how, and in which view. Evidence is kept once for each.
pub type Lie = (ReplicaId, EvidenceKind, View);

/// The kind of a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// See [`Evidence::PrePrepares`].
    TwoPrePrepares,
    /// See [`Evidence::Prepares`].
    TwoPrepares,
    /// See [`Evidence::Commits`].
    TwoCommits,
    /// See [`Evidence::ViewChanges`].
    TwoViewChanges,
    /// See [`Evidence::NewViews`].
    TwoNewViews,
    /// See [`Evidence::HiddenPrepared`].
    HiddenPrepared,
    /// See [`Evidence::InvalidBatch`].
    InvalidBatch,
    /// See [`Evidence::FalseNewView`].
    FalseNewView,
}

impl EvidenceKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::TwoPrePrepares,
        Self::TwoPrepares,
        Self::TwoCommits,
        Self::TwoViewChanges,
        Self::TwoNewViews,
        Self::HiddenPrepared,
        Self::InvalidBatch,
        Self::FalseNewView,
    ];

    /// The kind's name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoPrePrepares => "two_pre_prepares",
            Self::TwoPrepares => "two_prepares",
            Self::TwoCommits => "two_commits",
            Self::TwoViewChanges => "two_view_changes",
            Self::TwoNewViews => "two_new_views",
            Self::HiddenPrepared => "hidden_prepared",
            Self::InvalidBatch => "invalid_batch",
            Self::FalseNewView => "false_new_view",
        }
    }
}

impl Evidence {
    /// The kind of lie.
    pub const fn kind(&self) -> EvidenceKind {
        match self {
            Self::PrePrepares(..) => EvidenceKind::TwoPrePrepares,
            Self::Prepares(..) => EvidenceKind::TwoPrepares,
            Self::Commits(..) => EvidenceKind::TwoCommits,
            Self::ViewChanges(..) => EvidenceKind::TwoViewChanges,
            Self::NewViews(..) => EvidenceKind::TwoNewViews,
            Self::HiddenPrepared(..) => EvidenceKind::HiddenPrepared,
            Self::InvalidBatch(..) => EvidenceKind::InvalidBatch,
            Self::FalseNewView(..) => EvidenceKind::FalseNewView,
        }
    }

    /// Who lied, in which view, and at which number where there is one.
    pub fn accused(&self) -> (ReplicaId, View, Option<SequenceNumber>) {
        match self {
            Self::PrePrepares(first, _) => (first.replica, first.view, Some(first.sequence)),
            Self::Prepares(first, _) => (first.replica, first.view, Some(first.sequence)),
            Self::Commits(first, _) => (first.replica, first.view, Some(first.sequence)),
            Self::ViewChanges(pair) => (pair.0.replica, pair.0.view, None),
            Self::NewViews(pair) => (pair.0.replica, pair.0.view, None),
            Self::HiddenPrepared(commit, _) => (commit.replica, commit.view, Some(commit.sequence)),
            Self::InvalidBatch(header, _) => (header.replica, header.view, Some(header.sequence)),
            Self::FalseNewView(new_view) => (new_view.replica, new_view.view, None),
        }
    }

    /// What it is counted as: two pairs about one lie prove no more than one.
    pub fn lie(&self) -> Lie {
        let (accused, view, _) = self.accused();
        (accused, self.kind(), view)
    }

    /// A name for the file and for people: the digest of the encoded evidence.
    pub fn id(&self) -> Digest {
        Digest::of("pbft evidence", &[&codec::encode(self)])
    }
}
