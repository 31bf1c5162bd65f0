//! Files that the build of a project reads outside of its folder: other projects that it names by
//! their paths, and the repository that determines its version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::by_products::is_by_product;
use crate::error::Error;
use crate::history::History;
use crate::location;
use crate::name::{self, normal_name};
use crate::repository::Repository;
use crate::requirement::Requirement;
use crate::source::Source;

/// Names of tools that take a version from version control, and words by which programs call git. A
/// superfluous word costs one more environment, a missing one a wrong version.
const VERSIONING: [&str; 33] = [
    "setuptools_scm",
    "setuptools-scm",
    "vcs_versioning",
    "vcs-versioning",
    "hatch-vcs",
    "hatch_vcs",
    "versioneer",
    "versioningit",
    "dunamai",
    "\"scm\"",
    "'scm'",
    "\"vcs\"",
    "'vcs'",
    "\"git",
    "'git",
    "pygit2",
    "import git",
    "from git",
    "dulwich",
    "git describe",
    "git log",
    "git rev-",
    "git show",
    "git tag",
    "GIT_EXECUTABLE",
    "find_package(Git",
    "git2",
    "vergen",
    "setupmeta",
    "mercurial",
    "hgtools",
    "'hg",
    "\"hg",
];

/// Parts of the names of such tools, among what a build requires.
const VERSIONING_NAMES: [&str; 8] =
    ["scm", "vcs", "git", "version", "pbr", "setupmeta", "dunamai", "dulwich"];

/// Build files of other programs, for files beside Python's modules. Their builds may ask for a
/// version.
const OTHER_BUILD_FILES: [&str; 5] =
    ["meson.build", "CMakeLists.txt", "Cargo.toml", "build.rs", "Makefile"];

/// A project in a folder of this machine, and the other files that its build reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalProject {
    /// The folder, as written in the spec.
    pub folder: PathBuf,
    /// Its normal name, if its build files have one.
    pub name: Option<String>,
    /// The git repository of the folder, if the build asks git about it.
    pub repository: Option<Repository>,
    /// The work tree of another system than git; `None` if the folder lies in a git repository.
    pub(crate) history: Option<History>,
    /// The projects and archives of this machine that it depends on by their places.
    pub needs: Vec<Need>,
}

/// A dependency of a local project, which also lies on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// Its normal name.
    pub name: String,
    /// The absolute path of its folder or archive.
    pub path: PathBuf,
    /// The address as `file` spells it; `None` if `file` names a path.
    pub url: Option<String>,
    /// The file that names it, in the project's folder.
    pub file: PathBuf,
    /// The field that names it.
    pub field: String,
    /// Whether uv installs it in place, independent of the project itself.
    pub is_in_place: bool,
}

