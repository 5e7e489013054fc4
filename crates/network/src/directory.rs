use pbft_crypto::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What a peer is; it decides which limits hold for it and which channel its frames arrive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A replica: one connection at a time, the newest.
    Replica,
    /// A client: several processes may share a key.
    Client,
}

/// Who may connect, by transport key. Clones share one content, which can be replaced while endpoints use it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<BTreeMap<PublicKey, Class>>>);

impl Directory {
    /// A directory of these keys.
    pub fn new(entries: impl IntoIterator<Item = (PublicKey, Class)>) -> Self {
        Self(Arc::new(RwLock::new(entries.into_iter().collect())))
    }

    /// From now on exactly these keys may connect. Connections that are up stay up: the caller closes those it wants gone.
    pub fn replace(&self, entries: impl IntoIterator<Item = (PublicKey, Class)>) {
        let entries = entries.into_iter().collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    /// The class of a key; `None` if it may not connect.
    pub fn class(&self, key: &PublicKey) -> Option<Class> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}
