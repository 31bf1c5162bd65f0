//! The arenas of one worker, and the parts of them that each batch gets.

use std::io;
use std::sync::Arc;

use super::parcel::Batch;
use super::spare;
use crate::worker::wire::{Arena, Kind, Outbox, Region, Shares, aligned};

/// From how many bytes on a payload goes through shared memory. Tasks of one stage in a second, shared
/// and over the socket, on 2 cores (`benches/data_path.rs`): 62 751 and 52 097 of 8 KiB, 44 613 and
/// 32 802 of 16 KiB, 19 398 and 13 932 of 64 KiB, 5 779 and 2 422 of 256 KiB, 1 095 and 555 of 1 MiB.
/// Below, the two are within what measurements vary by, and small payloads are better off in few
/// system calls than in a page each.
pub(crate) const ARENAS_FROM: usize = 16 << 10;
/// How large the arenas of a worker are at first. What is not touched takes no memory.
const LEAST: usize = 64 << 20;
/// How large they may become, each. What stays in them would else be elsewhere in memory.
const MOST: usize = 4 << 30;
/// What one batch gets of an arena at the most.
const MOST_OF_ONE: usize = 512 << 20;

/// What one batch has of the arenas until its result has been read.
#[derive(Debug)]
pub(crate) struct Berth {
    input: Option<Arc<Region>>,
    pub(crate) output: Option<Arc<Region>>,
    /// Which of the batch's payloads stand in `input`.
    pub(crate) is_shared: Vec<bool>,
}

impl Berth {
    pub(crate) fn shares(&self) -> Shares {
        let output = self.output.as_ref();
        Shares(
            self.input.as_ref().map_or(0, |region| region.start()),
            output.map_or(0, |region| region.start()),
            output.map_or(0, |region| region.len()),
        )
    }

    /// What is left of it once its outputs have been read.
    pub(crate) fn into_input(self) -> Option<Arc<Region>> {
        self.input
    }

    /// The bytes that it takes up, both ways.
    pub(crate) fn size(&self) -> usize {
        [&self.input, &self.output].into_iter().flatten().map(|region| region.len()).sum()
    }
}

/// The arenas of one worker; none before they are needed.
#[derive(Debug)]
pub(crate) struct Arenas {
    from: Option<usize>,
    /// How large they may become.
    most: usize,
    pair: Option<(Arc<Arena>, Arc<Arena>)>,
}

impl Arenas {
    /// For payloads of at least so many bytes, or for none.
    pub(crate) fn new(from: Option<usize>) -> Self {
        Self { from, most: MOST, pair: None }
    }

    /// Puts the large payloads of a batch where its worker can read them, and sets room aside for
    /// what may come back. None where all of it goes over the socket: it is small, or there is no
    /// room, or no shared memory here.
    pub(crate) fn berth(
        &mut self,
        batch: &mut Batch,
        expected: impl FnOnce(usize) -> usize,
        outbox: &mut Outbox,
    ) -> Option<Berth> {
        let from = self.from?;
        let mut input = 0;
        let place = |parcel: &super::parcel::Parcel| {
            let size = parcel.size();
            let is_shared = size >= from && input + size <= MOST_OF_ONE;
            if is_shared {
                input = aligned(input + size);
            }
            is_shared
        };
        let is_shared: Vec<bool> = batch.parcels.iter().map(place).collect();
        let output = expected(input).min(MOST_OF_ONE);
        if input == 0 && output < from {
            return None;
        }
        self.fill(batch, is_shared, input, output, outbox).unwrap_or_else(|error| {
            // What the machine does not allow once it will not allow the next time.
            tracing::debug!("large payloads go over the socket, without shared memory: {error}");
            self.from = None;
            None
        })
    }

    fn fill(
        &mut self,
        batch: &mut Batch,
        is_shared: Vec<bool>,
        input: usize,
        output: usize,
        outbox: &mut Outbox,
    ) -> io::Result<Option<Berth>> {
        let mut regions = self.take(input, output);
        if regions.is_none() && self.grow(input.max(output), outbox)? {
            regions = self.take(input, output);
        }
        // Better one way than none.
        let regions = regions.or_else(|| self.take(input, 0).filter(|_| input > 0));
        let Some((input, output)) = regions else { return Ok(None) };
        let (input, output) = (input.map(Arc::new), output.map(Arc::new));
        if let Some(region) = &input {
            let mut at = 0;
            let parcels = batch.parcels.iter_mut().zip(&is_shared);
            for (parcel, _) in parcels.filter(|(_, is_shared)| **is_shared) {
                let end = at + parcel.size();
                parcel.payload.write_to(region, at)?;
                if end - at > spare::MOST {
                    // It is not needed twice, and there it cannot change.
                    parcel.payload.move_to(region, at..end);
                }
                at = aligned(end);
            }
        }
        Ok(Some(Berth { input, output, is_shared }))
    }

    /// Regions of these lengths, where both arenas have room.
    fn take(&self, input: usize, output: usize) -> Option<(Option<Region>, Option<Region>)> {
        let (inputs, outputs) = self.pair.as_ref()?;
        let take = |arena: &Arc<Arena>, length| match length {
            0 => Some(None),
            length => arena.take(length).map(Some),
        };
        Some((take(inputs, input)?, take(outputs, output)?))
    }

    /// Makes larger arenas, and has the worker told of them; false if they are as large as they may
    /// be. The old ones live on until the batches in them are done.
    fn grow(&mut self, need: usize, outbox: &mut Outbox) -> io::Result<bool> {
        let have = self.pair.as_ref().map_or(0, |(inputs, _)| inputs.size());
        // Room for what is under way, for what waits for the next stage, and for what that has.
        let size = (4 * need).max(2 * have).next_power_of_two().clamp(LEAST, MOST).min(self.most);
        if size <= have {
            return Ok(false);
        }
        let make = || io::Result::Ok((Arena::to_worker(size)?, Arena::from_worker(size)?));
        let (inputs, outputs) = match make() {
            Ok(pair) => pair,
            Err(error) if have == 0 => return Err(error),
            Err(error) => {
                tracing::debug!("arenas stay at {have} bytes: {error}");
                self.most = have;
                return Ok(false);
            }
        };
        let descriptors = vec![inputs.read_only()?, outputs.writable()?];
        outbox.frame_with(Kind::Arenas, b"{}", descriptors);
        self.pair = Some((inputs, outputs));
        Ok(true)
    }
}
