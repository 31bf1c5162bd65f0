//! Placing many files at once, on as many threads as there are processors.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, IoResultExt};
use crate::strategy::Strategy;

/// More threads than this only wait for the file system's own locks.
const MOST_THREADS: usize = 8;

/// How many files travel together: enough to pay for the channel, few enough to share the work.
const BATCH: usize = 128;

/// A symbolic link whose text is longer than this needs a block of its own (ext4, xfs).
pub(super) const INLINE_LINK: usize = 59;

/// What such a block takes.
const BLOCK: u64 = 4096;

/// Files of one folder of the base for one folder of the environment.
#[derive(Debug)]
pub(super) struct Batch {
    /// The folder in the base.
    pub(super) from: PathBuf,
    /// The folder in the environment; it exists.
    pub(super) to: PathBuf,
    /// The way from a link in `to` to the files in `from`.
    pub(super) target: PathBuf,
    /// The files, by the names that they have in both.
    pub(super) names: Vec<OsString>,
}

/// What has been placed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) own_files: u64,
    pub(super) own_bytes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.own_files += other.own_files;
        self.own_bytes += other.own_bytes;
    }
}

/// Says whether what is being made is not wanted any more. It is asked often, by several threads.
pub(super) type IsOver<'a> = dyn Fn() -> bool + Sync + 'a;

/// What to do to get a file, and whether reflinks are still worth trying.
struct Shared<'a> {
    strategy: Strategy,
    is_over: &'a IsOver<'a>,
    reflinks: AtomicBool,
    stopped: AtomicBool,
    error: OnceLock<Error>,
}

/// The planner's side: it makes folders and real files at once, and hands over the rest.
pub(super) struct Placement<'a> {
    shared: &'a Shared<'a>,
    batches: Sender<Batch>,
    tally: RefCell<Tally>,
    folders: RefCell<Vec<PathBuf>>,
    aliases: Cell<usize>,
}

/// Runs `plan`, while other threads place the files that it names.
///
/// Returns when all of them lie there, or the first error; [`Error::GivenUp`] soon after `is_over` says
/// that nothing of it is wanted.
pub(super) fn with_placement(
    strategy: Strategy,
    is_over: &IsOver<'_>,
    plan: impl FnOnce(&Placement<'_>) -> Result<(), Error>,
) -> Result<Tally, Error> {
    let shared = Shared {
        strategy,
        is_over,
        reflinks: AtomicBool::new(true),
        stopped: AtomicBool::new(false),
        error: OnceLock::new(),
    };
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    // One beside the planner, if there is one to be had; it joins in when its walk is done.
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, MOST_THREADS);
    let (planned, mut tally) = thread::scope(|scope| {
        let start = |_| {
            thread::Builder::new()
                .name("curator-place".to_owned())
                .spawn_scoped(scope, || shared.place_all(&receiver))
                .ok()
        };
        let workers: Vec<_> = (0..threads).filter_map(start).collect();
        let placement = Placement {
            shared: &shared,
            batches: sender,
            tally: RefCell::default(),
            folders: RefCell::default(),
            aliases: Cell::new(0),
        };
        let planned = plan(&placement);
        if planned.is_err() {
            shared.stopped.store(true, Ordering::Relaxed);
        }
        let Placement { batches, tally, folders, .. } = placement;
        drop(batches);
        let mut tally = tally.into_inner();
        tally.add(shared.place_all(&receiver));
        for worker in workers {
            if let Ok(placed) = worker.join() {
                tally.add(placed);
            }
        }
        (planned.map(|()| folders.into_inner()), tally)
    });
    if let Some(error) = shared.error.into_inner() {
        return Err(error);
    }
    for folder in planned? {
        tally.own_bytes += 512 * fs::metadata(&folder).context("examine", &folder)?.blocks();
    }
    Ok(tally)
}

impl Placement<'_> {
    /// Makes a folder; one that exists is fine.
    pub(super) fn folder(&self, path: &Path) -> Result<(), Error> {
        match fs::create_dir(path) {
            Ok(()) => {
                self.folders.borrow_mut().push(path.to_path_buf());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(parent) = path.parent() else { return Err(error).context("create", path) };
                self.folder(parent)?;
                self.folder(path)
            }
            Err(error) => Err(error).context("create", path),
        }
    }

    /// Hands over files. The threads' first error surfaces when all is done.
    pub(super) fn files(&self, batch: Batch) {
        let Batch { from, to, target, names } = batch;
        let size = if self.shared.strategy == Strategy::Copy { BATCH / 16 } else { BATCH };
        for names in names.chunks(size) {
            let (from, to, target) = (from.clone(), to.clone(), target.clone());
            // The receiver closes only after the end, when nothing is sent any more.
            let _ = self.batches.send(Batch { from, to, target, names: names.to_vec() });
        }
    }

    /// Returns whether files become symbolic links.
    pub(super) fn makes_symlinks(&self) -> bool {
        self.shared.strategy == Strategy::Symlink
    }

    /// Returns a number that no link into the base has yet.
    pub(super) fn next_alias(&self) -> usize {
        self.aliases.replace(self.aliases.get() + 1)
    }

    /// Returns whether walking on is in vain: a thread has failed, or the environment is no longer
    /// wanted.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Writes a file that is the environment's own. With `times`, it gets these: a file whose
    /// content is that of the base keeps its bytecode valid.
    pub(super) fn own_file(
        &self,
        path: &Path,
        content: &[u8],
        mode: u32,
        times: Option<FileTimes>,
    ) -> Result<(), Error> {
        // Never through a link: the file must be new.
        let mut file = File::create_new(path).context("create", path)?;
        file.write_all(content).context("write", path)?;
        file.set_permissions(Permissions::from_mode(mode)).context("set the mode of", path)?;
        if let Some(times) = times {
            file.set_times(times).context("set the times of", path)?;
        }
        self.tally.borrow_mut().add(own((content.len() as u64).next_multiple_of(BLOCK)));
        Ok(())
    }

    /// Makes a symbolic link that is the environment's own.
    pub(super) fn own_link(&self, target: &Path, path: &Path) -> Result<(), Error> {
        std::os::unix::fs::symlink(target, path).context("create the link", path)?;
        self.tally.borrow_mut().add(Tally {
            files: 1,
            own_files: 1,
            own_bytes: link_bytes(target),
        });
        Ok(())
    }
}

