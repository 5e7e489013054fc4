//! A cluster of replicas that only do what the test says: the test hears every message and says every answer.

use crate::{Client, ClientConfig};
use pbft_crypto::SecretKey;
use pbft_message::{
    Blobs, ClientEntry, ClientId, ClientMessage, Domain, Epoch, Genesis, Hello, Outcome, Parameters, ReplicaEntry, ReplicaId,
    ReplicaMessage, Reply, Request, RequestRefusal, Role, SequenceNumber, ServiceParameters, Signed, View, codec,
};
use pbft_network::{Channels, Class, Directory, Endpoint, Greeter, Inbound, Lane, Settings};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub const N: u32 = 4;
/// Longer than anything here takes, unless it hangs.
pub const LONG: Duration = Duration::from_secs(30);

pub fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The client's signing and transport keys.
pub fn client_keys() -> [SecretKey; 2] {
    [secret(200), secret(201)]
}

pub fn genesis(requests_in_flight: usize) -> Arc<Genesis> {
    let replica = |id: u8| ReplicaEntry { signing_key: secret(2 * id + 1).public(), transport_key: transport(id).public() };
    let [signing_key, transport_key] = client_keys().map(|key| key.public());
    Arc::new(Genesis {
        name: "test".into(),
        test_network: true,
        parameters: Parameters { requests_in_flight, ..Parameters::default() },
        service: ServiceParameters::default(),
        replicas: (0..N as u8).map(replica).collect(),
        operators: vec![],
        clients: vec![ClientEntry { signing_key: ClientId(signing_key), transport_key }],
    })
}

fn transport(id: u8) -> SecretKey {
    secret(2 * id + 2)
}

struct FakeGreeter(Hello);

impl Greeter for FakeGreeter {
    fn greeting(&self, _: &pbft_crypto::PublicKey, _: Class) -> bytes::Bytes {
        codec::encode(&self.0).into()
    }

    fn accept_greeting(&self, _: &pbft_crypto::PublicKey, _: Class, hello: &[u8]) -> Result<(), String> {
        let hello: Hello = codec::decode(hello).map_err(|error| error.to_string())?;
        let expected = Hello::new(self.0.cluster, Role::Client);
        if hello == expected { Ok(()) } else { Err("not the client's hello".into()) }
    }
}

/// The replicas that are alive, and everything that the client sent to them.
pub struct Cluster {
    pub genesis: Arc<Genesis>,
    pub addresses: Vec<SocketAddr>,
    replicas: BTreeMap<u32, Endpoint>,
    heard: mpsc::Receiver<(u32, Inbound)>,
    /// Keep the ports of dead replicas from others.
    _dead: Vec<UdpSocket>,
}

impl Cluster {
    /// Replicas of which only these are alive.
    pub fn of(genesis: Arc<Genesis>, alive: &[u32]) -> Self {
        let (sender, heard) = mpsc::channel(10_000);
        let mut cluster = Self { genesis, addresses: vec![], replicas: BTreeMap::new(), heard, _dead: vec![] };
        for id in 0..N {
            if alive.contains(&id) {
                let endpoint = cluster.replica(id, sender.clone());
                cluster.addresses.push(endpoint.local_address().unwrap());
                cluster.replicas.insert(id, endpoint);
            } else {
                let dead = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                cluster.addresses.push(dead.local_addr().unwrap());
                cluster._dead.push(dead);
            }
        }
        cluster
    }

