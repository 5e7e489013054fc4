//! `pbft keygen`.

use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_crypto::{Digest, PublicKey, SecretKey, write_secret_key};
use pbft_node::{ExitCode, initialise_data, is_development_key};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// Make a key pair.
///
/// Make the two secret keys of a replica or client, and print their public halves for the genesis: the signing key
/// signs votes or requests, the transport key authenticates connections. The files are readable by their owner alone;
/// an existing key is never overwritten.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft keygen --output home\n  pbft keygen --replica --output replica-home\n  pbft keygen --output home -o json"
)]
pub struct Keygen {
    /// The folder to make keys/signing.key and keys/transport.key in.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// For a replica: make data/ too, with the journal that belongs to the signing key. There is no other way to make it: a key whose
    /// journal is lost never votes again. The first start binds it to the cluster of the genesis that is there then.
    #[arg(long)]
    replica: bool,
    /// Make the published, insecure development keys of this number. Only test networks accept them.
    #[arg(long, value_name = "NUMBER")]
    development: Option<u32>,
    #[command(flatten)]
    format: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    signing_key: PublicKey,
    transport_key: PublicKey,
    files: [PathBuf; 2],
    insecure: bool,
}

impl Keygen {
    pub fn run(self) -> ExitCode {
        self.format.format.end(self.generate().map(|answer| (answer, ExitCode::Yes)), show)
    }

    fn generate(&self) -> Result<Answer, Failure> {
        let [signing, transport] = match self.development {
            Some(number) => development_keys(number),
            None => [random_key()?, random_key()?],
        };
        let folder = self.output.join("keys");
        let files = [folder.join("signing.key"), folder.join("transport.key")];
        if let Some(file) = files.iter().find(|file| file.exists()) {
            let message = format!("{} exists: keys are never overwritten; choose another folder", file.display());
            return Err(Failure::new(ExitCode::Io, "Exists", message));
        }
        fs::create_dir_all(&folder).map_err(|error| Failure::io(format!("cannot create {}: {error}", folder.display())))?;
        let data = self.output.join("data");
        if self.replica && data.exists() {
            let message =
                format!("{} exists: a journal is made once, together with its key; choose another folder", data.display());
            return Err(Failure::new(ExitCode::Io, "Exists", message));
        }
        for (file, key) in files.iter().zip([&signing, &transport]) {
            write_secret_key(file, key).map_err(Failure::io)?;
        }
        if self.replica {
            initialise_data(&self.output, Digest::ZERO, signing.public())
                .map_err(|error| Failure::new(error.exit_code(), "Journal", error))?;
        }
        let insecure = is_development_key(&signing);
        Ok(Answer { ok: true, signing_key: signing.public(), transport_key: transport.public(), files, insecure })
    }
}

pub fn random_key() -> Result<SecretKey, Failure> {
    SecretKey::generate().map_err(|error| Failure::io(format!("no randomness: {error}")))
}

/// Every number stands for a pair of keys: seeds 2N and 2N + 1.
fn development_keys(number: u32) -> [SecretKey; 2] {
    let first = u64::from(number).saturating_mul(2);
    [first, first.saturating_add(1)].map(|seed_number| {
        let mut seed = *b"insecure development key........";
        if let Some(end) = seed.last_chunk_mut() {
            *end = seed_number.to_le_bytes();
        }
        SecretKey::from_seed(&seed)
    })
}

fn show(answer: &Answer) {
    let [signing, transport] = answer.files.each_ref().map(|file| file.display());
    print_text(&format!("signing_key   = \"{}\"\ntransport_key = \"{}\"", answer.signing_key, answer.transport_key));
    eprintln!("The secret halves are in {signing} and {transport}: keep them private.");
    if answer.insecure {
        eprintln!("INSECURE: anyone can make these keys. Only test networks accept them.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_keys_are_known_as_such_and_all_differ() {
        let keys: Vec<SecretKey> = [0, 1, u32::MAX].into_iter().flat_map(development_keys).collect();
        assert!(keys.iter().all(is_development_key));
        let distinct: std::collections::BTreeSet<PublicKey> = keys.iter().map(SecretKey::public).collect();
        assert_eq!(distinct.len(), 6);
        assert!(!is_development_key(&random_key().unwrap()));
    }
}
