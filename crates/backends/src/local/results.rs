//! A worker's answer about a batch, checked and turned into tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{BatchOutput, Lineage, Output, Task};

use super::parcel::{Batch, Parcel};
use super::payload::{Format, Payload};
use super::spare::Spare;
use crate::run::Cause;
use crate::worker::wire::{
    Answer, BatchResult, Entry, Frame, Loaded, OutputKind, OutputRecord, Region, aligned,
};

/// The result of a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its outputs, and the tasks that failed, by their place in the batch.
    Done { outputs: Vec<Parcel>, failed: Vec<(usize, Cause)> },
    /// No task of it has an output.
    Failed(Cause),
}

/// A worker's answer about a batch.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) duration: Duration,
    pub(crate) verdict: Verdict,
    /// The batches whose part of the input arena the worker still uses.
    pub(crate) kept: Vec<u64>,
    /// The keys that the stage promises and an output lacks.
    pub(crate) lacking: Vec<String>,
    /// What the stage's code has come to declare while it worked.
    pub(crate) declared: Option<Loaded>,
    /// What those of its outputs that are large enough for an arena take up there.
    pub(crate) large: usize,
}

/// The place of a batch's large outputs, and the rules for it.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// The batch's part of the arena that its worker writes.
    pub(crate) region: Option<&'a Arc<Region>>,
    /// The least number of bytes of an output that stays there until it is needed; others are
    /// copied out.
    pub(crate) stay_from: usize,
    /// The least number of bytes of an output that goes there.
    pub(crate) from: usize,
}

/// Reads an answer, with the outputs in the worker's part of the arena; the error says what is
/// wrong.
pub(crate) fn read(
    stage: &str,
    batch: &Batch,
    frame: Frame,
    room: &Room<'_>,
    spare: &mut Spare,
) -> Result<Answered, String> {
    let BatchResult(nanoseconds, answer, kept, lacking, declared) =
        serde_json::from_slice(&frame.meta).map_err(|error| format!("a result that is {error}"))?;
    let duration = Duration::from_nanos(nanoseconds);
    let lineages = batch.lineages(stage, duration, &BTreeMap::new());
    let mut body =
        Body { batch, bytes: frame.body, at: 0, room, room_at: 0, stay_end: 0, large: 0, spare };
    let verdict = match answer {
        Answer::Failed(failed) => Verdict::Failed(Cause::Raised(failed)),
        Answer::Aggregate(aggregate) => {
            let (heads, payloads) = body.take_all(aggregate)?;
            let outputs = BatchOutput::Aggregate(Output::Many(heads));
            Verdict::Done { outputs: join(outputs, &lineages, payloads)?, failed: Vec::new() }
        }
        Answer::Entries(entries) => {
            let (mut outputs, mut payloads, mut failed) = (Vec::new(), Vec::new(), Vec::new());
            for (at, entry) in entries.into_iter().enumerate() {
                match entry {
                    Entry::Outputs(records) => {
                        let (heads, more) = body.take_all(records)?;
                        outputs.push(Output::Many(heads));
                        payloads.extend(more);
                    }
                    Entry::Raised(error) => {
                        outputs.push(Output::Dropped);
                        failed.push((at, Cause::Raised(error)));
                    }
                }
            }
            let outputs = join(BatchOutput::PerTask(outputs), &lineages, payloads)?;
            Verdict::Done { outputs, failed }
        }
    };
    let large = body.end()?;
    Ok(Answered { duration, verdict, kept, lacking, declared, large })
}

/// Gives the outputs their ids, history and data.
fn join(
    outputs: BatchOutput,
    lineages: &[Lineage],
    payloads: Vec<Payload>,
) -> Result<Vec<Parcel>, String> {
    let heads = outputs.into_tasks(lineages).map_err(|error| error.to_string())?;
    let ready = Instant::now();
    Ok(heads
        .into_iter()
        .zip(payloads)
        .map(|(head, payload)| Parcel { head, payload, ready })
        .collect())
}

/// The data of a result: in the frame, in the arena, or the batch's own.
struct Body<'a> {
    batch: &'a Batch,
    bytes: Vec<u8>,
    at: usize,
    room: &'a Room<'a>,
    room_at: usize,
    /// End of the outputs that stay in the arena.
    stay_end: usize,
    large: usize,
    spare: &'a mut Spare,
}

