//! Packages that a call takes from files of this machine, past the tools' caches, and packages that
//! are installed although their versions are present.
//!
//! The tools' caches rely on indexes, whose files never change under one name. A local file may
//! change under its name. A package that is built without isolation depends on the environment that
//! its build saw.

use std::collections::BTreeSet;
use std::path::Path;

use envspec::settings::{self, Named, Value};
use envspec::{Install, LocalProject, Requirement, Tool, archive_name, normal_name};

use crate::disk_source::DiskSource;
use crate::error::Error;
use crate::offline;
use crate::origin::{self, address};
use crate::request::Request;
use crate::settings::Settings;

/// The packages of a call that have files on this machine.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Packages that requirements name as archives, on this machine or elsewhere.
    archives: BTreeSet<String>,
    /// Packages that folders of links and local indexes offer.
    offered: BTreeSet<String>,
    has_sdists: bool,
    /// Editables, and projects that local projects depend on by their places: uv does not see all
    /// changes in them.
    needed: BTreeSet<String>,
    /// Whether one of these packages has no known name.
    is_nameless: bool,
    /// Whether builds see the environment.
    is_open: bool,
    /// The way to have uv read the offered packages again, past its cache.
    anew: Anew,
}

/// A way to have uv read packages again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Anew {
    /// By new queries (`--refresh-package`).
    #[default]
    Asked,
    /// By a new installation (`--reinstall-package`), since uv works offline. For packages that the
    /// environment lacks, this option has no other effect.
    Reinstalled,
    /// Without its cache, since uv works offline and the environment has one of the packages.
    Uncached,
}

impl Local {
    /// Returns the local packages of a call.
    pub(crate) fn of(request: &Request<'_>, in_force: &Settings) -> Result<Self, Error> {
        let (install, python) = (request.install, &*request.python);
        let mut local = Self::default();
        let lists = [&install.requirements, &install.constraints, &install.overrides];
        let mut addresses = BTreeSet::new();
        for requirement in lists.into_iter().flatten() {
            if let Some(path) = requirement.path().filter(|path| !path.is_dir()) {
                local.archives.extend(requirement.name().map(str::to_owned));
                local.has_sdists |= !is_wheel(path);
            }
            addresses.extend(requirement.url().map(|url| address(&url)));
        }
        // What came from the same address may have been another file. What else lies at an address
        // is fetched again only where that can tell something: it may be large.
        if !addresses.is_empty() {
            let there = origin::archives(python).filter(|(_, from)| addresses.contains(from));
            local.archives.extend(there.map(|(name, _)| name));
        }
        for requirement in &install.requirements {
            let Some(folder) = requirement.path().filter(|path| path.is_dir()) else { continue };
            let projects = LocalProject::all(folder, &DiskSource)
                .map_err(|source| Error::Project { source: Box::new(source) })?;
            for project in projects {
                for need in project.needs {
                    local.has_sdists |= need.path.is_file() && !is_wheel(&need.path);
                    local.needed.insert(need.name);
                }
                // Copies lie where nothing lay before.
                if requirement.is_editable() {
                    let name = project.name.or_else(|| requirement.name().map(str::to_owned));
                    local.is_nameless |= name.is_none();
                    local.needed.extend(name);
                }
            }
        }
        let addresses = [install.index.index_url.as_ref()].into_iter().flatten();
        let addresses = addresses.chain(&install.index.extra_index_urls);
        for path in addresses.chain(&install.index.find_links).filter_map(|url| url.path()) {
            local.offer(path);
        }
        let given = settings::parse(install.tool, &install.tool_options)
            .map_err(|source| Error::Option { source: Box::new(source) })?;
        let is_offline = offline::check(request, &given, in_force)?;
        for given in given {
            let name = given.setting.name;
            local.setting(name, given.setting.value, given.value.as_deref(), None);
        }
        for (variable, value) in &in_force.variables {
            if let Some(setting) = settings::by_variable(install.tool, variable) {
                let separator = Some(settings::separator(variable));
                local.setting(setting.name, setting.value, Some(value), separator);
            }
        }
        if let Some(table) = &in_force.file {
            local.table(table);
        }
        if is_offline {
            let is_there = origin::names(python).any(|name| local.offered.contains(&name));
            local.anew = if is_there { Anew::Uncached } else { Anew::Reinstalled };
        }
        Ok(local)
    }

