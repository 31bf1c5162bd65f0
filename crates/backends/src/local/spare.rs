//! The memory of finished large payloads, for new ones: fresh memory costs a page fault for each
//! page, which is more than the copy into it.

use super::payload::Payload;

/// Maximum bytes that are kept; larger buffers are never reused.
pub(crate) const MOST: usize = 32 << 20;
/// Smaller buffers are not worth keeping.
const LEAST: usize = 256 << 10;

/// Buffers of one worker's payloads that are no longer needed.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    /// Keeps the memory of a payload, unless it is shared.
    pub(crate) fn keep(&mut self, payload: Payload) {
        let Some(buffer) = payload.into_own_bytes() else { return };
        if buffer.capacity() >= LEAST && self.bytes + buffer.capacity() <= MOST {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }

    /// Returns a buffer of this length with arbitrary contents; an empty one if none fits.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| (length..=2 * length).contains(&buffer.capacity());
        let Some(at) = self.buffers.iter().position(fits) else { return Vec::new() };
        let buffer = self.buffers.swap_remove(at);
        self.bytes -= buffer.capacity();
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::payload::Format;

    #[test]
    fn only_unshared_memory_that_fits_is_used_again() {
        let mut spare = Spare::default();
        let payload = |size| Payload::new(Format::Bytes, vec![1; size]);
        let held = payload(LEAST);
        spare.keep(held.clone());
        spare.keep(payload(LEAST - 1));
        assert_eq!(spare.take(LEAST).capacity(), 0);
        spare.keep(held);
        assert_eq!(spare.take(LEAST / 4).capacity(), 0);
        assert_eq!(spare.take(LEAST - 1).len(), LEAST);
        (0..40).for_each(|_| spare.keep(payload(1 << 20)));
        assert_eq!((spare.buffers.len(), spare.bytes), (32, MOST));
    }
}