impl Body<'_> {
    fn take_all(
        &mut self,
        records: Vec<OutputRecord>,
    ) -> Result<(Vec<Task>, Vec<Payload>), String> {
        let mut heads = Vec::with_capacity(records.len());
        let mut payloads = Vec::with_capacity(records.len());
        for OutputRecord { kind, length, rest } in records {
            let (metadata, dataset) = rest.unwrap_or_default();
            heads.push(Task::empty().with_metadata(metadata).with_dataset_name(dataset));
            payloads.push(match kind {
                OutputKind::Json => self.take(Format::Json, length)?,
                OutputKind::Bytes => self.take(Format::Bytes, length)?,
                OutputKind::Table => self.take(Format::Table, length)?,
                OutputKind::SharedJson => self.take_shared(Format::Json, length)?,
                OutputKind::SharedBytes => self.take_shared(Format::Bytes, length)?,
                OutputKind::SharedTable => self.take_shared(Format::Table, length)?,
                OutputKind::Same => {
                    let parcel = self.batch.parcels.get(length);
                    parcel
                        .ok_or("a result that names a task that its batch has not")?
                        .payload
                        .clone()
                }
            });
        }
        Ok((heads, payloads))
    }

    fn take(&mut self, format: Format, length: usize) -> Result<Payload, String> {
        let bytes = if self.at == 0 && length == self.bytes.len() {
            // All of it: nothing has to be copied.
            std::mem::take(&mut self.bytes)
        } else {
            let end = self.at.checked_add(length);
            let bytes = end.and_then(|end| self.bytes.get(self.at..end));
            let bytes = bytes.ok_or("a result that names more bytes than it has")?.to_vec();
            self.at += length;
            bytes
        };
        if length >= self.room.from {
            self.large += aligned(length);
        }
        Ok(Payload::new(format, bytes))
    }

    /// Takes the next data in the arena.
    fn take_shared(&mut self, format: Format, length: usize) -> Result<Payload, String> {
        let region =
            self.room.region.ok_or("a result in an arena of which its batch has no part")?;
        let start = self.room_at;
        let payload = start
            .checked_add(length)
            .and_then(|end| Payload::in_arena(format, region, start..end))
            .ok_or("a result that is larger than its part of the arena")?;
        self.room_at = aligned(start + length);
        self.large += aligned(length);
        if length >= self.room.stay_from {
            self.stay_end = self.room_at;
            return Ok(payload);
        }
        let bytes = region.read(start, length, self.spare.take(length));
        bytes
            .map(|bytes| Payload::new(format, bytes))
            .map_err(|error| format!("a result in an arena: {error}"))
    }

    /// Returns the size of the large outputs, once all have been read.
    fn end(&self) -> Result<usize, String> {
        if self.at != self.bytes.len() {
            return Err(format!(
                "a result with {} bytes of which it names {}",
                self.bytes.len(),
                self.at
            ));
        }
        if let Some(region) = self.room.region {
            // The rest is free.
            region.shrink(self.stay_end);
        }
        Ok(self.large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::wire::Kind;
    use proptest::prelude::*;
    use stage::TaskId;

    const SOCKET: Room<'_> = Room { region: None, stay_from: usize::MAX, from: 0 };

    fn batch(count: u64) -> Batch {
        let tasks = (0..count).map(|index| {
            let task = Task::new(vec![1, 2]).with_id(TaskId::root().child(index));
            Parcel::pack(task).unwrap()
        });
        Batch::new(tasks.collect())
    }

    fn frame(meta: &str, body: &[u8]) -> Frame {
        Frame { kind: Kind::Result, sequence: 1, meta: meta.into(), body: body.to_vec() }
    }

    #[test]
    fn entries_become_tasks_with_ids_and_data() {
        let meta = r#"[500000000,[[["b",2],["j",4]],{"type":"E","message":"m","traceback":"t"}]]"#;
        let Answered { duration, verdict, .. } =
            read("s", &batch(2), frame(meta, b"abtrue"), &SOCKET, &mut Spare::default()).unwrap();
        assert_eq!(duration, Duration::from_millis(500));
        let Verdict::Done { outputs, failed } = verdict else { panic!("{verdict:?}") };
        let ids: Vec<String> = outputs.iter().map(|out| out.head.id().to_string()).collect();
        assert_eq!(ids, ["0_0_0", "0_0_1"]);
        assert_eq!(outputs[1].payload.format, Format::Json);
        assert_eq!(&*outputs[1].payload.bytes(), b"true");
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, 1);
    }

    #[test]
    fn an_answer_that_does_not_add_up_is_refused() {
        for (meta, body) in [
            (r#"[1,[[["b",3]]]]"#, &b"ab"[..]),
            (r#"[1,[[["b",18446744073709551615]]]]"#, b"ab"),
            (r#"[1,[[["b",1]]]]"#, b"ab"),
            (r#"[1,[[["b",2]],[["b",0]]]]"#, b"ab"),
            (r"[-1,[[]]]", b""),
            (r#"[1,[[["x",2]]]]"#, b"ab"),
            (r#"[1,[[["=",1]]]]"#, b""),
            (r#"[1,[[["B",0]]]]"#, b""),
            (r"{}", b""),
        ] {
            assert!(
                read("s", &batch(1), frame(meta, body), &SOCKET, &mut Spare::default()).is_err(),
                "{meta}"
            );
        }
    }

    proptest! {
        /// Reading any answer of a worker gives an answer or an error, never a panic.
        #[test]
        fn any_answer_is_read_without_a_panic(
            meta in "\\PC{0,60}", length in any::<u64>(), body in prop::collection::vec(any::<u8>(), 0..20)
        ) {
            let _ = read("s", &batch(1), frame(&meta, &body), &SOCKET, &mut Spare::default());
            let _ = read("s", &batch(1), frame(&format!(r#"[1,[[["b",{length}]]]]"#), &body), &SOCKET, &mut Spare::default());
        }
    }
}
