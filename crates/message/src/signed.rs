use crate::authenticator::Memory;
use crate::{Blob, Blobs, ClientId, Epoch, PROTOCOL_VERSION, ReplicaId, Request, codec};
use pbft_crypto::{Digest, SecretKey, Signature, SignedDigest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use std::ops::Deref;

/// Who signs a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A replica, by its number; its key is in the genesis.
    Replica(ReplicaId),
    /// A client, who is its key.
    Client(ClientId),
}

/// A body that is signed as a message of its own type (R1).
pub trait Body: Serialize + DeserializeOwned {
    /// The message type in the signature. Never reused for another type.
    const TYPE: u8;

    /// The signer that the body names.
    fn signer(&self) -> Party;
}

/// What ties a signature to one cluster and epoch (R1): nothing signed in one is valid in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The hash of the genesis.
    pub cluster: Digest,
    /// The configuration's number.
    pub epoch: Epoch,
}

impl Domain {
    /// What a signature over the encoded body of a message of this type covers (R1).
    pub fn digest(&self, message_type: u8, body: &[u8]) -> Digest {
        let parts: [&[u8]; 5] =
            [&PROTOCOL_VERSION.to_le_bytes(), self.cluster.as_bytes(), &self.epoch.0.to_le_bytes(), &[message_type], body];
        Digest::of("pbft signature", &parts)
    }

    pub(crate) fn body_digest<T: Body>(&self, body: &T) -> Digest {
        self.digest(T::TYPE, &codec::encode(body))
    }
}

/// A body with the bytes it was received as and a signature that nobody has checked yet.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    body: T,
    bytes: Blob,
    signature: Signature,
}

impl<T: Body> Signed<T> {
    /// What the signature must cover: the received bytes, never a re-encoding.
    pub fn digest(&self, domain: &Domain) -> Digest {
        domain.digest(T::TYPE, &self.bytes)
    }

    /// A body of our own making with a signature that another message carried apart from it.
    pub(crate) fn from_parts(body: T, signature: Signature) -> Self {
        let bytes = Blob::from(codec::encode(&body));
        Self { body, bytes, signature }
    }

    /// As the signed bytes that were received decode.
    pub(crate) const fn received(body: T, bytes: Blob, signature: Signature) -> Self {
        Self { body, bytes, signature }
    }

    fn sign(body: T, domain: &Domain, key: &SecretKey) -> Self {
        let bytes = Blob::from(codec::encode(&body));
        let signature = key.sign(&domain.digest(T::TYPE, &bytes));
        Self { body, bytes, signature }
    }
}

impl Signed<Request> {
    /// The same with bytes of its own: those of a request in a batch are the batch's, which they would keep in memory.
    pub(crate) fn apart(&self) -> Self {
        let bytes = Blob::from(&*self.bytes);
        let operations = Blobs::end_of(&bytes, codec::encoded_size(&self.operations));
        Self { body: Request { operations, ..self.body }, bytes, signature: self.signature }
    }
}

impl<T> Signed<T> {
    /// The signature as it came.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The size of the encoded body and signature, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len().saturating_add(72)
    }
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.signature == other.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T> Serialize for Signed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.bytes, &self.signature).serialize(serializer)
    }
}

impl<'de, T: Body> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bytes, signature) = <(Blob, Signature)>::deserialize(deserializer)?;
        let body = codec::decode(&bytes).map_err(serde::de::Error::custom)?;
        Ok(Self { body, bytes, signature })
    }
}

/// Proof that every signature in the value was checked. It cannot be decoded, and only this crate builds it:
/// an [`Authenticator`](crate::Authenticator) after checking, or a [`Signer`] that has just signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// Gives up the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A replica's voice: its number, its key, and the domain it signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    replica: ReplicaId,
    domain: Domain,
    key: SecretKey,
    memory: Option<Memory>,
}

impl Signer {
    /// A signer for the replica whose key this is.
    pub const fn new(replica: ReplicaId, domain: Domain, key: SecretKey) -> Self {
        Self { replica, domain, key, memory: None }
    }

    pub(crate) fn remembered_by(self, memory: Option<Memory>) -> Self {
        Self { memory, ..self }
    }

    /// The replica that this signer speaks for.
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The same replica and key, in another domain: that of another epoch (R22).
    pub fn in_domain(&self, domain: Domain) -> Self {
        Self { domain, ..self.clone() }
    }

    /// Signs a body.
    pub fn sign<T: Body>(&self, body: T) -> Verified<Signed<T>> {
        let signed = Signed::sign(body, &self.domain, &self.key);
        if let Some(memory) = &self.memory {
            let digest = signed.digest(&self.domain);
            memory.remember(SignedDigest { key: self.key.public(), digest, signature: signed.signature });
        }
        Verified::new(signed)
    }
}

/// Signs a request with its client's key.
pub fn sign_request(request: Request, domain: &Domain, key: &SecretKey) -> Signed<Request> {
    Signed::sign(request, domain, key)
}
