//! Other replicas, clients, and what was refused of them.

use super::super::Instruments;
use super::writer::{Labels, Writer};
use pbft_message::ReplicaId;
use pbft_network::{Class, Usage};
use pbft_protocol::agreement::PeerProgress;
use std::collections::BTreeMap;
use std::fmt::Result;

/// Another replica, as seen from here.
struct Peer {
    name: String,
    id: ReplicaId,
    usage: Usage,
    progress: Option<PeerProgress>,
}

pub fn write(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    let mut progress: BTreeMap<ReplicaId, PeerProgress> = BTreeMap::new();
    if let Some(details) = instruments.shared.details().clone() {
        progress.extend(details.peers.into_iter().map(|peer| (peer.replica, peer)));
    }
    let peers: Vec<Peer> = instruments
        .peers()
        .map(|(id, key)| Peer { name: id.to_string(), id, usage: instruments.usage(Some(key)), progress: progress.remove(&id) })
        .collect();
    let clients = instruments.usage(None);
    totals(writer, &peers, &clients)?;
    connections(instruments, writer, &peers)?;
    of_peers(writer, &peers)?;
    of_clients(instruments, writer, &clients)?;
    refused(instruments, writer, &peers)
}

fn totals(writer: &mut Writer<'_>, peers: &[Peer], clients: &Usage) -> Result {
    let all = || peers.iter().map(|peer| &peer.usage).chain([clients]).map(|usage| usage.traffic);
    let sent = all().fold(0, |sum: u64, traffic| sum.saturating_add(traffic.sent_bytes));
    writer.counter("pbft_network_sent_bytes", "UDP payload sent to replicas and clients.", sent)?;
    let received = all().fold(0, |sum: u64, traffic| sum.saturating_add(traffic.received_bytes));
    writer.counter("pbft_network_received_bytes", "UDP payload received from replicas and clients.", received)
}

fn label(peer: &Peer) -> Labels<'_> {
    vec![("peer", &peer.name)]
}

fn connections(instruments: &Instruments, writer: &mut Writer<'_>, peers: &[Peer]) -> Result {
    let up = peers.iter().map(|peer| (label(peer), usize::from(peer.usage.up > 0)));
    writer.gauges("pbft_peer_up", "Whether a connection to the replica is up.", up)?;
    let silent = peers.iter().filter_map(|peer| Some((label(peer), instruments.silent_for(peer.id)?.as_secs_f64())));
    writer.gauges("pbft_peer_silent_seconds", "For how long the replica has said nothing.", silent)?;
    let connections = peers.iter().map(|peer| (label(peer), peer.usage.traffic.connections));
    writer.counters("pbft_peer_connections", "Connections to the replica that came up.", connections)?;
    let sent = peers.iter().map(|peer| (label(peer), peer.usage.traffic.sent_bytes));
    writer.counters("pbft_peer_sent_bytes", "UDP payload sent to the replica.", sent)?;
    let received = peers.iter().map(|peer| (label(peer), peer.usage.traffic.received_bytes));
    writer.counters("pbft_peer_received_bytes", "UDP payload received from the replica.", received)?;
    let lost = peers.iter().map(|peer| (label(peer), peer.usage.traffic.lost_packets));
    writer.counters("pbft_peer_lost_packets", "Packets sent to the replica that are believed lost.", lost)?;
    let round_trips = peers.iter().filter_map(|peer| Some((label(peer), peer.usage.round_trip?.as_secs_f64())));
    writer.gauges("pbft_peer_round_trip_seconds", "The time to the replica and back.", round_trips)?;
    let lanes: Vec<(&Peer, String, usize)> = peers
        .iter()
        .flat_map(|peer| peer.usage.queued_bytes.iter().map(move |(lane, bytes)| (peer, lane.to_string(), *bytes)))
        .collect();
    let queued = lanes.iter().map(|(peer, lane, bytes)| (vec![("peer", peer.name.as_str()), ("lane", lane.as_str())], *bytes));
    writer.gauges("pbft_peer_queued_bytes", "Bytes that wait to be sent to the replica, by lane.", queued)?;
    let limit = instruments.queue_bytes(Class::Replica);
    writer.gauge("pbft_peer_queued_limit_bytes", "The most bytes that may wait on a lane to a replica.", limit)
}

/// What the others say of themselves.
fn of_peers(writer: &mut Writer<'_>, peers: &[Peer]) -> Result {
    let statuses = || peers.iter().filter_map(|peer| Some((label(peer), peer.progress.as_ref()?.status.as_ref()?)));
    let views = statuses().map(|(label, status)| (label, status.view.0));
    writer.gauges("pbft_peer_view", "The view that the replica says it is in.", views)?;
    let active = statuses().map(|(label, status)| (label, u32::from(status.active)));
    writer.gauges("pbft_peer_view_active", "Whether the replica says that it has entered it.", active)?;
    let executed = statuses().map(|(label, status)| (label, status.executed.0));
    writer.gauges("pbft_peer_executed_sequence", "The last number that the replica says it has executed.", executed)?;
    let stable = statuses().map(|(label, status)| (label, status.low_watermark.0));
    writer.gauges("pbft_peer_stable_checkpoint_sequence", "The stable checkpoint that the replica says it has.", stable)?;
    let suspects = |peer: &Peer| u32::from(peer.progress.as_ref().is_some_and(|progress| progress.suspects));
    let suspects = peers.iter().map(|peer| (label(peer), suspects(peer)));
    writer.gauges("pbft_peer_suspects_primary", "Whether the replica suspects the primary of the own view.", suspects)
}

fn of_clients(instruments: &Instruments, writer: &mut Writer<'_>, clients: &Usage) -> Result {
    writer.gauge("pbft_client_connections", "Connections of clients that are up.", clients.up)?;
    let limit = instruments.client_connections;
    writer.gauge("pbft_client_connections_limit", "The most connections of clients.", limit)?;
    let opened = clients.traffic.connections;
    writer.counter("pbft_client_connections_opened", "Connections of clients that came up.", opened)?;
    writer.counter("pbft_client_sent_bytes", "UDP payload sent to clients.", clients.traffic.sent_bytes)?;
    writer.counter("pbft_client_received_bytes", "UDP payload received from clients.", clients.traffic.received_bytes)?;
    let queued = clients.queued_bytes.iter().fold(0, |sum: usize, (_, bytes)| sum.saturating_add(*bytes));
    writer.gauge("pbft_client_queued_bytes", "Bytes that wait to be sent to clients.", queued)?;
    let (waiting, limit) = instruments.shared.client_room.waiting();
    writer.gauge("pbft_client_waiting_bytes", "Bytes of requests that wait for the core.", waiting)?;
    writer.gauge("pbft_client_waiting_limit_bytes", "The most bytes of requests that may wait for the core.", limit)
}

fn refused(instruments: &Instruments, writer: &mut Writer<'_>, peers: &[Peer]) -> Result {
    let network = instruments.connections_refused();
    let by_kind = instruments.shared.refusals.by_kind().into_iter();
    let all = by_kind.chain(network.into_iter().map(|(reason, count)| (("connection", reason), count)));
    let all = all.map(|((from, reason), count)| (vec![("from", from), ("reason", reason)], count));
    writer.counters("pbft_refused", "What was refused or went wrong, by who sent it and by reason.", all)?;
    let by_replica = instruments.shared.refusals.by_replica();
    let by_replica = peers.iter().map(|peer| (label(peer), by_replica.get(&peer.id).copied().unwrap_or(0)));
    writer.counters("pbft_peer_refused", "What of a replica was refused because no correct one sends it.", by_replica)
}
