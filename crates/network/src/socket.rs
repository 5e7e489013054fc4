//! The UDP socket and the QUIC settings around it.

use crate::{Class, Directory, Settings, tls};
use pbft_crypto::{Digest, PublicKey};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionIdGenerator, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// With the system's default (208 KiB) bursts on loopback lost packets; with this none (measured).
const SOCKET_BUFFER: usize = 4 << 20;
/// After this long without a word from the peer a connection is lost.
const IDLE_TIMEOUT: VarInt = VarInt::from_u32(10_000);
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// What an unanswered attempt to connect may make us hold; the stock values are 10 MiB and 100 MiB.
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFER_TOTAL: u64 = 4 << 20;

/// Binds `listen`, or for dialling only a port that the system chooses, IPv6 and IPv4 alike where it can.
pub(crate) fn bind(listen: Option<SocketAddr>) -> io::Result<UdpSocket> {
    match listen {
        Some(address) => bind_to(address),
        None => bind_to((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| bind_to((Ipv4Addr::UNSPECIFIED, 0).into())),
    }
}

fn bind_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        let _ = socket.set_only_v6(false); // a system that refuses serves IPv6 alone
    }
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    let granted = socket.recv_buffer_size().unwrap_or(0);
    if granted < SOCKET_BUFFER {
        tracing::info!(
            event = "small_buffers",
            granted,
            wanted = SOCKET_BUFFER,
            "small UDP buffers: raise net.core.rmem_max and wmem_max"
        );
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The listening half: strangers are asked to prove their address before any of their cryptography is looked at.
pub(crate) fn server_config(
    settings: &Settings,
    directory: &Directory,
    only: Option<Class>,
) -> Result<quinn::ServerConfig, rustls::Error> {
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls::server_config(settings, directory, only)?));
    server
        .transport_config(transport(settings))
        .migration(false)
        .max_incoming(settings.max_handshakes)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(server)
}

/// The dialling half, for one peer.
pub(crate) fn client_config(
    settings: &Settings,
    directory: &Directory,
    expected: PublicKey,
) -> Result<quinn::ClientConfig, rustls::Error> {
    let mut client = quinn::ClientConfig::new(Arc::new(tls::client_config(settings, directory, expected)?));
    client.transport_config(transport(settings));
    Ok(client)
}

/// Until the peer's class is known the smaller window holds for the whole connection.
fn transport(settings: &Settings) -> Arc<TransportConfig> {
    let (replica, client) = (settings.replicas.window, settings.clients.window);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(3)) // one a lane
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // A third, so that no lane can take the window from the others.
        .stream_receive_window(VarInt::from_u32(replica.max(client) / 3))
        .receive_window(VarInt::from_u32(replica.min(client)))
        .send_window(u64::from(replica.min(client)))
        .max_idle_timeout(Some(IdleTimeout::from(IDLE_TIMEOUT)))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(Duration::from_millis(100)); // the stock 333 ms make the first retransmission late
    Arc::new(transport)
}

/// A process that was killed and comes back answers packets of its former life with a stateless reset, so that its
/// peers connect again at once instead of waiting for the idle timeout. That takes a key that outlives the process.
pub(crate) fn endpoint_config(settings: &Settings) -> Result<EndpointConfig, getrandom::Error> {
    let identity = settings.identity.seed();
    let reset_key = KeyedHash(Digest::of("pbft-network stateless reset", &[identity.as_slice()]));
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config
        .min_reset_interval(Duration::from_millis(1)) // all peers ask within moments of a restart
        .cid_generator(move || Box::new(AnyConnectionId { key: KeyedHash(Digest::from_bytes(random)), count: 0 }));
    Ok(config)
}

/// SHA-256 under a secret prefix. Safe as a MAC here, because only a part of the output is ever shown.
struct KeyedHash(Digest);

impl KeyedHash {
    fn of(&self, data: &[u8]) -> Digest {
        Digest::of("pbft-network keyed hash", &[self.0.as_bytes(), data])
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyedHash")
    }
}

impl HmacKey for KeyedHash {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        for (out, byte) in signature.iter_mut().zip(self.of(data).as_bytes()) {
            *out = *byte;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if self.of(data).as_bytes() == signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection ids that look random. Unlike quinn's own generator it takes any id for one it may have made, as it must
/// for those of a former life.
#[derive(Debug)]
struct AnyConnectionId {
    key: KeyedHash,
    count: u64,
}

impl ConnectionIdGenerator for AnyConnectionId {
    fn generate_cid(&mut self) -> quinn::ConnectionId {
        self.count = self.count.wrapping_add(1);
        let hash = self.key.of(&self.count.to_le_bytes());
        quinn::ConnectionId::new(hash.as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]))
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
