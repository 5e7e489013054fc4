//! What a signature covers (R1).

use super::checker::Checker;
use super::invariant::Invariant;
use pbft_crypto::Digest;
use pbft_message::{Body, Checkpoint, Commit, NewView, PROTOCOL_VERSION, PrePrepare, Prepare, Request, ViewChange};
use std::collections::BTreeSet;

impl Checker {
    /// The same bytes in another cluster or epoch, under another version or as another type, are signed otherwise. Nobody in
    /// the run could tell: there, all compute the same.
    pub(super) fn check_domain(&mut self) {
        let here = self.domain;
        let types =
            [PrePrepare::TYPE, Prepare::TYPE, Commit::TYPE, Checkpoint::TYPE, ViewChange::TYPE, NewView::TYPE, Request::TYPE];
        let distinct = BTreeSet::from(types).len() == types.len();
        self.expect(distinct, Invariant::NothingForeign, || "a message is also one of another type".to_owned());
        let (version, epoch) = (PROTOCOL_VERSION.to_le_bytes(), here.epoch.0.to_le_bytes());
        let whole = Digest::of("pbft signature", &[&version, here.cluster.as_bytes(), &epoch, &[1], b"body"]);
        self.expect(here.digest(1, b"body") == whole, Invariant::NothingForeign, || {
            "a signature does not cover the version, cluster, epoch, type and body".to_owned()
        });
    }
}
