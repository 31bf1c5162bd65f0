//! Configuration files, and the contents of files that settings name.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envspec::settings::{self, Named};
use envspec::{Digest, Install, Tool, is_page, linked_archives};

use super::switch::is_on;
use crate::ambient::Ambient;
use crate::error::{Error, IoResultExt};

/// Maximum depth of files that include each other.
const DEPTH: usize = 16;

/// Places of configuration files.
pub(super) struct Files<'a> {
    ambient: &'a Ambient,
    pub(super) home: Option<PathBuf>,
    /// The file that a variable or an option names.
    named: Option<PathBuf>,
    is_off: bool,
}

/// Expands a `~/` at the start of an item to the user's home, as pip does.
pub(super) fn expanded(text: &str, home: Option<&Path>) -> Option<String> {
    let home = home.filter(|_| text.contains("~/"))?;
    let item = |item: &str| {
        let rest = item.strip_prefix("~/");
        rest.map_or_else(|| item.to_owned(), |rest| home.join(rest).display().to_string())
    };
    Some(text.split_whitespace().map(item).collect::<Vec<_>>().join(" "))
}

/// Returns the variables that choose the configuration files.
pub(super) fn is_control(name: &str) -> bool {
    ["PIP_CONFIG_FILE", "UV_CONFIG_FILE", "UV_NO_CONFIG"].contains(&name)
}

impl<'a> Files<'a> {
    pub(super) fn of(
        variables: &BTreeMap<String, String>,
        install: &Install,
        ambient: &'a Ambient,
        dir: &Path,
    ) -> Self {
        let tool = install.tool;
        let options = settings::parse(tool, &install.tool_options).unwrap_or_default();
        let option = |name: &str| options.iter().rfind(|given| given.setting.name == name);
        let variable = match tool {
            Tool::Pip => "PIP_CONFIG_FILE",
            Tool::Uv => "UV_CONFIG_FILE",
        };
        let named = option("config-file").and_then(|given| given.value.as_ref());
        let named = named.or_else(|| variables.get(variable)).filter(|name| !name.is_empty());
        let off = variables.get("UV_NO_CONFIG").is_some_and(|value| is_on(value));
        let home = ambient.variable("HOME").map(PathBuf::from).or_else(env::home_dir);
        Self {
            ambient,
            home,
            named: named.map(|name| dir.join(name)),
            is_off: option("no-config").is_some() || off,
        }
    }

    /// Returns pip's files, the later winning: global ones, the user's, the base's, and a named
    /// one, which replaces the user's. `/dev/null` replaces all.
    pub(super) fn pip(&self, base: Option<&Path>) -> Vec<PathBuf> {
        if self.named.as_deref() == Some(Path::new("/dev/null")) {
            return Vec::new();
        }
        let mut files: Vec<PathBuf> =
            self.system_dirs().into_iter().map(|dir| dir.join("pip/pip.conf")).collect();
        files.push("/etc/pip.conf".into());
        let named = self.named.clone().filter(|file| file.exists());
        if named.is_none() {
            if let Some(home) = &self.home {
                files.push(home.join(".pip/pip.conf"));
                if cfg!(target_os = "macos") {
                    files.push(home.join("Library/Application Support/pip/pip.conf"));
                }
            }
            files.extend(self.config_home().map(|dir| dir.join("pip/pip.conf")));
        }
        files.extend(base.map(|base| base.join("pip.conf")));
        files.extend(named);
        files
    }

    /// Returns uv's files, the earlier winning: only the named one, else the user's and the
    /// system's.
    ///
    /// A named file must exist.
    pub(super) fn uv(&self) -> Result<Vec<PathBuf>, Error> {
        if let Some(named) = &self.named {
            return match fs::metadata(named) {
                Ok(_) => Ok(vec![named.clone()]),
                Err(error) => Err(error).context("read", named),
            };
        }
        if self.is_off {
            return Ok(Vec::new());
        }
        let user = self.config_home().map(|dir| dir.join("uv/uv.toml"));
        let mut system: Vec<_> =
            self.system_dirs().into_iter().map(|dir| dir.join("uv/uv.toml")).collect();
        system.push("/etc/uv/uv.toml".into());
        Ok(user.into_iter().chain(system.into_iter().find(|file| file.is_file())).collect())
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.ambient.variable(name).filter(|value| !value.is_empty()).map(OsString::from)
    }

    fn system_dirs(&self) -> Vec<PathBuf> {
        let list = self.variable("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
        env::split_paths(&list).collect()
    }

    fn config_home(&self) -> Option<PathBuf> {
        let set =
            self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        set.or_else(|| self.home.as_ref().map(|home| home.join(".config")))
    }
}

/// Files on this machine that settings name, by their contents.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Digests, by the variable or the text that names the files.
    by_name: BTreeMap<String, String>,
    /// The first pipe or device among the files, for which a tool would wait forever.
    endless: Option<(PathBuf, io::Error)>,
}

