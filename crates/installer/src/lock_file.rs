//! Resolutions as lock files that other tools also read (PEP 751).

use std::fs;
use std::path::{Component, Path, PathBuf};

use envspec::Tool;
use toml::{Table, Value};

use crate::error::{Error, IoResultExt};
use crate::installer::{Attempt, Installer};
use crate::locking::{Item, Repository, report};
use crate::mode::Mode;
use crate::request::Request;
use crate::sources::Sources;

impl Installer {
    /// Resolves a request from nothing, and returns the result as the text of a `pylock.toml`:
    /// every distribution with its archives and their hashes, repositories with their commits, and
    /// folders by their absolute paths. Installs nothing. The text holds no credentials.
    ///
    /// It is valid where the marker `environment` holds, which must describe this interpreter and
    /// platform: uv names every archive of a version, pip the one that fits here. Packages name
    /// their index if the request names just one.
    ///
    /// # Errors
    ///
    /// Those of [`Installer::lock`].
    pub fn lock_file(&self, request: &Request<'_>, environment: &str) -> Result<String, Error> {
        let request = Request { as_file: true, ..request.clone() };
        let index = &request.install.index;
        let index = match &index.index_url {
            Some(url) if index.extra_index_urls.is_empty() && index.find_links.is_empty() => {
                Some(url.to_string()).filter(|_| url.path().is_none())
            }
            _ => None,
        };
        let mut lock = if request.install.requirements.is_empty() {
            Table::from_iter([("packages".to_owned(), Value::Array(Vec::new()))])
        } else {
            match self.tool() {
                Tool::Uv => self.file_of_uv(&request)?,
                Tool::Pip => self.file_of_pip(&request)?,
            }
        };
        let packages = lock.get_mut("packages").and_then(Value::as_array_mut);
        for package in packages.into_iter().flatten().filter_map(Value::as_table_mut) {
            if let Some(index) = &index
                && (package.contains_key("wheels") || package.contains_key("sdist"))
            {
                package.insert("index".to_owned(), index.as_str().into());
            }
        }
        lock.insert("environments".to_owned(), Value::Array(vec![environment.into()]));
        lock.insert("lock-version".to_owned(), "1.0".into());
        lock.insert("created-by".to_owned(), "curator".into());
        toml::to_string(&lock).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn file_of_uv(&self, request: &Request<'_>) -> Result<Table, Error> {
        let Attempt { scratch, sources, .. } = self.attempt(request, Mode::Lock, |_| Ok(()))?;
        let path = scratch.pylock_file();
        let text = fs::read_to_string(&path).context("read", &path)?;
        let mut lock: Table = text.parse().map_err(|_| self.unreadable(&text))?;
        let dir = path.parent().unwrap_or(&path);
        lock.iter_mut().for_each(|(_, value)| settle(value, dir, &sources));
        Ok(lock)
    }

    fn file_of_pip(&self, request: &Request<'_>) -> Result<Table, Error> {
        let Attempt { scratch, sources, finished, .. } =
            self.attempt(request, Mode::Lock, |_| Ok(()))?;
        let Ok(json) = fs::read_to_string(scratch.report_file()) else {
            return Err(Error::Lock { tool: Tool::Pip, text: finished.stderr });
        };
        let mut packages: Vec<Table> =
            report(&sources.restored(json))?.iter().map(Item::package).collect();
        packages.sort_by_key(|it| it.get("name").map(ToString::to_string));
        let packages = packages.into_iter().map(Value::Table).collect();
        Ok(Table::from_iter([("packages".to_owned(), Value::Array(packages))]))
    }

    fn unreadable(&self, text: &str) -> Error {
        Error::Lock { tool: self.tool(), text: envspec::redact(text).into_owned() }
    }
}

/// Replaces the places of packages by ones that hold wherever the file lies: absolute paths of
/// folders in place of their copies' paths, and addresses without credentials.
fn settle(value: &mut Value, dir: &Path, sources: &Sources) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|it| settle(it, dir, sources)),
        Value::Table(table) => {
            for (name, value) in table {
                match (&**name, &mut *value) {
                    ("path", Value::String(path)) => {
                        let absolute = plain(&dir.join(&*path));
                        *path = sources.restored(absolute);
                    }
                    ("url" | "index", Value::String(url)) => {
                        *url = envspec::redact(url).into_owned();
                    }
                    _ => settle(value, dir, sources),
                }
            }
        }
        _ => {}
    }
}

/// Resolves `..` in a path textually, which is right in a folder without links.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain.to_string_lossy().into_owned()
}

impl Item {
    /// Returns its entry among the `packages`.
    fn package(&self) -> Table {
        let info = &self.download_info;
        let url = envspec::redact(&info.url).into_owned();
        let mut package = Table::new();
        package.insert("name".into(), envspec::normal_name(&self.metadata.name).into());
        let is_folder = info.vcs_info.is_some() || info.dir_info.is_some();
        if !is_folder {
            package.insert("version".into(), self.metadata.version.clone().into());
        }
        let file = url.split(['?', '#']).next().map(Path::new);
        let is_wheel = file.and_then(Path::extension).is_some_and(|it| it == "whl");
        let requirement = url.parse::<envspec::Requirement>().ok();
        let path = requirement.as_ref().and_then(envspec::Requirement::path);
        let mut source = Table::new();
        if let Some(Repository { vcs, commit_id }) = &info.vcs_info {
            source.insert("type".into(), vcs.clone().into());
            source.insert("url".into(), url.into());
            source.insert("commit-id".into(), commit_id.clone().into());
        } else if let Some(path) = path {
            source.insert("path".into(), path.to_string_lossy().into_owned().into());
        } else {
            source.insert("url".into(), url.into());
        }
        if let Some(folder) = info.dir_info.as_ref().filter(|folder| folder.editable) {
            source.insert("editable".into(), folder.editable.into());
        }
        if let Some(subdirectory) = &info.subdirectory {
            source.insert("subdirectory".into(), subdirectory.clone().into());
        }
        if let Some(archive) = &info.archive_info {
            let hash = |(name, hash): (&String, &serde_json::Value)| {
                Some((name.clone(), Value::from(hash.as_str()?)))
            };
            let hashes: Table = archive.hashes.iter().filter_map(hash).collect();
            source.insert("hashes".into(), Value::Table(hashes));
        }
        let source = Value::Table(source);
        match (&info.vcs_info, &info.dir_info) {
            (Some(_), _) => package.insert("vcs".into(), source),
            (None, Some(_)) => package.insert("directory".into(), source),
            _ if self.is_direct => package.insert("archive".into(), source),
            _ if is_wheel => package.insert("wheels".into(), Value::Array(vec![source])),
            _ => package.insert("sdist".into(), source),
        };
        package
    }
}
