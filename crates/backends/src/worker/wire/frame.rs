//! One frame: a fixed header, JSON meta data, raw bytes.
//!
//! ```text
//! offset  0  magic "CU"          u16
//!         2  version             u8
//!         3  kind                u8
//!         4  reserved, zero      u32
//!         8  sequence            u64
//!        16  length of the meta  u64   at most 256 MiB
//!        24  length of the body  u64   at most 1 TiB
//! ```
//!
//! Numbers are little-endian. The body holds the payloads that travel inside the frame, one after
//! the other in the order in which the meta data names them. Those that the meta data marks as
//! *shared* stand in the batch's part of an [arena](super::arena) instead, likewise in order, each at
//! the next multiple of 64. Those that it marks as the *same* are a task's own data, as it came with
//! the batch, and stand nowhere.

use std::io::{self, Read};

const MAGIC: [u8; 2] = *b"CU";
const VERSION: u8 = 3;
const HEADER: usize = 32;
const MAX_META: u64 = 1 << 28;
const MAX_BODY: u64 = 1 << 40;
/// A read asks for this much at least, so that many small frames cost one system call.
const CHUNK: usize = 1 << 16;

/// What a frame says. There is none that ends a worker: it ends when its socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// To the worker: its identity; carries the lifeline and the leases.
    Start = 1,
    /// To the worker: run the set-up hooks.
    Setup = 2,
    /// To the worker: tasks.
    Batch = 3,
    /// To an engine's driver: there are no more tasks.
    Finish = 4,
    /// To the worker: new arenas, which the batches after it use; carries the one to read and the
    /// one to write.
    Arenas = 5,
    /// To a template: fork a worker; carries what becomes its standard input, output and error.
    Fork = 6,
    /// To a template: send a signal to the group of a worker that was forked from it.
    Signal = 7,
    /// To a template: reap a worker that has ended.
    Reap = 8,
    /// To a template: stay for later runs, or for longer.
    Stay = 9,
    /// To a template that stayed: say whether it is still what this run would start.
    Visit = 10,
    /// To a template that stayed: say what it is.
    Ask = 11,
    /// To a template that stayed: end.
    Leave = 12,
    /// To the worker: the devices that it has from now on.
    Devices = 13,
    /// From a client: what it wants done.
    Open = 32,
    /// From a client: a task.
    Task = 33,
    /// From a client: there are no more tasks.
    End = 34,
    /// From a client: the run is to end before its end.
    Cancel = 35,
    /// From the worker: which environment it runs in.
    Proof = 65,
    /// From the worker: set up and waiting for tasks.
    Ready = 66,
    /// From the worker: what became of a batch.
    Result = 67,
    /// From the worker: its code could not be loaded or set up.
    Failed = 68,
    /// From the worker: torn down.
    Bye = 69,
    /// From a cluster: something happened there.
    Note = 70,
    /// From the worker: its code is loaded, and what that declares about itself.
    Loaded = 71,
    /// From a template: it has done what it was told.
    Done = 72,
    /// To a client: how much more it may send.
    Credit = 96,
    /// To a client: a task that has come out.
    Output = 97,
    /// To a client: nothing is left of a task that it sent.
    SourceDone = 98,
    /// To a client: how it went.
    Report = 99,
}

impl Kind {
    const ALL: [Self; 29] = [
        Self::Start,
        Self::Setup,
        Self::Batch,
        Self::Finish,
        Self::Arenas,
        Self::Fork,
        Self::Signal,
        Self::Reap,
        Self::Stay,
        Self::Visit,
        Self::Ask,
        Self::Leave,
        Self::Devices,
        Self::Open,
        Self::Task,
        Self::End,
        Self::Cancel,
        Self::Proof,
        Self::Ready,
        Self::Result,
        Self::Failed,
        Self::Bye,
        Self::Note,
        Self::Loaded,
        Self::Done,
        Self::Credit,
        Self::Output,
        Self::SourceDone,
        Self::Report,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame that arrived whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct Frame {
    /// What it says.
    pub kind: Kind,
    /// The number of the batch that it is about; zero where it is about none.
    pub sequence: u64,
    /// JSON.
    pub meta: Vec<u8>,
    /// Raw bytes.
    pub body: Vec<u8>,
}

/// Appends a frame to `buffer`; the parts of the body follow each other.
pub fn encode(buffer: &mut Vec<u8>, kind: Kind, sequence: u64, meta: &[u8], body: &[&[u8]]) {
    let length: usize = body.iter().map(|part| part.len()).sum();
    buffer.reserve(HEADER + meta.len() + length);
    encode_head(buffer, kind, sequence, meta, length);
    for part in body {
        buffer.extend_from_slice(part);
    }
}

/// Appends a frame to `buffer` up to its body, whose length it will have.
pub fn encode_head(buffer: &mut Vec<u8>, kind: Kind, sequence: u64, meta: &[u8], length: usize) {
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&[VERSION, kind as u8, 0, 0, 0, 0]);
    buffer.extend_from_slice(&sequence.to_le_bytes());
    buffer.extend_from_slice(&(meta.len() as u64).to_le_bytes());
    buffer.extend_from_slice(&(length as u64).to_le_bytes());
    buffer.extend_from_slice(meta);
}

/// Cuts a stream of bytes into frames; one `read` of the source at a time, so that a caller that
/// polls never blocks for longer than it wants to.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// What has come is in `start..end`. The rest is room, which is cleared once and not for each read.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// A frame with a large body that is still coming.
    large: Option<Large>,
}

/// A frame whose body is read where it stays.
#[derive(Debug)]
struct Large {
    /// Its body has room beyond what has come.
    frame: Frame,
    have: usize,
    length: usize,
}

struct Header {
    kind: Kind,
    sequence: u64,
    meta: usize,
    body: usize,
}

