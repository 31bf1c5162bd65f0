//! The record of finished tasks: a file that only grows, with a line for each task or group of
//! tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use files::{Access, Folder};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use stage::Task;

use super::question::of_bytes;
use crate::run::{Error, Sink};

const FILE: &str = "journal.jsonl";
/// The journal with only the sound lines, before it replaces the damaged one.
const MENDED: &str = "journal.jsonl.new";

/// Maximum time of writes that a power loss may take.
const UNSYNCED: Duration = Duration::from_secs(1);

/// Finished tasks, and their outputs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Their digests, by their numbers.
    pub(super) tasks: BTreeMap<u64, String>,
    pub(super) outputs: Vec<Task>,
}

/// The beginning of a line: the digest of the rest of the line.
const SUM: &str = "{\"sum\":\"";
/// Length of that digest.
const SUM_LENGTH: usize = 32;

/// Returns an entry as a line, without its end.
fn write(entry: &Entry) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_vec(entry)?;
    // It continues in place of the opening brace.
    let rest = text.get(1..).unwrap_or_default();
    let sum = of_bytes(rest);
    Ok([SUM.as_bytes(), sum.as_bytes(), b"\",", rest].concat())
}

/// Returns whether a line, without its end, is undamaged.
fn is_sound(line: &[u8]) -> bool {
    let (sum, rest) = (line.get(SUM.len()..), line.get(SUM.len() + SUM_LENGTH + 2..));
    line.starts_with(SUM.as_bytes())
        && sum.zip(rest).is_some_and(|(sum, rest)| sum.starts_with(of_bytes(rest).as_bytes()))
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    synced: Instant,
}

/// A journal, and its contents.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) finished: BTreeMap<u64, String>,
    /// The numbers of damaged lines, which have been removed.
    pub(super) damaged: Vec<usize>,
}

impl Journal {
    /// Opens the file, or makes it, and returns the finished tasks. A partial last line, as a crash
    /// leaves it, is cut off; other damaged lines are removed and reported.
    pub(super) fn open(folder: &Folder, access: Access) -> io::Result<Opened> {
        let path = folder.path().join(FILE);
        match access.open(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDWR | OFlags::CREATE;
        let mut file = folder.open_file(FILE, flags, access.file_mode())?;
        access.share(&file)?;
        let (mut finished, mut damaged) = (BTreeMap::new(), Vec::new());
        let mut end = 0;
        for (number, line) in (1..).zip(Lines::new(BufReader::new(&file))) {
            let (line, length) = line?;
            match read(&line) {
                Some(entry) => finished.extend(entry.tasks),
                None => damaged.push(number),
            }
            end += length;
        }
        if damaged.is_empty() {
            file.set_len(end)?;
        } else {
            file = Self::mended(folder, access, &file)?;
        }
        file.seek(SeekFrom::End(0))?;
        let journal = Self { path, file, synced: Instant::now() };
        Ok(Opened { journal, finished, damaged })
    }

    /// Replaces a damaged journal by one with only the sound lines.
    fn mended(folder: &Folder, access: Access, mut file: &File) -> io::Result<File> {
        folder.unlink(MENDED)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mended = folder.open_file(MENDED, flags, access.file_mode())?;
        access.share(&mended)?;
        let mut mended = BufWriter::new(mended);
        file.seek(SeekFrom::Start(0))?;
        for line in Lines::new(BufReader::new(file)) {
            let (line, _) = line?;
            if read(&line).is_some() {
                mended.write_all(&line)?;
            }
        }
        let mended = mended.into_inner()?;
        mended.sync_all()?;
        folder.rename(MENDED, folder, FILE)?;
        Ok(mended)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line in one piece: after this has returned, it survives the process.
    pub(super) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = write(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if self.synced.elapsed() > UNSYNCED {
            self.sync()?;
        }
        Ok(())
    }

    /// Flushes the file, so that it survives a power loss, too.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data()
    }
}

/// An entry without its outputs, which may be large.
#[derive(Deserialize)]
struct Finished {
    tasks: BTreeMap<u64, String>,
}

/// Reads a line with its end; returns none if it is damaged.
fn read(line: &[u8]) -> Option<Finished> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if is_sound(line) { serde_json::from_slice(line).ok() } else { None }
}

