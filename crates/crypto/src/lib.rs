//! Digests, Ed25519 keys and signatures, key files. No protocol words live here.
//!
//! One rule of signature validity (ZIP-215) serves single and batch verification alike (R20): a replica that
//! verifies a signature alone and one that verifies it in a batch must never disagree.

mod digest;
mod fixed;
mod key_file;
mod keys;
mod verify;

pub use digest::Digest;
pub use key_file::{KeyFileError, read_secret_key, write_secret_key};
pub use keys::{InvalidPublicKey, PublicKey, SecretKey, Signature};
pub use verify::{InvalidSignature, SignedDigest, verify, verify_all};
