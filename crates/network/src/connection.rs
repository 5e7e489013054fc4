//! The life of one connection, from the end of the handshake to its `Down`.

use crate::endpoint::Shared;
use crate::fault::Fault;
use crate::frame::{Assembler, ChunkReader, coalesce};
use crate::table::Link;
use crate::{Inbound, Lane, tls};
use bytes::Bytes;
use pbft_crypto::PublicKey;
use quinn::VarInt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What the tasks of one connection share.
struct Session {
    shared: Arc<Shared>,
    connection: quinn::Connection,
    link: Arc<Link>,
    /// The peer's hello was accepted.
    greeted: SetOnce<()>,
    /// The peer's hello was delivered: frames may follow.
    up: SetOnce<Instant>,
    /// Lanes that the peer has opened.
    opened: Mutex<Vec<Lane>>,
}

/// How a connection ended.
pub(crate) struct Ended {
    /// How long it was up.
    pub was_up: Duration,
    pub fault: Fault,
}

/// Runs a connection until it ends or `stop` ends it.
pub(crate) async fn run(shared: &Arc<Shared>, connection: quinn::Connection, stop: &CancellationToken) -> Ended {
    // The directory may have changed since the handshake asked it.
    let known = tls::peer_key(&connection).and_then(|peer| Some((peer, shared.directory.class(&peer)?)));
    let Some((peer, class)) = known else {
        return refuse(shared, &connection, Fault::UnknownKey);
    };
    let Some(_place) = shared.table.admit(peer, class, &shared.settings) else {
        return refuse(shared, &connection, Fault::TooManyConnections);
    };
    let window = shared.settings.of(class).window;
    connection.set_receive_window(VarInt::from_u32(window));
    connection.set_send_window(u64::from(window));

    let id = shared.table.next_id();
    let link = Link::new(id, connection.clone(), (peer, class), &shared.settings, shared.budget(class));
    let session = Arc::new(Session {
        shared: shared.clone(),
        connection,
        link: Arc::new(link),
        greeted: SetOnce::new(),
        up: SetOnce::new(),
        opened: Mutex::default(),
    });
    let mut tasks = Tasks::default();
    let fault = session.supervise(&mut tasks, stop).await;
    // Close before the tasks drop their streams: the peer is to see the reason, not streams that end.
    fault.close(&session.connection);
    // Wait for their end: no `Up` or frame may follow the `Down`, and an `Up` just delivered must be known.
    tasks.readers.shutdown().await;
    tasks.others.shutdown().await;
    Ended { was_up: session.finish(&fault).await, fault }
}

fn refuse(shared: &Shared, connection: &quinn::Connection, fault: Fault) -> Ended {
    tracing::debug!(event = "connection_refused", address = %connection.remote_address(), %fault, "connection refused");
    shared.counters.add_fault(&fault, false);
    fault.close(connection);
    Ended { was_up: Duration::ZERO, fault }
}

#[derive(Default)]
struct Tasks {
    readers: JoinSet<Fault>,
    /// The writers, and the watch over the hello.
    others: JoinSet<Fault>,
}

