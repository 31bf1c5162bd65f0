//! The maximum memory of this process and its children.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::processes;

/// Pause between two samples.
const PAUSE: Duration = Duration::from_millis(3);

/// Bytes in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// All memory; pages that several processes share count once.
    pub(crate) all: u64,
    /// Shared memory without a file on a disk.
    pub(crate) shared: u64,
}

/// Returns the sample with the most bytes while a step runs, and the number of samples.
pub(crate) fn peak<T>(step: impl FnOnce() -> T) -> (T, Memory, usize) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut peak, mut looks) = (Memory::now(), 1);
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                let now = Memory::now();
                if now.all > peak.all {
                    peak = now;
                }
                looks += 1;
            }
            (peak, looks)
        });
        // The guard also runs if the step panics; otherwise the thread would never end.
        let over = Over(&is_over);
        let result = step();
        drop(over);
        let (peak, looks) = watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (result, peak, looks)
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Memory {
    /// The current memory of all these processes.
    pub(crate) fn now() -> Self {
        let (mut own, mut mapped) = (0, 0);
        // Shared memory takes room as soon as it is written to, even if no process maps it.
        let mut files = BTreeMap::new();
        for number in processes::family() {
            let rollup = fs::read_to_string(format!("/proc/{number}/smaps_rollup"));
            let rollup = rollup.unwrap_or_default();
            let shared = field(&rollup, "Pss_Shmem:");
            own += field(&rollup, "Pss:").saturating_sub(shared);
            mapped += shared;
            memory_files(number, &mut files);
        }
        let shared = mapped.max(files.values().sum());
        Self { all: own + shared, shared }
    }
}

/// Adds the files in memory that a process has open, by inode, with their sizes in bytes.
fn memory_files(number: u32, files: &mut BTreeMap<u64, u64>) {
    let entries = fs::read_dir(format!("/proc/{number}/fd")).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_memory = fs::read_link(&path).is_ok_and(|to| to.starts_with("/memfd:"));
        if is_memory && let Ok(metadata) = fs::metadata(&path) {
            files.insert(metadata.ino(), metadata.blocks() * 512);
        }
    }
}

/// Returns a field of a roll-up, in bytes.
fn field(rollup: &str, name: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_roll_up_is_in_bytes() {
        let rollup = "00400000-7ff0 ---p 00000000 00:00 0  [rollup]\nRss:  884 kB\nPss:  385 kB\n\
                      Pss_Shmem:   7 kB\n";
        assert_eq!((field(rollup, "Pss:"), field(rollup, "Pss_Shmem:")), (385 << 10, 7 << 10));
        assert_eq!(field(rollup, "Swap:"), 0);
    }

    #[test]
    fn what_a_step_and_its_child_take_is_seen() {
        let before = Memory::now();
        let code = "held = bytearray(64 << 20); import time; time.sleep(1)";
        let ((), peak, looks) = peak(|| {
            let held = std::hint::black_box(vec![1_u8; 64 << 20]);
            duct::cmd!("python3", "-c", code).run().unwrap();
            drop(held);
        });
        assert!(peak.all >= before.all + (120 << 20), "{before:?} {peak:?} in {looks} looks");
        assert!(looks > 1);
    }
}
