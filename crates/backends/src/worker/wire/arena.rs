//! Memory that the engine and a worker share: an anonymous file of fixed size for each direction,
//! in which large payloads cross. Both sides have it mapped, so that a payload costs one copy in
//! and one out.
//!
//! The engine decides all places. A worker is told the place of its input and of its outputs, and
//! answers with lengths alone: it cannot name a place that is not its own. Its outputs are copied
//! out before any code reads them, since it may still be writing.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice, WriteVolatile};

use crate::sync::{Mutex, MutexGuard};

/// Alignment of payloads, as typed buffers in them need it.
const ALIGNMENT: usize = 64;
/// Alignment of regions.
const PAGE: usize = 1 << 12;

/// Returns the start of the next payload, after one that ends here.
pub(crate) fn aligned(at: usize) -> usize {
    at.next_multiple_of(ALIGNMENT)
}

/// A worker's rights on an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The memory of one direction. The kernel provides pages when they are touched, and frees all of
/// them when both sides have closed it.
#[derive(Debug)]
pub(crate) struct Arena {
    file: Arc<File>,
    memory: MmapRegion,
    /// The parts in use, in order.
    used: Mutex<Vec<Range<usize>>>,
}

impl Arena {
    /// Creates an arena for workers' input: only this process can write it.
    ///
    /// Like the other one, it fails if the kernel has no such files, or a policy forbids them.
    pub(crate) fn to_worker(size: usize) -> io::Result<Arc<Self>> {
        Self::new(size, Access::Read)
    }

    /// Creates an arena for workers' outputs.
    pub(crate) fn from_worker(size: usize) -> io::Result<Arc<Self>> {
        Self::new(size, Access::Write)
    }

    fn new(size: usize, access: Access) -> io::Result<Arc<Self>> {
        let file = Arc::new(anonymous_file(size)?);
        // Its size never changes, so the mapping is always valid.
        let memory = MmapRegion::from_file(FileOffset::from_arc(Arc::clone(&file), 0), size);
        let memory = memory.map_err(io::Error::other)?;
        seal(&file, access)?;
        Ok(Arc::new(Self { file, memory, used: Mutex::default() }))
    }

    pub(crate) fn size(&self) -> usize {
        self.memory.size()
    }

    /// Returns a descriptor for reading and writing.
    pub(crate) fn writable(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    /// Returns a descriptor for reading only: not a duplicate, which would have the original's
    /// mode.
    pub(crate) fn read_only(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(OpenOptions::new().read(true).open(path)?.into())
    }

    /// Takes the first free region of this length, at least a page; returns none if there is none.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Option<Region> {
        let length = length.max(1).checked_next_multiple_of(PAGE)?;
        let mut used = self.lock();
        let (mut place, mut start) = (used.len(), 0);
        for (at, range) in used.iter().enumerate() {
            if range.start - start >= length {
                place = at;
                break;
            }
            start = range.end;
        }
        let range = start..start.checked_add(length).filter(|end| *end <= self.size())?;
        used.insert(place, range);
        Some(Region { arena: Arc::clone(self), start, length: length.into() })
    }

    /// Returns the number of bytes in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().iter().map(ExactSizeIterator::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.used.lock()
    }
}

/// A part of an arena with one owner; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Region {
    arena: Arc<Arena>,
    start: usize,
    length: AtomicUsize,
}

impl Region {
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Releases all but the first `length` bytes, and never everything. While it is held, no other
    /// region may begin at its place, which identifies it.
    pub(crate) fn shrink(&self, length: usize) {
        let length = length.max(1).next_multiple_of(PAGE);
        if length < self.len() {
            let mut used = self.arena.lock();
            if let Some(range) = used.iter_mut().find(|range| range.start == self.start) {
                range.end = self.start + length;
            }
            self.length.store(length, Ordering::Relaxed);
        }
    }

    /// Writes bytes at this place.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.slice(at, bytes.len())?.copy_from(bytes);
        Ok(())
    }

    /// Copies bytes of another region to this place.
    pub(crate) fn write_from(
        &self,
        at: usize,
        from: &Self,
        from_at: usize,
        length: usize,
    ) -> io::Result<()> {
        from.slice(from_at, length)?.copy_to_volatile_slice(self.slice(at, length)?);
        Ok(())
    }

    /// Returns a copy of the bytes, in a buffer that is reused if it is large enough.
    pub(crate) fn read(
        &self,
        at: usize,
        length: usize,
        mut buffer: Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        let slice = self.slice(at, length)?;
        buffer.clear();
        buffer.reserve_exact(length);
        buffer.write_all_volatile(&slice).map_err(io::Error::other)?;
        Ok(buffer)
    }

    fn slice(&self, at: usize, length: usize) -> io::Result<VolatileSlice<'_>> {
        let is_inside = at.checked_add(length).is_some_and(|end| end <= self.len());
        if !is_inside {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "outside of its region"));
        }
        self.arena.memory.get_slice(self.start + at, length).map_err(io::Error::other)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.arena.lock().retain(|range| range.start != self.start);
    }
}

