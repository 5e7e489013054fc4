use super::machine::Speed;
use crate::failure::Failure;
use pbft_crypto::{PublicKey, SecretKey};
use pbft_network::{Channels, Class, Directory, Endpoint, Greeter, Inbound, Lane, SendError, Settings};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Longer than a connection on loopback takes, unless it hangs.
const CONNECT: Duration = Duration::from_secs(10);
/// The pause of the sender when the queue is full.
const PAUSE: Duration = Duration::from_millis(1);
/// Frames that may wait for the receiver.
const CHANNEL: usize = 4096;
const HELLO: &[u8] = b"hello";

/// How many frames of this size cross the loopback in a second, from one endpoint to another.
pub async fn measure(bytes: usize, time: Duration) -> Result<Speed, Failure> {
    let keys = [SecretKey::generate().map_err(Failure::io)?, SecretKey::generate().map_err(Failure::io)?];
    let [sender_key, receiver_key] = keys.each_ref().map(SecretKey::public);
    let [sender, receiver] = keys;
    let directory = Directory::new([sender_key, receiver_key].map(|key| (key, Class::Replica)));
    let (receiver, mut arriving) = open(receiver, &directory)?;
    let (sender, mut events) = open(sender, &directory)?;
    let _dial = sender.dial(receiver_key, receiver.local_address().map_err(Failure::io)?).map_err(Failure::io)?;
    let up = tokio::time::timeout(CONNECT, events.recv()).await.ok().flatten();
    if !matches!(up, Some(Inbound::Up { .. })) {
        return Err(Failure::io("two QUIC endpoints on loopback found no connection"));
    }
    let sending = tokio::spawn(send(sender, receiver_key, vec![7; bytes].into()));
    let speed = receive(&mut arriving, bytes, time).await;
    sending.abort();
    speed.ok_or_else(|| Failure::io("the QUIC connection on loopback was lost"))
}

fn open(key: SecretKey, directory: &Directory) -> Result<(Endpoint, mpsc::Receiver<Inbound>), Failure> {
    let mut settings = Settings::new(key, pbft_message::alpn());
    settings.listen = Some((Ipv4Addr::LOCALHOST, 0).into());
    let (channel, arriving) = mpsc::channel(CHANNEL);
    let channels = Channels { replicas: channel.clone(), clients: channel };
    let endpoint = Endpoint::bind(settings, directory.clone(), Arc::new(Friend), channels).map_err(Failure::io)?;
    Ok((endpoint, arriving))
}

async fn send(endpoint: Endpoint, to: PublicKey, frame: bytes::Bytes) {
    loop {
        match endpoint.send(&to, Lane::Bodies, frame.clone()) {
            Ok(()) => {}
            Err(SendError::Full) => tokio::time::sleep(PAUSE).await,
            Err(_) => return,
        }
    }
}

async fn receive(arriving: &mut mpsc::Receiver<Inbound>, bytes: usize, time: Duration) -> Option<Speed> {
    while !matches!(arriving.recv().await?, Inbound::Frame { .. }) {}
    let (started, mut count) = (Instant::now(), 0u64);
    while started.elapsed() < time {
        let Inbound::Frame { .. } = arriving.recv().await? else { return None };
        count = count.saturating_add(1);
    }
    Some(Speed::new(bytes, count, started.elapsed()))
}

/// Speaks to anyone whom the directory names.
struct Friend;

impl Greeter for Friend {
    fn greeting(&self, _peer: &PublicKey, _class: Class) -> bytes::Bytes {
        HELLO.into()
    }

    fn accept_greeting(&self, _peer: &PublicKey, _class: Class, _hello: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
