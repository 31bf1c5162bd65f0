//! Project files besides requirements files: dependency groups of a `pyproject.toml` (PEP 735), the
//! block at the head of a script (PEP 723), and lock files (PEP 751).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};

use crate::name::normal_name;

/// The kind of a file that is no requirements file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `pyproject.toml`
    Project,
    /// `pylock.toml`, `pylock.NAME.toml`
    Lock,
    /// `NAME.py`
    Script,
    /// A file that this crate cannot read, and the way out.
    Other(&'static str),
}

impl Kind {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
        Some(match name {
            "pyproject.toml" => Self::Project,
            "pylock.toml" => Self::Lock,
            "setup.py" | "setup.cfg" => {
                Self::Other("name the project's folder, such as `./project`, in a list")
            }
            "uv.lock" => Self::Other("write one with `uv export --format requirements.txt`"),
            "poetry.lock" => Self::Other("write one with `poetry export`"),
            "pdm.lock" => Self::Other("write one with `pdm export`"),
            "Pipfile" | "Pipfile.lock" => Self::Other("write one with `pipenv requirements`"),
            "environment.yml" | "environment.yaml" => {
                Self::Other("it is one of conda, which a Ray executor takes as `conda`")
            }
            _ if name.starts_with("pylock.") && suffix == "toml" => Self::Lock,
            _ if suffix == "py" || suffix == "pyw" => Self::Script,
            _ if suffix == "toml" => Self::Other(
                "of TOML files, groups (`pyproject.toml#dev`) and `pylock.toml` are read",
            ),
            _ => return None,
        })
    }
}

/// The requirements of a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Its requirements.
    pub(crate) lines: Vec<String>,
    /// Its `requires-python`.
    pub(crate) python: Option<String>,
    /// The `requires-python` of single packages in it, each with a requirement that has the
    /// package's marker.
    pub(crate) package_pythons: Vec<(String, String)>,
    /// The `requires-python` that uv's settings give for groups in it.
    pub(crate) group_pythons: Vec<String>,
    /// The markers of the environments that it is for; `None` if it is for all.
    pub(crate) environments: Option<Vec<String>>,
    /// uv's settings in it; empty in a lock file.
    pub(crate) uv: Table,
}

impl Contents {
    fn of_lines(lines: Vec<String>, uv: Table) -> Self {
        Self { lines, uv, ..Self::default() }
    }
}

/// Returns the `requires-python` of a table.
fn python(table: &Table) -> Result<Option<String>, String> {
    let Some(given) = table.get("requires-python") else { return Ok(None) };
    let text = given.as_str().ok_or("its `requires-python` is no text")?;
    Ok(Some(text.to_owned()))
}

/// Returns the requirements of a group, including those of the groups that it includes.
pub(crate) fn group(text: &str, name: &str) -> Result<Contents, String> {
    let project = table(text)?;
    let groups = groups(&project)?;
    let mut expanded = Expanded::default();
    expand(&groups, &normal_name(name), &mut Vec::new(), &mut expanded)?;
    let uv = of_uv(&project);
    refuse_sources(&uv, &expanded.lines)?;
    let group_pythons = group_pythons(&uv, &expanded.groups)?;
    Ok(Contents { group_pythons, ..Contents::of_lines(expanded.lines, uv) })
}

/// A group's contents, with the groups that it includes.
#[derive(Default)]
struct Expanded {
    lines: Vec<String>,
    /// The normal names of the group and of those that it includes.
    groups: BTreeSet<String>,
}

/// Returns the `requires-python` of these groups in `tool.uv.dependency-groups`.
fn group_pythons(uv: &Table, groups: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let Some(given) = uv.get("dependency-groups") else { return Ok(found) };
    for (name, settings) in given.as_table().ok_or("`tool.uv.dependency-groups` is no table")? {
        if groups.contains(&normal_name(name)) {
            let settings = settings.as_table();
            let settings = settings
                .ok_or_else(|| format!("`tool.uv.dependency-groups.{name}` is no table"))?;
            found.extend(python(settings)?);
        }
    }
    Ok(found)
}

/// Returns uv's settings in a project's file or in a script's block.
fn of_uv(file: &Table) -> Table {
    let uv = file.get("tool").and_then(|tool| tool.get("uv")?.as_table());
    uv.cloned().unwrap_or_default()
}

fn refuse_sources(uv: &Table, found: &[String]) -> Result<(), String> {
    let sources = uv.get("sources").and_then(Value::as_table);
    for source in sources.into_iter().flat_map(Table::keys) {
        let is_asked = |line: &&String| {
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
            normal_name(&line[..end.unwrap_or(line.len())]) == normal_name(source)
        };
        if let Some(line) = found.iter().find(is_asked) {
            return Err(format!(
                "`tool.uv.sources` says where `{line}` comes from, which is not read here: write it \
                 as `name @ URL`"
            ));
        }
    }
    Ok(())
}

