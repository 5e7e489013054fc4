use pbft_crypto::PublicKey;
use pbft_message::{
    ClientEntry, ClientId, ClientRole, Genesis, MembershipError, MembershipOperation, MembershipResult, ReplicaEntry, Standing,
};
use pbft_services::kv::{Operation, Step};
use std::collections::BTreeMap;

/// What must come of operators' operations (R8), in its simplest form.
pub struct Members {
    replicas: Vec<ReplicaEntry>,
    most: usize,
    standings: BTreeMap<ClientId, Standing>,
}

impl Members {
    pub fn new(genesis: &Genesis) -> Self {
        let client = |entry: &ClientEntry| {
            (entry.signing_key, Standing::Client { transport_key: entry.transport_key, role: ClientRole::Write })
        };
        let operator = |entry: &ClientEntry| (entry.signing_key, Standing::Operator { transport_key: entry.transport_key });
        let standings = genesis.clients.iter().map(client).chain(genesis.operators.iter().map(operator)).collect();
        Self { replicas: genesis.replicas.clone(), most: genesis.parameters.max_clients, standings }
    }

    pub fn is_operator(&self, client: ClientId) -> bool {
        matches!(self.standings.get(&client), Some(Standing::Operator { .. }))
    }

    /// Whether its requests take effect.
    pub fn is_authorised(&self, client: ClientId) -> bool {
        matches!(self.standings.get(&client), Some(Standing::Client { .. } | Standing::Operator { .. }))
    }

    /// Who may only read asks for nothing else.
    pub fn may_ask<'a>(&self, client: ClientId, operations: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let reads = matches!(self.standings.get(&client), Some(Standing::Client { role: ClientRole::Read, .. }));
        !reads || operations.into_iter().all(|operation| Operation::decode(operation).is_ok_and(|operation| only_reads(&operation)))
    }

    /// For all but lists, which no operator of the simulator asks for.
    pub fn apply(&mut self, operation: &[u8]) -> MembershipResult {
        let done = match MembershipOperation::decode(operation) {
            Ok(MembershipOperation::Add { client, role }) => self.add(client, role),
            Ok(MembershipOperation::Revoke { client }) => self.revoke(client),
            Ok(MembershipOperation::Rotate { client }) => self.rotate(client),
            Ok(MembershipOperation::List { .. }) | Err(_) => Err(MembershipError::Malformed),
        };
        done.map_or_else(MembershipResult::Refused, |standing| {
            let (client, standing) = standing;
            self.standings.insert(client, standing);
            MembershipResult::Done
        })
    }

    fn add(&self, client: ClientEntry, role: ClientRole) -> Result<(ClientId, Standing), MembershipError> {
        let ClientEntry { signing_key, transport_key } = client;
        match self.standings.get(&signing_key) {
            Some(Standing::Client { .. }) => return Err(MembershipError::AlreadyAuthorised(signing_key)),
            Some(Standing::Operator { .. }) => return Err(MembershipError::IsOperator(signing_key)),
            Some(Standing::Revoked) => return Err(MembershipError::Revoked(signing_key)),
            None => {}
        }
        self.check_unused(signing_key.0)?;
        self.check_unused(transport_key)?;
        if self.standings.len() >= self.most {
            return Err(MembershipError::TooManyClients { maximum: self.most as u64 });
        }
        Ok((signing_key, Standing::Client { transport_key, role }))
    }

    fn revoke(&self, client: ClientId) -> Result<(ClientId, Standing), MembershipError> {
        match self.standings.get(&client) {
            Some(Standing::Client { .. }) => Ok((client, Standing::Revoked)),
            Some(Standing::Operator { .. }) => Err(MembershipError::IsOperator(client)),
            Some(Standing::Revoked) => Err(MembershipError::Revoked(client)),
            None => Err(MembershipError::Unknown(client)),
        }
    }

    fn rotate(&self, client: ClientEntry) -> Result<(ClientId, Standing), MembershipError> {
        let ClientEntry { signing_key, transport_key } = client;
        let standing = match self.standings.get(&signing_key) {
            Some(Standing::Client { role, .. }) => Standing::Client { transport_key, role: *role },
            Some(Standing::Operator { .. }) => Standing::Operator { transport_key },
            Some(Standing::Revoked) => return Err(MembershipError::Revoked(signing_key)),
            None => return Err(MembershipError::Unknown(signing_key)),
        };
        self.check_unused(transport_key)?;
        Ok((signing_key, standing))
    }

    fn check_unused(&self, key: PublicKey) -> Result<(), MembershipError> {
        let of_replicas = self.replicas.iter().any(|entry| entry.signing_key == key || entry.transport_key == key);
        let of_clients = self.standings.iter().any(|(name, standing)| name.0 == key || standing.transport_key() == Some(key));
        if of_replicas || of_clients { Err(MembershipError::KeyInUse(key)) } else { Ok(()) }
    }
}

fn only_reads(operation: &Operation) -> bool {
    let reads = |step: &Step| !matches!(step, Step::Put { .. } | Step::Delete { .. });
    match operation {
        Operation::Step(step) => reads(step),
        Operation::CompareAndSwap { .. } => false,
        Operation::Transaction { success, failure, .. } => success.iter().all(reads) && failure.iter().all(reads),
    }
}
