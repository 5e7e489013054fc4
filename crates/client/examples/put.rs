//! A client of your own, whole: `put net/client-0`, where a key-value cluster of `pbft testnet` runs.

use pbft_client::{Client, ClientConfig};
use pbft_services::kv::{KvResult, Operation};
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: put CLIENT-FOLDER")?;
    let client = connect(Path::new(&folder))?;
    client.wait_for_quorum(Duration::from_secs(5)).await?;

    // One request is executed once, whatever happens on the way; several may be in flight.
    let put = |key| client.request(vec![Operation::put(key, "from a program").encode()]);
    let (one, other) = tokio::try_join!(put("colour"), put("shape"))?;
    println!("ordered at {} and {}", one.sequence, other.sequence);

    let read = client.request(vec![Operation::get("colour").encode()]).await?;
    let result = read.results.first().ok_or("an answer without a result")?;
    println!("{:?}", KvResult::decode(result)?);
    client.close().await;
    Ok(())
}

/// What `pbft testnet` or the key ceremony put into the client's folder.
fn connect(folder: &Path) -> Result<Client, Box<dyn Error>> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let genesis = Arc::new(toml::from_str(&read("genesis.toml")?)?);
    let config: toml::Table = read("config.toml")?.parse()?;
    let replicas = config.get("replicas").and_then(toml::Value::as_array).ok_or("config.toml names no replicas")?;
    let addresses: Result<Vec<SocketAddr>, _> = replicas.iter().filter_map(|address| address.as_str()).map(str::parse).collect();
    let key = |name: &str| pbft_crypto::read_secret_key(&folder.join("keys").join(name));
    Ok(Client::connect(ClientConfig::new(genesis, key("signing.key")?, key("transport.key")?, addresses?))?)
}
