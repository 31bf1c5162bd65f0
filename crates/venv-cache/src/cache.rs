//! The cache: a folder that many processes share.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use files::{Access, Folder, Foreign, Kind, MarkError, Untrusted};

use crate::error::IoResultExt;
use crate::layout::{Layout, TAG};
use crate::lock::ExclusiveLock;
use crate::manifest::{Fault, Manifest};
use crate::trash::Trash;
use crate::{Error, Key, Result, durable, hex};

/// A folder of environments, shared by all processes that open it.
///
/// Cheap to clone, and usable from several threads at once.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) access: Access,
}

/// An environment on disk, as [`Cache::list`] gives it: not held, so it may be gone by now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its folder.
    pub dir: PathBuf,
    /// What was recorded when it was built.
    pub manifest: Manifest,
    /// When it was last taken from the cache.
    pub last_used: SystemTime,
}

/// What lies in the folder of an environment.
#[derive(Debug)]
pub(crate) enum Content {
    Whole(Box<Listed>),
    Newer(Key),
    Leftover(Key),
    /// A link, or a file: nothing that a build leaves.
    Foreign(Key),
}

impl Cache {
    /// Opens the cache in this folder, which is made if need be.
    ///
    /// A folder that this call makes is for its owner alone (mode 0700). To share a cache with a
    /// group, make the folder yourself, with that group and mode 2770, before its first use; what
    /// the cache makes in it is then the group's. What crashed processes left in the trash is
    /// deleted.
    ///
    /// A folder that holds something and bears no `CACHEDIR.TAG` of this crate is refused, and nothing
    /// in it is touched. The folder itself may be given by a link, but no folder in it may be one
    /// except `tools`, which may lead to those of another cache, also before the first use.
    ///
    /// A cache that may be read and not written can be opened, and gives out what it has.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`] for a folder of another user who is not root, unless it is shared with a
    /// group that this user is in; for one that everybody may write or replace; and for one that a
    /// group may write which it does not name by the set-group-ID bit. [`Error::NotACache`] for a
    /// folder of something else.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).context("find", root)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.context("create", &root)?;
        let access = Access::of_root(&root).context("read", &root)?;
        let cache = Self { shared: Arc::new(Shared { layout: Layout::new(root), access }) };
        match cache.prepare() {
            // One that was made by others may be used without being written.
            Err(error) if error.is_refusal() && cache.layout().envs_dir().is_dir() => {
                tracing::debug!(%error, "the cache lacks something");
            }
            other => other?,
        }
        cache.trash().sweep();
        Ok(cache)
    }

    /// Opens the cache that the environment names.
    ///
    /// That is `$CURATOR_CACHE_DIR`, else `$XDG_CACHE_HOME/curator` (unless relative, which its
    /// specification tells to ignore), else `~/.cache/curator`. An empty variable counts as unset.
    pub fn from_env() -> Result<Self> {
        Self::open(&root_from(|name| env::var_os(name), env::home_dir())?)
    }

    /// The cache's folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout().root()
    }

    /// Where it is kept what interpreters said of themselves.
    #[must_use]
    pub fn interpreters_dir(&self) -> PathBuf {
        self.layout().interpreters_dir()
    }

    /// Where bootstrapped package managers live. Nothing here is ever evicted.
    #[must_use]
    pub fn tools_dir(&self) -> PathBuf {
        self.layout().tools_dir()
    }

    /// Where the Python side of workers is written, once per version.
    #[must_use]
    pub fn shims_dir(&self) -> PathBuf {
        self.layout().shims_dir()
    }

    /// The length in bytes of all files of bootstrapped tools, which no budget counts.
    ///
    /// Fails if a file of them cannot be read; 0 if there are none.
    pub fn tools_bytes(&self) -> Result<u64> {
        let dir = self.tools_dir();
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            _ => fs_extra::dir::get_size(&dir).map_err(io::Error::other).context("measure", &dir),
        }
    }

    /// The folder of the environment with this key, whether it is there or not.
    #[must_use]
    pub fn env_dir(&self, key: &Key) -> PathBuf {
        self.layout().entry(key).dir
    }

    /// The environments on disk, least recently used first. None of them is held.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let whole = self.contents()?.into_iter().filter_map(|content| match content {
            Content::Whole(listed) => Some(*listed),
            Content::Newer(_) | Content::Leftover(_) | Content::Foreign(_) => None,
        });
        let mut listed: Vec<_> = whole.collect();
        listed.sort_by_key(|listed| (listed.last_used, listed.key));
        Ok(listed)
    }

    /// The one environment whose key starts with these digits.
    ///
    /// Fails if the text is no start of a key, and if none or several environments match.
    pub fn find(&self, prefix: &str) -> Result<Key> {
        if !hex::is_hex(prefix) || prefix.is_empty() || prefix.len() > 64 {
            return Err(Error::InvalidKey { text: prefix.chars().take(80).collect() });
        }
        let keys = self.list()?.into_iter().map(|listed| listed.key);
        let mut matches: Vec<_> = keys.filter(|key| key.to_string().starts_with(prefix)).collect();
        matches.sort();
        match matches[..] {
            [key] => Ok(key),
            [] => Err(Error::NoMatch { prefix: prefix.to_owned() }),
            _ => Err(Error::Ambiguous { prefix: prefix.to_owned(), matches }),
        }
    }

    /// Whether somebody holds the environment at this moment, or builds it.
    ///
    /// Finding out takes its lock for an instant.
    pub fn is_in_use(&self, key: &Key) -> Result<bool> {
        let lock_file = self.layout().entry(key).lock_file;
        match fs::symlink_metadata(&lock_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.context("read", &lock_file)?,
        };
        Ok(ExclusiveLock::try_acquire(&lock_file, self.access())?.is_none())
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    pub(crate) fn access(&self) -> Access {
        self.shared.access
    }

    /// Checks the folder of environments, as it is now, and gives the rules for what lies in it.
    pub(crate) fn enter_envs(&self) -> Result<Access> {
        let (root, envs) = (self.root(), self.layout().envs_dir());
        let access = Access::of(root).context("read", root)?;
        access.enter(&envs).context("read", &envs)
    }

    pub(crate) fn trash(&self) -> Trash<'_> {
        Trash::new(self.layout(), self.access())
    }

    /// Claims the folder, and makes those in it that are missing.
    pub(crate) fn prepare(&self) -> Result<()> {
        let share = |file: &File| self.access().share(file);
        let draft = durable::draft(self.access()).before(&share);
        let claimed = TAG.claim_with(self.root(), has_lent_tools, &draft);
        claimed.map_err(|error| match error {
            MarkError::Foreign(Foreign { dir, found }) => Error::NotACache { dir, found },
            MarkError::Io { action, path, source } => Error::io(action, &path, source),
        })?;
        let dirs = self.layout().dirs();
        // All of them first: in a cache that is not as it should be nothing is made.
        for dir in dirs.iter().filter(|dir| **dir != self.tools_dir()) {
            self.layout().open_above(dir)?;
        }
        // All are looked at, also where the first cannot be made.
        let made = dirs.map(|dir| self.access().ensure_dir(&dir).context("make", &dir));
        let (untrusted, others): (Vec<_>, Vec<_>) =
            made.into_iter().partition(|made| matches!(made, Err(Error::Untrusted(_))));
        untrusted.into_iter().chain(others).collect()
    }

    /// All that lies where environments lie, under names that are keys.
    pub(crate) fn contents(&self) -> Result<Vec<Content>> {
        let dir = self.layout().envs_dir();
        let access = self.enter_envs()?;
        let mut contents = Vec::new();
        for found in fs::read_dir(&dir).context("list", &dir)? {
            let found = found.context("list", &dir)?;
            let name = found.file_name();
            let Some(key) = name.to_str().and_then(|name| name.parse::<Key>().ok()) else {
                continue;
            };
            let entry = self.layout().entry(&key);
            if !found.file_type().is_ok_and(|kind| kind.is_dir()) {
                tracing::warn!(path = %entry.dir.display(), "no folder of the cache");
                contents.push(Content::Foreign(key));
                continue;
            }
            let path = entry.manifest_file();
            contents.push(match Manifest::read(&path, &key, access) {
                Ok(Some(Ok(manifest))) => {
                    let last_used = fs::metadata(&entry.lock_file)
                        .and_then(|metadata| metadata.modified())
                        .unwrap_or(UNIX_EPOCH);
                    Content::Whole(Box::new(Listed { key, dir: entry.dir, manifest, last_used }))
                }
                Ok(Some(Err(Fault::Newer))) => Content::Newer(key),
                Ok(Some(Err(Fault::Corrupt)) | None) => Content::Leftover(key),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    // Another user's, who shares the cache but not this, by a umask of old.
                    tracing::debug!(%key, %error, "passed over");
                    continue;
                }
                Err(error) if Untrusted::of(&error).is_some() => {
                    tracing::warn!(%error, "passed over");
                    continue;
                }
                Err(error) => return Err(error).context("read", &path),
            });
        }
        Ok(contents)
    }
}

