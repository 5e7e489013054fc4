use crate::{Digest, PublicKey, Signature};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// The signature is not the key's over the digest, or the key is unusable (R20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature")]
pub struct InvalidSignature;

/// What a signature claims: this key signed this digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignedDigest {
    /// The claimed signer.
    pub key: PublicKey,
    /// What was signed.
    pub digest: Digest,
    /// The signature to check.
    pub signature: Signature,
}

impl SignedDigest {
    fn batch_item(&self) -> batch::Item {
        let signature = ed25519_zebra::Signature::from_bytes(self.signature.as_bytes());
        batch::Item::from((VerificationKeyBytes::from(*self.key.as_bytes()), signature, self.digest.as_bytes()))
    }
}

/// Checks one signature under ZIP-215.
pub fn verify(claim: &SignedDigest) -> Result<(), InvalidSignature> {
    if !claim.key.is_well_formed() {
        return Err(InvalidSignature);
    }
    let key = VerificationKey::try_from(*claim.key.as_bytes()).map_err(|_| InvalidSignature)?;
    let signature = ed25519_zebra::Signature::from_bytes(claim.signature.as_bytes());
    key.verify(&signature, claim.digest.as_bytes()).map_err(|_| InvalidSignature)
}

/// Checks many signatures at once, faster than one by one and with the same verdict on each.
///
/// On failure it names the invalid ones by their index, in order.
pub fn verify_all(claims: &[SignedDigest]) -> Result<(), Vec<usize>> {
    if claims.len() > 1 && verify_batch(claims).is_ok() {
        return Ok(());
    }
    let culprits: Vec<usize> =
        claims.iter().enumerate().filter(|(_, claim)| verify(claim).is_err()).map(|(index, _)| index).collect();
    if culprits.is_empty() { Ok(()) } else { Err(culprits) }
}

fn verify_batch(claims: &[SignedDigest]) -> Result<(), InvalidSignature> {
    let mut verifier = batch::Verifier::new();
    for claim in claims {
        if !claim.key.is_well_formed() {
            return Err(InvalidSignature);
        }
        verifier.queue(claim.batch_item());
    }
    verifier.verify(coefficients(claims)).map_err(|_| InvalidSignature)
}

/// The random coefficients of batch verification, drawn from a hash of all that is verified. Whoever made the
/// signatures cannot choose them, and the verdict is reproducible.
fn coefficients(claims: &[SignedDigest]) -> ChaCha20Rng {
    let mut bytes = Vec::with_capacity(claims.len().saturating_mul(128));
    for claim in claims {
        bytes.extend_from_slice(claim.key.as_bytes());
        bytes.extend_from_slice(claim.digest.as_bytes());
        bytes.extend_from_slice(claim.signature.as_bytes());
    }
    ChaCha20Rng::from_seed(*Digest::of("pbft batch verification", &[&bytes]).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;
    use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
    use rand_chacha::rand_core::Rng;

    fn claim(seed: u8, text: &[u8]) -> SignedDigest {
        let key = SecretKey::from_seed(&[seed; 32]);
        let digest = Digest::of("test", &[text]);
        SignedDigest { key: key.public(), digest, signature: key.sign(&digest) }
    }

    #[test]
    fn a_valid_batch_passes_and_the_culprits_of_a_bad_one_are_named() {
        let mut claims: Vec<_> = (0..20).map(|index| claim(index % 3, &[index])).collect();
        assert_eq!(verify_all(&claims), Ok(()));
        claims[4].digest = Digest::ZERO;
        claims[17].key = claim(9, b"").key;
        assert_eq!(verify_all(&claims), Err(vec![4, 17]));
        assert_eq!(verify_all(&claims[4..5]), Err(vec![0]));
        assert_eq!(verify_all(&[]), Ok(()));
    }

    #[test]
    fn r20_single_and_batch_agree_on_signatures_with_torsion() {
        for torsion in EIGHT_TORSION {
            let mut crafted = claim(1, b"crafted");
            let (r, s) = crafted.signature.as_bytes().split_at(32);
            let point = CompressedEdwardsY::from_slice(r).unwrap().decompress().unwrap() + torsion;
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(point.compress().as_bytes());
            bytes[32..].copy_from_slice(s);
            crafted.signature = Signature::from_bytes(bytes);
            let batch = verify_batch(&[crafted, claim(2, b"other")]);
            assert_eq!(verify(&crafted), batch, "torsion {torsion:?}");
        }
    }

    #[test]
    fn r20_the_coefficients_depend_on_all_that_an_attacker_could_choose_after_them() {
        let drawn = |claims: &[SignedDigest]| coefficients(claims).next_u64();
        let claims = [claim(1, b"x"), claim(2, b"y")];
        let mut others = vec![[claims[1], claims[0]]; 1];
        for index in 0..2 {
            let mut other = claims;
            other[index].key = claim(9, b"").key;
            others.push(other);
            let mut other = claims;
            other[index].digest = Digest::ZERO;
            others.push(other);
            for byte in [0, 32] {
                let mut signature = *claims[index].signature.as_bytes();
                signature[byte] ^= 1;
                let mut other = claims;
                other[index].signature = Signature::from_bytes(signature);
                others.push(other);
            }
        }
        let numbers: std::collections::BTreeSet<u64> = others.iter().map(|other| drawn(other)).chain([drawn(&claims)]).collect();
        assert_eq!(numbers.len(), others.len() + 1);
    }

    #[test]
    fn r20_a_small_order_key_verifies_nothing() {
        let mut weak = claim(1, b"x");
        weak.key = PublicKey::from_bytes([0; 32]);
        assert_eq!(verify(&weak), Err(InvalidSignature));
        assert_eq!(verify_all(&[weak, claim(2, b"y")]), Err(vec![0]));
    }
}
