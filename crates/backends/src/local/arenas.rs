//! The arenas of one worker, and each batch's parts of them.

use std::io;
use std::sync::Arc;

use super::parcel::Batch;
use super::spare;
use crate::worker::wire::{Arena, Kind, Outbox, Region, Shares, aligned};

/// The least number of bytes of a payload that goes through shared memory. Measured tasks of one
/// stage in a second, shared and over the socket, on 2 cores (`benches/data_path.rs`): 62 751 and
/// 52 097 of 8 KiB, 44 613 and 32 802 of 16 KiB, 19 398 and 13 932 of 64 KiB, 5 779 and 2 422 of
/// 256 KiB, 1 095 and 555 of 1 MiB. For smaller payloads, the difference is within the noise, and
/// few system calls are better than a page each.
pub(crate) const ARENAS_FROM: usize = 16 << 10;
/// Initial size of a worker's arenas. Untouched pages take no memory.
const LEAST: usize = 64 << 20;
/// Maximum size of each arena. Data that stays in one would otherwise take memory elsewhere.
const MOST: usize = 4 << 30;
/// Maximum bytes of an arena that one batch gets.
const MOST_OF_ONE: usize = 512 << 20;

/// A batch's parts of the arenas until its result has been read.
#[derive(Debug)]
pub(crate) struct Berth {
    input: Option<Arc<Region>>,
    pub(crate) output: Option<Arc<Region>>,
    /// The batch's payloads that are in `input`.
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

    /// Returns the input's region, after the outputs have been read.
    pub(crate) fn into_input(self) -> Option<Arc<Region>> {
        self.input
    }

    /// Returns its size in bytes, both ways.
    pub(crate) fn size(&self) -> usize {
        [&self.input, &self.output].into_iter().flatten().map(|region| region.len()).sum()
    }
}

/// The arenas of one worker; none before they are needed.
#[derive(Debug)]
pub(crate) struct Arenas {
    from: Option<usize>,
    /// Their maximum size.
    most: usize,
    pair: Option<(Arc<Arena>, Arc<Arena>)>,
}

impl Arenas {
    /// Creates arenas for payloads of at least `from` bytes, or for none.
    pub(crate) fn new(from: Option<usize>) -> Self {
        Self { from, most: MOST, pair: None }
    }

    /// Puts the large payloads of a batch into its worker's input arena, and reserves room for the
    /// outputs. Returns none if all data goes over the socket: it is small, there is no room, or
    /// there is no shared memory.
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
            // If the machine refuses once, it will refuse again.
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
        // One way is better than none.
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
                    // One copy is enough, and in the arena it cannot change.
                    parcel.payload.move_to(region, at..end);
                }
                at = aligned(end);
            }
        }
        Ok(Some(Berth { input, output, is_shared }))
    }

    /// Takes regions of these lengths, if both arenas have room.
    fn take(&self, input: usize, output: usize) -> Option<(Option<Region>, Option<Region>)> {
        let (inputs, outputs) = self.pair.as_ref()?;
        let take = |arena: &Arc<Arena>, length| match length {
            0 => Some(None),
            length => arena.take(length).map(Some),
        };
        Some((take(inputs, input)?, take(outputs, output)?))
    }

    /// Makes larger arenas, and sends them to the worker; returns false at the maximum. The old
    /// ones live on until the batches in them are done.
    fn grow(&mut self, need: usize, outbox: &mut Outbox) -> io::Result<bool> {
        let have = self.pair.as_ref().map_or(0, |(inputs, _)| inputs.size());
        // Room for the batches under way, for those that wait for the next stage, and for those
        // there.
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
