//! The state of a git work tree, which a project's build may ask for. It is read from git's own
//! files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Encoder};
use crate::error::Error;
use crate::git_index::{self, Tracked};
use crate::location;
use crate::source::Source;

/// Maximum number of references that point to each other in a chain.
const MOST_HOPS: usize = 8;

/// A git repository with a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repository {
    /// The top of the work tree.
    pub root: PathBuf,
    /// The folder of this work tree's own state: `HEAD` and the index.
    pub git_dir: PathBuf,
    /// The folder of objects and references: for a linked work tree, that of the main one.
    pub common_dir: PathBuf,
    /// The files that git tracks in the work tree, relative to its top.
    pub tracked: Vec<Tracked>,
}

impl Repository {
    /// Finds the repository that a folder lies in; links are resolved as git does.
    pub(crate) fn find(folder: &Path, source: &dyn Source) -> Result<Option<Self>, Error> {
        let folder = source.real_dir(folder).unwrap_or_else(|_| folder.to_owned());
        for root in folder.ancestors() {
            let Some(git_dir) = git_dir_of(root, source) else { continue };
            let common = text(&git_dir.join("commondir"), source);
            let common_dir = match &common {
                Some(path) => location::absolute(&git_dir, path.trim()),
                None => git_dir.clone(),
            };
            let refused = |reason: String| Error::Repository { path: root.to_owned(), reason };
            let config = text(&common_dir.join("config"), source).unwrap_or_default();
            let config = config.to_ascii_lowercase().replace([' ', '\t'], "");
            let id_length = if config.contains("objectformat=sha256") { 32 } else { 20 };
            let tracked = match source.read(&git_dir.join("index")) {
                Ok(bytes) => git_index::tracked(&bytes, id_length).map_err(refused)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(refused(error.to_string())),
            };
            return Ok(Some(Self { root: root.to_owned(), git_dir, common_dir, tracked }));
        }
        Ok(None)
    }

    /// Returns the digest of everything that decides how git describes the work tree: the commit
    /// and the branch, the tags, and whether tracked files have changed. The caller adds the
    /// contents of `folder` itself.
    pub(crate) fn digest(&self, folder: &Path, source: &dyn Source) -> Result<Digest, Error> {
        let folder = source.real_dir(folder).unwrap_or_else(|_| folder.to_owned());
        let below = folder.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let mut encoder = Encoder::new("repository");
        encoder.blob(below.as_os_str().as_encoded_bytes());
        let refs = self.packed_refs(source);
        let mut head =
            text(&self.git_dir.join("HEAD"), source).unwrap_or_default().trim().to_owned();
        encoder.text(&head);
        for _ in 0..MOST_HOPS {
            let Some(name) = head.strip_prefix("ref:").map(str::trim) else { break };
            let loose = [&self.git_dir, &self.common_dir]
                .into_iter()
                .find_map(|dir| text(&dir.join(name), source));
            head = loose
                .map(|text| text.trim().to_owned())
                .or_else(|| refs.get(name).cloned())
                .unwrap_or_default();
        }
        encoder.text(&head);
        let mut tags = refs;
        tags.retain(|name, _| name.starts_with("refs/tags/"));
        for path in source.list(&self.common_dir.join("refs/tags")).unwrap_or_default() {
            if let (Ok(name), Some(id)) = (path.strip_prefix(&self.common_dir), text(&path, source))
            {
                tags.insert(name.to_string_lossy().into_owned(), id.trim().to_owned());
            }
        }
        encoder.length(tags.len());
        for (name, id) in &tags {
            encoder.text(name);
            encoder.text(id);
        }
        // The file of a shallow history, and references in the form of tables.
        let mut others = vec![self.common_dir.join("shallow")];
        for dir in [&self.git_dir, &self.common_dir] {
            others.extend(source.list(&dir.join("reftable")).unwrap_or_default());
        }
        for path in others {
            encoder.blob(&source.read(&path).unwrap_or_default());
        }
        encoder.length(self.tracked.len());
        for tracked in &self.tracked {
            encoder.blob(tracked.path.as_os_str().as_encoded_bytes());
            encoder.blob(&tracked.mode.to_le_bytes());
            encoder.blob(&tracked.id);
            let path = self.root.join(&tracked.path);
            if tracked.is_file() && !path.starts_with(&folder) {
                match source.read(&path) {
                    Ok(bytes) => encoder.blob(Digest::of(&bytes).as_bytes()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => encoder.blob(b""),
                    Err(source) => return Err(Error::Read { path, source }),
                }
            }
        }
        Ok(Digest::of(&encoder.finish()))
    }

    /// Returns the packed references; tags with the commits that they lead to.
    fn packed_refs(&self, source: &dyn Source) -> BTreeMap<String, String> {
        let text = text(&self.common_dir.join("packed-refs"), source).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(id, name)| (name.to_owned(), id.to_owned())).collect()
    }
}

fn git_dir_of(root: &Path, source: &dyn Source) -> Option<PathBuf> {
    let entry = root.join(".git");
    let is_git_dir = |dir: &Path| source.read(&dir.join("HEAD")).is_ok();
    if is_git_dir(&entry) {
        return Some(entry);
    }
    let link = text(&entry, source)?;
    let git_dir = location::absolute(root, link.strip_prefix("gitdir:")?.trim());
    is_git_dir(&git_dir).then_some(git_dir)
}

fn text(path: &Path, source: &dyn Source) -> Option<String> {
    String::from_utf8(source.read(path).ok()?).ok()
}
