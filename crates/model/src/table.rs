//! Every message that any state of the model knows, once: a state holds only their numbers.

use crate::world::World;
use pbft_message::*;
use std::collections::BTreeMap;

/// A message's number in the [`Table`].
pub type MessageId = u32;

/// A message on its way.
pub struct Entry {
    pub from: u32,
    /// None: to whoever the network brings it to.
    pub to: Option<u32>,
    pub message: Message,
    /// Checked once, with all its signatures: the verdict depends on nothing but the bytes and the sender.
    pub verified: VerifiedMessage,
}

/// All messages met so far.
#[derive(Default)]
pub struct Table {
    entries: Vec<Entry>,
    index: BTreeMap<(u32, Option<u32>, Vec<u8>), MessageId>,
}

impl Table {
    pub fn get(&self, id: MessageId) -> &Entry {
        &self.entries[id as usize]
    }

    /// The message's number. None if it does not verify: a replica would never get to see it.
    pub fn intern(&mut self, world: &World, from: u32, to: Option<u32>, message: &Message) -> Option<MessageId> {
        let key = (from, to, codec::encode(message));
        if let Some(id) = self.index.get(&key) {
            return Some(*id);
        }
        let received: Message = codec::decode(&key.2).unwrap();
        let verified = world.authenticator.verify_message(ReplicaId(from), received).ok()?;
        let id = u32::try_from(self.entries.len()).unwrap();
        self.entries.push(Entry { from, to, message: message.clone(), verified });
        self.index.insert(key, id);
        Some(id)
    }

    /// For people.
    pub fn describe(&self, world: &World, id: MessageId) -> String {
        let Entry { from, message, .. } = self.get(id);
        let what = match message {
            Message::PrePrepare { header, .. } => format!("(v{} s{} {})", header.view, header.sequence, world.name(&header.digest)),
            Message::Prepare { prepare, .. } => {
                format!("(v{} s{} {})", prepare.view, prepare.sequence, world.name(&prepare.digest))
            }
            Message::Commit(commit) => format!("(v{} s{} {})", commit.view, commit.sequence, world.name(&commit.digest)),
            Message::ViewChange(change) => format!("(v{} P [{}])", change.view, prepared(world, change)),
            Message::NewView(new_view) => {
                let one = |change: &Signed<ViewChange>| format!("{}[{}]", change.replica, prepared(world, change));
                let changes: Vec<String> = new_view.view_changes.iter().map(one).collect();
                let header = |header: &Signed<PrePrepare>| format!("s{} {}", header.sequence, world.name(&header.digest));
                let proposals: Vec<String> = new_view.pre_prepares.iter().map(header).collect();
                format!("(v{} V {} O [{}])", new_view.view, changes.join(" "), proposals.join(", "))
            }
            Message::Suspect { view } => format!("(v{view})"),
            Message::Evidence(evidence) => format!("({} against {})", evidence.kind().name(), evidence.accused().0),
            _ => String::new(),
        };
        format!("{}{what} of {from}", message.name())
    }
}

fn prepared(world: &World, change: &ViewChange) -> String {
    let one = |entry: &PreparedCertificate| format!("v{} s{} {}", entry.view, entry.sequence, world.name(&entry.digest));
    change.prepared.iter().map(one).collect::<Vec<_>>().join(", ")
}