/// Whether all that there is in a folder is a link to the tools of another cache.
fn has_lent_tools(folder: &Folder) -> bool {
    let is_tools = matches!(folder.kind("tools"), Ok(Some(Kind::Link)));
    is_tools && folder.occupants().is_ok_and(|found| found == ["tools"])
}

/// The rule of [`Cache::from_env`], over any environment.
fn root_from(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("CURATOR_CACHE_DIR") {
        return Ok(dir);
    }
    set("XDG_CACHE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| home.filter(|dir| dir.is_absolute()).map(|dir| dir.join(".cache")))
        .map(|dir| dir.join("curator"))
        .ok_or(Error::NoCacheDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_follows_the_environment() {
        let root = |curator: &str, xdg: &str, home: Option<&str>| {
            let variable = |name: &str| match name {
                "CURATOR_CACHE_DIR" => Some(OsString::from(curator)),
                "XDG_CACHE_HOME" => Some(OsString::from(xdg)),
                _ => None,
            };
            root_from(variable, home.map(PathBuf::from)).ok()
        };
        assert_eq!(root("/c", "/x", Some("/h")), Some("/c".into()));
        assert_eq!(root("", "/x", Some("/h")), Some("/x/curator".into()));
        assert_eq!(root("", "relative", Some("/h")), Some("/h/.cache/curator".into()));
        assert_eq!(root("", "", None), None);
    }
}
