//! `pbft evidence verify`.

use super::lie;
use crate::client_home::read_genesis;
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_message::{Authenticator, Evidence, Genesis, codec};
use pbft_node::ExitCode;
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Verify {
    /// The evidence: the file that `pbft evidence list` wrote.
    file: PathBuf,
    /// The genesis of the cluster.
    #[arg(long, value_name = "FILE", required_unless_present = "home")]
    genesis: Option<PathBuf>,
    /// A folder with the cluster's genesis.toml.
    #[arg(long, env = "PBFT_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(flatten)]
    output: FormatOption,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Answer {
    ok: bool,
    accused: Option<u32>,
    kind: Option<&'static str>,
    reason: String,
}

impl Verify {
    pub fn run(self) -> ExitCode {
        let with_code = |answer: Answer| {
            let code = if answer.ok { ExitCode::Yes } else { ExitCode::No };
            (answer, code)
        };
        self.output.format.end(self.verify().map(with_code), show)
    }

    fn verify(&self) -> Result<Answer, Failure> {
        let in_home = self.home.as_ref().map(|home| home.join("genesis.toml"));
        let genesis = self.genesis.clone().or(in_home).ok_or_else(|| Failure::configuration("give --genesis or --home"))?;
        let genesis = read_genesis(&genesis)?;
        let bytes = read(&self.file).map_err(|error| Failure::io(format!("cannot read {}: {error}", self.file.display())))?;
        Ok(judge(genesis, &bytes))
    }
}

/// Nothing longer than this is evidence; the rest of a longer file is not read.
const MAX_FILE_BYTES: u64 = codec::MAX_ENCODED_BYTES as u64 + 1;

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn judge(genesis: Genesis, bytes: &[u8]) -> Answer {
    let evidence: Evidence = match codec::decode(bytes) {
        Ok(evidence) => evidence,
        Err(error) => return Answer { ok: false, accused: None, kind: None, reason: format!("the file is no evidence: {error}") },
    };
    let (accused, kind) = (Some(evidence.accused().0.0), Some(evidence.kind().name()));
    let proven = lie(&evidence);
    match Authenticator::new(Arc::new(genesis)).verify_evidence(evidence) {
        Ok(_) => Answer { ok: true, accused, kind, reason: proven },
        Err(invalid) => Answer { ok: false, accused, kind, reason: invalid.to_string() },
    }
}

fn show(answer: &Answer) {
    match answer.ok {
        true => print_text(&format!("valid: {}", answer.reason)),
        false => print_text(&format!("INVALID: {}", answer.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_crypto::{Digest, SecretKey};
    use pbft_message::{Parameters, PrePrepare, ReplicaEntry, ReplicaId, SequenceNumber, ServiceParameters, Signed, Signer, View};

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    fn genesis(name: &str) -> Genesis {
        let replica = |number: u8| ReplicaEntry { signing_key: key(number).public(), transport_key: key(number | 128).public() };
        Genesis {
            name: name.to_owned(),
            test_network: true,
            parameters: Parameters::default(),
            service: ServiceParameters::default(),
            replicas: (1..=4).map(replica).collect(),
            operators: vec![],
            clients: vec![],
        }
    }

    fn pre_prepare(digest: u8) -> Signed<PrePrepare> {
        let authenticator = Authenticator::new(Arc::new(genesis("a")));
        let signer = Signer::new(ReplicaId(1), *authenticator.domain(), key(2));
        let digest = Digest::from_bytes([digest; 32]);
        let body = PrePrepare { view: View(5), sequence: SequenceNumber(9), digest, replica: ReplicaId(1) };
        signer.sign(body).into_inner()
    }

    #[test]
    fn r17_evidence_is_judged_with_the_genesis_alone() {
        let evidence = Evidence::PrePrepares(pre_prepare(1), pre_prepare(2));
        let bytes = codec::encode(&evidence);
        let valid = judge(genesis("a"), &bytes);
        assert_eq!((valid.ok, valid.accused, valid.kind), (true, Some(1), Some("two_pre_prepares")));
        assert!(valid.reason.contains("replica 1 signed two pre-prepares"), "{}", valid.reason);

        let other_cluster = judge(genesis("b"), &bytes);
        assert_eq!((other_cluster.ok, other_cluster.accused), (false, Some(1)));
        assert!(other_cluster.reason.contains("signature"), "{}", other_cluster.reason);

        let same_twice = codec::encode(&Evidence::PrePrepares(pre_prepare(1), pre_prepare(1)));
        assert!(!judge(genesis("a"), &same_twice).ok);

        let torn = judge(genesis("a"), bytes.get(..bytes.len() - 1).unwrap());
        assert_eq!((torn.ok, torn.accused, torn.kind), (false, None, None));
    }
}
