//! Projects whose `pyproject.toml` alone decides the result of an installation in place.

use std::path::Path;

use toml::{Table, Value};

use crate::local_project::get;
use crate::source::Source;

/// Build backends that run no code of a project: the backend, its package, its table, and the
/// prefixes of the table's fields that do not change that.
const BACKENDS: [(&str, &str, &str, &[&str]); 4] = [
    (
        "setuptools.build_meta",
        "setuptools",
        "setuptools",
        &[
            "packages",
            "package-dir",
            "package-data",
            "py-modules",
            "exclude-package-data",
            "include-package-data",
            "zip-safe",
        ],
    ),
    (
        "hatchling.build",
        "hatchling",
        "hatch",
        &[
            "envs",
            "metadata.allow-",
            "build.targets.sdist",
            "build.targets.wheel.packages",
            "build.targets.wheel.include",
            "build.targets.wheel.exclude",
            "build.targets.wheel.only-include",
        ],
    ),
    ("flit_core.buildapi", "flit-core", "flit", &["module", "sdist"]),
    (
        "uv_build",
        "uv-build",
        "uv",
        &["build-backend.module-", "build-backend.namespace", "sources", "workspace", "index"],
    ),
];

/// A project whose modules the build does not read.
pub(crate) struct StaticProject {
    /// The file with the project's description.
    readme: Option<String>,
}

impl StaticProject {
    /// Returns the project if it certainly is one: with a known backend without plugins, all
    /// metadata in `pyproject.toml`, and no files of older build tools.
    pub(crate) fn read(dir: &Path, source: &dyn Source) -> Option<Self> {
        let text = |name| String::from_utf8(source.read(&dir.join(name)).ok()?).ok();
        if source.read(&dir.join("setup.py")).is_ok() {
            return None;
        }
        let names_a_project = |text: String| {
            text.lines().any(|line| ["[metadata", "[options"].iter().any(|it| line.starts_with(it)))
        };
        if text("setup.cfg").is_some_and(names_a_project) {
            return None;
        }
        let file: Table = text("pyproject.toml")?.parse().ok()?;
        let project = file.get("project")?.as_table()?;
        let is_text = |name: &str| project.get(name).is_some_and(Value::is_str);
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if !is_text("name") || !is_text("version") || !project.get("dynamic").is_none_or(is_empty) {
            return None;
        }
        // These fields name files by patterns.
        if project.contains_key("license-files")
            || project.get("license").is_some_and(Value::is_table)
        {
            return None;
        }
        let build = file.get("build-system")?.as_table()?;
        if build.contains_key("backend-path") {
            return None;
        }
        let backend = build.get("build-backend")?.as_str()?;
        let (_, package, tool, fields) = BACKENDS.iter().find(|(name, ..)| *name == backend)?;
        let mut requires = build.get("requires")?.as_array()?.iter();
        let is_known = |line: &Value| {
            let line = line.as_str().unwrap_or_default().replace('_', "-");
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)));
            [*package, "wheel"].contains(&&line[..end.unwrap_or(line.len())])
        };
        let mut steering = Vec::new();
        paths_in(get(&file, &["tool", tool]), "", &mut steering);
        let says_no_more = |path: &String| fields.iter().any(|start| path.starts_with(start));
        if !requires.all(is_known) || !steering.iter().all(says_no_more) {
            return None;
        }
        let readme = project.get("readme");
        let readme =
            readme.and_then(|readme| readme.as_str().or_else(|| readme.get("file")?.as_str()));
        Some(Self { readme: readme.map(str::to_owned) })
    }

    /// Returns whether a build reads the contents of this file.
    pub(crate) fn reads(&self, below: &Path) -> bool {
        let is_beside = below.parent().is_some_and(|parent| parent.as_os_str().is_empty());
        let name = below.to_string_lossy().to_ascii_uppercase();
        let is_legal = ["LICEN", "COPYING", "NOTICE", "AUTHORS"];
        let is_build_file =
            ["PYPROJECT.TOML", "SETUP.CFG", "MANIFEST.IN", ".GITIGNORE", ".HGIGNORE"];
        let is_readme = |readme: &str| Path::new(readme.trim_start_matches("./")) == below;
        self.readme.as_deref().is_some_and(is_readme)
            || (is_beside
                && (is_legal.iter().any(|start| name.starts_with(start))
                    || is_build_file.contains(&&*name)))
    }
}

/// Collects the dotted names of all values in a table.
fn paths_in(value: Option<&Value>, path: &str, found: &mut Vec<String>) {
    match value {
        Some(Value::Table(table)) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                paths_in(Some(value), &path, found);
            }
        }
        Some(_) => found.push(path.to_owned()),
        None => {}
    }
}
