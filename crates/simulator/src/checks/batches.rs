//! Which bodies may be ordered at all (R4), read by the checker's own eyes.

use super::checker::Checker;
use pbft_message::{Blob, Request, Signed, batch_digest, codec};

/// A signature with its length.
const SIGNATURE: usize = 72;

impl Checker {
    /// Whether a body is a batch by its bytes alone: its size, its requests and their signatures. None is the null request.
    pub(super) fn is_sound(&mut self, body: &Blob) -> bool {
        if body.is_empty() {
            return true;
        }
        let digest = batch_digest(body);
        if let Some(known) = self.seen.sound.get(&digest) {
            return *known;
        }
        let sound = self.judge(body);
        self.seen.sound.insert(digest, sound);
        sound
    }

    fn judge(&self, body: &Blob) -> bool {
        let limits = &self.genesis.parameters;
        let Ok((_, requests)) = codec::decode::<(u64, Vec<Signed<Request>>)>(body) else { return false };
        let fits = |request: &Signed<Request>| {
            let operations = request.operations.len();
            (1..=limits.max_operations).contains(&operations)
                && codec::encode(&**request).len() + SIGNATURE <= limits.max_request_bytes
        };
        let whole = body.len() <= limits.max_batch_bytes && !requests.is_empty() && requests.iter().all(fits);
        whole && self.authenticator.verify_requests(requests).iter().all(Result::is_ok)
    }
}
