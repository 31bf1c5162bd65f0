//! Files of Arrow tables: each record batch of the input is a task, and each result adds its
//! batches to the output.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use curator::Task;
use curator::stage::Table;
use curator::stage::arrow_schema::{ArrowError, Schema};

use super::destinations;
use crate::failure::Failure;
use crate::streams;

/// Returns whether a path names such a file.
pub(crate) fn is_arrow(path: &Path) -> bool {
    destinations::extension(path).is_some_and(|extension| extension == "arrow")
}

/// Gives the tasks of a file to `take`, with their share of its length, until that says no. What is
/// wrong with the file, if that is why it ended.
pub(crate) fn read(file: File, mut take: impl FnMut(u64, Task) -> bool) -> Result<(), String> {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let read = AssertUnwindSafe(|| {
        let reader = FileReader::try_new(BufReader::new(file), None)?;
        let share = length / (reader.num_batches() as u64).max(1);
        for batch in reader {
            if !take(share, Task::new(Table::from(batch?))) {
                break;
            }
        }
        Ok(())
    });
    let result = catch_unwind(read)
        .unwrap_or_else(|_| Err(ArrowError::IpcError("its contents make no sense".to_owned())));
    result.map_err(|error| format!("no Arrow file: {error}"))
}

/// A file that results go to. It is made when there is one, or at the end.
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    writer: Option<Box<FileWriter<BufWriter<File>>>>,
    /// Whether a write failed: nothing follows it, and the file cannot be completed.
    is_broken: bool,
}

impl TableFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, writer: None, is_broken: false }
    }

    /// Adds a result, which must be a table with the columns of those before, and no more than that.
    pub(crate) fn add(&mut self, task: &Task) -> io::Result<()> {
        let wrong = |problem: &str| {
            let text = format!("the result {} {problem}", task.id());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let table = task.data.as_table().ok_or_else(|| wrong("is no table"))?;
        let beside = [
            ("metadata", task.metadata.is_empty()),
            ("a dataset_name", task.dataset_name.is_empty()),
        ];
        if let Some((what, _)) = beside.into_iter().find(|(_, is_empty)| !is_empty) {
            return Err(wrong(&format!(
                "has {what}, for which tables have no place: name the output `.jsonl`, or put it into a \
                 column"
            )));
        }
        let writer = self.writer(table.schema())?;
        if !has_columns(writer.schema(), table.schema()) {
            return Err(wrong("has other columns than those before it"));
        }
        let written = table.batches().iter().try_for_each(|batch| writer.write(batch));
        written.map_err(|error| match error {
            ArrowError::IoError(_, error) => self.give_up(error),
            error => wrong(&format!("cannot follow those before it: {error}")),
        })
    }

    fn writer(&mut self, schema: &Schema) -> io::Result<&mut FileWriter<BufWriter<File>>> {
        if self.is_broken {
            return Err(io::Error::other("an earlier result could not be written"));
        }
        if self.writer.is_none() {
            let file = streams::create(&self.path)?;
            let writer = FileWriter::try_new_buffered(file, schema).map_err(io::Error::other)?;
            self.writer = Some(Box::new(writer));
        }
        self.writer.as_deref_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes no more, for this reason.
    fn give_up(&mut self, error: io::Error) -> io::Error {
        self.is_broken = true;
        self.writer = None;
        error
    }

    /// Completes what has been written, if anything has.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let Some(writer) = self.writer.as_deref_mut() else { return Ok(()) };
        let completed = writer.finish().map_err(io::Error::other);
        let settled = completed.and_then(|()| streams::settle(writer.get_ref().get_ref()));
        settled.map_err(|error| self.failure(&error))
    }

    /// Writes the rest, and makes the file if there was nothing to write.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if let Err(error) = self.writer(&Schema::empty()) {
            return Err(self.failure(&error));
        }
        self.flush()
    }

    /// Returns the failure if the file cannot be written.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(&format!("write `{}`", self.path.display()), error)
    }
}

/// Returns whether columns are those of a file, by names and types. What else a schema holds may differ:
/// pandas, for one, writes the number of rows there.
fn has_columns(file: &Schema, table: &Schema) -> bool {
    let (file, table) = (file.fields(), table.fields());
    file.len() == table.len()
        && file.iter().zip(table).all(|(one, other)| {
            one.name() == other.name()
                && one.is_nullable() == other.is_nullable()
                && one.data_type().equals_datatype(other.data_type())
        })
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile").field("path", &self.path).finish_non_exhaustive()
    }
}
