use crate::PATIENCE;
use pbft_crypto::{Digest, PublicKey, SecretKey};
use pbft_message::{Hello, Role, codec};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::time::timeout;

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What precedes the 32-byte seed in a PKCS#8 document (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The byte that opens the lane of votes.
const VOTES: u8 = 1;

/// A party that speaks QUIC by hand, with any key, and trusts whoever answers.
#[derive(Debug)]
pub struct Stranger {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl Stranger {
    /// Connects with this transport key. A refusal may show only later, in [`end`](Self::end).
    pub async fn connect(key: &SecretKey, to: SocketAddr) -> Result<Self, ConnectionError> {
        Self::connect_with(certified(key, key.public()), pbft_message::alpn(), to).await
    }

    /// Connects as a speaker of another protocol.
    pub async fn connect_speaking(alpn: Vec<Vec<u8>>, key: &SecretKey, to: SocketAddr) -> Result<Self, ConnectionError> {
        Self::connect_with(certified(key, key.public()), alpn, to).await
    }

    /// Connects under a public key whose secret it does not have.
    pub async fn connect_as(claimed: PublicKey, key: &SecretKey, to: SocketAddr) -> Result<Self, ConnectionError> {
        Self::connect_with(certified(key, claimed), pbft_message::alpn(), to).await
    }

    async fn connect_with(key: CertifiedKey, alpn: Vec<Vec<u8>>, to: SocketAddr) -> Result<Self, ConnectionError> {
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(key))));
        tls.alpn_protocols = alpn;
        tls.enable_sni = false;
        tls.resumption = Resumption::disabled();
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, to, "replica").unwrap();
        let connection = timeout(PATIENCE, connecting).await.expect("the handshake ends")?;
        Ok(Self { connection, _endpoint: endpoint })
    }

    /// Opens the lane of votes with a client's hello. The stream must be kept: dropping it would end it.
    pub async fn greet(&self, cluster: Digest) -> SendStream {
        self.greet_as(Hello::new(cluster, Role::Client)).await
    }

    /// Opens the lane of votes with any hello.
    pub async fn greet_as(&self, hello: Hello) -> SendStream {
        let hello = codec::encode(&hello);
        self.open(&[&[VOTES], frame(&hello).as_slice()].concat()).await
    }

    /// Opens a stream with these bytes.
    pub async fn open(&self, bytes: &[u8]) -> SendStream {
        let mut stream = self.connection.open_uni().await.expect("a stream opens");
        stream.write_all(bytes).await.expect("bytes are sent");
        stream
    }

    /// What the replica says on its lane of votes, its hello first.
    pub async fn hears(&self) -> Frames {
        loop {
            let mut stream = timeout(PATIENCE, self.connection.accept_uni()).await.expect("a stream comes").expect("connected");
            let mut lane = [0];
            timeout(PATIENCE, stream.read_exact(&mut lane)).await.expect("the lane is named").expect("connected");
            if lane == [VOTES] {
                return Frames(stream);
            }
        }
    }

    /// Waits for the end of the connection. The replica's reason, or what QUIC says.
    pub async fn end(&self) -> String {
        match timeout(PATIENCE, self.connection.closed()).await.expect("the replica closes the connection") {
            ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
            other => other.to_string(),
        }
    }
}

/// Frames as they come from a replica.
#[derive(Debug)]
pub struct Frames(quinn::RecvStream);

impl Frames {
    /// The next frame.
    pub async fn next(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.read(&mut length).await;
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        self.read(&mut frame).await;
        frame
    }

    async fn read(&mut self, bytes: &mut [u8]) {
        timeout(PATIENCE, self.0.read_exact(bytes)).await.expect("the replica answers").expect("the replica stays connected");
    }
}

/// A frame as it is on a stream.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [length.to_le_bytes().as_slice(), bytes].concat()
}

fn certified(key: &SecretKey, claimed: PublicKey) -> CertifiedKey {
    let document = [PKCS8_PREFIX.as_slice(), key.seed().as_slice()].concat();
    let signing = ring::default_provider().key_provider.load_private_key(PrivatePkcs8KeyDer::from(document).into()).unwrap();
    let certificate = CertificateDer::from([SPKI_PREFIX.as_slice(), claimed.as_bytes()].concat());
    CertifiedKey::new(vec![certificate], signing)
}

#[derive(Debug)]
struct TrustsAll;

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
