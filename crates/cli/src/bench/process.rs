//! What a process uses, as Linux tells in /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A tick of the times in /proc: USER_HZ is 100 on every architecture that we run on.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    /// CPU time, in the kernel too.
    pub cpu: Duration,
    /// The same by threads, of those that still run; threads that differ by a number only count together.
    pub threads: BTreeMap<String, Duration>,
    /// Memory that it has now, in bytes.
    pub resident_bytes: u64,
    /// What it wrote to files, in bytes. What the kernel says that reached disks counts whole folios, and is far too much.
    pub written_bytes: u64,
}

impl Consumption {
    /// What the process has used; `None` if there is no such process.
    pub fn of(process: u32) -> Option<Self> {
        let folder = format!("/proc/{process}");
        let (_, cpu) = parse_stat(&fs::read_to_string(format!("{folder}/stat")).ok()?)?;
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        let io = fs::read_to_string(format!("{folder}/io")).unwrap_or_default();
        let mut threads = BTreeMap::<String, Duration>::new();
        for entry in fs::read_dir(format!("{folder}/task")).ok()?.flatten() {
            // It may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((name, cpu)) = parse_stat(&stat) else { continue };
            let sum = threads.entry(without_number(name).to_owned()).or_default();
            *sum = sum.saturating_add(cpu);
        }
        let resident_bytes = number_after(&status, "VmRSS:").unwrap_or(0).saturating_mul(1024);
        Some(Self { cpu, threads, resident_bytes, written_bytes: number_after(&io, "wchar:").unwrap_or(0) })
    }

    /// What was used since an earlier look; the memory is that of now.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |name: &String| earlier.threads.get(name).copied().unwrap_or_default();
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            threads: self.threads.iter().map(|(name, cpu)| (name.clone(), cpu.saturating_sub(before(name)))).collect(),
            resident_bytes: self.resident_bytes,
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

/// The name and the CPU time in a `stat` file. The name stands in parentheses and may hold any character.
fn parse_stat(stat: &str) -> Option<(&str, Duration)> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(start.checked_add(1)?..end)?;
    let fields: Vec<&str> = stat.get(end.checked_add(1)?..)?.split_whitespace().collect();
    // utime and stime, the 14th and 15th field of the file, of which two are before these
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    Some((name, TICK.saturating_mul(ticks(11)?.saturating_add(ticks(12)?))))
}

fn without_number(name: &str) -> &str {
    name.trim_end_matches(|character: char| character.is_ascii_digit()).trim_end_matches(['-', '#'])
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = "7 (a) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(parse_stat(stat), Some(("a) (b", Duration::from_secs(2))));
        assert_eq!(parse_stat("7 (a) S 1 2"), None);
    }

    #[test]
    fn threads_of_a_pool_count_together() {
        assert_eq!(without_number("pbft-verify-12"), "pbft-verify");
        assert_eq!(without_number("core"), "core");
        assert_eq!(number_after("VmPeak:  9 kB\nVmRSS:\t  5 kB\n", "VmRSS:"), Some(5));
    }

    #[test]
    fn a_process_finds_itself() {
        let used = Consumption::of(std::process::id()).unwrap();
        assert!(used.resident_bytes > 0 && !used.threads.is_empty());
        assert_eq!(used.since(&used).cpu, Duration::ZERO);
        assert_eq!(Consumption::of(u32::MAX), None);
    }
}
