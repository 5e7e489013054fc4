//! `pbft testnet`.

use crate::failure::Failure;
use crate::output::{FormatOption, print_text};
use crate::testnet::{self, Network, Plan, Service};
use pbft_crypto::Digest;
use pbft_node::ExitCode;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Make the files of a test network: genesis, and a home for each replica and client.
///
/// Make the files of a test network: one genesis, and a folder with configuration, keys and data for each replica and
/// each client. Replica i uses UDP port base + i, and on 127.0.0.1
/// the TCP port of that number to tell how it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  pbft testnet --replicas 4 --clients 2 --output net\n  pbft testnet --replicas 7 --clients 1 --output net --host 'replica-{id}.example.org' --base-port 9000"
)]
pub struct Testnet {
    /// How many replicas; at least 4. Of n replicas (n - 1) / 3 may lie.
    #[arg(long, value_name = "N")]
    replicas: u32,
    /// How many clients.
    #[arg(long, value_name = "C", default_value_t = 1)]
    clients: u32,
    /// The folder to make; it must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Where replica {id} is reached. It listens there too if that is an IP address, otherwise at every address.
    #[arg(long, value_name = "PATTERN", default_value = "127.0.0.1")]
    host: String,
    /// The port of replica 0.
    #[arg(long, value_name = "P", default_value_t = 7100)]
    base_port: u16,
    /// Give clients ports of their own: this one at replica 0, at replica i the one i above it. So firewalls can tell them from
    /// replicas.
    #[arg(long, value_name = "P")]
    client_base_port: Option<u16>,
    /// Where clients reach replica {id}, if not where replicas do.
    #[arg(long, value_name = "PATTERN", requires = "client_base_port")]
    client_host: Option<String>,
    /// What is replicated.
    #[arg(long, value_enum, default_value_t)]
    service: Service,
    #[command(flatten)]
    format: FormatOption,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    cluster_id: Digest,
    genesis: PathBuf,
    replicas: Vec<PathBuf>,
    clients: Vec<PathBuf>,
}

/// Where a replica listens, and where others reach it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    listen: SocketAddr,
    reach: String,
}

impl Testnet {
    pub fn run(self) -> ExitCode {
        self.format.format.end(self.make().map(|answer| (answer, ExitCode::Yes)), show)
    }

    fn make(&self) -> Result<Answer, Failure> {
        let count = self.replicas.min(u32::from(u16::MAX)); // the genesis refuses far fewer
        let places = |host: &str, port| (0..count).map(|replica| place(host, port, replica)).collect::<Result<Vec<_>, _>>();
        let reach = |places: &[Place]| places.iter().map(|place| place.reach.clone()).collect::<Vec<_>>();
        let listen = |places: &[Place]| places.iter().map(|place| place.listen).collect::<Vec<_>>();
        let for_replicas = places(&self.host, self.base_port)?;
        let client_host = self.client_host.as_ref().unwrap_or(&self.host);
        let for_clients = self.client_base_port.map(|port| places(client_host, port)).transpose()?;
        let plan = Plan {
            replicas: count,
            clients: self.clients,
            listen: listen(&for_replicas),
            listen_clients: for_clients.as_deref().map(listen),
            reach: reach(&for_replicas),
            reach_clients: reach(for_clients.as_deref().unwrap_or(&for_replicas)),
            service: self.service,
        };
        let Network { genesis, replicas, clients } = testnet::make(&self.output, &plan)?;
        Ok(Answer { ok: true, cluster_id: genesis.cluster_id(), genesis: self.output.join("genesis.toml"), replicas, clients })
    }
}

fn place(pattern: &str, base_port: u16, replica: u32) -> Result<Place, Failure> {
    let usage = |message: String| Failure::new(ExitCode::Usage, "Usage", message);
    let port = u16::try_from(replica).ok().and_then(|replica| base_port.checked_add(replica)).filter(|port| *port > 0);
    let port =
        port.ok_or_else(|| usage(format!("there is no UDP port {base_port} + {replica}: choose a --base-port of at least 1 that leaves room for all replicas below 65536")))?;
    let host = pattern.replace("{id}", &replica.to_string());
    if let Ok(address) = host.parse::<IpAddr>() {
        let listen = SocketAddr::new(address, port);
        return Ok(Place { listen, reach: listen.to_string() });
    }
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(usage(format!("--host {pattern:?} gives {host:?}, which is neither an IP address nor a name")));
    }
    Ok(Place { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), reach: format!("{host}:{port}") })
}

fn show(answer: &Answer) {
    let Answer { cluster_id, genesis, replicas, clients, .. } = answer;
    print_text(&format!("cluster {cluster_id}\ngenesis {}", genesis.display()));
    print_text("\nStart the replicas, each in a terminal or on a machine of its own:");
    for home in replicas {
        print_text(&format!("  pbftd start --home {}", home.display()));
    }
    if let Some(home) = clients.first() {
        let home = home.display();
        print_text(&format!("\nThen use them:\n  pbft put --home {home} colour blue\n  pbft get --home {home} colour"));
        print_text(&format!("  pbft status --home {home}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str, base_port: u16, replica: u32) -> Result<(String, String), ExitCode> {
        let place = place(pattern, base_port, replica).map_err(|failure| failure.exit)?;
        Ok((place.listen.to_string(), place.reach))
    }

    fn both(listen: &str, reach: &str) -> Result<(String, String), ExitCode> {
        Ok((listen.to_owned(), reach.to_owned()))
    }

    #[test]
    fn replica_i_listens_at_the_base_port_plus_i() {
        assert_eq!(of("127.0.0.1", 7100, 3), both("127.0.0.1:7103", "127.0.0.1:7103"));
        assert_eq!(of("10.0.0.{id}", 7100, 3), both("10.0.0.3:7103", "10.0.0.3:7103"));
        assert_eq!(of("::1", 7100, 0), both("[::1]:7100", "[::1]:7100"));
        assert_eq!(of("replica-{id}.org", 7100, 3), both("0.0.0.0:7103", "replica-3.org:7103"));
    }

    #[test]
    fn ports_and_hosts_that_cannot_be_are_wrong_use() {
        assert_eq!(of("127.0.0.1", 65535, 1), Err(ExitCode::Usage));
        assert_eq!(of("127.0.0.1", 0, 0), Err(ExitCode::Usage));
        assert_eq!(of("a host", 7100, 0), Err(ExitCode::Usage));
        assert_eq!(of("", 7100, 0), Err(ExitCode::Usage));
    }
}
