//! `pbft snapshot load`.

use super::{failure, open};
use crate::client_home::{ClientOptions, Cluster, read_genesis};
use crate::failure::Failure;
use crate::output::print_text;
use pbft_message::{Authenticator, Genesis, ServiceParameters};
use pbft_node::ExitCode;
use pbft_protocol::service::Service;
use pbft_replica::read_service_state;
use pbft_services::kv::{Entry, Expected, KeyValueStore, KvResult, Operation, RangeEnd, StepResult};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Room in a request for what surrounds its operations, in bytes.
const ENVELOPE: usize = 1024;

#[derive(clap::Args)]
pub struct Load {
    /// The file that `pbft snapshot save` wrote, of any replica of the lost cluster.
    file: PathBuf,
    /// The genesis of the lost cluster.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    #[command(flatten)]
    client: ClientOptions,
}

/// How many keys were put, and how many were there already.
#[derive(Clone, Copy, Default, Serialize)]
struct Answer {
    ok: bool,
    loaded: u64,
    already_there: u64,
}

impl Load {
    pub fn run(self) -> ExitCode {
        self.client.format.end(self.load().map(|answer| (answer, ExitCode::Yes)), show)
    }

    fn load(&self) -> Result<Answer, Failure> {
        let lost = Arc::new(read_genesis(&self.genesis)?);
        let store = self.store(&lost)?;
        self.client.run(|cluster| put_all(cluster, store, &lost.service))
    }

    /// The store of the certified state: every chunk is verified before it counts.
    fn store(&self, lost: &Arc<Genesis>) -> Result<KeyValueStore, Failure> {
        if lost.service.name != "kv" {
            return Err(wrong_service(&lost.service.name));
        }
        let chunks = read_service_state(open(&self.file)?, &Authenticator::new(lost.clone())).map_err(failure)?;
        let mut store = KeyValueStore::new(&lost.service);
        store.restore(chunks).map_err(|error| Failure::new(ExitCode::No, "Invalid", error))?;
        Ok(store)
    }
}

fn wrong_service(name: &str) -> Failure {
    let message = format!("{name:?} is not the key-value store (kv): its state cannot be loaded key by key");
    Failure::new(ExitCode::Configuration, "WrongService", message)
}

/// Puts every key that is not there yet, so that it may be begun again, and replaces nothing that is newer.
async fn put_all(cluster: Cluster, mut store: KeyValueStore, lost: &ServiceParameters) -> Result<Answer, Failure> {
    if cluster.genesis.service.name != "kv" {
        return Err(wrong_service(&cluster.genesis.service.name));
    }
    let mut answer = Answer { ok: true, ..Answer::default() };
    let (mut start, mut more) = (Vec::new(), true);
    while more {
        // By the limits that the store was made with, an entry always fits.
        let range = Operation::range(&start, RangeEnd::Last, lost.max_range_entries as u64);
        let KvResult::Step(StepResult::Range { entries, more: left, .. }) = store.apply(&range, lost.max_result_bytes) else {
            return Err(Failure::new(ExitCode::No, "Invalid", "the snapshot's state cannot be read as a whole"));
        };
        more = left && !entries.is_empty();
        if let Some(last) = entries.last() {
            start = [&last.key[..], &[0]].concat();
        }
        for operations in requests(entries, &cluster.genesis) {
            put(&cluster, operations, &mut answer).await?;
            eprintln!("pbft: {} keys are there", answer.loaded.saturating_add(answer.already_there));
        }
    }
    Ok(answer)
}

/// As many operations in each as fit.
fn requests(entries: Vec<Entry>, genesis: &Genesis) -> Vec<Vec<Vec<u8>>> {
    let (most, most_bytes) = (genesis.parameters.max_operations, genesis.parameters.max_request_bytes.saturating_sub(ENVELOPE));
    let (mut requests, mut bytes) = (vec![Vec::new()], 0_usize);
    for Entry { key, value, .. } in entries {
        let operation = Operation::compare_and_swap(&*key, Expected::Absent, &*value).encode();
        let size = operation.len().saturating_add(8);
        bytes = bytes.saturating_add(size);
        match requests.last_mut().filter(|last| last.is_empty() || (bytes <= most_bytes && last.len() < most)) {
            Some(last) => last.push(operation),
            None => {
                bytes = size;
                requests.push(vec![operation]);
            }
        }
    }
    requests.retain(|request| !request.is_empty());
    requests
}

async fn put(cluster: &Cluster, operations: Vec<Vec<u8>>, answer: &mut Answer) -> Result<(), Failure> {
    let accepted = cluster.client.request(operations).await.map_err(|error| cluster.failure(&error))?;
    for result in &accepted.results {
        match KvResult::decode(result) {
            Ok(KvResult::CompareAndSwap { swapped: true, .. }) => answer.loaded = answer.loaded.saturating_add(1),
            Ok(KvResult::CompareAndSwap { .. }) => answer.already_there = answer.already_there.saturating_add(1),
            Ok(KvResult::Error(error)) => return Err(Failure::new(ExitCode::Refused, "Refused", error)),
            _ => return Err(Failure::new(ExitCode::Refused, "UnexpectedResult", "the cluster's answer is no result of a put")),
        }
    }
    Ok(())
}

fn show(answer: &Answer) {
    let Answer { loaded, already_there, .. } = answer;
    print_text(&format!("{loaded} keys were put; {already_there} were there already and are as they were"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_message::{Blob, Parameters};

    #[test]
    fn a_request_holds_as_many_keys_as_fit_and_none_is_left_out() {
        let mut genesis = crate::commands::doctor::fixture::look().genesis.as_ref().clone();
        genesis.parameters = Parameters { max_operations: 3, max_request_bytes: 4096, ..Parameters::default() };
        let entry = |number: u8, bytes| Entry {
            key: Blob::from(vec![number]),
            value: Blob::from(vec![0; bytes]),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
            lease: 0,
        };
        let entries = (0..4).map(|number| entry(number, 10)).chain([entry(4, 2000), entry(5, 2000), entry(6, 10)]).collect();
        let sizes: Vec<usize> = requests(entries, &genesis).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2, 2]);
    }
}
