//! The record of what is finished: a file that only grows, a line for each task or group of tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use files::Folder;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use stage::Task;

use crate::error::Error;
use crate::executor::Sink;

const FILE: &str = "journal.jsonl";

/// How much of what was written a loss of power may take.
const UNSYNCED: Duration = Duration::from_secs(1);

/// Tasks that are finished, and what came of them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Their digests by their numbers.
    pub(super) tasks: BTreeMap<u64, String>,
    pub(super) outputs: Vec<Task>,
}

/// The file, open for more.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    synced: Instant,
}

impl Journal {
    /// Opens the file, or makes it, and tells what is finished. A line that was broken off is cut
    /// away.
    pub(super) fn open(folder: &Folder) -> io::Result<(Self, BTreeMap<u64, String>)> {
        let path = folder.path().join(FILE);
        let mut file = folder.open_file(FILE, OFlags::RDWR | OFlags::CREATE, 0o666)?;
        let mut finished = BTreeMap::new();
        let mut end = 0;
        for line in Lines::new(BufReader::new(&file)) {
            let (line, length) = line?;
            let Ok(entry) = serde_json::from_slice::<Finished>(&line) else { break };
            finished.extend(entry.tasks);
            end += length;
        }
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
        Ok((Self { path, file, synced: Instant::now() }, finished))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line in one piece: once this has returned it outlives the process.
    pub(super) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if self.synced.elapsed() > UNSYNCED {
            self.sync()?;
        }
        Ok(())
    }

    /// Has all of it outlive a loss of power, too.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data()
    }
}

/// An entry without what came of it, which may be large.
#[derive(Deserialize)]
struct Finished {
    tasks: BTreeMap<u64, String>,
}

/// Lines that are whole, with their lengths.
struct Lines<R>(R);

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self(reader)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<(Vec<u8>, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Ok(length) if line.last() == Some(&b'\n') => Some(Ok((line, length as u64))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Hands out all that came of the tasks, in the order of the tasks.
pub(super) fn hand_out(path: &Path, sink: &mut Sink<'_>) -> Result<(), Error> {
    let failed = |source| Error::io("read the checkpoint", path.display().to_string(), source);
    let mut file = File::open(path).map_err(failed)?;
    // Where each line is, by the least number of its tasks: what came of them stays on the disk.
    let mut places = BTreeMap::new();
    let mut place = 0;
    for line in Lines::new(BufReader::new(&file)) {
        let (line, length) = line.map_err(failed)?;
        let entry: Finished = serde_json::from_slice(&line).map_err(|it| failed(it.into()))?;
        if let Some(first) = entry.tasks.first_key_value() {
            places.insert(*first.0, place);
        }
        place += length;
    }
    for place in places.into_values() {
        file.seek(SeekFrom::Start(place)).map_err(failed)?;
        let mut line = Vec::new();
        BufReader::new(&file).read_until(b'\n', &mut line).map_err(failed)?;
        let entry: Entry = serde_json::from_slice(&line).map_err(|it| failed(it.into()))?;
        let mut outputs = entry.outputs;
        outputs.sort_by(|left, right| left.id().cmp(right.id()));
        for task in outputs {
            let id = task.id().to_string();
            sink(task).map_err(|source| Error::Sink { task: id, source })?;
        }
    }
    Ok(())
}