/// Returns the names of a project's groups, for the error that lists them.
pub(crate) fn group_names(text: &str) -> Result<Vec<String>, String> {
    Ok(groups(&table(text)?)?.into_keys().collect())
}

fn groups(project: &Table) -> Result<BTreeMap<String, &Vec<Value>>, String> {
    let mut groups = BTreeMap::new();
    let Some(given) = project.get("dependency-groups") else { return Ok(groups) };
    for (name, items) in given.as_table().ok_or("`dependency-groups` is no table")? {
        let items = items.as_array().ok_or_else(|| format!("the group `{name}` is no list"))?;
        if groups.insert(normal_name(name), items).is_some() {
            return Err(format!("more than one group is named `{}`", normal_name(name)));
        }
    }
    Ok(groups)
}

fn expand(
    groups: &BTreeMap<String, &Vec<Value>>,
    name: &str,
    open: &mut Vec<String>,
    found: &mut Expanded,
) -> Result<(), String> {
    if open.iter().any(|it| it == name) {
        return Err(format!("the group `{name}` includes itself"));
    }
    if open.len() >= 64 {
        return Err(format!("the group `{name}` is nested more than 64 groups deep"));
    }
    let Some(items) = groups.get(name) else {
        let names: Vec<_> = groups.keys().map(|name| format!("`{name}`")).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(format!("it has no group `{name}`; its groups are {known}"));
    };
    open.push(name.to_owned());
    found.groups.insert(name.to_owned());
    for item in *items {
        match item {
            Value::String(line) => found.lines.push(line.clone()),
            Value::Table(table) => match (table.get("include-group"), table.len()) {
                (Some(Value::String(other)), 1) => {
                    expand(groups, &normal_name(other), open, found)?;
                }
                _ => {
                    return Err(format!(
                        "the group `{name}` holds a table other than \
                                         `{{include-group = \"…\"}}`"
                    ));
                }
            },
            _ => return Err(format!("the group `{name}` holds what is no text")),
        }
    }
    open.pop();
    Ok(())
}

