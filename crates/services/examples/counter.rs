//! A service of your own, whole: a counter that is added to (`add 5`) and read (`read`).

use pbft_crypto::SecretKey;
use pbft_message::{ClientId, SequenceNumber};
use pbft_protocol::service::{Context, RestoreError, Service, Snapshot};
use std::sync::Arc;

/// The state.
#[derive(Default)]
pub struct Counter(u64);

impl Counter {
    fn run(&mut self, operation: &[u8]) -> Result<u64, &'static str> {
        let text = std::str::from_utf8(operation).map_err(|_| "not text")?;
        if let Some(number) = text.strip_prefix("add ") {
            let number: u64 = number.parse().map_err(|_| "not a number")?;
            self.0 = self.0.checked_add(number).ok_or("too large")?;
        } else if text != "read" {
            return Err("neither `add NUMBER` nor `read`");
        }
        Ok(self.0)
    }
}

impl Service for Counter {
    fn execute(&mut self, _context: &Context, operation: &[u8]) -> Vec<u8> {
        match self.run(operation) {
            Ok(total) => total.to_string().into_bytes(),
            Err(reason) => format!("error: {reason}").into_bytes(),
        }
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(self.0.to_le_bytes().to_vec())
    }

    fn restore(&mut self, chunks: Vec<Vec<u8>>) -> Result<(), RestoreError> {
        let bytes = chunks.first().and_then(|chunk| chunk.as_slice().try_into().ok());
        let bytes = bytes.ok_or_else(|| RestoreError { chunk: 0, reason: "not 8 bytes".to_owned() })?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Runs a few operations, as every replica of a cluster would.
pub fn main() {
    let client = ClientId(SecretKey::from_seed(&[1; 32]).public());
    let context = Context { client, time: 0, sequence: SequenceNumber(1), max_result_bytes: 1024 };
    let mut counter = Counter::default();
    for operation in ["add 5", "add 37", "read", "subtract 1"] {
        let result = counter.execute(&context, operation.as_bytes());
        println!("{operation}: {}", String::from_utf8_lossy(&result));
    }
}