impl Shared<'_> {
    /// Returns whether to end. The planner asks before each folder, and the threads before each batch.
    fn is_stopped(&self) -> bool {
        if self.stopped.load(Ordering::Relaxed) {
            return true;
        }
        let is_over = (self.is_over)();
        if is_over {
            self.fail(Error::GivenUp);
        }
        is_over
    }

    /// Has everything stop; the first error is the one that is told.
    fn fail(&self, error: Error) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.error.set(error);
    }

    /// Places batches until there are no more; after an error it only empties the channel.
    fn place_all(&self, batches: &Mutex<Receiver<Batch>>) -> Tally {
        let mut tally = Tally::default();
        loop {
            let next = batches.lock().expect("to receive never panics").recv();
            let Ok(batch) = next else { return tally };
            if self.is_stopped() {
                continue;
            }
            match self.place(&batch) {
                Ok(placed) => tally.add(placed),
                Err(error) => self.fail(error),
            }
        }
    }

    fn place(&self, batch: &Batch) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        match self.strategy {
            Strategy::Hardlink => {
                let (from, to) = (open_dir(&batch.from)?, open_dir(&batch.to)?);
                for name in &batch.names {
                    match rustix::fs::linkat(&from, name, &to, name, AtFlags::empty()) {
                        Ok(()) => tally.files += 1,
                        // The first link has been tried: this file is an exception.
                        Err(Errno::PERM | Errno::ACCESS | Errno::XDEV | Errno::MLINK) => {
                            tally.add(self.copy(batch, name)?);
                        }
                        Err(error) => return Err(error).context("link", batch.to.join(name)),
                    }
                }
            }
            Strategy::Symlink => {
                let to = open_dir(&batch.to)?;
                for name in &batch.names {
                    let target = batch.target.join(name);
                    rustix::fs::symlinkat(&target, &to, name)
                        .context("create the link", batch.to.join(name))?;
                    tally.add(Tally { files: 1, own_files: 0, own_bytes: link_bytes(&target) });
                }
            }
            Strategy::Copy => {
                for name in &batch.names {
                    tally.add(self.copy(batch, name)?);
                }
            }
        }
        Ok(tally)
    }

    /// Copies one file with its mode and its times.
    fn copy(&self, batch: &Batch, name: &OsStr) -> Result<Tally, Error> {
        let (from, to) = (batch.from.join(name), batch.to.join(name));
        let source = File::open(&from).context("open", &from)?;
        let metadata = source.metadata().context("examine", &from)?;
        let mut tally = Tally { files: 1, own_files: 1, own_bytes: 0 };
        // Relaxed: a late thread only tries a reflink once more.
        let reflinked = self.reflinks.load(Ordering::Relaxed)
            && reflink_copy::reflink_file_to_path(&source, &to).is_ok();
        if !reflinked {
            self.reflinks.store(false, Ordering::Relaxed);
            fs::copy(&from, &to).context("copy", &from)?;
            tally.own_bytes = 512 * metadata.blocks();
        }
        let copied = File::open(&to).context("open", &to)?;
        copied.set_times(times_of(&metadata)).context("set the times of", &to)?;
        Ok(tally)
    }
}

/// Returns the times that a copy takes over.
pub(super) fn times_of(metadata: &fs::Metadata) -> FileTimes {
    let mut times = FileTimes::new();
    if let Ok(accessed) = metadata.accessed() {
        times = times.set_accessed(accessed);
    }
    if let Ok(modified) = metadata.modified() {
        times = times.set_modified(modified);
    }
    times
}

fn own(bytes: u64) -> Tally {
    Tally { files: 1, own_files: 1, own_bytes: bytes }
}

fn link_bytes(target: &Path) -> u64 {
    if target.as_os_str().len() > INLINE_LINK { BLOCK } else { 0 }
}

/// Returns the folder as a descriptor: names are resolved from it, not again along the whole path.
fn open_dir(path: &Path) -> Result<rustix::fd::OwnedFd, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).context("open", path)
}
