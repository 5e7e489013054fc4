//! A service that does nothing: what is left to measure is the protocol.

use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use std::sync::Arc;

/// Ignores every operation and answers with no bytes. Its state is one empty chunk that never changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullService;

impl Service for NullService {
    fn execute(&mut self, _context: &Context, _operation: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(Vec::new())
    }

    fn changed_chunks(&mut self) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        if chunks != [Vec::new()] {
            return Err(RestoreError { chunk: 0, reason: "the null service has one empty chunk".to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::SecretKey;
    use pbft_message::{ClientId, SequenceNumber};

    #[test]
    fn operations_have_no_result_and_no_effect() {
        let client = ClientId(SecretKey::from_seed(&[1; 32]).public());
        let context = Context { client, time: 1, sequence: SequenceNumber(1), max_result_bytes: 100 };
        assert!(NullService.execute(&context, b"anything").is_empty());
        let snapshot = NullService.snapshot();
        assert_eq!((snapshot.chunk_count(), snapshot.chunk(0)), (1, vec![]));
        assert_eq!(NullService.restore(vec![vec![]]), Ok(()));
        assert!(NullService.restore(vec![vec![1]]).is_err());
        assert!(NullService.restore(vec![]).is_err());
    }
}
