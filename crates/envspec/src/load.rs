//! Loading a spec: reading the files that it refers to.

use std::collections::BTreeMap;
use std::mem::take;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::contents::digest_contents;
use crate::error::Error;
use crate::install::Install;
use crate::loaded::LoadedEnv;
use crate::location;
use crate::name;
use crate::options::Known;
use crate::packages::{Fields, Packages};
use crate::read::{FIELDS, check_variable, excerpt, unknown};
use crate::redact::redact;
use crate::requirement::{Requirement, Target};
use crate::requirements::{Collector, Role};
use crate::runtime_env::RuntimeEnv;
use crate::settings::{self, Effect, Given, Named, Value};
use crate::source::Source;
use crate::tool::Tool;
use crate::variables::Variables;
use crate::write::is_engine_field;

impl RuntimeEnv {
    /// Reads the requirements files and the contents of the local packages that the spec names.
    ///
    /// Relative paths in the spec start at `dir`, which must be absolute. Those in a requirements
    /// file start at the file's own folder. The method does not look at `dir` itself.
    ///
    /// Fails for text that is no requirement, unknown option lines, files that `source` cannot
    /// read, files that include themselves, remote requirements files, a `${NAME}` outside the user
    /// and password of a URL, and a prebuilt interpreter combined with packages to install.
    pub fn load(&self, source: &dyn Source, dir: &Path) -> Result<LoadedEnv, Error> {
        if !dir.is_absolute() {
            return Err(Error::RelativeFolder { path: dir.to_owned() });
        }
        self.check()?;
        let mut loaded = LoadedEnv {
            python: self.python.as_ref().map(|path| dir.join(path)),
            py_executable: self.py_executable.clone(),
            env_vars: self.env_vars.clone(),
            excludes: self.excludes.clone(),
            setup_timeout: self.setup_timeout(),
            engine_fields: self.engine_fields.clone(),
            ..LoadedEnv::default()
        };
        match self.working_dir.as_deref().map(|text| (text, local_path(text, dir))) {
            Some((_, Some(path))) => loaded.working_dir = Some(path),
            Some((uri, None)) => {
                loaded.engine_fields.insert("working_dir".to_owned(), uri.into());
            }
            None => {}
        }
        let modules: Option<Vec<_>> =
            self.py_modules.iter().map(|module| local_path(module, dir)).collect();
        match modules {
            Some(paths) => loaded.py_modules = paths,
            // One list cannot be served partly by us and partly by Ray.
            None => {
                loaded.engine_fields.insert("py_modules".to_owned(), json!(self.py_modules));
            }
        }
        if let Some(packages) = &self.packages {
            let variables =
                Variables { env_vars: &self.env_vars, working_dir: loaded.working_dir.as_deref() };
            let mut collector = Collector::new(packages.tool, source, variables);
            loaded.install = self.load_install(packages, &mut collector, dir)?;
            loaded.requires_python = collector.requires_python;
            loaded.made_for = collector.made_for;
        }
        Ok(loaded)
    }

    /// Checks the rules that the builders cannot enforce.
    fn check(&self) -> Result<(), Error> {
        if let Some(name) = self.engine_fields.keys().find(|name| !is_engine_field(name)) {
            return Err(unknown(name, "", &FIELDS));
        }
        self.check_conda()?;
        for (name, value) in &self.env_vars {
            check_variable(name, value)?;
        }
        let mut interpreters = Vec::new();
        interpreters.extend(self.packages.as_ref().map(|packages| packages.tool.as_str()));
        interpreters.extend(self.python.as_ref().map(|_| "python"));
        interpreters.extend(self.py_executable.as_ref().map(|_| "py_executable"));
        match interpreters[..] {
            [first, second, ..] => Err(Error::Conflict { first, second }),
            _ => Ok(()),
        }
    }