impl LocalProject {
    /// Reads a project and its direct and indirect dependencies on this machine, itself first.
    ///
    /// Ignores unreadable build files, which the package manager reports.
    ///
    /// # Errors
    ///
    /// If a repository that determines a version has a format that is not supported.
    pub fn all(folder: &Path, source: &dyn Source) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = vec![folder.to_owned()];
        while let Some(folder) = next.pop() {
            if name::is_archive_path(&folder) || !seen.insert(folder.clone()) {
                continue;
            }
            let project = Self::read(&folder, source)?;
            next.extend(project.needs.iter().rev().map(|need| need.path.clone()));
            all.push(project);
        }
        Ok(all)
    }

    /// Fails if copies of the project and its dependencies would build into something else than the
    /// originals.
    pub(crate) fn check_copied(
        &self,
        source: &dyn Source,
        is_in_force: impl Fn(&Need) -> bool,
    ) -> Result<(), Error> {
        if let Some(history) = &self.history
            && !history.is_of(&self.folder, source)
        {
            let reason = format!("a copy of the project is no part of it, as {}'s", history.system);
            return Err(Error::Repository { path: history.root.clone(), reason });
        }
        for need in &self.needs {
            let (reason, hint) = if need.is_in_place && is_in_force(need) {
                let reason = "what uv installs in place has to stay where it is";
                let (name, path) = (&need.name, need.path.display());
                let hint = format!(
                    "name `{path}` beside the project, and `--no-sources-package {name}` among \
                     `uv_pip_install_options`; or install the project in place (`-e`)"
                );
                (reason, hint)
            } else if need.url.is_some()
                && self.repository.is_some()
                && !name::is_archive_path(&need.path)
            {
                let reason = "the version that git tells is not that of a file which names a copy";
                let hint = format!(
                    "name `{}` alone there, and its folder beside the project in the spec",
                    need.name
                );
                (reason, hint)
            } else {
                continue;
            };
            return Err(Error::Place {
                project: self.folder.clone(),
                field: need.field.clone(),
                name: need.name.clone(),
                reason,
                hint,
            });
        }
        Ok(())
    }

    fn read(folder: &Path, source: &dyn Source) -> Result<Self, Error> {
        let texts = Texts::read(folder, source);
        let asks = texts.ask_for_a_version();
        let repository = if asks { Repository::find(folder, source)? } else { None };
        let is_elsewhere = asks && repository.is_none();
        let history = is_elsewhere.then(|| History::find(folder, source)).flatten();
        let mut needs = Vec::new();
        for (file, text) in texts.build.iter().chain(&texts.lists) {
            needs.extend(by_address(file, text));
        }
        needs.extend(by_path(folder, &texts.project, source));
        // A path in a field need not exist if no build asks for it.
        needs.retain(|need| {
            let is_archive = name::is_archive_path(&need.path);
            need.path != folder
                && if is_archive {
                    source.read(&need.path).is_ok()
                } else {
                    is_project(&need.path, source)
                }
        });
        let mut places = BTreeSet::new();
        needs.retain(|need| places.insert((need.path.clone(), need.url.clone())));
        let name = texts.name();
        Ok(Self { folder: folder.to_owned(), name, repository, history, needs })
    }
}

/// Returns whether a folder holds a project that a package manager could build.
fn is_project(folder: &Path, source: &dyn Source) -> bool {
    ["pyproject.toml", "setup.py"].iter().any(|name| source.read(&folder.join(name)).is_ok())
}

/// The files that define a project's build, if they are text.
struct Texts {
    /// The `pyproject.toml`; empty if it is invalid.
    project: Table,
    /// The build files.
    build: Vec<(PathBuf, String)>,
    /// Lists of requirements that the build files name.
    lists: Vec<(PathBuf, String)>,
    /// Code that may run during a build: the files beside the build files, and a backend of the
    /// project's own.
    code: Vec<String>,
}

