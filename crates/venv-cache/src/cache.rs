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
use crate::{Error, Key, Result, digits, durable};

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

/// An environment on disk, from [`Cache::list`]. It is not leased, so it may be gone by now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its folder.
    pub dir: PathBuf,
    /// Its manifest, recorded when it was built.
    pub manifest: Manifest,
    /// Its last use.
    pub last_used: SystemTime,
}

impl Listed {
    /// Returns the folder that it was built in, if that is another one: then it is of no use here.
    #[must_use]
    pub fn moved_from(&self) -> Option<&Path> {
        let is_here = self.manifest.is_of(&self.dir);
        self.manifest.place.as_deref().map(Path::new).filter(|_| !is_here)
    }
}

/// The state of an environment's folder.
#[derive(Debug)]
pub(crate) enum Content {
    Whole(Box<Listed>),
    Newer(Key),
    Leftover(Key),
    /// A link or a file, which no build leaves.
    Foreign(Key),
}

impl Cache {
    /// Opens the cache in this folder, and creates the folder if needed.
    ///
    /// A folder that this call creates is private to its owner (mode 0700). To share a cache with a
    /// group, make the folder yourself, with that group and mode 2770, before its first use;
    /// everything in the cache then belongs to the group. Also deletes what crashed processes left
    /// in the trash.
    ///
    /// Refuses a folder that has contents but no `CACHEDIR.TAG` of this crate, and touches nothing
    /// in it. The folder itself may be a link, but no folder in it may be one except `tools`, which
    /// may lead to the tools of another cache, even before the first use.
    ///
    /// A read-only cache can be opened, and provides the environments it has.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`] for a folder of another user who is not root, unless it is shared with
    /// a group that this user is in; for one that is world-writable or replaceable by anyone; and
    /// for a group-writable one without the set-group-ID bit. [`Error::NotACache`] for a folder
    /// with other contents.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).context("find", root)?;
        Access::check_above(&root).context("create", &root)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.context("create", &root)?;
        let access = Access::of_root(&root).context("read", &root)?;
        let cache = Self { shared: Arc::new(Shared { layout: Layout::new(root), access }) };
        match cache.prepare() {
            // An existing cache may be used without write access.
            Err(error) if error.is_refusal() && cache.layout().envs_dir().is_dir() => {
                tracing::debug!(%error, "the cache lacks something");
            }
            other => other?,
        }
        cache.trash().sweep();
        Ok(cache)
    }

    /// Opens the cache named by environment variables.
    ///
    /// That is `$CURATOR_CACHE_DIR`, else `$XDG_CACHE_HOME/curator` (unless relative, which its
    /// specification tells to ignore), else `~/.cache/curator`. An empty variable counts as unset.
    pub fn from_env() -> Result<Self> {
        Self::open(&root_from(|name| env::var_os(name), env::home_dir())?)
    }

    /// Returns the cache's folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout().root()
    }

    /// Returns the folder for kept answers, see [`Memo`](crate::Memo).
    #[must_use]
    pub fn interpreters_dir(&self) -> PathBuf {
        self.layout().interpreters_dir()
    }

    /// Returns the folder of bootstrapped package managers. Nothing in it is ever evicted.
    #[must_use]
    pub fn tools_dir(&self) -> PathBuf {
        self.layout().tools_dir()
    }

    /// Returns the folder for the Python side of workers, written once per version.
    #[must_use]
    pub fn shims_dir(&self) -> PathBuf {
        self.layout().shims_dir()
    }

    /// Returns the total size in bytes of the bootstrapped tools, which no budget counts.
    ///
    /// Returns 0 if there are none; fails if one of their files cannot be read.
    pub fn tools_bytes(&self) -> Result<u64> {
        let dir = self.tools_dir();
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            _ => fs_extra::dir::get_size(&dir).map_err(io::Error::other).context("measure", &dir),
        }
    }

    /// Returns the folder for the environment with this key, whether or not it exists.
    #[must_use]
    pub fn env_dir(&self, key: &Key) -> PathBuf {
        self.layout().entry(key).dir
    }

    /// Returns the environments on disk, least recently used first, without leasing them.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let whole = self.contents()?.into_iter().filter_map(|content| match content {
            Content::Whole(listed) => Some(*listed),
            Content::Newer(_) | Content::Leftover(_) | Content::Foreign(_) => None,
        });
        let mut listed: Vec<_> = whole.collect();
        listed.sort_by_key(|listed| (listed.last_used, listed.key));
        Ok(listed)
    }

    /// Returns the only environment whose key starts with these digits.
    ///
    /// Fails if the text is not a valid prefix of a key, or if none or several environments match.
    pub fn find(&self, prefix: &str) -> Result<Key> {
        if !digits::is_hex(prefix) || prefix.is_empty() || prefix.len() > 64 {
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

    /// Returns whether the environment is in use or being built at this moment.
    ///
    /// The check takes its lock for an instant.
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

    /// Checks the folder of environments, and returns the rules for its contents.
    pub(crate) fn enter_envs(&self) -> Result<Access> {
        let (root, envs) = (self.root(), self.layout().envs_dir());
        let access = Access::of(root).context("read", root)?;
        access.enter(&envs).context("read", &envs)
    }

    pub(crate) fn trash(&self) -> Trash<'_> {
        Trash::new(self.layout(), self.access())
    }

    /// Claims the folder, and creates its missing subfolders.
    pub(crate) fn prepare(&self) -> Result<()> {
        let share = |file: &File| self.access().share(file);
        let draft = durable::draft(self.access()).before(&share);
        let claimed = TAG.claim_with(self.root(), has_lent_tools, &draft);
        claimed.map_err(|error| match error {
            MarkError::Foreign(Foreign { dir, found }) => Error::NotACache { dir, found },
            MarkError::Io { action, path, source } => Error::io(action, &path, source),
        })?;
        let dirs = self.layout().dirs();
        // Check all of them first, so that nothing is created in a broken cache.
        for dir in dirs.iter().filter(|dir| **dir != self.tools_dir()) {
            self.layout().open_above(dir)?;
        }
        // Check all of them, even if the first cannot be created.
        let made = dirs.map(|dir| self.access().ensure_dir(&dir).context("make", &dir));
        let (untrusted, others): (Vec<_>, Vec<_>) =
            made.into_iter().partition(|made| matches!(made, Err(Error::Untrusted(_))));
        untrusted.into_iter().chain(others).collect()
    }

    /// Returns all entries among the environments whose names are keys.
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
                    // It belongs to another user of the cache, whose former umask kept it from the
                    // group.
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

/// Returns whether the folder contains only a link to the tools of another cache.
fn has_lent_tools(folder: &Folder) -> bool {
    let is_tools = matches!(folder.kind("tools"), Ok(Some(Kind::Link)));
    is_tools && folder.occupants().is_ok_and(|found| found == ["tools"])
}

/// Implements [`Cache::from_env`] over any set of variables.
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