/// Creates a file in memory of a fixed size, since shrinking it would kill its readers.
#[cfg(target_os = "linux")]
fn anonymous_file(size: usize) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::io::Errno;
    use rustix::process::{Resource, getrlimit};

    // Above its limit, the kernel would not return an error but end this program.
    if getrlimit(Resource::Fsize).current.is_some_and(|most| (size as u64) > most) {
        return Err(io::Error::other("larger than the limit of files (`ulimit -f`)"));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create("curator", flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the flag.
        Err(Errno::INVAL) => rustix::fs::memfd_create("curator", flags)?,
        other => other?,
    };
    rustix::fs::ftruncate(&file, size as u64)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(file.into())
}

/// Fixes the later use of the file. The mapping of this process stays writable. If workers only
/// read, no other process can write it any more, not even one that opens it again through `/proc`.
#[cfg(target_os = "linux")]
fn seal(file: &File, access: Access) -> io::Result<()> {
    use rustix::fs::SealFlags;
    use rustix::io::Errno;

    if access == Access::Read {
        match rustix::fs::fcntl_add_seals(file, SealFlags::FUTURE_WRITE) {
            // Kernels before 5.1 do not know the seal; workers' descriptors are read-only there as
            // well.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(rustix::fs::fcntl_add_seals(file, SealFlags::SEAL)?)
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file(_: usize) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn seal(_: &File, _: Access) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn its_size_is_fixed_and_only_the_engine_can_write_what_workers_read() {
        let arena = Arena::to_worker(1 << 16).unwrap();
        let region = arena.take(100).unwrap();
        region.write(3, b"hello").unwrap();
        let reader = File::from(arena.read_only().unwrap());
        let mut bytes = [0; 5];
        reader.read_exact_at(&mut bytes, 3).unwrap();
        assert_eq!(&bytes, b"hello");
        assert!(reader.write_all_at(b"x", 0).is_err());
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        if let Ok(again) = OpenOptions::new().write(true).open(path) {
            assert!(again.write_all_at(b"x", 0).is_err(), "it is sealed, not only opened so");
        }
        region.write(3, b"world").unwrap();
        reader.read_exact_at(&mut bytes, 3).unwrap();
        assert_eq!(&bytes, b"world");
        let arena = Arena::from_worker(1 << 16).unwrap();
        let writer = File::from(arena.writable().unwrap());
        assert!(writer.set_len(1).is_err() && writer.set_len(1 << 20).is_err());
        assert!(writer.write_all_at(b"x", 1 << 16).is_err(), "it cannot grow");
        assert!(rustix::fs::fcntl_add_seals(&writer, rustix::fs::SealFlags::FUTURE_WRITE).is_err());
        writer.write_all_at(b"there", 3).unwrap();
        let other = arena.take(10).unwrap();
        other.write_from(4, &region, 3, 5).unwrap();
        assert_eq!(other.read(4, 5, Vec::new()).unwrap(), b"world");
        assert_eq!(other.read(3, 1, vec![1; 9]).unwrap(), b"t");
        for at in [4094, usize::MAX] {
            assert!(region.read(at, 3, Vec::new()).is_err() && region.write(at, b"xxx").is_err());
            assert!(other.write_from(at, &region, 0, 3).is_err());
            assert!(other.write_from(0, &region, at, 3).is_err());
        }
    }

    #[test]
    fn a_region_that_gave_back_all_it_could_is_still_its_own() {
        let arena = Arena::from_worker(1 << 16).unwrap();
        let [first, _second] = [arena.take(PAGE).unwrap(), arena.take(PAGE).unwrap()];
        first.shrink(0);
        let third = arena.take(PAGE).unwrap();
        drop(first);
        let fourth = arena.take(PAGE).unwrap();
        assert_ne!(third.start, fourth.start);
    }

    #[test]
    fn what_is_larger_than_the_limit_of_files_is_refused() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        // Without a limit, only the kernel decides what is too large.
        if let Some(most) = limit {
            assert!(Arena::from_worker(usize::try_from(most).unwrap() + 1).is_err());
        }
        assert!(Arena::from_worker(usize::MAX).is_err());
    }

    proptest! {
        /// Regions in use at once never overlap and never leave the arena, in any order of taking,
        /// shrinking and dropping, and each keeps the bytes that were written into it.
        #[test]
        fn regions_are_apart(steps in prop::collection::vec(
            (0..3, prop_oneof![Just(0), 1_usize..40_000]), 0..40,
        )) {
            let arena = Arena::from_worker(1 << 18).unwrap();
            let mut held: Vec<(Region, u8)> = Vec::new();
            for (at, (step, length)) in steps.into_iter().enumerate() {
                if step == 0 {
                    let Some(region) = arena.take(length) else { continue };
                    prop_assert!(region.start + region.len() <= arena.size() && region.len() >= length);
                    let byte = u8::try_from(at).unwrap();
                    region.write(0, &vec![byte; region.len()]).unwrap();
                    held.push((region, byte));
                } else if !held.is_empty() {
                    let place = length % held.len();
                    if step == 1 {
                        held.swap_remove(place);
                    } else {
                        let (region, _) = &held[place];
                        let before = region.len();
                        region.shrink(length);
                        prop_assert!(region.len() <= before && region.len() >= length.min(before));
                    }
                }
                for (region, byte) in &held {
                    prop_assert_eq!(region.read(0, region.len(), vec![7; at * 1000]).unwrap(), vec![*byte; region.len()]);
                }
            }
            let sum: usize = held.iter().map(|(region, _)| region.len()).sum();
            prop_assert_eq!(arena.in_use(), sum);
            drop(held);
            prop_assert_eq!(arena.in_use(), 0);
        }
    }
}
