use super::stage::Stage;
use crate::cluster::Standing;
use crate::failure::Failure;
use pbft_client::{Accepted, Client, ClientError};
use pbft_crypto::SecretKey;
use pbft_message::{Authenticator, Blobs, ClientId, ReplicaId, Request, Signed, Timestamp, sign_request};
use pbft_node::ExitCode;
use pbft_services::kv::Operation;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long all replicas may take to refuse a connection, or to reach a stable checkpoint.
const PATIENCE: Duration = Duration::from_secs(5);

/// (d) What must be refused is refused, and has no effect.
pub async fn act(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.act("Act 4: forged, foreign, repeated and outdated requests");
    stage.story.doing("sending what must be refused");
    forged_signature(stage).await?;
    unknown_client(stage).await?;
    unpinned_key(stage).await?;
    replay(stage).await?;
    old_timestamp(stage).await
}

/// A request in a client's name, signed with another's key.
async fn forged_signature(stage: &mut Stage) -> Result<(), Failure> {
    let victim = stage.client(0)?.id();
    let forger = key()?;
    let request = stage.signed(victim, now(), vec![Operation::put("forged", "value")], &forger);
    let what = "a request in a client's name, signed with another key";
    refused(stage, "forged_signature_refused", what, "BadSignature", async |client| client.resend_raw(request.clone()).await).await
}

/// A request that is signed well, by a key that is no client of this cluster, over a client's own connection.
async fn unknown_client(stage: &mut Stage) -> Result<(), Failure> {
    let stranger = key()?;
    let request = stage.signed(ClientId(stranger.public()), now(), vec![Operation::put("foreign", "value")], &stranger);
    let what = "a request of a key that is not authorised, over a client's connection";
    refused(stage, "unknown_client_refused", what, "UnknownClient", async |client| client.resend_raw(request.clone()).await).await
}

/// A new request with a timestamp below those that are remembered: it is not known whether it ran before, so it never
/// will (R8).
async fn old_timestamp(stage: &mut Stage) -> Result<(), Failure> {
    let window = stage.cluster.network.genesis.parameters.requests_in_flight;
    let id = stage.client(0)?.id();
    while stage.history.of(id).len() <= window {
        stage.writer(0)?.send_next().await?;
    }
    let first = stage.history.of(id).iter().map(|answer| answer.timestamp).min().unwrap_or(Timestamp(u64::MAX));
    let old = Timestamp(first.0.saturating_sub(1));
    let what = "a request that is older than the client's remembered ones";
    let operation = Operation::put("outdated", "value").encode();
    refused(stage, "old_timestamp_refused", what, "TooOld", async |client| client.retry(old, vec![operation.clone()]).await).await
}

/// Sends something over the first client's connections: it must be refused by this name, and leave the revision as it is.
async fn refused(
    stage: &mut Stage,
    check: &'static str,
    what: &str,
    expected: &str,
    send: impl AsyncFnOnce(&Client) -> Result<Accepted, ClientError>,
) -> Result<(), Failure> {
    let before = stage.writer(0)?.revision().await?;
    let started = Instant::now();
    let answer = send(stage.client(0)?).await;
    let time = started.elapsed();
    let after = stage.writer(0)?.revision().await?;
    let found = match answer {
        Err(error) if error.name() == expected && before == after => Ok(format!("{what}: {expected}")),
        Err(error) => Err(format!("{what}: {} instead of {expected}; revision {before} before, {after} after", error.name())),
        Ok(accepted) => Err(format!("{what}: accepted at {} instead of {expected}", accepted.sequence)),
    };
    stage.check(check, found, Some(time));
    Ok(())
}

/// A client's signing key is worth nothing without its transport key: no replica completes the handshake.
async fn unpinned_key(stage: &mut Stage) -> Result<(), Failure> {
    let [signing, _] = stage.cluster.client_keys(0)?;
    let stranger = stage.cluster.client_with(signing, key()?)?;
    let started = Instant::now();
    let replicas = stage.cluster.replicas().count() as u64;
    let what = "a client with a transport key that nobody knows";
    let found = loop {
        match stranger.wait_for_quorum(Duration::from_millis(100)).await {
            Err(ClientError::NoQuorum { connected: 0, refused, .. }) if refused >= replicas => {
                break Ok(format!("{what}: handshake refused, {refused} times"));
            }
            Ok(()) => break Err(format!("{what} was connected")),
            Err(error) if started.elapsed() >= PATIENCE => break Err(format!("{what}: {error}")),
            Err(_) => {}
        }
    };
    stranger.close().await;
    stage.check("unpinned_key_refused", found, Some(started.elapsed()));
    Ok(())
}

/// The same bytes again: the same answer, and nothing else changes.
async fn replay(stage: &mut Stage) -> Result<(), Failure> {
    let answer = stage.writer(0)?.send(vec![Operation::put("replayed", "once")]).await?;
    let [signing, _] = stage.cluster.client_keys(0)?;
    let request = stage.signed(answer.client, answer.timestamp, answer.operations.clone(), &signing);
    let before = stage.writer(0)?.revision().await?;
    let honest = stage.honest();
    let rest_before = at_rest(stage, &honest).await;
    let started = Instant::now();
    let again = stage.client(0)?.resend_raw(request).await;
    let time = started.elapsed();
    let rest_after = at_rest(stage, &honest).await;
    let after = stage.writer(0)?.revision().await?;

    let original = Accepted { timestamp: answer.timestamp, sequence: answer.sequence, results: answer.results };
    let what = "an answered request, replayed byte for byte";
    let found = match again {
        Ok(accepted) if accepted != original => Err(format!("{what}: {accepted:?} instead of {original:?}")),
        Ok(_) if rest_before.is_none() || rest_before != rest_after => {
            Err(format!("{what}: checkpoint and root were {rest_before:?} before, {rest_after:?} after"))
        }
        Ok(_) if before != after => Err(format!("{what}: revision {before} before, {after} after")),
        Ok(_) => Ok(format!("{what}: the identical answer; revision {after} and the state root as before")),
        Err(error) => Err(format!("{what}: {error}")),
    };
    stage.check("replay_no_effect", found, Some(time));
    Ok(())
}

/// Where the replicas stand once all that was ordered is in a stable checkpoint.
async fn at_rest(stage: &Stage, replicas: &[ReplicaId]) -> Option<(pbft_message::SequenceNumber, pbft_crypto::Digest)> {
    let standing = Standing::until(&stage.watcher, PATIENCE, |standing| standing.stable(replicas).is_some()).await;
    standing.and_then(|standing| standing.stable(replicas))
}

impl Stage {
    fn writer(&self, number: usize) -> Result<&super::load::Writer, Failure> {
        self.writers.get(number).ok_or_else(|| Failure::configuration(format!("the demo has no client {number}")))
    }

    fn client(&self, number: usize) -> Result<&Client, Failure> {
        Ok(&self.writer(number)?.client)
    }

    fn signed(&self, client: ClientId, timestamp: Timestamp, operations: Vec<Operation>, key: &SecretKey) -> Signed<Request> {
        let operations = Blobs::new(&operations.iter().map(Operation::encode).collect::<Vec<_>>());
        let authenticator = Authenticator::new(Arc::new(self.cluster.network.genesis.clone()));
        sign_request(Request { client, timestamp, operations }, authenticator.domain(), key)
    }
}

fn key() -> Result<SecretKey, Failure> {
    SecretKey::generate().map_err(|error| Failure::new(ExitCode::Io, "Io", format!("no randomness: {error}")))
}

/// A timestamp as clients make it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
