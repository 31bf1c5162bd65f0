//! The bytecode of bases that came without: kept in the cache, and made again at will.
//!
//! A base is never written to, so what Python would write beside its files lies in a folder of the
//! cache, named by the base's fingerprint. Nothing needs it: where it is gone, Python compiles. So its
//! files are neither recorded nor synced; their readers look whether they are whole, and of which source
//! they are.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use files::Access;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::error::IoResultExt;
use crate::evict::Eviction;
use crate::lock::{ExclusiveLock, SharedLock};
use crate::trash::{Trash, Trashed};
use crate::{Base, Budget, Cache, Key, Result, memo};

/// Says that all of a base is compiled; written last.
const COMPLETE: &str = "complete.json";

/// The bytecode of one base, held so that no eviction takes it.
#[derive(Debug)]
pub struct Bytecode {
    dir: PathBuf,
    access: Access,
    complete: Option<Complete>,
    _lock: SharedLock,
}

/// All of a base is compiled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Complete {
    /// The number of compiled files; 0 where the base has its own bytecode.
    files: u64,
    bytes: u64,
}

/// The right to add to the bytecode of a base, which one process has at a time.
#[derive(Debug)]
pub struct BytecodeWriter {
    lock: ExclusiveLock,
}

/// The bytecode of one base as it lies in the cache, without a lock.
struct Kept {
    key: Key,
    dir: PathBuf,
    lock_file: PathBuf,
    bytes: u64,
    last_used: SystemTime,
}

