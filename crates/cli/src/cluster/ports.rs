use crate::failure::Failure;
use pbft_node::ExitCode;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// How many ports of the system's choice are tried for one that is free for TCP too.
const TRIES: usize = 100;

/// A port that is held: a replica uses the same number for UDP and, to tell how it is, for TCP.
type Held = (UdpSocket, TcpListener);

fn hold(address: SocketAddr) -> io::Result<Held> {
    let socket = UdpSocket::bind(address)?;
    let listener = TcpListener::bind(socket.local_addr()?)?;
    Ok((socket, listener))
}

fn hold_any() -> io::Result<Held> {
    let any = || hold((Ipv4Addr::LOCALHOST, 0).into());
    (1..TRIES).find_map(|_| any().ok()).map_or_else(any, Ok)
}

/// Free ports of this machine, chosen by the system.
pub fn free_ports(count: u32) -> Result<Vec<SocketAddr>, Failure> {
    // All are held together, so that they differ.
    let held = (0..count).map(|_| hold_any()).collect::<Result<Vec<_>, _>>();
    let addresses = held.and_then(|held| held.iter().map(|(socket, _)| socket.local_addr()).collect());
    addresses.map_err(|error| Failure::io(format!("cannot open a port on this machine: {error}")))
}

/// The ports from `base` on, if all of them are free.
pub fn consecutive_ports(base: u16, count: u32) -> Result<Vec<SocketAddr>, Failure> {
    let port = |number: u32| u16::try_from(number).ok().and_then(|number| base.checked_add(number));
    let beyond = || Failure::new(ExitCode::Usage, "Port", format!("--base-port {base} leaves no room for {count} ports"));
    let addresses: Vec<SocketAddr> = (0..count)
        .map(|number| port(number).map(|port| (Ipv4Addr::LOCALHOST, port).into()))
        .collect::<Option<_>>()
        .ok_or_else(beyond)?;
    for address in &addresses {
        hold(*address).map_err(|error| unusable(*address, &error))?;
    }
    Ok(addresses)
}

fn unusable(address: SocketAddr, error: &io::Error) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {address} is in use: end what uses it, or choose another --base-port"),
        _ => format!("cannot listen on port {address}: {error}; choose another --base-port"),
    };
    Failure::new(ExitCode::Io, "Port", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_port_is_named() {
        let used = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = used.local_addr().unwrap().port();
        let failure = consecutive_ports(port, 1).unwrap_err();
        assert_eq!((failure.exit, failure.code), (ExitCode::Io, "Port"));
        assert!(failure.message.contains(&format!("127.0.0.1:{port} is in use")), "{failure}");
    }

    #[test]
    fn a_port_that_only_tcp_uses_is_named_too() {
        let used = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let failure = consecutive_ports(used.local_addr().unwrap().port(), 1).unwrap_err();
        assert_eq!((failure.exit, failure.code), (ExitCode::Io, "Port"));
    }

    #[test]
    fn ports_end_at_65535() {
        let failure = consecutive_ports(65535, 2).unwrap_err();
        assert_eq!((failure.exit, failure.code), (ExitCode::Usage, "Port"));
    }

    #[test]
    fn free_ports_differ() {
        let mut ports = free_ports(10).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 10);
    }
}