/// Complete lines, with their lengths.
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

/// Hands out all outputs of the tasks whose numbers are below `end`, in the order of the tasks. For
/// `redone` tasks, only the outputs of this digest count; those of `gone` tasks do not.
pub(super) fn hand_out(
    path: &Path,
    end: u64,
    redone: &BTreeMap<u64, String>,
    gone: &BTreeSet<u64>,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let failed = |source| Error::io("read the checkpoint", path.display().to_string(), source);
    let mut file = File::open(path).map_err(failed)?;
    // Keeps the place of each task's last line: the outputs stay on the disk.
    let mut last = BTreeMap::new();
    let mut place = 0;
    for line in Lines::new(BufReader::new(&file)) {
        let (line, length) = line.map_err(failed)?;
        if let Some(entry) = read(&line) {
            last.extend(entry.tasks.into_keys().map(|task| (task, place)));
        }
        place += length;
    }
    // Ordered by the least number of its tasks, each once.
    let mut handed_out = BTreeSet::new();
    for (_, place) in last.range(..end) {
        if !handed_out.insert(*place) {
            continue;
        }
        file.seek(SeekFrom::Start(*place)).map_err(failed)?;
        let mut line = Vec::new();
        BufReader::new(&file).read_until(b'\n', &mut line).map_err(failed)?;
        let entry: Entry = serde_json::from_slice(&line).map_err(|it| failed(it.into()))?;
        let is_gone = |(task, digest): (&u64, &String)| {
            let is_other = redone.get(task).is_some_and(|other| other != digest);
            is_other || *task >= end || gone.contains(task) || last.get(task) != Some(place)
        };
        let first_gone = entry.tasks.iter().find(|task| is_gone(*task)).map(|(task, _)| *task);
        match first_gone {
            // Outputs shared with a changed or missing task belong to neither.
            Some(index) if entry.tasks.len() > 1 => return Err(Error::OtherInput { index }),
            Some(_) => continue,
            None => {}
        }
        let mut outputs = entry.outputs;
        outputs.sort_by(|left, right| left.id().cmp(right.id()));
        for task in outputs {
            let id = task.id().to_string();
            sink(task).map_err(|source| Error::Sink { task: id, source })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a journal of `count` tasks, one for each line.
    fn journal(dir: &Path, count: u64) -> PathBuf {
        let mut journal = opened(dir).journal;
        for index in 0..count {
            let tasks = [(index, format!("digest {index}"))].into();
            let outputs = vec![Task::new(serde_json::json!({ "n": index }))];
            journal.add(&Entry { tasks, outputs }).unwrap();
        }
        dir.join(FILE)
    }

    fn opened(dir: &Path) -> Opened {
        Journal::open(&Folder::open(dir).unwrap(), Access::of(dir).unwrap()).unwrap()
    }

    proptest::proptest! {
        /// A damaged line is reported, and the other lines keep their meaning.
        #[test]
        fn damage_costs_what_stands_there(
            line in 0_usize..10, at in 0_usize..60, byte in proptest::prelude::any::<u8>(),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = journal(dir.path(), 10);
            let text = std::fs::read(&path).unwrap();
            let mut lines: Vec<Vec<u8>> =
                text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            proptest::prop_assume!(byte != b'\n' && lines[line][at] != byte);
            lines[line][at] = byte;
            std::fs::write(&path, lines.concat()).unwrap();
            let opened = self::opened(dir.path());
            proptest::prop_assert_eq!(&opened.damaged, &[line + 1]);
            let left: Vec<u64> = (0..10).filter(|index| *index != line as u64).collect();
            proptest::prop_assert_eq!(opened.finished.into_keys().collect::<Vec<_>>(), left);
            // It is reported only once.
            proptest::prop_assert!(self::opened(dir.path()).damaged.is_empty());
        }
    }

    #[test]
    fn a_line_that_was_broken_off_at_the_end_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = journal(dir.path(), 3);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let opened = opened(dir.path());
        assert_eq!((opened.damaged.len(), opened.finished.len()), (0, 2));
    }
}
