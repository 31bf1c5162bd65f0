//! Disk usage of environments, counting every file once.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use walkdir::WalkDir;

use crate::error::IoResultExt;
use crate::occupied::occupied;
use crate::{Cache, Key, Result};

/// Disk usage of a cache's environments, from [`Cache::usage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Each environment, least recently used first.
    pub environments: Vec<EnvUsage>,
    /// Bytes that only the environments use: removing all of them would free these.
    pub own_bytes: u64,
    /// Bytes that they share with files outside the environments, such as a base.
    pub shared_bytes: u64,
    /// The length of the bootstrapped tools, in bytes.
    pub tools_bytes: u64,
    /// The length of the bytecode that is kept of bases, in bytes.
    pub bytecode_bytes: u64,
    /// The size of the kept answers ([`Memo`](crate::Memo)), in bytes.
    pub memo_bytes: u64,
    /// The size of what is left of removed environments, in bytes.
    pub trash_bytes: u64,
}

/// Disk usage of one environment: the sum of the three amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvUsage {
    /// Its key.
    pub key: Key,
    /// Its files and links; folders are not counted.
    pub files: u64,
    /// Bytes that only it uses, its folders included: removing it alone would free these.
    pub own_bytes: u64,
    /// Bytes that it shares with other environments of the cache, including its managed base.
    pub shared_with_environments: u64,
    /// Bytes that it shares only with files outside the environments, such as a base.
    pub shared_with_others: u64,
}

/// A file, by device and inode, with the names met so far.
struct File {
    links: u64,
    occupied: u64,
    /// The number of its names in each environment (by index), in the order of the walk.
    met: Vec<(usize, u64)>,
}

impl Cache {
    /// Measures the disk usage of the environments, counting every file once.
    ///
    /// Walks over all files. Files that others remove meanwhile count if the walk has seen them.
    pub fn usage(&self) -> Result<Usage> {
        let listed = self.list()?;
        let mut files: HashMap<(u64, u64), File> = HashMap::new();
        let mut usage = Usage { tools_bytes: self.tools_bytes()?, ..Usage::default() };
        usage.bytecode_bytes = self.bytecode_bytes()?;
        usage.memo_bytes = self.memo_bytes()?;
        usage.trash_bytes = self.trash_bytes()?;
        for (number, environment) in listed.iter().enumerate() {
            let mut own = EnvUsage {
                key: environment.key,
                files: 0,
                own_bytes: 0,
                shared_with_environments: 0,
                shared_with_others: 0,
            };
            let dir = &environment.dir;
            walk(dir, |metadata| {
                if metadata.is_dir() {
                    own.own_bytes += occupied(metadata);
                    return;
                }
                own.files += 1;
                let file = files.entry((metadata.dev(), metadata.ino())).or_insert(File {
                    links: metadata.nlink(),
                    occupied: occupied(metadata),
                    met: Vec::new(),
                });
                match file.met.last_mut() {
                    Some((last, count)) if *last == number => *count += 1,
                    _ => file.met.push((number, 1)),
                }
            })
            .context("measure", dir)?;
            usage.own_bytes += own.own_bytes;
            usage.environments.push(own);
        }
        for file in files.values() {
            let all: u64 = file.met.iter().map(|(_, count)| count).sum();
            if all == file.links {
                usage.own_bytes += file.occupied;
            } else {
                usage.shared_bytes += file.occupied;
            }
            for (number, count) in &file.met {
                let environment = &mut usage.environments[*number];
                let part = if *count == file.links {
                    &mut environment.own_bytes
                } else if all > *count {
                    &mut environment.shared_with_environments
                } else {
                    &mut environment.shared_with_others
                };
                *part += file.occupied;
            }
        }
        Ok(usage)
    }
}

impl Cache {
    fn trash_bytes(&self) -> Result<u64> {
        let dir = self.layout().trash_dir();
        let Some(_) = self.layout().open_above(&dir)? else { return Ok(0) };
        let mut bytes = 0;
        for name in self.layout().open(&dir)?.names().context("list", &dir)? {
            let tree = dir.join(name);
            walk(&tree, |metadata| {
                if metadata.is_dir() || metadata.nlink() == 1 {
                    bytes += occupied(metadata);
                }
            })
            .context("measure", &tree)?;
        }
        Ok(bytes)
    }
}

/// Walks over a tree that others may be removing.
fn walk(dir: &Path, mut visit: impl FnMut(&fs::Metadata)) -> io::Result<()> {
    for entry in WalkDir::new(dir) {
        let metadata = entry.and_then(|entry| entry.metadata()).map_err(io::Error::from);
        match metadata {
            Ok(metadata) => visit(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // In a shared cache, another user's umask may keep it from the group.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxError, BuildOptions, Built, Site};

    #[test]
    fn every_file_is_counted_once_and_where_it_belongs() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        for (name, size) in [("base", 100_000), ("common", 200_000)] {
            fs::write(dir.path().join(name), vec![1; size]).unwrap();
        }
        let build = |name: &str| {
            let build = |site: &Site<'_>| -> Result<Built, BoxError> {
                fs::create_dir(site.dir())?;
                fs::write(site.dir().join("python"), vec![1; 50_000])?;
                fs::hard_link(site.dir().join("python"), site.dir().join("python3"))?;
                fs::hard_link(dir.path().join("common"), site.dir().join("common"))?;
                if name == "one" {
                    fs::hard_link(dir.path().join("base"), site.dir().join("base"))?;
                }
                Ok(Built::new("python"))
            };
            let key = Key::derive("test", &[("name", name.as_bytes())]);
            cache.get_or_build(&key, &BuildOptions::default(), build).unwrap();
            key
        };
        let (one, two) = (build("one"), build("two"));
        // Now only the two environments have it.
        fs::remove_file(dir.path().join("common")).unwrap();

        let usage = cache.usage().unwrap();
        let of = |key| *usage.environments.iter().find(|usage| usage.key == key).unwrap();
        for key in [one, two] {
            let usage = of(key);
            assert!((50_000..100_000).contains(&usage.own_bytes), "{usage:?}");
            assert!((200_000..210_000).contains(&usage.shared_with_environments), "{usage:?}");
        }
        assert!((100_000..110_000).contains(&of(one).shared_with_others));
        assert_eq!(of(two).shared_with_others, 0);
        assert_eq!(usage.shared_bytes, of(one).shared_with_others);
        let own = of(one).own_bytes + of(two).own_bytes + of(one).shared_with_environments;
        assert_eq!(usage.own_bytes, own);
    }
}