    /// Returns the options with which a tool takes none of these packages from its cache, and
    /// installs named archives although their versions are present.
    pub(crate) fn words(&self, tool: Tool, again: &[String], is_lock: bool) -> Vec<String> {
        let mut words = Vec::new();
        match tool {
            Tool::Pip if self.is_open || self.has_sdists => words.push("--no-cache-dir".to_owned()),
            Tool::Pip => {}
            Tool::Uv => {
                let mut add = |option: &str, name: &str| {
                    words.extend([option.to_owned(), name.to_owned()]);
                };
                if !is_lock {
                    let named = again.iter().chain(self.archives.union(&self.needed));
                    named.for_each(|name| add("--reinstall-package", name));
                }
                let (option, is_uncached) = match self.anew {
                    Anew::Asked => (Some("--refresh-package"), false),
                    Anew::Reinstalled if !is_lock => (Some("--reinstall-package"), false),
                    Anew::Reinstalled | Anew::Uncached => (None, !self.offered.is_empty()),
                };
                let named =
                    option.iter().flat_map(|it| self.offered.iter().map(move |name| (it, name)));
                named.for_each(|(option, name)| add(option, name));
                if !again.is_empty() || self.is_open || self.is_nameless || is_uncached {
                    words.push("--no-cache".to_owned());
                }
            }
        }
        words
    }

    fn setting(&mut self, name: &str, kind: Value, value: Option<&str>, separator: Option<char>) {
        match (kind, value) {
            (Value::Links | Value::Indexes, Some(value)) => {
                let (_, named) = kind.absolute(value, separator, Path::new("/"));
                for named in named {
                    if let Named::Links(path) | Named::Index(path) = named {
                        self.offer(&path);
                    }
                }
            }
            _ => self.is_open |= name.starts_with("no-build-isolation"),
        }
    }

    /// Adds the packages that uv's configuration file offers.
    fn table(&mut self, table: &toml::Table) {
        for (key, value) in table {
            let kind = match &**key {
                "url" => Some(Value::Indexes),
                _ => settings::by_name(Tool::Uv, key).map(|setting| setting.value),
            };
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for item in items {
                match (item, kind) {
                    (toml::Value::Table(inner), _) => self.table(inner),
                    (toml::Value::Boolean(false), _) | (_, None) => {}
                    (item, Some(kind)) => self.setting(key, kind, item.as_str(), None),
                }
            }
        }
    }

    /// Adds the packages of a folder of archives, an index or a page of links. Ignores unreadable
    /// ones, which the tool reports.
    fn offer(&mut self, path: &Path) {
        if !path.is_dir() {
            let page = files::read_file_text(path, files::MOST_TEXT).unwrap_or_default();
            page.split(['"', '\'', '<', '>', '/', '#', '?']).for_each(|word| self.offer_file(word));
            return;
        }
        let entries = walkdir::WalkDir::new(path).follow_links(true).min_depth(1).max_depth(2);
        for entry in entries.into_iter().flatten() {
            let name = entry.file_name().to_string_lossy();
            if entry.file_type().is_file() {
                self.offer_file(&name);
            } else if entry.path().join("index.html").is_file() {
                self.offered.insert(normal_name(&name));
            }
        }
    }

    fn offer_file(&mut self, name: &str) {
        if let Some(package) = archive_name(name) {
            self.has_sdists |= !is_wheel(Path::new(name));
            self.offered.insert(package);
        }
    }
}

/// Returns the requirements and constraints that name an archive or a repository. pip skips these
/// if the environment has their versions.
pub(crate) fn named(install: &Install) -> impl Iterator<Item = &Requirement> {
    let is_named = |it: &Requirement| {
        it.path().is_some_and(|path| !path.is_dir()) || (it.url().is_some() && !it.is_editable())
    };
    let is_bound = move |it: &Requirement| {
        it.name().is_some()
            && install.constraints.iter().any(|by| by.name() == it.name() && is_named(by))
    };
    install.requirements.iter().filter(move |it| is_named(it) || is_bound(it))
}

fn is_wheel(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("whl"))
}
