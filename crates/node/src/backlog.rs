use pbft_protocol::agreement::{JournalPosition, Unpersisted};
use std::collections::VecDeque;

/// How many bytes of records may wait for the journal, whatever their number.
pub const JOURNAL_BYTES: usize = 64 << 20;

/// What the core has handed to the journal, and how much of it is not durable yet.
#[derive(Debug, Default)]
pub struct Backlog {
    durable: JournalPosition,
    waiting: VecDeque<(JournalPosition, usize)>,
    bytes: usize,
}

impl Backlog {
    /// These are about to be handed on.
    pub fn add(&mut self, effects: &Unpersisted) {
        self.wait_for(effects.position(), effects.size());
    }

    fn wait_for(&mut self, position: JournalPosition, bytes: usize) {
        self.waiting.push_back((position, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The journal is durable up to here. Whether that is news.
    pub fn durable(&mut self, position: JournalPosition) -> bool {
        while let Some((_, bytes)) = self.waiting.pop_front_if(|(waiting, _)| *waiting <= position) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        let is_news = position > self.durable;
        self.durable = self.durable.max(position);
        is_news
    }

    /// How far the journal is durable, as far as is known here.
    pub const fn position(&self) -> JournalPosition {
        self.durable
    }

    /// How many bytes of records wait for the journal.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// No more is to be handed on before some of it is durable.
    pub const fn is_full(&self) -> bool {
        self.bytes >= JOURNAL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_what_waits_for_the_journal_is_bounded_in_bytes() {
        let mut backlog = Backlog::default();
        backlog.wait_for(JournalPosition(3), JOURNAL_BYTES - 1);
        assert!(!backlog.is_full());
        backlog.wait_for(JournalPosition(5), 1);
        assert!(backlog.is_full());
        assert!(backlog.durable(JournalPosition(2)) && !backlog.durable(JournalPosition(2)));
        assert!(backlog.is_full(), "nothing of it is durable yet");
        backlog.durable(JournalPosition(3));
        assert!(!backlog.is_full());
        backlog.durable(JournalPosition(5));
        assert_eq!((backlog.bytes, backlog.waiting.len()), (0, 0));
    }
}
