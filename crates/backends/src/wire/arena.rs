//! Memory that the engine and a worker share: an anonymous file of fixed size, one for each
//! direction, in which large payloads cross.
//!
//! The engine decides where everything goes. A worker is told where its input is and where it may
//! write, and answers with lengths alone: it has no way to name a place that is not its own. What it
//! wrote is copied out before anybody looks at it, since it may go on writing.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;

/// Payloads begin at multiples of this, which is what typed buffers in them want.
const ALIGNMENT: usize = 64;
/// Regions begin at multiples of this.
const PAGE: usize = 1 << 12;

/// Where the next payload begins, after one that ends here.
pub(crate) fn aligned(at: usize) -> usize {
    at.next_multiple_of(ALIGNMENT)
}

/// One direction's memory. Pages are the kernel's to give once they are touched, and all go back
/// when both sides have let go.
#[derive(Debug)]
pub(crate) struct Arena {
    file: File,
    size: usize,
    /// What is in use, in order.
    used: Mutex<Vec<Range<usize>>>,
}

impl Arena {
    /// Fails where the kernel has no such files, or something forbids them.
    pub(crate) fn new(size: usize) -> io::Result<Arc<Self>> {
        let file = anonymous_file(size)?;
        Ok(Arc::new(Self { file, size, used: Mutex::default() }))
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A descriptor to read and write it.
    pub(crate) fn writable(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    /// A descriptor that can only read it: not a copy, whose mode would be the original's.
    pub(crate) fn read_only(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(OpenOptions::new().read(true).open(path)?.into())
    }

    /// The first free region of this length; none if there is none.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Option<Region> {
        let length = length.checked_next_multiple_of(PAGE)?;
        let mut used = self.lock();
        let (mut place, mut start) = (used.len(), 0);
        for (at, range) in used.iter().enumerate() {
            if range.start - start >= length {
                place = at;
                break;
            }
            start = range.end;
        }
        let range = start..start.checked_add(length).filter(|end| *end <= self.size)?;
        used.insert(place, range.clone());
        Some(Region { arena: Arc::clone(self), range })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of an arena that nobody else has; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Region {
    arena: Arc<Arena>,
    range: Range<usize>,
}

impl Region {
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Writes bytes that far into it.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.arena.file.write_all_at(bytes, self.offset(at, bytes.len())?)
    }

    /// A copy of what stands there, in a buffer that is used again if it is large enough.
    pub(crate) fn read(
        &self,
        at: usize,
        length: usize,
        mut buffer: Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        let mut offset = self.offset(at, length)?;
        if buffer.capacity() >= length {
            buffer.resize(length, 0);
            self.arena.file.read_exact_at(&mut buffer, offset)?;
            return Ok(buffer);
        }
        // No more capacity than bytes, or more would be read than was asked for.
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            match rustix::io::pread(&self.arena.file, spare_capacity(&mut bytes), offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => offset += count as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    fn offset(&self, at: usize, length: usize) -> io::Result<u64> {
        let is_inside = at.checked_add(length).is_some_and(|end| end <= self.len());
        if !is_inside {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "outside of its region"));
        }
        Ok((self.range.start + at) as u64)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.arena.lock().retain(|range| range.start != self.range.start);
    }
}

/// A file in memory whose size nobody can change, lest a reader be killed for what is gone.
#[cfg(target_os = "linux")]
fn anonymous_file(size: usize) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::io::Errno;
    use rustix::process::{Resource, getrlimit};

    // Past its limit the kernel would not refuse: it would end this program.
    if getrlimit(Resource::Fsize).current.is_some_and(|most| (size as u64) > most) {
        return Err(io::Error::other("larger than the limit of files (`ulimit -f`)"));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create("curator", flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know it.
        Err(Errno::INVAL) => rustix::fs::memfd_create("curator", flags)?,
        other => other?,
    };
    rustix::fs::ftruncate(&file, size as u64)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file(_: usize) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn its_size_is_fixed_and_the_reader_cannot_write() {
        let arena = Arena::new(1 << 16).unwrap();
        let region = arena.take(100).unwrap();
        region.write(3, b"hello").unwrap();
        let reader = File::from(arena.read_only().unwrap());
        let mut bytes = [0; 5];
        reader.read_exact_at(&mut bytes, 3).unwrap();
        assert_eq!(&bytes, b"hello");
        assert!(reader.write_all_at(b"x", 0).is_err());
        let writer = File::from(arena.writable().unwrap());
        assert!(writer.set_len(1).is_err() && writer.set_len(1 << 20).is_err());
        assert!(writer.write_all_at(b"x", 1 << 16).is_err(), "it cannot grow");
        assert!(rustix::fs::fcntl_add_seals(&writer, rustix::fs::SealFlags::WRITE).is_err());
        assert!(
            region.read(4094, 3, Vec::new()).is_err() && region.write(usize::MAX, b"x").is_err()
        );
    }

    #[test]
    fn what_is_larger_than_the_limit_of_files_is_refused() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        // Without a limit nothing is too large before the kernel says so.
        if let Some(most) = limit {
            assert!(Arena::new(usize::try_from(most).unwrap() + 1).is_err());
        }
        assert!(Arena::new(usize::MAX).is_err());
    }

    fn in_use(arena: &Arena) -> usize {
        arena.lock().iter().map(ExactSizeIterator::len).sum()
    }

    proptest! {
        /// Regions that are in use at once never overlap and never leave the arena, in whatever
        /// order they come and go; and what was written into each is read from it.
        #[test]
        fn regions_are_apart(steps in prop::collection::vec((any::<bool>(), 1_usize..40_000), 0..40)) {
            let arena = Arena::new(1 << 18).unwrap();
            let mut held: Vec<(Region, u8)> = Vec::new();
            for (at, (is_take, length)) in steps.into_iter().enumerate() {
                if is_take {
                    let Some(region) = arena.take(length) else { continue };
                    prop_assert!(region.range.end <= arena.size() && region.len() >= length);
                    let byte = u8::try_from(at).unwrap();
                    region.write(0, &vec![byte; region.len()]).unwrap();
                    held.push((region, byte));
                } else if !held.is_empty() {
                    held.swap_remove(length % held.len());
                }
                for (region, byte) in &held {
                    prop_assert_eq!(region.read(0, region.len(), vec![7; at * 1000]).unwrap(), vec![*byte; region.len()]);
                }
            }
            let sum: usize = held.iter().map(|(region, _)| region.len()).sum();
            prop_assert_eq!(in_use(&arena), sum);
            drop(held);
            prop_assert_eq!(in_use(&arena), 0);
        }
    }
}
