use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port of this machine that nobody has, neither for UDP nor for TCP: a replica uses both. It lies below those that the
/// system gives to clients, and in a block of this process, so that nobody takes it while its replica is dead.
pub fn free_port() -> SocketAddr {
    /// More than twice what all tests of this process take today.
    const BLOCK: u16 = 1100;
    const BLOCKS: u32 = 20;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = 10_000 + u16::try_from(std::process::id() % BLOCKS).unwrap() * BLOCK;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < BLOCK, "this process has used up its ports");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, block + number));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
