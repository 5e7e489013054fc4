//! Mutual authentication by raw Ed25519 public keys (RFC 7250). TLS 1.3 only; no certificates, no names, no 0-RTT,
//! no resumption: every connection asks the directory anew.

use crate::{Class, Directory, Settings};
use pbft_crypto::PublicKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use std::sync::Arc;

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What precedes the 32-byte seed in a PKCS#8 document (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// For the side that listens, for one class of peers only if that is given.
pub(crate) fn server_config(settings: &Settings, directory: &Directory, only: Option<Class>) -> Result<QuicServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinnedKeys { expected: None, only, directory: directory.clone(), provider: provider.clone() };
    let key = certified_key(settings, &provider)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    tls.alpn_protocols = settings.alpn.clone();
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.max_early_data_size = 0;
    QuicServerConfig::try_from(tls).map_err(|_| Error::General("the provider lacks QUIC's initial cipher suite".into()))
}

/// For dialling the peer that holds the key `expected`.
pub(crate) fn client_config(settings: &Settings, directory: &Directory, expected: PublicKey) -> Result<QuicClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinnedKeys { expected: Some(expected), only: None, directory: directory.clone(), provider: provider.clone() };
    let key = certified_key(settings, &provider)?;
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    tls.alpn_protocols = settings.alpn.clone();
    tls.enable_sni = false;
    tls.enable_early_data = false;
    tls.resumption = Resumption::disabled();
    QuicClientConfig::try_from(tls).map_err(|_| Error::General("the provider lacks QUIC's initial cipher suite".into()))
}

/// The key at the other end of a connection whose handshake is complete.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(identity.first()?)
}

/// Our key as rustls sees it: the "certificate" is the bare SubjectPublicKeyInfo.
fn certified_key(settings: &Settings, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let document = [PKCS8_PREFIX.as_slice(), settings.identity.seed().as_slice()].concat();
    let key = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(document).into())?;
    let spki = [SPKI_PREFIX.as_slice(), settings.identity.public().as_bytes()].concat();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)))
}

/// Strict: exactly the one encoding of the key.
fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let key = certificate.as_ref().strip_prefix(SPKI_PREFIX.as_slice())?;
    let key = PublicKey::from_bytes(key.try_into().ok()?);
    key.check().ok().map(|()| key)
}

/// Accepts the keys of the directory and nothing else; on a dial, of these only the expected one, on a port that is for one
/// class only that class's.
#[derive(Debug)]
pub(crate) struct PinnedKeys {
    expected: Option<PublicKey>,
    only: Option<Class>,
    directory: Directory,
    provider: Arc<CryptoProvider>,
}

impl PinnedKeys {
    fn check_key(&self, certificate: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !rest.is_empty() {
            return Err(Error::General("a raw public key came with a chain".into()));
        }
        let key = key_of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let fits = |class| self.only.is_none_or(|only| only == class);
        if self.expected.is_none_or(|expected| expected == key) && self.directory.class(&key).is_some_and(fits) {
            return Ok(());
        }
        // Becomes the alert `access_denied`, by which the counters know it.
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        let key = SubjectPublicKeyInfoDer::from(certificate.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for PinnedKeys {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(certificate, rest).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for PinnedKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(certificate, rest).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Claims one party's public key and signs with another's secret key.
    pub fn client_config_of_a_thief(
        claimed: &Settings,
        held: &Settings,
        directory: &Directory,
        expected: PublicKey,
    ) -> QuicClientConfig {
        let provider = Arc::new(ring::default_provider());
        let certificate = certified_key(claimed, &provider).unwrap().cert.clone();
        let key = Arc::new(CertifiedKey::new(certificate, certified_key(held, &provider).unwrap().key.clone()));
        let verifier =
            PinnedKeys { expected: Some(expected), only: None, directory: directory.clone(), provider: provider.clone() };
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
        tls.alpn_protocols = claimed.alpn.clone();
        QuicClientConfig::try_from(tls).unwrap()
    }

    #[test]
    fn the_backend_derives_the_same_public_key_from_our_encoding() {
        let settings = Settings::new(pbft_crypto::SecretKey::from_seed(&[7; 32]), vec![b"x".to_vec()]);
        let key = certified_key(&settings, &ring::default_provider()).unwrap();
        assert_eq!(key.key.public_key().as_deref(), Some(key.cert[0].as_ref()));
        assert_eq!(key_of(&key.cert[0]), Some(settings.identity.public()));
    }

    #[test]
    fn only_the_one_encoding_of_a_usable_key_is_read() {
        let spki = |key: &[u8]| CertificateDer::from([SPKI_PREFIX.as_slice(), key].concat());
        assert_eq!(key_of(&spki(&[0; 32])), None, "small order");
        assert_eq!(key_of(&spki(&[0xff; 32])), None, "not canonical");
        let key = pbft_crypto::SecretKey::from_seed(&[7; 32]).public();
        assert_eq!(key_of(&spki(key.as_bytes())), Some(key));
        assert_eq!(key_of(&spki(&key.as_bytes()[1..])), None);
        assert_eq!(key_of(&spki(&[key.as_bytes().as_slice(), &[0]].concat())), None);
    }
}