impl Contents {
    /// Notes the effect of a setting: addresses as text, files by their contents.
    pub(super) fn note(&mut self, name: &str, value: &str, named: &[Named]) {
        if named.is_empty() {
            self.by_name.remove(name);
            return;
        }
        let mut told: Vec<String> =
            value.split_whitespace().filter(|item| is_remote(item)).map(str::to_owned).collect();
        told.extend(named.iter().map(|named| self.contents(named)));
        self.by_name.insert(name.to_owned(), told.join(" "));
    }

    pub(super) fn told(&self, name: &str) -> Option<String> {
        self.by_name.get(name).cloned()
    }

    /// Fails if a setting names a pipe or an endless device, which the tool would read.
    pub(super) fn check(self) -> Result<Self, Error> {
        match self.endless {
            Some((path, source)) => Err(Error::Io { action: "read", path, source }),
            None => Ok(self),
        }
    }

    /// Returns the digest of the contents, or the path if there are none, which the tool reports.
    fn contents(&mut self, named: &Named) -> String {
        let (path, digest) = match named {
            Named::File(path) => (path, self.file(path, &mut BTreeSet::new(), 0)),
            Named::Links(path) => (path, folder(path, false)),
            Named::Index(path) => (path, folder(path, true)),
        };
        digest.unwrap_or_else(|| path.display().to_string())
    }

    /// Digests a list of requirements with the lists that it includes.
    fn file(&mut self, path: &Path, seen: &mut BTreeSet<PathBuf>, depth: usize) -> Option<String> {
        let bytes = match ::files::read_file(path, ::files::MOST_TEXT) {
            Ok(bytes) => bytes,
            Err(error) => {
                use io::ErrorKind::{FileTooLarge, InvalidInput};
                if matches!(error.kind(), FileTooLarge | InvalidInput) {
                    self.endless.get_or_insert_with(|| (path.to_owned(), error));
                }
                return None;
            }
        };
        let mut digests = vec![Digest::of(&bytes).to_string()];
        if depth < DEPTH && seen.insert(path.to_owned()) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let dir = path.parent().unwrap_or(Path::new("/"));
            for included in text.lines().filter_map(included) {
                digests.extend(self.file(&dir.join(included), seen, depth + 1));
            }
        }
        Some(digests.join(" "))
    }
}

fn is_remote(item: &str) -> bool {
    item.contains("://") && !item.starts_with("file:")
}

fn included(line: &str) -> Option<&str> {
    let starts = ["--requirement", "--constraint", "-r", "-c"];
    let rest = starts.iter().find_map(|start| line.trim().strip_prefix(start))?;
    let path = rest.trim_start_matches(['s', '=']).trim();
    let path = path.split(" #").next().unwrap_or(path).trim_matches(['"', '\'']);
    (!path.is_empty() && !path.contains("://")).then_some(path)
}

/// Digests the archives and pages of a folder, or with `whole` all files below it; or a page. The
/// archives that a page links to count beside it.
fn folder(path: &Path, whole: bool) -> Option<String> {
    if path.is_file() {
        let text = fs::read(path).ok()?;
        let linked = if is_page(path) { linked(path, &text) } else { String::new() };
        return Some(Digest::of(&text).to_string() + &linked);
    }
    let depth = if whole { usize::MAX } else { 1 };
    let walk = walkdir::WalkDir::new(path).max_depth(depth).follow_links(true).sort_by_file_name();
    let mut text = String::new();
    for entry in walk.into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let below = entry.path().strip_prefix(path).ok()?.display().to_string();
        if whole || is_archive(&below) || is_page(entry.path()) {
            let bytes = fs::read(entry.path()).ok();
            let digest = bytes.as_ref().map(|bytes| Digest::of(bytes).to_string());
            text.extend([&below, "\0", &digest.unwrap_or_default(), "\0"]);
            if let Some(bytes) = bytes.filter(|_| is_page(entry.path())) {
                text.push_str(&linked(entry.path(), &bytes));
            }
        }
    }
    path.is_dir().then(|| Digest::of(text.as_bytes()).to_string())
}

/// Digests the archives on this machine that a page links to.
fn linked(page: &Path, text: &[u8]) -> String {
    let archives = linked_archives(page, &String::from_utf8_lossy(text));
    let digest = |path: &PathBuf| fs::read(path).map(|bytes| Digest::of(&bytes).to_string());
    archives.iter().flat_map(|path| [" ".to_owned(), digest(path).unwrap_or_default()]).collect()
}

fn is_archive(name: &str) -> bool {
    [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar"]
        .iter()
        .any(|end| name.ends_with(end))
}
