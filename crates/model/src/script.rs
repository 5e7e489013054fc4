//! A prefix that leads to where it gets interesting: states on the way are not explored.

use crate::model::{PbftModel, Step};
use crate::node::Happening;
use crate::table::Entry;
use pbft_crypto::Digest;
use pbft_message::Message;

impl PbftModel {
    /// The value's digest: 0 or 1.
    pub fn value(&self, index: usize) -> Digest {
        self.world.values[index].digest()
    }

    /// A client asks a replica for a value.
    pub fn request(self, replica: u32, index: usize) -> Self {
        self.happen(replica, Happening::Request(index))
    }

    /// A replica's timers that wait for the primary expire.
    pub fn timeout(self, replica: u32) -> Self {
        self.happen(replica, Happening::Timeout)
    }

    /// Everything of this name from one replica reaches another, if it can.
    pub fn deliver(self, from: u32, to: u32, name: &str) -> Self {
        self.deliver_where(to, |entry| entry.from == from && entry.message.name() == name)
    }

    /// What a liar says about a value in a view reaches a replica.
    pub fn deliver_value(self, from: u32, to: u32, name: &str, value: usize) -> Self {
        let digest = self.value(value);
        self.deliver_where(to, |entry| entry.from == from && entry.message.name() == name && about(&entry.message) == Some(digest))
    }

    fn deliver_where(mut self, to: u32, wanted: impl Fn(&Entry) -> bool) -> Self {
        let mut any = false;
        for id in self.deliverable(self.initial()) {
            if self.look(id, &wanted) {
                any |= self.try_happen(to, Happening::Deliver(id));
            }
        }
        assert!(any, "the script delivers something");
        self
    }

    fn happen(mut self, replica: u32, happening: Happening) -> Self {
        assert!(self.try_happen(replica, happening), "the script can go on");
        self
    }

    fn try_happen(&mut self, replica: u32, happening: Happening) -> bool {
        let next = self.after(self.initial(), Step { replica, happening });
        let happened = next.is_some();
        if let Some(next) = next {
            self.set_initial(next);
        }
        happened
    }
}

fn about(message: &Message) -> Option<Digest> {
    match message {
        Message::PrePrepare { header, .. } => Some(header.digest),
        Message::Prepare { prepare, .. } => Some(prepare.digest),
        Message::Commit(commit) => Some(commit.digest),
        _ => None,
    }
}