    fn load_install(
        &self,
        packages: &Packages,
        collector: &mut Collector<'_>,
        dir: &Path,
    ) -> Result<Option<Install>, Error> {
        let tool = packages.tool;
        let mut given = given_options(packages, collector)?;
        if tool == Tool::Pip {
            // To pip, a line says more than the command line.
            given = index_options(given, dir, collector)?;
        }
        collector.list(tool.as_str(), &packages.list, dir, Role::Requirement)?;
        collector.list("constraints", &self.constraints, dir, Role::Constraint)?;
        collector.list("overrides", &self.overrides, dir, Role::Override)?;
        let mut named = Vec::new();
        let given = tool_options(tool, given, dir, collector, &mut named)?;
        let tool_options = take(&mut collector.tool_options);
        let tool_options = tool_options.into_iter().flatten().chain(given).collect();
        let requirements = take(&mut collector.requirements);
        if requirements.is_empty() {
            return Ok(None);
        }
        let mut install = Install {
            tool_version: packages.version().map(|text| tool_version(tool, text)).transpose()?,
            constraints: once(take(&mut collector.constraints)),
            overrides: once(take(&mut collector.overrides)),
            keep: self.normal_keep()?,
            index: take(&mut collector.index).finish(),
            tool_options,
            check: packages.check,
            build_env: self.build_env_vars(tool, dir, &mut named),
            ..Install::new(tool, once(requirements))
        };
        install.contents = digest_contents(&install, &named, collector.source)?;
        Ok(Some(install))
    }

    fn normal_keep(&self) -> Result<Vec<String>, Error> {
        let mut keep = Vec::with_capacity(self.keep.len());
        for (index, name) in self.keep.iter().enumerate() {
            if !name::is_name(name) {
                return Err(Error::InvalidValue {
                    field: format!("keep[{index}]"),
                    value: excerpt(name),
                    reason: "it is no name of a package",
                });
            }
            keep.push(name::normal_name(name));
        }
        keep.sort_unstable();
        keep.dedup();
        Ok(keep)
    }

    /// Returns the variables that reach the package manager: its own if they are ever in force, and
    /// those named in `config.build_env`. The paths in them become absolute, since the package
    /// manager runs in another folder, and are added to `named`.
    fn build_env_vars(
        &self,
        tool: Tool,
        dir: &Path,
        named: &mut Vec<Named>,
    ) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.env_vars {
            let is_own = settings::is_variable_of(tool, name);
            let is_other = [Tool::Pip, Tool::Uv]
                .into_iter()
                .any(|other| other != tool && settings::is_variable_of(other, name));
            let mut value = value.clone();
            if is_own {
                let Some(setting) = settings::by_variable(tool, name) else { continue };
                if matches!(setting.effect, Effect::Refused | Effect::Ours) {
                    continue;
                }
                let separator = Some(settings::separator(name));
                let (absolute, found) = setting.value.absolute(&value, separator, dir);
                value = absolute;
                named.extend(found);
            } else if is_other || !self.config.build_env.contains(name) {
                continue;
            }
            variables.insert(name.clone(), value);
        }
        variables
    }
}

/// Returns the absolute path of a folder or module, unless it is a URI that only Ray can fetch.
fn local_path(text: &str, dir: &Path) -> Option<PathBuf> {
    // Ray 2.60 uses such a folder in place.
    let text = text.strip_prefix("local://").filter(|path| path.starts_with('/')).unwrap_or(text);
    location::scheme(text).is_none().then(|| location::absolute(dir, text))
}

/// Returns the requirements sorted, each once. Of those that differ only in credentials that no key
/// holds, it keeps the first.
fn once(mut requirements: Vec<Requirement>) -> Vec<Requirement> {
    requirements.sort_by_cached_key(|requirement| requirement.encode(None));
    requirements.dedup_by_key(|requirement| requirement.encode(None));
    requirements.sort_unstable();
    requirements
}

/// Returns the normal form of `pip_version` or `uv_version`, which Ray appends to the tool's name:
/// specifiers, with an optional marker.
fn tool_version(tool: Tool, text: &str) -> Result<String, Error> {
    let line = format!("{tool}{text}");
    let requirement: Requirement = line.parse()?;
    let refused = |reason: &str| Error::Requirement {
        text: redact(&line).into_owned(),
        reason: reason.to_owned(),
    };
    match &requirement.target {
        Target::Index { name, .. }
            if name != tool.as_str() || requirement.specifiers().is_empty() =>
        {
            Err(refused("a version is given with a comparison, such as `==24.1.2`"))
        }
        Target::Index { name, .. }
            if requirement.extras.is_empty() && requirement.hashes.is_empty() =>
        {
            Ok(requirement.to_string()[name.len()..].to_owned())
        }
        _ => Err(refused("only versions and a marker can follow the name")),
    }
}