impl Cache {
    /// Returns the bytecode that is kept of a base; `None` if there is no folder for it yet.
    pub fn bytecode(&self, base: &Base) -> Result<Option<Bytecode>> {
        let key = bytecode_key(base);
        let dir = self.layout().bytecode_dir().join(key.to_string());
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context("read", &dir)?,
        };
        let above = self.layout().bytecode_dir();
        self.layout().open(&above)?;
        let access = Access::of(self.root()).context("read", self.root())?;
        let access = access.enter(&above).context("read", &above)?;
        let lock_file = dir.with_extension("lock");
        let lock = SharedLock::acquire(&lock_file, access, None)?;
        lock.touch(&lock_file);
        let access = match access.enter(&dir) {
            // It went while this waited.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entered => entered.context("read", &dir)?,
        };
        let complete = memo::read(access, &dir.join(COMPLETE));
        Ok(Some(Bytecode { dir, access, complete, _lock: lock }))
    }

    /// Returns the bytecode that is kept of a base as [`bytecode`](Self::bytecode) does, and creates its
    /// folder if it is missing.
    pub fn make_bytecode(&self, base: &Base) -> Result<Option<Bytecode>> {
        let above = self.layout().bytecode_dir();
        self.layout().open_above(&above)?;
        self.access().ensure_dir(&above).context("make", &above)?;
        let dir = above.join(bytecode_key(base).to_string());
        self.access().ensure_dir(&dir).context("make", &dir)?;
        self.bytecode(base)
    }

    /// Returns the size of the bytecode of all bases, in bytes.
    pub(crate) fn bytecode_bytes(&self) -> Result<u64> {
        Ok(self.kept_bytecode()?.iter().map(|kept| kept.bytes).sum())
    }

    /// Returns the bytecode of all bases, least recently used first.
    fn kept_bytecode(&self) -> Result<Vec<Kept>> {
        let above = self.layout().bytecode_dir();
        let Some(_) = self.layout().open_above(&above)? else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        for name in self.layout().open(&above)?.names().context("list", &above)? {
            let Some(key) = name.to_str().and_then(|name| name.parse::<Key>().ok()) else {
                continue;
            };
            let dir = above.join(&name);
            let lock_file = dir.with_extension("lock");
            let used = fs::metadata(&lock_file).or_else(|_| fs::symlink_metadata(&dir));
            let last_used = used.and_then(|used| used.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            kept.push(Kept { key, bytes: occupied(&dir), dir, lock_file, last_used });
        }
        kept.sort_by_key(|kept| (kept.last_used, kept.key));
        Ok(kept)
    }

    /// Takes out bytecode of bases that no run uses. Where there is too much it goes before any
    /// environment, since it comes back beside a run; tells how many bytes went.
    pub(crate) fn choose_bytecode(
        &self,
        trash: &Trash<'_>,
        budget: &Budget,
        environments: u64,
        now: SystemTime,
        trashed: &mut Vec<(Key, Trashed)>,
    ) -> Result<u64> {
        let all = self.kept_bytecode()?;
        let mut left: u64 = all.iter().map(|kept| kept.bytes).sum();
        let mut removed = 0;
        for kept in all {
            if !budget.exceeds(kept.last_used, environments + left, now) {
                continue;
            }
            match self.take_bytecode(trash, &kept, budget.is_dry_run()) {
                Ok(Eviction::Done(tree)) => {
                    removed += kept.bytes;
                    left -= kept.bytes;
                    trashed.extend(tree.map(|tree| (kept.key, tree)));
                }
                Ok(Eviction::InUse | Eviction::Refused | Eviction::Mounted(_)) => {}
                Err(error) if error.is_refusal() => {
                    tracing::warn!(key = %kept.key, %error, "bytecode was not removed");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    fn take_bytecode(&self, trash: &Trash<'_>, kept: &Kept, is_dry_run: bool) -> Result<Eviction> {
        let Some(lock) = ExclusiveLock::try_acquire(&kept.lock_file, self.access())? else {
            return Ok(Eviction::InUse);
        };
        if is_dry_run {
            return Ok(Eviction::Done(None));
        }
        let trashed = trash.take(&kept.dir)?;
        let folder = self.layout().open(&self.layout().bytecode_dir())?;
        let writer = writer_file(&kept.dir);
        folder.unlink(writer.file_name().unwrap_or_default()).context("remove", &writer)?;
        lock.unlink(&folder, &kept.lock_file).context("remove", &kept.lock_file)?;
        Ok(Eviction::Done(trashed))
    }
}

impl Bytecode {
    /// Returns the folder with the bytecode of a base's folder of this number: `a/b.pyc` of `a/b.py`.
    #[must_use]
    pub fn folder(&self, number: usize) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// Returns the folder with the bytecode of the standard library, likewise.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.dir.join("library")
    }

    /// Returns its own folder, for what is not whole yet.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the umask of processes that add to it, so that all users of the cache can read it, and
    /// strangers cannot write it.
    #[must_use]
    pub fn umask(&self) -> u32 {
        match self.access {
            Access::Private | Access::Closed => 0o077,
            Access::Group { .. } => 0o007,
        }
    }

    /// Returns whether nothing is left to compile.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.is_some()
    }

    /// Returns whether the base has all bytecode itself, so that nothing is to be found here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.complete.is_some_and(|complete| complete.files == 0)
    }

    /// Returns the right to add to it; `None` while another process has it.
    pub fn writer(&self) -> Result<Option<BytecodeWriter>> {
        let path = writer_file(&self.dir);
        let lock = ExclusiveLock::try_acquire(&path, self.access)?;
        Ok(lock.map(|lock| BytecodeWriter { lock }))
    }

    /// Records that all of the base is compiled: so many files, of so many bytes.
    pub fn complete(&self, _writer: &BytecodeWriter, files: u64, bytes: u64) -> Result<()> {
        let path = self.dir.join(COMPLETE);
        let text = serde_json::to_vec(&Complete { files, bytes }).unwrap_or_default();
        self.access.replace(&path, &text).context("write", &path)
    }
}

impl BytecodeWriter {
    /// Returns the open lock file: a process that holds a duplicate of it keeps others from writing, even
    /// if it outlives this one.
    #[must_use]
    pub fn lock(&self) -> &fs::File {
        self.lock.file()
    }
}

/// Returns the lock file of the process that adds to it.
fn writer_file(dir: &Path) -> PathBuf {
    dir.with_extension("writer")
}

fn bytecode_key(base: &Base) -> Key {
    Key::derive("venv-cache/bytecode/v1", &[("base", base.fingerprint().as_bytes())])
}

/// Returns the size of the files in a folder, as far as they can be read.
fn occupied(dir: &Path) -> u64 {
    let complete = fs::read(dir.join(COMPLETE)).ok();
    let complete = complete.and_then(|bytes| serde_json::from_slice::<Complete>(&bytes).ok());
    if let Some(complete) = complete {
        return complete.bytes;
    }
    let files = WalkDir::new(dir).into_iter().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(Metadata::is_file).map(|it| it.len()).sum()
}
