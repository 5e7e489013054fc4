use crate::failure::Failure;
use pbft_node::ExitCode;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Free UDP ports of this machine, chosen by the system.
pub fn free_ports(count: u32) -> Result<Vec<SocketAddr>, Failure> {
    // All are held together, so that they differ.
    let sockets = (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>();
    let addresses = sockets.and_then(|sockets| sockets.iter().map(UdpSocket::local_addr).collect());
    addresses.map_err(|error| Failure::io(format!("cannot open a UDP port on this machine: {error}")))
}

/// The UDP ports from `base` on, if all of them are free.
pub fn consecutive_ports(base: u16, count: u32) -> Result<Vec<SocketAddr>, Failure> {
    let port = |number: u32| u16::try_from(number).ok().and_then(|number| base.checked_add(number));
    let beyond = || Failure::new(ExitCode::Usage, "Port", format!("--base-port {base} leaves no room for {count} ports"));
    let addresses: Vec<SocketAddr> = (0..count)
        .map(|number| port(number).map(|port| (Ipv4Addr::LOCALHOST, port).into()))
        .collect::<Option<_>>()
        .ok_or_else(beyond)?;
    for address in &addresses {
        UdpSocket::bind(address).map_err(|error| unusable(*address, &error))?;
    }
    Ok(addresses)
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::AddrInUse => format!("UDP port {address} is in use: end what uses it, or choose another --base-port"),
        _ => format!("cannot listen on UDP port {address}: {error}; choose another --base-port"),
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
