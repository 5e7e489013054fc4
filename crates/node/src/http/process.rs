//! What the system says of this process. Where it says nothing, nothing is reported.

use rustix::fs::statvfs;
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Bytes of memory: reserved, and in use.
pub struct Memory {
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
}

pub fn memory() -> Option<Memory> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split(' ').map_while(|pages| pages.parse::<u64>().ok());
    let mut bytes = || Some(pages.next()?.saturating_mul(page_size() as u64));
    Some(Memory { virtual_bytes: bytes()?, resident_bytes: bytes()? })
}

/// Open files, sockets among them.
pub fn open_files() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

/// How many there may be; none if there is no limit.
pub fn most_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Bytes of a disk: all of them, and those that this process may still fill.
pub struct Room {
    pub size_bytes: u64,
    pub free_bytes: u64,
}

/// The room on the disk that a folder is on.
pub fn disk_room(folder: &Path) -> Option<Room> {
    let disk = statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Room { size_bytes: bytes(disk.f_blocks), free_bytes: bytes(disk.f_bavail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_not_empty() {
        let memory = memory().unwrap();
        assert!(memory.resident_bytes > 0 && memory.virtual_bytes >= memory.resident_bytes);
        let room = disk_room(Path::new("/")).unwrap();
        assert!(room.size_bytes >= room.free_bytes && room.size_bytes > 0);
        assert!(disk_room(Path::new("/does/not/exist")).is_none());
        assert!(open_files().unwrap() > 0 && most_files().is_none_or(|most| most > 0));
    }
}
