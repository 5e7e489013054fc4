//! The seam that users implement: a deterministic service.

use pbft_message::{ClientId, SequenceNumber};
use std::sync::Arc;

/// What is replicated.
///
/// Every replica runs the same operations in the same order, and must come to the same results and the same state,
/// byte for byte. So a service reads no clock (the time is in [`Context`]), no randomness, no environment, no
/// network and no files; it iterates over no `HashMap`; it uses no floating point whose result could differ. It must
/// not panic, whatever the bytes of an operation: what makes no sense gets a result that says so.
///
/// The state is a list of *chunks*, under a Merkle root that replicas sign at checkpoints. Chunks are what a replica
/// that lost its state fetches and checks one by one. A small service has one chunk; a large one divides its state,
/// so that a checkpoint costs in proportion to what changed.
///
/// ```
/// use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
/// use std::sync::Arc;
///
/// /// Adds up the lengths of all operations.
/// #[derive(Default)]
/// struct Total(u64);
///
/// impl Service for Total {
///     fn execute(&mut self, _context: &Context, operation: &[u8]) -> Vec<u8> {
///         self.0 = self.0.saturating_add(operation.len() as u64);
///         self.0.to_string().into_bytes()
///     }
///
///     fn snapshot(&self) -> Arc<dyn Snapshot> {
///         Arc::new(self.0.to_le_bytes().to_vec())
///     }
///
///     fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
///         let bytes = chunks.first().and_then(|chunk| chunk.as_slice().try_into().ok());
///         let bytes = bytes.ok_or_else(|| RestoreError { chunk: 0, reason: "not 8 bytes".to_owned() })?;
///         self.0 = u64::from_le_bytes(bytes);
///         Ok(())
///     }
/// }
///
/// // What a replica does with it: run it, freeze it, and make another one equal from the chunks.
/// # use pbft_crypto::SecretKey;
/// # use pbft_message::{ClientId, SequenceNumber};
/// # let client = ClientId(SecretKey::from_seed(&[1; 32]).public());
/// # let context = Context { client, time: 0, sequence: SequenceNumber(1), max_result_bytes: 100 };
/// let (mut one, mut other) = (Total::default(), Total::default());
/// assert_eq!(one.execute(&context, b"hello"), b"5");
/// let frozen = one.snapshot();
/// assert_eq!(one.execute(&context, b"world"), b"10");
/// other.restore(vec![frozen.chunk(0)])?;
/// assert_eq!(other.execute(&context, b"world"), b"10");
/// # Ok::<(), RestoreError>(())
/// ```
pub trait Service: Send + 'static {
    /// Runs one operation and returns its result, in at most `context.max_result_bytes` bytes.
    fn execute(&mut self, context: &Context, operation: &[u8]) -> Vec<u8>;

    /// Whether an operation changes nothing, whatever the state is: clients that may only read are refused all others.
    /// The default trusts none.
    fn is_read(&self, _operation: &[u8]) -> bool {
        false
    }

    /// The state as it is now, frozen: execution goes on while it is read. Should be cheap: share, do not copy.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// The chunks that may have changed since the last call; after [`restore`](Self::restore), none have.
    /// The default names all of them.
    fn changed_chunks(&mut self) -> Vec<u32> {
        (0..self.snapshot().chunk_count()).collect()
    }

    /// Replaces the whole state. The chunks are authentic: a quorum signed their root.
    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError>;
}

/// A frozen state.
pub trait Snapshot: Send + Sync {
    /// How many chunks there are; at least one.
    fn chunk_count(&self) -> u32;

    /// The canonical bytes of a chunk: equal states give equal bytes. Empty for an index beyond the last.
    fn chunk(&self, index: u32) -> Vec<u8>;
}

/// A state of one chunk, for small services.
impl Snapshot for Vec<u8> {
    fn chunk_count(&self) -> u32 {
        1
    }

    fn chunk(&self, index: u32) -> Vec<u8> {
        if index == 0 { self.clone() } else { Vec::new() }
    }
}

/// What an operation may know of its surroundings: the same at every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Who asked.
    pub client: ClientId,
    /// The agreed time, in microseconds since 1970; it grows from batch to batch (R3).
    pub time: u64,
    /// Where the batch stands.
    pub sequence: SequenceNumber,
    /// How many bytes the result may have.
    pub max_result_bytes: usize,
}

/// The chunks are no state of this service: it and the one that wrote them are not the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot restore the service from chunk {chunk}: {reason}")]
pub struct RestoreError {
    /// The chunk at fault.
    pub chunk: u32,
    /// What is wrong with it.
    pub reason: String,
}
