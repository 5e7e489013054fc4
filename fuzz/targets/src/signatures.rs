//! Single against batch verification: whatever the key, the signature and the company, one verdict (R20).

use crate::cluster::key;
use crate::input::Input;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use pbft_crypto::{Digest, PublicKey, Signature, SignedDigest, verify, verify_all};
use sha2::{Digest as _, Sha512};

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut claims = Vec::new();
    while !input.is_empty() && claims.len() < 12 {
        claims.push(claim(&mut input));
    }
    let alone: Vec<usize> = (0..claims.len()).filter(|index| verify(&claims[*index]).is_err()).collect();
    let expected = if alone.is_empty() { Ok(()) } else { Err(alone) };
    assert_eq!(verify_all(&claims), expected);
    for pair in claims.windows(2) {
        assert_eq!(verify_all(pair).is_ok(), pair.iter().all(|claim| verify(claim).is_ok()));
    }
}

fn claim(input: &mut Input<'_>) -> SignedDigest {
    let digest = Digest::of("fuzz", &[&[input.byte() % 4]]);
    match input.byte() % 8 {
        0 | 1 => honest(input, digest),
        2 => damaged(input, digest),
        3..=5 => crafted(input, digest),
        6 => small_order(input, digest),
        _ => arbitrary(input, digest),
    }
}

fn honest(input: &mut Input<'_>, digest: Digest) -> SignedDigest {
    let key = key(u64::from(input.byte() % 4));
    SignedDigest { key: key.public(), digest, signature: key.sign(&digest) }
}

fn damaged(input: &mut Input<'_>, digest: Digest) -> SignedDigest {
    let honest = honest(input, digest);
    let (mut key, mut signature) = (*honest.key.as_bytes(), *honest.signature.as_bytes());
    let place = input.below(96);
    match place.checked_sub(64) {
        Some(place) => key[place] ^= input.byte(),
        None => signature[place] ^= input.byte(),
    }
    SignedDigest { key: PublicKey::from_bytes(key), digest, signature: Signature::from_bytes(signature) }
}

/// A signature by one who knows the secret scalar and adds points of small order to R and to the key, and L to s.
fn crafted(input: &mut Input<'_>, digest: Digest) -> SignedDigest {
    let secret = Scalar::from_bytes_mod_order(clamp_integer([input.byte(); 32]));
    let nonce = Scalar::from(u64::from(input.byte()) + 1);
    let key = (ED25519_BASEPOINT_POINT * secret + EIGHT_TORSION[input.below(8)]).compress().to_bytes();
    let commitment = (ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[input.below(8)]).compress().to_bytes();
    let hash = Sha512::new().chain_update(commitment).chain_update(key).chain_update(digest.as_bytes()).finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
    let response = (nonce + challenge * secret).to_bytes();
    let beyond_order = input.byte() % 4 == 3;
    let signature = [commitment, if beyond_order { plus_order(response) } else { response }].concat();
    let signature = Signature::from_bytes(signature.try_into().unwrap());
    let claim = SignedDigest { key: PublicKey::from_bytes(key), digest, signature };
    // ZIP-215: the equation holds up to points of small order, and s is canonical.
    assert_eq!(verify(&claim).is_ok(), !beyond_order);
    claim
}

/// s + L, the same scalar: not canonical.
fn plus_order(mut scalar: [u8; 32]) -> [u8; 32] {
    let last = (-Scalar::ONE).to_bytes();
    let mut carry = 1;
    for (byte, add) in scalar.iter_mut().zip(last) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    scalar
}

/// Everything is of small order: valid by the equation alone, were such keys not refused.
fn small_order(input: &mut Input<'_>, digest: Digest) -> SignedDigest {
    let mut key = EIGHT_TORSION[input.below(8)].compress().to_bytes();
    key[31] ^= input.byte() & 0x80;
    let commitment = EIGHT_TORSION[input.below(8)].compress().to_bytes();
    let signature = Signature::from_bytes([commitment, [0; 32]].concat().try_into().unwrap());
    let claim = SignedDigest { key: PublicKey::from_bytes(key), digest, signature };
    assert!(verify(&claim).is_err(), "a key of small order signs everything");
    claim
}

fn arbitrary(input: &mut Input<'_>, digest: Digest) -> SignedDigest {
    SignedDigest { key: PublicKey::from_bytes(input.array()), digest, signature: Signature::from_bytes(input.array()) }
}
