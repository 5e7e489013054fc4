//! Evidence as a file: the proof, and the cluster that it is about. With the genesis, a third party needs nothing else.

use crate::failure::Failure;
use pbft_crypto::Digest;
use pbft_message::{Evidence, codec};
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What such a file begins with.
const MAGIC: &[u8] = b"pbft evidence 1\n";

/// Nothing longer than this is evidence; the rest of a longer file is not read.
const MAX_FILE_BYTES: u64 = codec::MAX_ENCODED_BYTES as u64 + MAGIC.len() as u64 + 1;

/// The name of a file in a folder of evidence.
pub fn name(evidence: &Evidence) -> String {
    format!("{}.evidence", evidence.id())
}

/// Writes one piece.
pub fn write(path: &Path, cluster: Digest, evidence: &Evidence) -> Result<(), Failure> {
    fs::write(path, encode(cluster, evidence)).map_err(|error| Failure::io(format!("cannot write {}: {error}", path.display())))
}

/// What [`decode`] reads.
pub fn encode(cluster: Digest, evidence: &Evidence) -> Vec<u8> {
    [MAGIC, &codec::encode(&(cluster, evidence))].concat()
}

/// The cluster and the proof. Nothing is verified.
pub fn decode(bytes: &[u8]) -> Result<(Digest, Evidence), String> {
    let encoded = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one")?;
    codec::decode(encoded).map_err(|error| error.to_string())
}

/// The bytes of a file, as many as matter.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| Failure::io(format!("cannot read {}: {error}", path.display())))?;
    Ok(bytes)
}
