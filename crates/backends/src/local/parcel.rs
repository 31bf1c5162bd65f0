//! A task on its way between stages, with its data as bytes. Data from one Python stage to the next
//! is never parsed in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stage::{Data, Lineage, Task, TaskId, Timing};

use super::payload::{Format, Payload};
use crate::run::numbers;

/// A task on its way: the task without its data, and the data.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) head: Task,
    pub(crate) payload: Payload,
    /// When it left the previous stage.
    pub(crate) ready: Instant,
}

impl Parcel {
    pub(crate) fn size(&self) -> usize {
        self.payload.size()
    }

    /// Packs a task; fails if its data cannot be written.
    pub(crate) fn pack(mut task: Task) -> Result<Self, serde_json::Error> {
        let payload = match std::mem::take(&mut task.data) {
            Data::Json(json) => Payload::of_json(json),
            Data::Bytes(bytes) => Payload::new(Format::Bytes, bytes),
            #[cfg(feature = "arrow")]
            Data::Table(table) => {
                let stream = table.to_ipc_parts().map_err(serde::ser::Error::custom)?;
                Payload::of_table(table, stream)
            }
            _ => return Err(serde::ser::Error::custom("a kind of data that cannot travel")),
        };
        Ok(Self { head: task, payload, ready: Instant::now() })
    }

    /// Unpacks the task; fails if a worker's data is not JSON, or not a table.
    pub(crate) fn unpack(self) -> Result<Task, serde_json::Error> {
        let data = match self.payload.format {
            Format::Json => Data::Json(self.payload.into_json()?),
            Format::Bytes => Data::Bytes(self.payload.into_bytes()),
            Format::Table => read_table(self.payload)?,
        };
        Ok(self.head.with_data(data))
    }
}

#[cfg(feature = "arrow")]
fn read_table(payload: Payload) -> Result<Data, serde_json::Error> {
    if let Some(table) = payload.table() {
        return Ok(Data::Table(table.clone()));
    }
    let table = stage::Table::from_ipc(payload.into_bytes());
    table.map(Data::Table).map_err(serde::de::Error::custom)
}

/// Fails: tables pass between Python stages unread, and only here the program must read them.
#[cfg(not(feature = "arrow"))]
fn read_table(_: Payload) -> Result<Data, serde_json::Error> {
    Err(serde::de::Error::custom(
        "it is an Arrow table, which a program reads that is built with the feature `arrow`",
    ))
}

/// Tasks that are processed together, and the number of attempts.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) parcels: Vec<Parcel>,
    /// When its stage took it.
    pub(crate) taken: Instant,
    /// Attempts with exactly these tasks that raised, or killed the worker.
    pub(crate) failures: u32,
    /// Whether it must be alone in its worker, to find out what kills the worker.
    pub(crate) is_suspect: bool,
}

impl Batch {
    pub(crate) fn new(parcels: Vec<Parcel>) -> Self {
        Self { parcels, taken: Instant::now(), failures: 0, is_suspect: false }
    }

    pub(crate) fn ids(&self) -> Vec<TaskId> {
        self.parcels.iter().map(|parcel| parcel.head.id().clone()).collect()
    }

    /// Returns the numbers of the source tasks of its tasks.
    pub(crate) fn sources(&self) -> Vec<u64> {
        numbers(self.parcels.iter().flat_map(|parcel| parcel.head.sources()))
    }

    /// Returns what the outputs of each task inherit, including the costs of this stage.
    pub(crate) fn lineages(
        &self,
        stage: &str,
        duration: Duration,
        metrics: &BTreeMap<String, f64>,
    ) -> Vec<Lineage> {
        let count = u32::try_from(self.parcels.len()).unwrap_or(u32::MAX).max(1);
        let timing = Timing::new(stage, duration / count).with_metrics(metrics.clone());
        let lineage = |parcel: &Parcel| {
            let wait = self.taken.saturating_duration_since(parcel.ready);
            parcel.head.lineage().add_timing(timing.clone().with_wait(wait))
        };
        self.parcels.iter().map(lineage).collect()
    }

    /// Returns one of its tasks as a batch.
    pub(crate) fn single(&self, index: usize) -> Self {
        let parcels = vec![self.parcels[index].clone()];
        Self { failures: self.failures, ..Self::new(parcels) }
    }

    /// Returns two halves, to find the task that kills its worker.
    pub(crate) fn split(mut self) -> [Self; 2] {
        let right = self.parcels.split_off(self.parcels.len() / 2);
        [self.parcels, right].map(|parcels| Self { is_suspect: true, ..Self::new(parcels) })
    }
}
