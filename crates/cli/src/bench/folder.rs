use crate::failure::Failure;
use clap::ValueEnum;
use pbft_node::ExitCode;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// Where the replicas of a measurement have their homes. The replicas are the same and sync alike; the folder decides what
/// a sync costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// On a disk.
    #[default]
    Sync,
    /// In memory, where a sync does nothing.
    Memory,
}

impl Durability {
    /// Makes a folder that is removed when it is dropped.
    pub fn folder(self) -> Result<TempDir, Failure> {
        let parent = match self {
            Self::Sync => std::env::temp_dir(),
            Self::Memory => PathBuf::from(MEMORY),
        };
        let make = |error: std::io::Error| Failure::io(format!("cannot make a folder in {}: {error}", parent.display()));
        let folder = tempfile::Builder::new().prefix("pbft-bench-").tempdir_in(&parent).map_err(make)?;
        let path = folder.path().canonicalize().map_err(make)?;
        let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(make)?;
        let wrong = |message| Failure::new(ExitCode::Configuration, "Durability", message);
        match (self, is_in_memory(&path, &mounts)) {
            (Self::Sync, true) => {
                let message =
                    format!("{} is in memory, where a sync does nothing: set TMPDIR to a folder on a disk", parent.display());
                Err(wrong(message))
            }
            (Self::Memory, false) => Err(wrong(format!("{} is not in memory on this machine", parent.display()))),
            _ => Ok(folder),
        }
    }
}

/// Whether the file system that holds this path, of those in /proc/self/mounts, keeps files in memory.
fn is_in_memory(path: &Path, mounts: &str) -> bool {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?.to_owned()))
    };
    let holding = mounts.lines().filter_map(mount).filter(|(place, _)| path.starts_with(place));
    // Of two at one place the later one covers the earlier.
    let nearest = holding.max_by_key(|(place, _)| place.components().count());
    nearest.is_some_and(|(_, kind)| kind == "tmpfs" || kind == "ramfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        for (path, in_memory) in
            [("/home/x", false), ("/dev/shm/x", true), ("/tmp/x", true), ("/tmp/disk/x", false), ("/tmpx", false)]
        {
            assert_eq!(is_in_memory(Path::new(path), mounts), in_memory, "{path}");
        }
    }
}
