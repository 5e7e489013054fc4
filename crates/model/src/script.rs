//! A prefix that leads to where it gets interesting: states on the way are not explored.

use crate::model::{PbftModel, Step};
use crate::node::Happening;
use crate::table::Entry;
use pbft_crypto::Digest;
use pbft_message::{Message, SequenceNumber};

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
        self.deliver_where(to, |entry| {
            entry.from == from && entry.message.name() == name && about(&entry.message).is_some_and(|(_, about)| about == digest)
        })
    }

    /// The same for one of several numbers.
    pub fn deliver_number(self, from: u32, to: u32, name: &str, value: usize, number: u64) -> Self {
        let wanted = Some((SequenceNumber(number), self.value(value)));
        self.deliver_where(to, |entry| entry.from == from && entry.message.name() == name && about(&entry.message) == wanted)
    }

    /// The first of a liar's new-views with just these values in its O reaches a replica.
    pub fn deliver_new_view(mut self, from: u32, to: u32, values: &[usize]) -> Self {
        let digests: Vec<Digest> = values.iter().map(|value| self.value(*value)).collect();
        let wanted = |entry: &Entry| match &entry.message {
            Message::NewView(new_view) => {
                entry.from == from && new_view.pre_prepares.iter().map(|header| header.digest).eq(digests.iter().copied())
            }
            _ => false,
        };
        let first = self.deliverable(self.initial()).into_iter().find(|id| self.look(*id, wanted));
        let first = first.expect("the script delivers something");
        assert!(self.try_happen(to, Happening::Deliver(first)), "the script can go on");
        self
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

fn about(message: &Message) -> Option<(SequenceNumber, Digest)> {
    match message {
        Message::PrePrepare { header, .. } => Some((header.sequence, header.digest)),
        Message::Prepare { prepare, .. } => Some((prepare.sequence, prepare.digest)),
        Message::Commit(commit) => Some((commit.sequence, commit.digest)),
        _ => None,
    }
}