impl Session {
    /// Starts the tasks and waits for the first fault.
    async fn supervise(self: &Arc<Self>, tasks: &mut Tasks, stop: &CancellationToken) -> Fault {
        let greeting = self.shared.greeter.greeting(&self.link.peer, self.link.class);
        if greeting.is_empty() || !self.link.queue(Lane::Votes).push(greeting) {
            return Fault::Closed("our own hello is empty or longer than the queue".into());
        }
        for lane in Lane::ALL {
            tasks.others.spawn(self.clone().write_lane(lane));
        }
        tasks.others.spawn(self.clone().watch_hello());
        loop {
            let fault = tokio::select! {
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => {
                        tasks.readers.spawn(self.clone().read_lane(stream));
                        continue;
                    }
                    Err(error) => Fault::Lost(error),
                },
                Some(ended) = tasks.readers.join_next() => fault_of(ended),
                Some(ended) = tasks.others.join_next() => fault_of(ended),
                fault = self.link.closing.wait() => fault.clone(),
                () = stop.cancelled() => Fault::Stopped,
            };
            if !matches!(fault, Fault::Lost(_)) {
                return fault;
            }
            // The peer closed: what had arrived before is still delivered.
            return tokio::select! {
                worse = worst(&mut tasks.readers) => worse.unwrap_or(fault),
                fault = self.link.closing.wait() => fault.clone(),
                () = stop.cancelled() => Fault::Stopped,
            };
        }
    }

    async fn watch_hello(self: Arc<Self>) -> Fault {
        if timeout(self.shared.settings.hello_timeout, self.greeted.wait()).await.is_err() {
            return Fault::HelloTimeout;
        }
        Fault::Lost(self.connection.closed().await)
    }

    async fn write_lane(self: Arc<Self>, lane: Lane) -> Fault {
        match self.write_frames(lane).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    async fn write_frames(&self, lane: Lane) -> Result<std::convert::Infallible, Fault> {
        let mut stream = self.connection.open_uni().await?;
        let _ = stream.set_priority(lane.priority()); // fails only on a closed stream, as the write then does
        stream.write_all(&[lane.tag()]).await?;
        loop {
            let mut batch = self.link.queue(lane).next_batch().await;
            let mut pieces = coalesce(std::mem::take(&mut batch.frames));
            stream.write_all_chunks(&mut pieces).await?;
        }
    }

    async fn read_lane(self: Arc<Self>, stream: quinn::RecvStream) -> Fault {
        let mut reader = ChunkReader::new(stream);
        let fault = match self.read_frames(&mut reader).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        };
        // Before the stream is dropped, for the reason given in `run`.
        if !matches!(fault, Fault::Lost(_)) {
            fault.close(&self.connection);
        }
        fault
    }

    async fn read_frames(&self, reader: &mut ChunkReader) -> Result<std::convert::Infallible, Fault> {
        let lane = Lane::from_tag(reader.tag().await?).ok_or(Fault::MalformedStream("an unknown lane"))?;
        self.open_once(lane)?;
        let budget = self.shared.budget(self.link.class);
        let mut assembler = Assembler::new(lane, self.shared.settings.of(self.link.class).max_frame);
        if lane == Lane::Votes {
            let (hello, _share) = reader.frame(&mut assembler, budget).await?;
            self.accept_hello(hello).await?;
        }
        tokio::select! {
            _ = self.up.wait() => {}
            error = self.connection.closed() => return Err(Fault::Lost(error)),
        }
        let (peer, connection) = (self.link.peer, self.link.id);
        loop {
            let (bytes, _share) = reader.frame(&mut assembler, budget).await?;
            self.deliver(Inbound::Frame { peer, connection, lane, bytes }).await?;
        }
    }

    fn open_once(&self, lane: Lane) -> Result<(), Fault> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.contains(&lane) {
            return Err(Fault::MalformedStream("a second stream of a lane"));
        }
        opened.push(lane);
        Ok(())
    }

    /// Brings the connection up, in place of older ones of the same replica.
    async fn accept_hello(&self, hello: Bytes) -> Result<(), Fault> {
        let (peer, class) = (self.link.peer, self.link.class);
        self.shared.greeter.accept_greeting(&peer, class, &hello).map_err(Fault::HelloRefused)?;
        let _ = self.greeted.set(());
        for older in self.shared.table.insert(&self.link) {
            older.close(Fault::Replaced);
            older.finished.wait().await;
        }
        self.deliver(Inbound::Up { peer, connection: self.link.id, hello }).await?;
        let _ = self.up.set(Instant::now());
        let address = self.connection.remote_address();
        tracing::info!(event = "connection_up", ?peer, ?class, connection = %self.link.id, %address, "connection up");
        Ok(())
    }

    /// Waits while the channel is full: the stream is not read meanwhile, and the peer slows down.
    async fn deliver(&self, inbound: Inbound) -> Result<(), Fault> {
        let channel = self.shared.channels.of(self.link.class);
        channel.send(inbound).await.map_err(|_| Fault::Closed("nobody listens here any more".into()))
    }

    /// Counts, tells the consumer, and lets a successor go on.
    async fn finish(&self, fault: &Fault) -> Duration {
        self.shared.table.remove(&self.link);
        self.shared.counters.add_fault(fault, self.greeted.initialized());
        let (peer, class, connection): (PublicKey, _, _) = (self.link.peer, self.link.class, self.link.id);
        let mut was_up = Duration::ZERO;
        if let Some(since) = self.up.get() {
            was_up = since.elapsed();
            tracing::info!(event = "connection_down", ?peer, ?class, %connection, %fault, "connection down");
            let _ = self.deliver(Inbound::Down { peer, connection, reason: fault.to_string() }).await;
        } else {
            tracing::debug!(event = "connection_ended", ?peer, ?class, %connection, %fault, "connection ended before it was up");
        }
        let _ = self.link.finished.set(());
        was_up
    }
}

/// What a task ended with. A panic can only come from the caller's greeter.
fn fault_of(ended: Result<Fault, tokio::task::JoinError>) -> Fault {
    ended.unwrap_or_else(|error| Fault::Closed(error.to_string()))
}

/// Waits for all readers of a lost connection; returns the first misbehaviour that they find in what had arrived.
async fn worst(readers: &mut JoinSet<Fault>) -> Option<Fault> {
    let mut found = None;
    while let Some(ended) = readers.join_next().await {
        let fault = fault_of(ended);
        if found.is_none() && !matches!(fault, Fault::Lost(_)) {
            found = Some(fault);
        }
    }
    found
}
