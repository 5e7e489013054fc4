//! `pbft evidence verify`.

use super::{file, lie};
use crate::client_home::read_genesis;
use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use pbft_crypto::Digest;
use pbft_message::{Authenticator, Genesis};
use pbft_node::ExitCode;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Verify {
    /// The evidence: the file that `pbft evidence list`, `pbft evidence export` or `pbft audit` wrote.
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
    /// The cluster that the file is about.
    cluster_id: Option<Digest>,
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
        Ok(judge(genesis, &file::read(&self.file)?))
    }
}

fn judge(genesis: Genesis, bytes: &[u8]) -> Answer {
    let (cluster, evidence) = match file::decode(bytes) {
        Ok(decoded) => decoded,
        Err(error) => {
            let reason = format!("the file is no evidence: {error}");
            return Answer { ok: false, cluster_id: None, accused: None, kind: None, reason };
        }
    };
    let (accused, kind) = (Some(evidence.accused().0.0), Some(evidence.kind().name()));
    let answer = |ok, reason| Answer { ok, cluster_id: Some(cluster), accused, kind, reason };
    let here = genesis.cluster_id();
    if cluster != here {
        let reason = format!("it is about the cluster {}, and this is the genesis of {}", cluster.short(), here.short());
        return answer(false, reason);
    }
    let proven = lie(&evidence);
    match Authenticator::new(Arc::new(genesis)).verify_evidence(evidence) {
        Ok(_) => answer(true, proven),
        Err(invalid) => answer(false, invalid.to_string()),
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
    use pbft_message::{
        Evidence, Parameters, PrePrepare, ReplicaEntry, ReplicaId, SequenceNumber, ServiceParameters, Signed, Signer, View,
    };

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
        let cluster = genesis("a").cluster_id();
        let bytes = file::encode(cluster, &evidence);
        let valid = judge(genesis("a"), &bytes);
        assert_eq!((valid.ok, valid.accused, valid.kind), (true, Some(1), Some("two_pre_prepares")));
        assert!(valid.reason.contains("replica 1 signed two pre-prepares"), "{}", valid.reason);

        let other_cluster = judge(genesis("b"), &bytes);
        assert_eq!((other_cluster.ok, other_cluster.accused), (false, Some(1)));
        assert!(other_cluster.reason.contains("about the cluster"), "{}", other_cluster.reason);
        let pretended = judge(genesis("b"), &file::encode(genesis("b").cluster_id(), &evidence));
        assert_eq!((pretended.ok, pretended.accused), (false, Some(1)));
        assert!(pretended.reason.contains("signature"), "{}", pretended.reason);

        let same_twice = file::encode(cluster, &Evidence::PrePrepares(pre_prepare(1), pre_prepare(1)));
        assert!(!judge(genesis("a"), &same_twice).ok);

        let torn = judge(genesis("a"), bytes.get(..bytes.len() - 1).unwrap());
        assert_eq!((torn.ok, torn.accused, torn.kind), (false, None, None));
    }
}
