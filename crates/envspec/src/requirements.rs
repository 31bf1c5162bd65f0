//! Lists of requirements, and requirements files with the files that they include.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::decode;
use crate::error::Error;
use crate::index::{BinaryRules, IndexCollector, IndexUrl};
use crate::location;
use crate::options::{self, Known};
use crate::packages::PackageList;
use crate::project::{self, Contents};
use crate::read::excerpt;
use crate::redact::redact;
use crate::requirement::Requirement;
use crate::requirement_parser::{self, editable, without_comment};
use crate::requires_python::{MadeFor, RequiresPython};
use crate::source::Source;
use crate::tool::Tool;
use crate::uv_settings;
use crate::variables::Variables;

/// Maximum depth of files that include each other.
const DEPTH: usize = 64;

/// The purpose of a list's lines. A file that a constraint or override file includes by `-r` keeps
/// that purpose, as in uv; pip would install its packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Requirement,
    Constraint,
    Override,
}

/// Collects the requirements of lists and files. The order of requirements has no meaning, so a file
/// that is included twice is read once.
pub(crate) struct Collector<'a> {
    /// The package manager whose rules apply to the lines.
    tool: Tool,
    pub(crate) source: &'a dyn Source,
    pub(crate) variables: Variables<'a>,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) constraints: Vec<Requirement>,
    pub(crate) overrides: Vec<Requirement>,
    /// The Python versions of the files.
    pub(crate) requires_python: Vec<RequiresPython>,
    /// The environments that they are for.
    pub(crate) made_for: Vec<MadeFor>,
    pub(crate) index: IndexCollector,
    /// Option lines for the package manager alone; their order has no meaning.
    pub(crate) tool_options: BTreeSet<Vec<String>>,
    /// Options that files of projects and scripts give.
    pub(crate) file_options: Vec<String>,
    /// Whether the next file is all that the spec asks for.
    is_alone: bool,
    /// The files that include the current one, outermost first.
    open: Vec<PathBuf>,
    done: BTreeSet<(PathBuf, Role)>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(tool: Tool, source: &'a dyn Source, variables: Variables<'a>) -> Self {
        Self {
            tool,
            source,
            variables,
            requirements: Vec::new(),
            constraints: Vec::new(),
            overrides: Vec::new(),
            requires_python: Vec::new(),
            made_for: Vec::new(),
            index: IndexCollector::default(),
            tool_options: BTreeSet::new(),
            file_options: Vec::new(),
            is_alone: false,
            open: Vec::new(),
            done: BTreeSet::new(),
        }
    }

    /// Reads the value of `field`; relative paths start at `dir`.
    pub(crate) fn list(
        &mut self,
        field: &str,
        list: &PackageList,
        dir: &Path,
        role: Role,
    ) -> Result<(), Error> {
        match list {
            PackageList::File(path) => {
                let path = path.to_string_lossy();
                let path = self
                    .variables
                    .expand(&path)
                    .map_err(|error| error.in_field(field))?
                    .into_owned();
                self.is_alone = role == Role::Requirement;
                self.include(&path, dir, role).map_err(|error| error.in_field(field))
            }
            PackageList::Lines(lines) => {
                for (index, text) in lines.iter().enumerate() {
                    for (_, line) in logical_lines(text, self.tool) {
                        self.line(&line, dir, role)
                            .map_err(|error| error.in_field(format!("{field}[{index}]")))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes one option from a line or from the package manager's options.
    pub(crate) fn option(&mut self, option: Known, dir: &Path, role: Role) -> Result<(), Error> {
        let dir = &*self.seen_from(dir, option.value());
        let address = match &option {
            Known::IndexUrl(url) => Some(("--index-url", url)),
            Known::ExtraIndexUrl(url) => Some(("--extra-index-url", url)),
            Known::FindLinks(url) => Some(("--find-links", url)),
            _ => None,
        };
        if let Some((option, url)) = address {
            location::check_url(url).map_err(|reason| Error::InvalidValue {
                field: option.to_owned(),
                value: excerpt(url),
                reason,
            })?;
        }
        match option {
            Known::IndexUrl(url) => {
                self.index.options.index_url = Some(IndexUrl::parse_in(&url, dir).of_index());
            }
            Known::ExtraIndexUrl(url) => {
                self.index.add_extra_index(IndexUrl::parse_in(&url, dir).of_index());
            }
            Known::FindLinks(url) => self.index.add_find_links(IndexUrl::parse_in(&url, dir)),
            Known::NoIndex => self.index.options.no_index = true,
            Known::Pre => self.index.options.pre = true,
            Known::RequireHashes => self.index.options.require_hashes = true,
            Known::NoBinary(names) => self.binary(&names, false, BinaryRules::UvCommand)?,
            Known::OnlyBinary(names) => self.binary(&names, true, BinaryRules::UvCommand)?,
            Known::Requirement(path) => self.include(&path, dir, role)?,
            Known::Constraint(path) => self.include(&path, dir, Role::Constraint)?,
            Known::Override(path) => self.include(&path, dir, Role::Override)?,
            Known::Editable(path) => {
                self.add(Requirement::parse_in(&format!("-e {path}"), dir)?, role)?;
            }
            Known::Tool(words) => self.tool_options.extend([words]),
        }
        Ok(())
    }

    fn line(&mut self, line: &str, dir: &Path, role: Role) -> Result<(), Error> {
        let line = self.variables.expand(line)?;
        // An editable's path may hold blanks, and its line ends in hashes or a marker.
        if line.starts_with('-') && editable(&line).is_none() {
            let options = options::parse_line(&line, self.tool)?;
            return self.option_line(options, dir, role);
        }
        let dir = self.seen_from(dir, &line);
        self.add(requirement_parser::parse_for(self.tool, &line, &dir)?, role)
    }

    /// Takes the options of one line, by the rules that pip and uv have for a line.
    fn option_line(
        &mut self,
        mut options: Vec<Known>,
        dir: &Path,
        role: Role,
    ) -> Result<(), Error> {
        let mut urls = options.iter().rev().filter_map(|option| match option {
            Known::IndexUrl(url) => {
                Some(IndexUrl::parse_in(url, &self.seen_from(dir, url)).of_index())
            }
            _ => None,
        });
        match (self.tool, urls.next(), &self.index.options.index_url) {
            // pip takes the indexes of such a line in place of all before it, and of the command line.
            (Tool::Pip, Some(_), _) => self.index.clear_indexes(),
            (Tool::Uv, Some(second), Some(first)) if second != *first => {
                let [first, second] = [first, &second].map(ToString::to_string);
                return Err(Error::TwoIndexes { first, second });
            }
            _ => {}
        }
        if self.tool == Tool::Pip {
            // pip overlooks all `--find-links` of a line but the first.
            let mut links = 0;
            options.retain(|option| {
                links += usize::from(matches!(option, Known::FindLinks(_)));
                links <= 1 || !matches!(option, Known::FindLinks(_))
            });
        }
        options.into_iter().try_for_each(|option| match option {
            Known::NoBinary(names) => self.binary(&names, false, BinaryRules::UvLine),
            Known::OnlyBinary(names) => self.binary(&names, true, BinaryRules::UvLine),
            option => self.option(option, dir, role),
        })
    }

    /// Takes a value of `--no-binary` or `--only-binary` by pip's rules, or else by these of uv's.
    fn binary(&mut self, names: &str, only: bool, of_uv: BinaryRules) -> Result<(), Error> {
        let rules = if self.tool == Tool::Pip { BinaryRules::Pip } else { of_uv };
        let option = if only { "--only-binary" } else { "--no-binary" };
        self.index
            .restrict_binary(names, only, rules)
            .map_err(|reason| Error::OptionValue { option: option.to_owned(), reason })
    }

    /// Returns the folder that the relative paths in `text` start at: `..` is the parent of a
    /// link's target, as for the package managers and the system.
    fn seen_from<'d>(&self, dir: &'d Path, text: &str) -> Cow<'d, Path> {
        if !text.contains("..") {
            return dir.into();
        }
        // If the folder is missing, reading from it reports that.
        self.source.real_dir(dir).map_or(dir.into(), Cow::Owned)
    }

    fn add(&mut self, requirement: Requirement, role: Role) -> Result<(), Error> {
        let refused = |role, reason| Error::Role { text: requirement.to_string(), role, reason };
        let list = match role {
            Role::Requirement => &mut self.requirements,
            // pip's rule for constraints; an override replaces a version, so it needs a name too.
            Role::Constraint if requirement.is_editable() => {
                return Err(refused("a constraint", "it is editable"));
            }
            Role::Constraint if requirement.name().is_none() => {
                return Err(refused("a constraint", "it has no name"));
            }
            // uv ignores them.
            Role::Constraint if requirement.extras().len() > 0 && self.tool == Tool::Pip => {
                return Err(refused("a constraint", "it has extras"));
            }
            Role::Constraint => &mut self.constraints,
            Role::Override if requirement.is_editable() => {
                return Err(refused("an override", "it is editable"));
            }
            Role::Override if requirement.name().is_none() => {
                return Err(refused("an override", "it has no name"));
            }
            Role::Override => &mut self.overrides,
        };
        list.push(requirement);
        Ok(())
    }

    fn include(&mut self, path: &str, dir: &Path, role: Role) -> Result<(), Error> {
        let is_alone = std::mem::take(&mut self.is_alone);
        let (path, group) = match path.split_once('#') {
            Some((file, group)) if file.ends_with("pyproject.toml") => (file, Some(group)),
            _ => (path, None),
        };
        let path = if location::is_file_url(path) {
            let (path, _) = location::file_url(path).map_err(|reason| Error::InvalidValue {
                field: "-r".to_owned(),
                value: path.to_owned(),
                reason,
            })?;
            path
        } else if location::scheme(path).is_some() {
            return Err(Error::InvalidValue {
                field: "-r".to_owned(),
                value: redact(path).into_owned(),
                reason: "a requirements file must be local, so that the key can tell its contents",
            });
        } else {
            location::absolute(&self.seen_from(dir, path), path)
        };
        if self.open.contains(&path) {
            return Err(Error::Cycle { path });
        }
        if self.open.len() >= DEPTH {
            return Err(Error::TooDeep { path, limit: DEPTH });
        }
        let whole = group.map_or(path.clone(), |group| path.join(group));
        if !self.done.insert((whole, role)) {
            return Ok(());
        }
        let bytes = self
            .source
            .read_text(&path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let tool = self.tool;
        let text = decode::decode(&bytes, tool).map_err(|reason| Error::NotText {
            path: path.clone(),
            tool,
            reason,
        })?;
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        if let Some(kind) = project::Kind::of(&path) {
            let named = (role == Role::Requirement && is_alone, group.unwrap_or_default());
            return self.project(kind, &text, named, &path, &dir);
        }
        self.open.push(path.clone());
        for (number, line) in logical_lines(&text, self.tool) {
            self.line(&line, &dir, role).map_err(|error| Error::InFile {
                file: path.clone(),
                line: number,
                source: Box::new(error),
            })?;
        }
        self.open.pop();
        Ok(())
    }

    /// Reads a file that is no requirements file, and the named part of it.
    fn project(
        &mut self,
        kind: project::Kind,
        text: &str,
        (is_alone, group): (bool, &str),
        path: &Path,
        dir: &Path,
    ) -> Result<(), Error> {
        let refused = |reason: &str, hint: Option<String>| Error::NoRequirements {
            path: path.to_owned(),
            reason: reason.to_owned(),
            hint,
        };
        let lines = match kind {
            project::Kind::Project if group.is_empty() => {
                let groups = project::group_names(text).unwrap_or_default();
                let group = groups.first().map_or("GROUP", String::as_str);
                let hint = format!(
                    "name a group of it, as in `pyproject.toml#{group}`, or the project's folder in a \
                     list: `.`, or `-e .`"
                );
                return Err(refused("a project is no list of requirements", Some(hint)));
            }
            project::Kind::Project => project::group(text, group),
            project::Kind::Script => match project::script(text) {
                Ok(None) => Err("it has no block `# /// script` that names packages".to_owned()),
                found => found.map(Option::unwrap_or_default),
            },
            project::Kind::Lock if is_alone => {
                self.tool_options.insert(vec!["--no-deps".to_owned()]);
                project::lock(text)
            }
            project::Kind::Lock => {
                let hint = "give its path in place of the list".to_owned();
                return Err(refused("a lock file is all that a spec asks for", Some(hint)));
            }
            project::Kind::Other(hint) => {
                return Err(refused("it is no requirements file", Some(hint.to_owned())));
            }
        };
        let Contents { lines, python, package_pythons, group_pythons, environments, uv } =
            lines.map_err(|reason| refused(&reason, None))?;
        if self.tool == Tool::Uv {
            let uv = uv_settings::read(&uv, dir).map_err(|reason| refused(&reason, None))?;
            self.file_options.extend(uv.words);
            for (lines, role) in
                [(uv.constraints, Role::Constraint), (uv.overrides, Role::Override)]
            {
                for line in lines {
                    self.line(&line, dir, role)
                        .map_err(|error| error.in_field(path.display().to_string()))?;
                }
            }
        }
        let required = |versions: &str| {
            RequiresPython::new(path, versions).ok_or_else(|| {
                let reason =
                    format!("its `requires-python`, `{versions}`, is no list of specifiers");
                refused(&reason, Some("write it as in `requires-python = \">=3.9\"`".to_owned()))
            })
        };
        for versions in group_pythons.iter().filter(|_| self.tool == Tool::Uv) {
            self.requires_python.push(required(versions)?);
        }
        if let Some(versions) = python {
            self.requires_python.push(required(&versions)?);
        }
        for (package, versions) in package_pythons {
            let package: Result<Requirement, Error> = package.parse();
            let package = package.map_err(|error| error.in_field(path.display().to_string()))?;
            self.requires_python.push(required(&versions)?.of_package(package));
        }
        if let Some(environments) = environments {
            let found = MadeFor::new(path, environments);
            let found = found.ok_or_else(|| refused("its `environments` are no markers", None))?;
            self.made_for.push(found);
        }
        for line in lines {
            self.line(&line, dir, Role::Requirement)
                .map_err(|error| error.in_field(path.display().to_string()))?;
        }
        Ok(())
    }
}

/// Returns the lines of a requirements file without comments and blank lines, each with the number
/// of its first line. A backslash at the end of a line joins it with the next one (as in pip).
fn logical_lines(text: &str, tool: Tool) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut joined: Option<(usize, String)> = None;
    let mut finish = |number: usize, line: &str| {
        let line = without_comment(line).trim();
        if !line.is_empty() {
            lines.push((number, line.to_owned()));
        }
    };
    for (index, line) in decode::lines(text, tool).enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (number, mut line_so_far) = joined.take().unwrap_or((index + 1, String::new()));
        if is_comment {
            // A comment stays one after the lines that it is joined to, and ends the joining.
            line_so_far.push(' ');
            line_so_far.push_str(line);
            finish(number, &line_so_far);
        } else if let Some(start) = line.strip_suffix('\\') {
            line_so_far.push_str(start);
            joined = Some((number, line_so_far));
        } else {
            line_so_far.push_str(line);
            finish(number, &line_so_far);
        }
    }
    if let Some((number, line)) = joined {
        finish(number, &line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_cut() {
        let text = "a # x\r\n\n  # y\nb \\\n  --hash=1 \\\n # z\nhttp://h/#egg=c\nd\\";
        let expected = [(1, "a"), (4, "b   --hash=1"), (7, "http://h/#egg=c"), (8, "d")];
        let found = logical_lines(text, Tool::Uv);
        let found: Vec<_> = found.iter().map(|(number, line)| (*number, line.as_str())).collect();
        assert_eq!(found, expected);
    }
}
