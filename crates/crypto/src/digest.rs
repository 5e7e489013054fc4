use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 digest, 32 bytes. Prints as lowercase hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "crate::fixed")] [u8; 32]);

impl Digest {
    /// A digest that no hash yields in practice; reserved for the null request (R3).
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of the domain's length, the domain, then the parts, one after the other.
    ///
    /// The domain keeps digests of different kinds apart. The parts are not delimited: where more than one
    /// of them varies in length, the caller makes the division unambiguous.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((domain.len() as u64).to_le_bytes());
        hasher.update(domain.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Wraps 32 bytes that already are a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first four bytes in hexadecimal, for people.
    pub fn short(&self) -> String {
        hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_their_ends_are_kept_apart() {
        assert_ne!(Digest::of("a", &[b"b"]), Digest::of("ab", &[b""]));
        assert_eq!(Digest::of("a", &[b"b", b"c"]), Digest::of("a", &[b"bc"]));
    }
}
