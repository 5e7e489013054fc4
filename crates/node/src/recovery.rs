use pbft_message::Authenticator;
use pbft_protocol::agreement::{Record, RecoverError, VerifiedRecord};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// So many records are shared among the cores at a time.
const PART: usize = 256;
/// Between two lines about it in the log.
const TELL: Duration = Duration::from_secs(1);

/// Checks a journal's records again, on all cores, and tells how far it is.
pub fn verify(authenticator: &Authenticator, records: Vec<Record>) -> Result<Vec<VerifiedRecord>, RecoverError> {
    let all = records.len();
    let mut verified = Vec::with_capacity(all);
    let mut told = Instant::now();
    let mut rest = records.into_iter().enumerate();
    while verified.len() < all {
        let part: Vec<(usize, Record)> = rest.by_ref().take(PART).collect();
        let part = part.into_par_iter().map(|(index, record)| record.verify(index, authenticator));
        verified.extend(part.collect::<Result<Vec<_>, _>>()?);
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(event = "recovering", verified = verified.len(), records = all, "verifying the journal");
        }
    }
    Ok(verified)
}