    /// A cluster and a client that is connected to the replicas that are alive.
    pub async fn start(alive: &[u32], requests_in_flight: usize) -> (Self, Client) {
        let mut cluster = Self::of(genesis(requests_in_flight), alive);
        let [signing, transport] = client_keys();
        let client = cluster.client(signing, transport);
        for _ in alive {
            assert!(matches!(cluster.heard().await, (_, Inbound::Up { .. })));
        }
        tokio::time::timeout(LONG, async {
            while client.connected().len() < alive.len() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the client is connected");
        (cluster, client)
    }

    pub fn client(&self, signing: SecretKey, transport: SecretKey) -> Client {
        Client::connect(ClientConfig {
            timeout: LONG,
            ..ClientConfig::new(self.genesis.clone(), signing, transport, self.addresses.clone())
        })
        .unwrap()
    }

    fn replica(&self, id: u32, sender: mpsc::Sender<(u32, Inbound)>) -> Endpoint {
        let settings =
            Settings { listen: Some((Ipv4Addr::LOCALHOST, 0).into()), ..Settings::new(transport(id as u8), pbft_message::alpn()) };
        let directory = Directory::new([(client_keys()[1].public(), Class::Client)]);
        let role = Role::Replica { replica: ReplicaId(id), status: None };
        let greeter = FakeGreeter(Hello::new(self.genesis.cluster_id(), role));
        let (inbound_sender, mut inbound) = mpsc::channel(1_000);
        let channels = Channels { replicas: inbound_sender.clone(), clients: inbound_sender };
        tokio::spawn(async move {
            while let Some(inbound) = inbound.recv().await {
                let _ = sender.send((id, inbound)).await;
            }
        });
        Endpoint::bind(settings, directory, Arc::new(greeter), channels).unwrap()
    }

    /// The next thing that a replica hears of the client.
    pub async fn heard(&mut self) -> (u32, Inbound) {
        tokio::time::timeout(LONG, self.heard.recv()).await.expect("something is heard").unwrap()
    }

    /// The next message of the client, and the replica that got it.
    pub async fn message(&mut self) -> (u32, ClientMessage) {
        match self.heard().await {
            (at, Inbound::Frame { bytes, .. }) => (at, codec::decode(&bytes).unwrap()),
            (at, other) => panic!("replica {at} heard {other:?}"),
        }
    }

    /// The next request, which must be one.
    pub async fn request(&mut self) -> (u32, Signed<Request>) {
        match self.message().await {
            (at, ClientMessage::Request(request)) => (at, request),
            (at, other) => panic!("replica {at} got {other:?}"),
        }
    }

    /// The replicas that are the next to get this request.
    pub async fn receivers(&mut self, request: &Signed<Request>, count: usize) -> Vec<u32> {
        let mut receivers = Vec::new();
        while receivers.len() < count {
            let (at, received) = self.request().await;
            assert_eq!(&received, request);
            receivers.push(at);
        }
        receivers.sort_unstable();
        receivers
    }

    /// Has a replica say something to the client.
    pub fn say(&self, replica: u32, message: &ReplicaMessage) {
        self.say_bytes(replica, codec::encode(message));
    }

    pub fn say_bytes(&self, replica: u32, bytes: Vec<u8>) {
        self.replicas[&replica].send(&client_keys()[1].public(), Lane::Bodies, bytes.into()).unwrap();
    }

    /// Has a replica reply to a request.
    pub fn reply(&self, replica: u32, request: &Signed<Request>, result: &[u8]) {
        self.reply_each(replica, request, &[result]);
    }

    /// Has a replica reply to a request of several operations.
    pub fn reply_each(&self, replica: u32, request: &Signed<Request>, results: &[&[u8]]) {
        let domain = Domain { cluster: self.genesis.cluster_id(), epoch: Epoch(0) };
        let reply = Reply {
            epoch: Epoch(0),
            view: View(0),
            client: request.client,
            timestamp: request.timestamp,
            request: request.digest(&domain),
            sequence: SequenceNumber(7),
            outcome: Outcome::Executed(Blobs::new(results)),
        };
        self.say(replica, &ReplicaMessage::Replies(vec![reply]));
    }

    pub fn refuse(&self, replica: u32, request: &Signed<Request>, refusal: RequestRefusal) {
        let (client, timestamp) = (request.client, request.timestamp);
        self.say(replica, &ReplicaMessage::Refused { client, timestamp, view: View(0), refusal });
    }
}