impl Texts {
    fn read(folder: &Path, source: &dyn Source) -> Self {
        let text = |path: &Path| {
            source.read(&folder.join(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok())
        };
        let build = ["pyproject.toml", "setup.cfg", "setup.py"];
        let read = |name: &str| Some((PathBuf::from(name), text(Path::new(name))?));
        let build = build.map(read);
        let project: Table =
            build[0].as_ref().and_then(|(_, text)| text.parse().ok()).unwrap_or_default();
        let mut lists = named_lists(&project);
        lists.extend(build[1].iter().flat_map(|(_, text)| named_by_setup_cfg(text)));
        let lists = lists.iter().filter_map(|name| read(name)).collect();
        let mut code: Vec<String> =
            OTHER_BUILD_FILES.iter().filter_map(|name| text(Path::new(name))).collect();
        let backends = get(&project, &["build-system", "backend-path"]).and_then(Value::as_array);
        let backends: Vec<_> =
            backends.into_iter().flatten().filter_map(Value::as_str).map(Path::new).collect();
        if !is_static_version(&project) || build[2].is_some() || !backends.is_empty() {
            let listed = source.list(folder).unwrap_or_default();
            let below: Vec<_> =
                listed.iter().filter_map(|path| path.strip_prefix(folder).ok()).collect();
            let all: BTreeSet<_> = below.iter().copied().collect();
            let is_code = |path: &&&Path| {
                let parent = path.parent().unwrap_or(path);
                let is_beside = parent.as_os_str().is_empty()
                    || backends.iter().any(|it| location::clean(it) == parent);
                is_beside
                    && path.extension().is_some_and(|end| end == "py")
                    && !is_by_product(path, |path| all.contains(path))
            };
            code.extend(below.iter().filter(is_code).filter_map(|path| text(path)));
        }
        Self { project, build: build.into_iter().flatten().collect(), lists, code }
    }

    fn name(&self) -> Option<String> {
        let tables = [&["project", "name"][..], &["tool", "poetry", "name"]];
        let by_table = tables.into_iter().find_map(|path| get(&self.project, path)?.as_str());
        let by_line = || {
            let (_, text) = self.build.iter().find(|(file, _)| file.ends_with("setup.cfg"))?;
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(key, _)| key.trim_end() == "name").map(|(_, name)| name.trim())
        };
        by_table.or_else(by_line).filter(|name| name::is_name(name)).map(normal_name)
    }

    /// Returns whether the build may ask version control for the version.
    fn ask_for_a_version(&self) -> bool {
        let requires = get(&self.project, &["build-system", "requires"]).and_then(Value::as_array);
        let requires = requires.into_iter().flatten().filter_map(Value::as_str);
        let mut names = requires.map(|line| {
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
            line[..end.unwrap_or(line.len())].to_ascii_lowercase()
        });
        names.any(|name| VERSIONING_NAMES.iter().any(|part| name.contains(part)))
            || self
                .build
                .iter()
                .map(|(_, text)| text)
                .chain(&self.code)
                .any(|text| VERSIONING.iter().any(|word| text.contains(word)))
    }
}

fn is_static_version(project: &Table) -> bool {
    get(project, &["project", "version"]).is_some_and(Value::is_str)
}

pub(crate) fn get<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, name| value.get(*name))
}

/// Returns the files from which setuptools reads dependencies.
fn named_lists(project: &Table) -> Vec<String> {
    let mut files = Vec::new();
    let mut values: Vec<&Value> =
        get(project, &["tool", "setuptools", "dynamic"]).into_iter().collect();
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => files.push(text.clone()),
            Value::Array(items) => values.extend(items),
            Value::Table(table) => {
                values
                    .extend(table.iter().filter(|(key, _)| *key != "attr").map(|(_, value)| value));
            }
            _ => {}
        }
    }
    files
}

fn named_by_setup_cfg(text: &str) -> Vec<String> {
    let values = text.lines().filter_map(|line| line.split_once("file:").map(|(_, files)| files));
    values.flat_map(|files| files.split(',')).map(|file| file.trim().to_owned()).collect()
}

/// Returns the dependencies that a text names as `name @ file:…`, in any format.
fn by_address(file: &Path, text: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    for (at, _) in text.match_indices("file:/") {
        let url = &text[at..];
        let is_end = |c: char| c.is_whitespace() || "\"'`,;#()[]<>\\".contains(c);
        let url = &url[..url.find(is_end).unwrap_or(url.len())];
        let Some(before) = text[..at].trim_end_matches([' ', '\t']).strip_suffix('@') else {
            continue;
        };
        let before = before.trim_end_matches([' ', '\t']);
        let before = match before.strip_suffix(']') {
            Some(extras) => extras.rfind('[').map_or("", |start| extras[..start].trim_end()),
            None => before,
        };
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let name = &before[start.map_or(0, |start| start + 1)..];
        let Ok(requirement) = format!("{name} @ {url}").parse::<Requirement>() else { continue };
        if let Some(path) = requirement.path() {
            needs.push(Need {
                name: normal_name(name),
                path: path.to_owned(),
                url: Some(url.to_owned()),
                file: file.to_owned(),
                field: format!("{name} @ {url}"),
                is_in_place: false,
            });
        }
    }
    needs
}