/// Returns the contents of the block `# /// script` of a script; none without a block.
pub(crate) fn script(text: &str) -> Result<Option<Contents>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() != "# /// script" {
            continue;
        }
        // The block ends at the last `# ///` before a line that is no comment.
        let inside = lines.clone().take_while(|line| *line == "#" || line.starts_with("# "));
        let inside: Vec<_> = inside.collect();
        let Some(end) = inside.iter().rposition(|line| line.trim_end() == "# ///") else {
            continue;
        };
        let block = inside[..end].iter().fold(String::new(), |mut block, line| {
            _ = writeln!(block, "{}", line.strip_prefix("# ").unwrap_or_default());
            block
        });
        blocks.push(block);
        _ = lines.nth(end);
    }
    let block = match &blocks[..] {
        [] => return Ok(None),
        [block] => table(block)?,
        _ => return Err("it has more than one block `# /// script`".to_owned()),
    };
    let python = python(&block)?;
    let Some(given) = block.get("dependencies") else {
        return Ok(Some(Contents { python, ..Contents::default() }));
    };
    let given = given.as_array().and_then(|items| {
        items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    let lines = given.ok_or("its `dependencies` are no list of texts")?;
    let uv = of_uv(&block);
    refuse_sources(&uv, &lines)?;
    Ok(Some(Contents { python, ..Contents::of_lines(lines, uv) }))
}

/// Returns whether a script has a block (PEP 723) that names packages or Pythons, or an invalid
/// one.
///
/// ```
/// assert!(envspec::names_packages("# /// script\n# dependencies = ['six']\n# ///\n"));
/// assert!(envspec::names_packages("# /// script\n# requires-python = '>=3.9'\n# ///\n"));
/// assert!(!envspec::names_packages("import six\n"));
/// ```
#[must_use]
pub fn names_packages(script: &str) -> bool {
    match self::script(script) {
        Ok(None) => false,
        Ok(Some(Contents { lines, python, .. })) => !lines.is_empty() || python.is_some(),
        Err(_) => true,
    }
}

/// Returns the requirements of a lock file, each pinned, with the hashes of its files.
pub(crate) fn lock(text: &str) -> Result<Contents, String> {
    let lock = table(text)?;
    let version = lock.get("lock-version").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("1.") {
        return Err(format!("its `lock-version` is `{version}`, and 1.0 is known here"));
    }
    let packages = lock.get("packages").and_then(Value::as_array).ok_or("it has no `packages`")?;
    let mut lines = Vec::new();
    for package in packages {
        locked(package, &mut lines)?;
    }
    let environments = match lock.get("environments") {
        None => None,
        Some(Value::Array(markers)) => {
            let markers = markers.iter().map(|it| it.as_str().map(str::to_owned));
            let markers = markers.collect::<Option<Vec<String>>>();
            Some(markers.ok_or("its `environments` are no texts")?)
        }
        Some(_) => return Err("its `environments` are no list".to_owned()),
    };
    let mut package_pythons = Vec::new();
    for package in packages.iter().filter_map(Value::as_table) {
        let Some(versions) = python(package)? else { continue };
        let text = |field: &str| package.get(field).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let marker = text("marker").map(|marker| format!(" ; {marker}")).unwrap_or_default();
        package_pythons.push((format!("{name}{marker}"), versions));
    }
    let python = python(&lock)?;
    Ok(Contents { lines, python, package_pythons, environments, ..Contents::default() })
}

/// Adds the lines that install a package of a lock.
fn locked(package: &Value, lines: &mut Vec<String>) -> Result<(), String> {
    let text = |field: &str| package.get(field).and_then(Value::as_str);
    let name = text("name").ok_or("one of its packages has no `name`")?;
    let refused = |what: &str| format!("its package `{name}` {what}");
    let part =
        |table: &Value, field: &str| table.get(field).and_then(Value::as_str).map(str::to_owned);
    let subdirectory = |table: &Value| {
        part(table, "subdirectory").map_or(String::new(), |it| format!("#subdirectory={it}"))
    };
    let wheels = || package.get("wheels").and_then(Value::as_array).into_iter().flatten();
    let mut line = if let Some(vcs) = package.get("vcs") {
        let kind = part(vcs, "type").ok_or_else(|| refused("has a `vcs` without `type`"))?;
        let url = part(vcs, "url").ok_or_else(|| refused("has a `vcs` without `url`"))?;
        let commit = part(vcs, "commit-id");
        let commit = commit.ok_or_else(|| refused("has a `vcs` without `commit-id`"))?;
        format!("{name} @ {kind}+{url}@{commit}{}", subdirectory(vcs))
    } else if let Some(directory) = package.get("directory") {
        let path = part(directory, "path").ok_or_else(|| refused("has a folder without path"))?;
        let is_editable = directory.get("editable").and_then(Value::as_bool).unwrap_or_default();
        let start = if is_editable { "-e " } else { "" };
        if directory.get("subdirectory").is_some() {
            return Err(refused("lies in the `subdirectory` of a folder, which is not read here"));
        }
        format!("{start}{}", as_path(&path))
    } else if let Some(archive) = package.get("archive") {
        match (part(archive, "url"), part(archive, "path")) {
            (Some(url), _) => format!("{name} @ {url}{}", subdirectory(archive)),
            (None, Some(_)) if archive.get("subdirectory").is_some() => {
                return Err(refused(
                    "lies in the `subdirectory` of an archive, which is not read here",
                ));
            }
            (None, Some(path)) => format!("{name} @ {}", as_path(&path)),
            (None, None) => return Err(refused("has an archive without `url` or `path`")),
        }
    } else {
        let files: Vec<&Value> = wheels().chain(package.get("sdist")).collect();
        if files.iter().any(|file| hashes(file).next().is_none()) {
            return Err(refused(
                "has a file without `hashes`, so any package of that name would do",
            ));
        }
        // What has no address is here, and no index need have it.
        let paths: Vec<String> = files
            .iter()
            .filter(|file| file.get("url").is_none())
            .filter_map(|file| part(file, "path"))
            .collect();
        if let ([path], 1) = (&paths[..], files.len()) {
            format!("{name} @ {}", as_path(path))
        } else {
            for path in &paths {
                let place = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
                lines.push(format!("--find-links={:?}", as_path(place)));
            }
            let version = text("version").ok_or_else(|| refused("has no `version`"))?;
            format!("{name}=={version}")
        }
    };
    if let Some(marker) = text("marker") {
        _ = write!(line, " ; {marker}");
    }
    for file in wheels().chain(package.get("sdist")).chain(package.get("archive")) {
        for (algorithm, hash) in hashes(file) {
            _ = write!(line, " --hash={algorithm}:{hash}");
        }
    }
    lines.push(line);
    Ok(())
}

/// Returns the secure hashes of a file in a lock.
fn hashes(file: &Value) -> impl Iterator<Item = (&str, &str)> {
    let hashes = file.get("hashes").and_then(Value::as_table).into_iter().flatten();
    let hashes = hashes.filter_map(|(algorithm, hash)| Some((algorithm.as_str(), hash.as_str()?)));
    hashes.filter(|(algorithm, _)| algorithm.starts_with("sha"))
}

/// Returns a path in a form that a line of a requirements file reads as a path.
fn as_path(path: &str) -> String {
    if path.starts_with(['/', '.']) { path.to_owned() } else { format!("./{path}") }
}

fn table(text: &str) -> Result<Table, String> {
    text.parse().map_err(|error: toml::de::Error| format!("it is no TOML: {}", error.message()))
}
