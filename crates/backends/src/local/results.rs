//! A worker's answer about a batch, checked and turned into tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{BatchOutput, Lineage, Output, Task};

use super::parcel::{Batch, Parcel, Payload};
use super::spare::Spare;
use crate::failure::Cause;
use crate::wire::{Answer, BatchResult, Entry, Frame, Outcome, OutputRecord, Region, aligned};

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its outputs, and the tasks that failed, by their place in the batch.
    Done { outputs: Vec<Parcel>, failed: Vec<(usize, Cause)> },
    /// Nothing came of any of its tasks.
    Failed(Cause),
}

/// What a worker answered about a batch.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) duration: Duration,
    pub(crate) verdict: Verdict,
    /// The batches whose part of the input arena the worker still looks at.
    pub(crate) kept: Vec<u64>,
}

impl Verdict {
    /// What the outputs of at least so many bytes take up in an arena.
    pub(crate) fn bytes_from(&self, from: usize) -> usize {
        match self {
            Self::Done { outputs, .. } => {
                let sizes = outputs.iter().map(Parcel::size).filter(|size| *size >= from);
                sizes.map(aligned).sum()
            }
            Self::Failed(_) => 0,
        }
    }
}

/// Reads an answer, with what the worker wrote into its part of the arena; a text that says what is
/// wrong if it makes no sense.
pub(crate) fn read(
    stage: &str,
    batch: &Batch,
    frame: Frame,
    shared: Option<&Region>,
    spare: &mut Spare,
) -> Result<Answered, String> {
    let BatchResult(nanoseconds, answer, kept) =
        serde_json::from_slice(&frame.meta).map_err(|error| format!("a result that is {error}"))?;
    let duration = Duration::from_nanos(nanoseconds);
    let lineages = batch.lineages(stage, duration, &BTreeMap::new());
    let mut body = Body { bytes: frame.body, at: 0, shared, shared_at: 0, spare };
    let verdict = match answer {
        Answer::Failed { failed } => Verdict::Failed(Cause::Raised(failed)),
        Answer::Aggregate { aggregate } => {
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
    body.end()?;
    Ok(Answered { duration, verdict, kept })
}

/// Gives the outputs their ids and history, and their data back.
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

/// The data of a result: what came with it, and what is in the arena.
struct Body<'a> {
    bytes: Vec<u8>,
    at: usize,
    shared: Option<&'a Region>,
    shared_at: usize,
    spare: &'a mut Spare,
}

impl Body<'_> {
    fn take_all(
        &mut self,
        records: Vec<OutputRecord>,
    ) -> Result<(Vec<Task>, Vec<Payload>), String> {
        let mut heads = Vec::with_capacity(records.len());
        let mut payloads = Vec::with_capacity(records.len());
        for record in records {
            let (kind, length, head) = match record {
                OutputRecord::Short(kind, length) => (kind, length, Task::empty()),
                OutputRecord::Full(kind, length, metadata, dataset) => {
                    let head = Task::empty().with_metadata(metadata).with_dataset_name(dataset);
                    (kind, length, head)
                }
            };
            heads.push(head);
            payloads.push(match kind {
                Outcome::Json => Payload::Json(Arc::new(self.take(length)?)),
                Outcome::Bytes => Payload::Bytes(Arc::new(self.take(length)?)),
                Outcome::Table => Payload::Table(Arc::new(self.take(length)?)),
                Outcome::SharedJson => Payload::Json(Arc::new(self.take_shared(length)?)),
                Outcome::SharedBytes => Payload::Bytes(Arc::new(self.take_shared(length)?)),
                Outcome::SharedTable => Payload::Table(Arc::new(self.take_shared(length)?)),
            });
        }
        Ok((heads, payloads))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        if self.at == 0 && length == self.bytes.len() {
            // All of it: nothing has to be copied.
            return Ok(std::mem::take(&mut self.bytes));
        }
        let end = self.at.checked_add(length);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or("a result that names more bytes than it has")?.to_vec();
        self.at += length;
        Ok(bytes)
    }

    /// A copy of the next data in the arena.
    fn take_shared(&mut self, length: usize) -> Result<Vec<u8>, String> {
        let shared = self.shared.ok_or("a result in an arena of which its batch has no part")?;
        let end = self.shared_at.checked_add(length).filter(|end| *end <= shared.len());
        let end = end.ok_or("a result that is larger than its part of the arena")?;
        let bytes = shared.read(self.shared_at, length, self.spare.take(length));
        self.shared_at = aligned(end);
        bytes.map_err(|error| format!("a result in an arena: {error}"))
    }

    fn end(&self) -> Result<(), String> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(format!("a result with {} bytes of which it names {}", self.bytes.len(), self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;
    use proptest::prelude::*;
    use stage::TaskId;

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
            read("s", &batch(2), frame(meta, b"abtrue"), None, &mut Spare::default()).unwrap();
        assert_eq!(duration, Duration::from_millis(500));
        let Verdict::Done { outputs, failed } = verdict else { panic!("{verdict:?}") };
        let ids: Vec<String> = outputs.iter().map(|out| out.head.id().to_string()).collect();
        assert_eq!(ids, ["0_0_0", "0_0_1"]);
        assert_eq!(outputs[1].payload, Payload::Json(Arc::new(b"true".to_vec())));
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, 1);
    }

    #[test]
    fn an_answer_that_does_not_add_up_is_refused() {
        for (meta, body) in [
            (r#"[1,[[["b",3]]]]"#, &b"ab"[..]),
            (r#"[1,[[["b",1]]]]"#, b"ab"),
            (r#"[1,[[["b",2]],[["b",0]]]]"#, b"ab"),
            (r"[-1,[[]]]", b""),
            (r#"[1,[[["x",2]]]]"#, b"ab"),
            (r"{}", b""),
        ] {
            assert!(
                read("s", &batch(1), frame(meta, body), None, &mut Spare::default()).is_err(),
                "{meta}"
            );
        }
    }

    proptest! {
        /// Whatever a worker answers, reading it is an answer or an error, never a panic.
        #[test]
        fn any_answer_is_read_without_a_panic(
            meta in "\\PC{0,60}", length in any::<u64>(), body in prop::collection::vec(any::<u8>(), 0..20)
        ) {
            let _ = read("s", &batch(1), frame(&meta, &body), None, &mut Spare::default());
            let _ = read("s", &batch(1), frame(&format!(r#"[1,[[["b",{length}]]]]"#), &body), None, &mut Spare::default());
        }
    }
}
