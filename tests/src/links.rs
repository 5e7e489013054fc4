//! A UDP proxy for each link between two replicas.

use crate::Random;
use pbft_message::ReplicaId;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What happens to the datagrams of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// Nothing passes.
    pub cut: bool,
    /// How many of a hundred are lost.
    pub loss: u64,
    /// How many of a hundred come twice.
    pub duplication: u64,
    /// How long each takes at least.
    pub delay: Duration,
    /// How much longer some take: those overtake each other.
    pub jitter: Duration,
}

/// From a replica to another.
type Direction = (ReplicaId, ReplicaId);

/// The proxies between all replicas of a network. Of two replicas the one with the lower number dials, so it has the
/// entrance; what comes back takes the same way. Datagrams are lost, delayed and doubled as a seed says.
#[derive(Debug)]
pub struct Links {
    faults: Arc<Mutex<BTreeMap<Direction, Fault>>>,
    entrances: BTreeMap<Direction, SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Links {
    /// Starts proxies between the replicas at these addresses, without faults.
    pub(crate) async fn start(addresses: &[SocketAddr], seed: u64) -> Self {
        let mut links = Self { faults: Arc::default(), entrances: BTreeMap::new(), tasks: Vec::new() };
        let numbered: Vec<(ReplicaId, SocketAddr)> = (0..).map(ReplicaId).zip(addresses.iter().copied()).collect();
        let mut random = Random::new(seed);
        for (dialler, dialler_address) in &numbered {
            for (listener, listener_address) in numbered.iter().filter(|(listener, _)| listener > dialler) {
                let (entrance, exit) = (socket().await, socket().await);
                links.entrances.insert((*dialler, *listener), entrance.local_addr().unwrap());
                let (to, from) = ((*dialler, *listener), (*listener, *dialler));
                links.carry(to, &entrance, &exit, *listener_address, random.draw());
                links.carry(from, &exit, &entrance, *dialler_address, random.draw());
            }
        }
        links
    }

    /// Where `from` dials to reach `to`.
    pub(crate) fn entrance(&self, from: ReplicaId, to: ReplicaId) -> Option<SocketAddr> {
        self.entrances.get(&(from, to)).copied()
    }

    /// From now on this happens in this direction.
    pub fn set(&self, from: ReplicaId, to: ReplicaId, fault: Fault) {
        self.faults.lock().unwrap().insert((from, to), fault);
    }

    /// From now on this happens in all directions.
    pub fn set_all(&self, fault: Fault) {
        for (from, to) in self.entrances.keys() {
            self.set(*from, *to, fault);
            self.set(*to, *from, fault);
        }
    }

    /// Cuts a replica off from all others.
    pub fn isolate(&self, replica: ReplicaId) {
        let fault = Fault { cut: true, ..Fault::default() };
        for (from, to) in self.entrances.keys().filter(|(from, to)| *from == replica || *to == replica) {
            self.set(*from, *to, fault);
            self.set(*to, *from, fault);
        }
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    fn carry(&mut self, direction: Direction, inlet: &Arc<UdpSocket>, outlet: &Arc<UdpSocket>, to: SocketAddr, seed: u64) {
        let (inlet, outlet, faults) = (inlet.clone(), outlet.clone(), self.faults.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut random = Random::new(seed);
            let mut buffer = vec![0; 65_536];
            loop {
                // An error tells that an earlier datagram found nobody: the replica is dead for now.
                let Ok((length, _)) = inlet.recv_from(&mut buffer).await else { continue };
                let fault = faults.lock().unwrap().get(&direction).copied().unwrap_or_default();
                let copies = if random.happens(fault.duplication) { 2 } else { 1 };
                for _ in 0..copies {
                    let lost = random.happens(fault.loss);
                    let delay = fault.delay + fault.jitter.mul_f64(random.below(1000) as f64 / 1000.0);
                    if !lost && !fault.cut {
                        pass(&outlet, to, &buffer[..length], delay).await;
                    }
                }
            }
        }));
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn socket() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
}

/// Sends a datagram, now or later. One that finds no room is lost, as on any network.
async fn pass(outlet: &Arc<UdpSocket>, to: SocketAddr, datagram: &[u8], delay: Duration) {
    if delay.is_zero() {
        let _ = outlet.send_to(datagram, to).await;
        return;
    }
    let (outlet, datagram) = (outlet.clone(), datagram.to_vec());
    tokio::spawn(async move {
        sleep(delay).await;
        let _ = outlet.send_to(&datagram, to).await;
    });
}
