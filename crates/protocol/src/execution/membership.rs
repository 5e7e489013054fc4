//! Operators' operations on the table of clients (R8).

use super::client_table::ClientTable;
use pbft_crypto::PublicKey;
use pbft_message::{ClientEntry, ClientId, ClientRole, Genesis, MembershipError, MembershipOperation, MembershipResult, Standing};

/// The most clients in one answer.
const MOST_LISTED: usize = 100;
/// At most so many bytes of an answer are a client's.
const LISTED_BYTES: usize = 128;

/// Runs one operation of an operator. The answer has at most `room` bytes, but for one that only says why it had no effect.
pub fn run(table: &mut ClientTable, genesis: &Genesis, operation: &[u8], room: usize) -> MembershipResult {
    let done = match MembershipOperation::decode(operation) {
        Ok(MembershipOperation::Add { client, role }) => add(table, genesis, &client, role),
        Ok(MembershipOperation::Revoke { client }) => revoke(table, client),
        Ok(MembershipOperation::List { after }) => return list(table, after, room),
        Ok(MembershipOperation::Rotate { client }) => rotate(table, genesis, &client),
        Err(_) => Err(MembershipError::Malformed),
    };
    done.map_or_else(MembershipResult::Refused, |()| MembershipResult::Done)
}

fn add(table: &mut ClientTable, genesis: &Genesis, client: &ClientEntry, role: ClientRole) -> Result<(), MembershipError> {
    let ClientEntry { signing_key, transport_key } = *client;
    match table.standing(signing_key) {
        None => {}
        Some(Standing::Revoked) => return Err(MembershipError::Revoked(signing_key)),
        Some(Standing::Client { .. }) => return Err(MembershipError::AlreadyAuthorised(signing_key)),
        Some(Standing::Operator { .. }) => return Err(MembershipError::IsOperator(signing_key)),
    }
    for key in [signing_key.0, transport_key] {
        key.check().map_err(|_| MembershipError::BadKey(key))?;
        if is_used(table, genesis, key) {
            return Err(MembershipError::KeyInUse(key));
        }
    }
    if signing_key.0 == transport_key {
        return Err(MembershipError::KeyInUse(transport_key));
    }
    let maximum = genesis.parameters.max_clients;
    if table.entries().count() >= maximum {
        return Err(MembershipError::TooManyClients { maximum: maximum as u64 });
    }
    table.put(signing_key, Standing::Client { transport_key, role });
    Ok(())
}

/// A connection is not a statement: what the old transport key authenticated needs no memory.
fn rotate(table: &mut ClientTable, genesis: &Genesis, client: &ClientEntry) -> Result<(), MembershipError> {
    let ClientEntry { signing_key, transport_key } = *client;
    let standing = match table.standing(signing_key) {
        None => return Err(MembershipError::Unknown(signing_key)),
        Some(Standing::Revoked) => return Err(MembershipError::Revoked(signing_key)),
        Some(Standing::Client { role, .. }) => Standing::Client { transport_key, role },
        Some(Standing::Operator { .. }) => Standing::Operator { transport_key },
    };
    transport_key.check().map_err(|_| MembershipError::BadKey(transport_key))?;
    if is_used(table, genesis, transport_key) {
        return Err(MembershipError::KeyInUse(transport_key));
    }
    table.set_standing(signing_key, standing);
    Ok(())
}

fn revoke(table: &mut ClientTable, client: ClientId) -> Result<(), MembershipError> {
    match table.standing(client) {
        None => Err(MembershipError::Unknown(client)),
        Some(Standing::Revoked) => Err(MembershipError::Revoked(client)),
        Some(Standing::Operator { .. }) => Err(MembershipError::IsOperator(client)),
        Some(Standing::Client { .. }) => {
            table.revoke(client);
            Ok(())
        }
    }
}

fn list(table: &ClientTable, after: Option<ClientId>, room: usize) -> MembershipResult {
    let most = room.checked_div(LISTED_BYTES).unwrap_or(0).min(MOST_LISTED);
    let mut clients: Vec<_> =
        table.entries_after(after).take(most.saturating_add(1)).map(|(client, entry)| (*client, entry.standing)).collect();
    let more = clients.len() > most;
    clients.truncate(most);
    MembershipResult::Clients { clients, more }
}

/// Whether a key is anybody's; every signing and transport key must be its own.
fn is_used(table: &ClientTable, genesis: &Genesis, key: PublicKey) -> bool {
    let replicas = genesis.replicas.iter().flat_map(|entry| [entry.signing_key, entry.transport_key]);
    let clients = table.entries().flat_map(|(client, entry)| [Some(client.0), entry.standing.transport_key()]);
    replicas.chain(clients.flatten()).any(|other| other == key)
}
