use pbft_crypto::{SignedDigest, verify_all};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Valid signatures that were seen before. What it holds changes the cost of a check, never its outcome.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Generations>>);

/// The young generation becomes the old one when it is full: so what is asked for often stays, in bounded room.
#[derive(Debug)]
struct Generations {
    capacity: usize,
    young: HashSet<SignedDigest>,
    old: HashSet<SignedDigest>,
}

impl Memory {
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Generations { capacity, young: HashSet::new(), old: HashSet::new() })))
    }

    /// Verifies what is not known; names the claims that do not hold, by index.
    pub fn check(&self, claims: &[SignedDigest]) -> Result<(), Vec<usize>> {
        let (indices, unknown): (Vec<usize>, Vec<SignedDigest>) = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            claims.iter().copied().enumerate().filter(|(_, claim)| !known.recall(claim)).unzip()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let culprits = verify_all(&unknown).err().unwrap_or_default();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, claim) in unknown.into_iter().enumerate() {
            if culprits.binary_search(&index).is_err() {
                known.remember(claim);
            }
        }
        if culprits.is_empty() {
            return Ok(());
        }
        Err(culprits.into_iter().filter_map(|culprit| indices.get(culprit).copied()).collect())
    }
}

impl Memory {
    /// A signature that was just made is valid.
    pub fn remember(&self, claim: SignedDigest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remember(claim);
    }
}

impl Generations {
    fn recall(&mut self, claim: &SignedDigest) -> bool {
        if self.young.contains(claim) {
            return true;
        }
        let known = self.old.contains(claim);
        if known {
            self.remember(*claim);
        }
        known
    }

    fn remember(&mut self, claim: SignedDigest) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(claim);
    }
}

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memory {}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::{Digest, SecretKey};

    fn claim(text: u8) -> SignedDigest {
        let key = SecretKey::from_seed(&[7; 32]);
        let digest = Digest::of("test", &[&[text]]);
        SignedDigest { key: key.public(), digest, signature: key.sign(&digest) }
    }

    #[test]
    fn what_is_remembered_changes_no_verdict_and_takes_bounded_room() {
        let memory = Memory::new(4);
        let mut forged = claim(1);
        forged.digest = claim(2).digest;
        for _ in 0..3 {
            assert_eq!(memory.check(&[claim(1), forged, claim(2), forged]), Err(vec![1, 3]));
        }
        for text in 0..40 {
            assert_eq!(memory.check(&[claim(text), claim(1)]), Ok(()));
        }
        let known = memory.0.lock().unwrap();
        assert!(known.young.len() <= 4 && known.old.len() <= 4);
        assert!(known.young.contains(&claim(1)), "what is asked for often stays");
        assert!(!known.young.contains(&forged) && !known.old.contains(&forged));
    }
}