/// Reads the options for the package manager's command line.
fn given_options(packages: &Packages, collector: &Collector<'_>) -> Result<Vec<Given>, Error> {
    let expand = |option: &String| collector.variables.expand(option).map(Into::into);
    let words: Result<Vec<String>, _> =
        packages.options().unwrap_or_default().iter().map(expand).collect();
    words
        .and_then(|words| settings::parse(packages.tool, &words))
        .map_err(|error| error.in_field(Fields::of(packages.tool).options))
}

/// Takes the options for indexes out of those of the command line, and returns the others.
fn index_options(
    given: Vec<Given>,
    dir: &Path,
    collector: &mut Collector<'_>,
) -> Result<Vec<Given>, Error> {
    let mut others = Vec::new();
    for given in given {
        match Known::of(&given).filter(|known| !known.names_a_list()) {
            Some(known) => collector
                .option(known, dir, Role::Requirement)
                .map_err(|error| error.in_field(Fields::of(Tool::Pip).options))?,
            None => others.push(given),
        }
    }
    Ok(others)
}

/// Moves the options that are parts of the spec out of the tool's options. The others stay in
/// order, each as one word.
fn tool_options(
    tool: Tool,
    given: Vec<Given>,
    dir: &Path,
    collector: &mut Collector<'_>,
    named: &mut Vec<Named>,
) -> Result<Vec<String>, Error> {
    let in_field = |error: Error| error.in_field(Fields::of(tool).options);
    let mut kept = Vec::new();
    let of_files = settings::parse(tool, &take(&mut collector.file_options)).map_err(in_field)?;
    // What the spec itself says of one thing takes the place of what its file does.
    let is_replaced = |of_file: &Given| {
        const FIRST: [&str; 2] = ["index-url", "default-index"];
        let is_of = |it: &Given| match of_file.setting {
            setting if FIRST.contains(&setting.name) => FIRST.contains(&it.setting.name),
            setting if matches!(setting.value, Value::Text | Value::Flag) => it.setting == setting,
            _ => false,
        };
        given.iter().any(is_of)
    };
    let of_files: Vec<Given> = of_files.into_iter().filter(|it| !is_replaced(it)).collect();
    let mut all: Vec<Given> = of_files.into_iter().chain(given).collect();
    // To uv, the command line says more than a line.
    all.sort_by_key(|given| !Known::of(given).is_some_and(|known| known.names_a_list()));
    for mut given in all {
        if let Some(known) = Known::of(&given) {
            collector.option(known, dir, Role::Requirement).map_err(in_field)?;
            continue;
        }
        given.check().map_err(in_field)?;
        if given.setting.effect == Effect::Ours {
            continue;
        }
        if let Some(value) = &mut given.value {
            let (absolute, found) = given.setting.value.absolute(value, None, dir);
            *value = absolute;
            named.extend(found);
        }
        kept.push(given.word());
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_version_is_a_specifier() {
        assert_eq!(tool_version(Tool::Pip, "<24.2, >19").unwrap(), "<24.2,>19.0");
        assert_eq!(
            tool_version(Tool::Pip, "==22.0.2;python_version=='3.8.11'").unwrap(),
            "==22.0.2 ; python_version == '3.8.11'"
        );
        for text in ["24.1.2", "", " @ https://h", "[x]==1"] {
            assert!(tool_version(Tool::Uv, text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_local_paths_are_ours() {
        let dir = Path::new("/project");
        assert_eq!(local_path("src", dir), Some("/project/src".into()));
        assert_eq!(local_path("local:///data", dir), Some("/data".into()));
        assert_eq!(local_path("s3://bucket/x.zip", dir), None);
    }
}
