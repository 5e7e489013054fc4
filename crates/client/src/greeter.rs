use bytes::Bytes;
use pbft_crypto::{Digest, PublicKey};
use pbft_message::{Hello, HelloRefused, ReplicaId, Role, codec};
use pbft_network::{Class, Greeter};
use std::collections::BTreeMap;

/// Says what we are, and checks that the other side is the replica whose key it has.
pub(crate) struct ClientGreeter {
    pub cluster: Digest,
    pub replicas: BTreeMap<PublicKey, ReplicaId>,
}

impl Greeter for ClientGreeter {
    fn greeting(&self, _peer: &PublicKey, _class: Class) -> Bytes {
        codec::encode(&Hello::new(self.cluster, Role::Client)).into()
    }

    fn accept_greeting(&self, peer: &PublicKey, _class: Class, hello: &[u8]) -> Result<(), String> {
        self.accept(peer, hello).map_err(|refused| refused.to_string())
    }
}

impl ClientGreeter {
    fn accept(&self, peer: &PublicKey, hello: &[u8]) -> Result<(), HelloRefused> {
        let hello: Hello = codec::decode(hello).map_err(|_| HelloRefused::Malformed)?;
        hello.check(self.cluster)?;
        match hello.role {
            Role::Replica { replica, .. } if self.replicas.get(peer) == Some(&replica) => Ok(()),
            _ => Err(HelloRefused::NotTheConnection),
        }
    }
}