impl FrameReader {
    /// Reads once from the source; false at its end.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<bool> {
        if let Some(Large { frame, have, length }) = &mut self.large {
            let missing = *length - *have;
            return read_into(&mut frame.body, have, missing, source);
        }
        if self.start > 0 {
            // A whole frame moves what is left of the next ones at most once.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let missing = match self.header()? {
            Some(Header { meta, body, .. }) if body >= CHUNK => HEADER + meta,
            Some(Header { meta, body, .. }) => HEADER + meta + body,
            None => 0,
        };
        let missing = missing.saturating_sub(self.end).max(CHUNK);
        read_into(&mut self.buffer, &mut self.end, missing, source)
    }

    /// Returns the next frame, if it has arrived whole.
    #[expect(clippy::should_implement_trait, reason = "a frame that is not there yet is no end")]
    pub fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.large.is_none() {
            let Some(Header { kind, sequence, meta, body }) = self.header()? else {
                return Ok(None);
            };
            let body_start = self.start + HEADER + meta;
            let end = body_start + body;
            if self.end < body_start || (body < CHUNK && self.end < end) {
                return Ok(None);
            }
            let here = end.min(self.end);
            let meta = self.buffer[self.start + HEADER..body_start].to_vec();
            let begun = self.buffer[body_start..here].to_vec();
            self.start = here;
            let frame = Frame { kind, sequence, meta, body: begun };
            if here == end {
                return Ok(Some(frame));
            }
            self.large = Some(Large { have: here - body_start, frame, length: body });
        }
        let is_whole = |large: &mut Large| large.have == large.length;
        Ok(self.large.take_if(is_whole).map(|large| large.frame))
    }

    fn header(&self) -> io::Result<Option<Header>> {
        let Some(bytes) = self.buffer[self.start..self.end].get(..HEADER) else { return Ok(None) };
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if bytes[..2] != MAGIC || bytes[2] != VERSION || bytes[4..8] != [0; 4] {
            return invalid(format!("no frame of version {VERSION} starts with {:?}", &bytes[..8]));
        }
        let Some(kind) = Kind::from_byte(bytes[3]) else {
            return invalid(format!("no frame is of kind {}", bytes[3]));
        };
        let (meta, body) = (number(16), number(24));
        if meta > MAX_META || body > MAX_BODY {
            return invalid(format!("a frame of {meta} and {body} bytes is too large"));
        }
        let size = |length| usize::try_from(length).map_err(io::Error::other);
        Ok(Some(Header { kind, sequence: number(8), meta: size(meta)?, body: size(body)? }))
    }
}

/// Reads once, after the first `have` bytes of a buffer, which are then more; false at the source's
/// end. At least one byte and at most `missing`, if the source gives as many.
fn read_into(
    buffer: &mut Vec<u8>,
    have: &mut usize,
    missing: usize,
    source: &mut impl Read,
) -> io::Result<bool> {
    if buffer.len() - *have < missing.min(CHUNK) {
        // Memory is asked for as bytes come, so that a header that lies about a length costs nothing.
        buffer.reserve_exact(missing.min(buffer.len().max(16 * CHUNK)));
        buffer.resize(*have + missing.min(16 * CHUNK), 0);
    }
    let room = buffer.len().min(*have + missing);
    loop {
        match source.read(&mut buffer[*have..room]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                *have += *read.as_ref().unwrap_or(&0);
                return Ok(read? > 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<Vec<Frame>> {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = reader.next()? {
                frames.push(frame);
            }
            if !reader.fill(&mut bytes)? {
                return Ok(frames);
            }
        }
    }

    /// A source that gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        // Large frames are what it is about, and slow to make up.
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Frames that were written come out the same, however the stream is cut into reads.
        #[test]
        fn frames_survive_any_cut(
            frames in prop::collection::vec(
                (any::<u64>(), prop::collection::vec(any::<u8>(), 0..200),
                 prop_oneof![prop::collection::vec(any::<u8>(), 0..200),
                             (70_000..140_000_usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])]),
                0..6),
            step in 1_usize..70_000,
        ) {
            let mut bytes = Vec::new();
            for (sequence, meta, body) in &frames {
                let (left, right) = body.split_at(body.len() / 2);
                encode(&mut bytes, Kind::Batch, *sequence, meta, &[left, right]);
            }
            let mut source = Trickle(&bytes, step);
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            loop {
                while let Some(frame) = reader.next().unwrap() {
                    seen.push((frame.sequence, frame.meta, frame.body));
                }
                if !reader.fill(&mut source).unwrap() { break; }
            }
            prop_assert_eq!(seen, frames);
        }

        /// Whatever a worker writes, reading it ends in frames or an error, never in a panic.
        #[test]
        fn garbage_is_an_error_or_frames(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
        }

        /// A header that lies about its lengths costs no memory for what never comes.
        #[test]
        fn a_lying_header_allocates_nothing(
            meta in prop_oneof![0..200_u64, any::<u64>()],
            body in prop_oneof![0..200_u64, 70_000..MAX_BODY, any::<u64>()],
        ) {
            let mut bytes = Vec::new();
            encode_head(&mut bytes, Kind::Batch, 7, &[], 0);
            bytes[16..24].copy_from_slice(&meta.to_le_bytes());
            bytes[24..32].copy_from_slice(&body.to_le_bytes());
            bytes.extend([0; 100]);
            let mut source = bytes.as_slice();
            let mut reader = FrameReader::default();
            while matches!(reader.next(), Ok(None)) && matches!(reader.fill(&mut source), Ok(true)) {}
            let large = reader.large.map_or(0, |large| large.frame.body.capacity());
            prop_assert!(reader.buffer.capacity() + large <= 64 * CHUNK);
        }
    }
}