/// Returns the dependencies with a path in `tool.uv.sources`, of the project or of its workspace,
/// and in `tool.poetry.dependencies`.
fn by_path(folder: &Path, project: &Table, source: &dyn Source) -> Vec<Need> {
    let mut needs = Vec::new();
    let table = |project: &Table, path: &[&str]| -> Table {
        get(project, path).and_then(Value::as_table).cloned().unwrap_or_default()
    };
    let sources = table(project, &["tool", "uv", "sources"]);
    let workspace = workspace_of(folder, source);
    let shared = workspace.as_ref().map(|(_, root)| table(root, &["tool", "uv", "sources"]));
    let shared = shared.unwrap_or_default();
    let outer = workspace.as_ref().map_or(folder, |(dir, _)| dir.as_path());
    let mut add = |name: &str, value: &Value, dir: &Path, is_inherited: bool| {
        let flag = |key| value.get(key).and_then(Value::as_bool).unwrap_or_default();
        let path = if flag("workspace") {
            workspace.as_ref().and_then(|(root, _)| member(root, name, source))
        } else {
            let path = value.get("path").and_then(Value::as_str);
            path.map(|path| location::absolute(dir, path))
        };
        needs.extend(path.map(|path| Need {
            name: normal_name(name),
            path,
            url: None,
            file: PathBuf::from("pyproject.toml"),
            field: format!("tool.uv.sources.{name}"),
            is_in_place: is_inherited || flag("workspace") || flag("editable"),
        }));
    };
    for (name, value) in &sources {
        for value in one_or_many(value) {
            add(name, value, folder, false);
        }
    }
    let is_asked = |name: &str| {
        let asked = get(project, &["project", "dependencies"]).and_then(Value::as_array);
        asked.into_iter().flatten().filter_map(Value::as_str).any(|line| {
            line.parse::<Requirement>().is_ok_and(|it| {
                it.name() == Some(&normal_name(name)) && !it.is_local() && it.url().is_none()
            })
        })
    };
    for (name, value) in
        shared.iter().filter(|(name, _)| !sources.contains_key(*name) && is_asked(name))
    {
        for value in one_or_many(value) {
            add(name, value, outer, true);
        }
    }
    for (name, value) in &table(project, &["tool", "poetry", "dependencies"]) {
        for path in one_or_many(value).iter().filter_map(|value| value.get("path")?.as_str()) {
            needs.push(Need {
                name: normal_name(name),
                path: location::absolute(folder, path),
                url: None,
                file: PathBuf::from("pyproject.toml"),
                field: format!("tool.poetry.dependencies.{name}"),
                is_in_place: false,
            });
        }
    }
    needs
}

fn one_or_many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Returns the folder that uv takes for the project's workspace: the nearest above it, or its own.
fn workspace_of(folder: &Path, source: &dyn Source) -> Option<(PathBuf, Table)> {
    folder.ancestors().find_map(|dir| {
        let text = String::from_utf8(source.read(&dir.join("pyproject.toml")).ok()?).ok()?;
        let table: Table = text.parse().ok()?;
        get(&table, &["tool", "uv", "workspace"])?;
        Some((dir.to_owned(), table))
    })
}

/// Returns the member of a workspace with this name.
fn member(root: &Path, name: &str, source: &dyn Source) -> Option<PathBuf> {
    let files = source.list(root).ok()?;
    files.iter().filter(|path| path.ends_with("pyproject.toml")).find_map(|path| {
        let text = String::from_utf8(source.read(path).ok()?).ok()?;
        let table: Table = text.parse().ok()?;
        let own = get(&table, &["project", "name"])?.as_str()?;
        let folder = path.parent().filter(|_| normal_name(own) == normal_name(name))?;
        Some(folder.to_owned())
    })
}
