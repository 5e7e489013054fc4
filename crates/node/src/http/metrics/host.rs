//! The process, its disk, its log, and where its CPU time goes.

use super::super::{Instruments, process};
use super::writer::Writer;
use crate::backlog::JOURNAL_BYTES;
use crate::cpu::process_cpu;
use crate::log;
use std::fmt::Result;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

pub fn write(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    of_process(instruments, writer)?;
    stages(instruments, writer)?;
    disk(instruments, writer)?;
    log_lines(writer)
}

fn of_process(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    writer.counter("process_cpu_seconds", "CPU time of the process, user and system.", process_cpu().as_secs_f64())?;
    let started = instruments.started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    writer.gauge("process_start_time_seconds", "When the replica started, in seconds since 1970.", started)?;
    if let Some(memory) = process::memory() {
        writer.gauge("process_resident_memory_bytes", "Memory in use.", memory.resident_bytes)?;
        writer.gauge("process_virtual_memory_bytes", "Memory reserved.", memory.virtual_bytes)?;
    }
    if let Some(open) = process::open_files() {
        writer.gauge("process_open_fds", "Open files and sockets.", open)?;
    }
    if let Some(most) = process::most_files() {
        writer.gauge("process_max_fds", "The most open files and sockets.", most)?;
    }
    let bound = "The most memory that this replica's limits let it hold, the service's state aside.";
    writer.gauge("pbft_memory_limit_bytes", bound, instruments.memory_bound)?;
    let (replica, cluster) = (instruments.replica.to_string(), instruments.genesis.cluster_id().to_string());
    let labels = vec![
        ("replica", replica.as_str()),
        ("cluster", cluster.as_str()),
        ("cluster_name", instruments.genesis.name.as_str()),
        ("version", crate::VERSION),
    ];
    writer.gauges("pbft_build_info", "1, with the replica's number, its cluster and this program's version.", [(labels, 1)])
}

fn stages(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    let spent = instruments.shared.meters.spent();
    let spent = spent.map(|(stage, time)| (vec![("stage", stage.name())], time.as_secs_f64()));
    writer.counters("pbft_stage_cpu_seconds", "CPU time by stage; QUIC is what is left of the process.", spent)?;
    let queues = || instruments.queues().iter();
    let lengths = queues().map(|queue| (vec![("queue", queue.name)], queue.length()));
    writer.gauges("pbft_queue_length", "What waits in a queue between threads.", lengths)?;
    let limits = queues().map(|queue| (vec![("queue", queue.name)], queue.limit));
    writer.gauges("pbft_queue_limit", "The most that may wait in a queue between threads.", limits)
}

fn disk(instruments: &Instruments, writer: &mut Writer<'_>) -> Result {
    let shared = &instruments.shared;
    let bytes = shared.journal_bytes.load(Ordering::Relaxed);
    writer.gauge("pbft_journal_bytes", "Bytes in the journal since it last began anew.", bytes)?;
    let waiting = shared.details().as_ref().map_or(0, |details| details.journal_waiting);
    writer.gauge("pbft_journal_waiting_bytes", "Bytes of records that wait to become durable.", waiting)?;
    let most = JOURNAL_BYTES;
    writer.gauge("pbft_journal_waiting_limit_bytes", "The most bytes of records that may wait to become durable.", most)?;
    let full = shared.journal_full.load(Ordering::Relaxed);
    writer.flag("pbft_journal_full", "Whether the journal, and with it every vote, waits for room on the disk.", full)?;
    let full = shared.snapshots_full.load(Ordering::Relaxed);
    writer.flag("pbft_snapshots_full", "Whether the last snapshot found no room on the disk.", full)?;
    let full = shared.transfer_full.load(Ordering::Relaxed);
    writer.flag("pbft_state_transfer_full", "Whether a state that is being fetched finds no room on the disk.", full)?;
    let bytes = shared.meters.snapshot_bytes.load(Ordering::Relaxed);
    writer.gauge("pbft_snapshot_bytes", "Bytes of the last snapshot since the start; 0 for none.", bytes)?;
    if let Some(room) = process::disk_room(&instruments.data) {
        writer.gauge("pbft_disk_free_bytes", "Room on the disk of the journal.", room.free_bytes)?;
        writer.gauge("pbft_disk_size_bytes", "Size of the disk of the journal.", room.size_bytes)?;
    }
    Ok(())
}

fn log_lines(writer: &mut Writer<'_>) -> Result {
    let (lines, left_out) = log::lines();
    let lines: Vec<(String, u64)> = lines.map(|(level, count)| (level.to_string().to_lowercase(), count)).collect();
    let lines = lines.iter().map(|(level, count)| (vec![("level", level.as_str())], *count));
    writer.counters("pbft_log_lines", "Log lines of the process, by level.", lines)?;
    writer.counter("pbft_log_lines_left_out", "Log lines that came too fast and were left out.", left_out)
}
