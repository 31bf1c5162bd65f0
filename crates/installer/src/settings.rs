//! Settings of pip or uv from outside the command line: one value, from which both the calls and
//! the keys are made.
//!
//! The tools run without their own configuration files. This module reads those files and the
//! variables, classifies each setting by [`envspec::settings`], and passes it to the tool as a
//! variable, as an option that adds up, or for uv in a generated file.

mod files; // the crate of this name is `::files` here
mod ini;
mod switch;
mod uv_file;
mod words;

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use envspec::settings::{self, Effect, Setting, Value};
use envspec::{Install, Tool};

use crate::ambient::Ambient;
use crate::error::Error;
use files::Contents;
use switch::is_off;
pub(crate) use switch::is_on;
use words::{refused, unknown};

/// The settings of one tool in force for one installation, and warnings about the others.
///
/// `Debug` shows no values, since any may be a secret.
#[derive(Clone, PartialEq)]
pub struct Settings {
    tool: Tool,
    /// The variables for the tool, by the names that it reads.
    pub(crate) variables: BTreeMap<String, String>,
    /// Options of pip that add up, in order.
    pub(crate) arguments: Vec<String>,
    /// The merged `uv.toml` files.
    pub(crate) file: Option<toml::Table>,
    /// The effect of each setting that counts, without credentials.
    counting: Vec<(String, String)>,
    told: Vec<String>,
}

/// One setting, as given.
struct Item<'a> {
    /// Its name at its origin.
    name: &'a str,
    setting: Option<&'static Setting>,
    value: &'a str,
    separator: Option<char>,
    /// The folder at which relative paths start.
    dir: &'a Path,
    home: Option<&'a Path>,
    /// A description of its origin.
    place: &'a str,
}

/// pip's settings that add up and whose order matters.
const ADDING: [&str; 6] = [
    "all-releases",
    "config-settings",
    "no-binary",
    "only-binary",
    "only-final",
    "refresh-package",
];

impl Settings {
    /// Reads the settings in force for an installation, from the variables of the process and of
    /// the spec, and the tool's configuration files; for pip also from the one in `base`, the
    /// folder of the virtualenv that the environment adds to.
    ///
    /// Relative paths in variables of the process, and in files of pip's, start at the current folder;
    /// those in a `uv.toml` start at its own.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] for a configuration file that cannot be read, as the tool would, and
    /// [`Error::Io`] for a pipe or a device that a setting names, which the tool would wait for.
    pub fn read(install: &Install, base: Option<&Path>, ambient: &Ambient) -> Result<Self, Error> {
        let dir = env::current_dir().unwrap_or_else(|_| "/".into());
        Self::read_in(install, base, ambient, &dir)
    }

    pub(crate) fn read_in(
        install: &Install,
        base: Option<&Path>,
        ambient: &Ambient,
        dir: &Path,
    ) -> Result<Self, Error> {
        let tool = install.tool;
        let mut all = Self {
            tool,
            variables: BTreeMap::new(),
            arguments: Vec::new(),
            file: None,
            counting: Vec::new(),
            told: Vec::new(),
        };
        // The spec's own come last, and replace those of the process.
        let mut variables = ambient.of_tool(tool);
        variables.extend(
            install
                .build_env
                .iter()
                .filter(|(name, _)| settings::is_variable_of(tool, name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let files = files::Files::of(&variables, install, ambient, dir);
        let mut contents = Contents::default();
        match tool {
            Tool::Pip => {
                let entries = ini::merged(&files.pip(base))?;
                for entry in &entries {
                    let place = format!("`{}` of `{}`", entry.section, entry.file.display());
                    all.take(
                        &Item {
                            name: &entry.key,
                            setting: settings::by_name(tool, &entry.key),
                            value: &entry.value,
                            separator: Some(' '),
                            dir,
                            home: files.home.as_deref(),
                            place: &place,
                        },
                        &mut contents,
                    );
                }
            }
            Tool::Uv => {
                all.file = uv_file::merged(&files.uv()?, dir, &mut contents, &mut all.told)?;
            }
        }
        for (name, value) in &variables {
            if files::is_control(name) || value.is_empty() {
                continue;
            }
            all.take(
                &Item {
                    name,
                    setting: settings::by_variable(tool, name),
                    value,
                    separator: Some(settings::separator(name)),
                    dir,
                    home: files.home.as_deref(),
                    place: "the variables",
                },
                &mut contents,
            );
        }
        all.count(&contents.check()?);
        Ok(all)
    }

    /// Returns the tool.
    #[must_use]
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// Returns the settings that affect the contents of an environment, without credentials: equal
    /// bytes for settings of equal meaning. Files that they name count by their contents.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in self.counting.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Returns the ignored settings and the reasons, a sentence each.
    #[must_use]
    pub fn told(&self) -> &[String] {
        &self.told
    }

    fn take(&mut self, item: &Item<'_>, contents: &mut Contents) {
        let Some(setting) = item.setting else {
            self.told.push(unknown(self.tool, item.name, item.place));
            return;
        };
        match setting.effect {
            Effect::Refused => self.told.push(refused(item.name, item.place)),
            Effect::Ours => {}
            Effect::Counts | Effect::Quiet => {
                let has_home = matches!(setting.value, Value::Path | Value::Links);
                let home = item.home.filter(|_| has_home && self.tool == Tool::Pip);
                let expanded = files::expanded(item.value, home);
                let value = expanded.as_deref().unwrap_or(item.value);
                let (value, named) = setting.value.absolute(value, item.separator, item.dir);
                let is_variable = !setting.is_option() || self.tool == Tool::Uv;
                if self.tool == Tool::Pip && ADDING.contains(&setting.name) {
                    self.arguments.push(format!("--{}={value}", setting.name));
                    return;
                }
                let name = if is_variable {
                    item.name.to_owned()
                } else {
                    format!("PIP_{}", setting.name.to_uppercase().replace('-', "_"))
                };
                if setting.value == Value::Flag
                    && setting.name != "no-build-isolation"
                    && is_off(&value)
                {
                    self.variables.remove(&name);
                    return;
                }
                contents.note(&name, &value, &named);
                self.variables.insert(name, value);
            }
        }
    }

    /// Notes the settings that affect the installed packages.
    fn count(&mut self, contents: &Contents) {
        let mut counting = Vec::new();
        for (name, value) in &self.variables {
            let setting = settings::by_variable(self.tool, name);
            if setting.is_some_and(|setting| setting.effect == Effect::Counts) {
                let value = match setting.map(|setting| setting.value) {
                    Some(Value::Flag) if is_on(value) => "1".to_owned(),
                    _ => contents.told(name).unwrap_or_else(|| value.clone()),
                };
                counting.push((name.clone(), envspec::identity(&value).into_owned()));
            }
        }
        for argument in self.arguments.iter().filter(|word| !word.starts_with("--refresh")) {
            counting.push((String::new(), envspec::identity(argument).into_owned()));
        }
        if let Some(table) = &self.file {
            let text = uv_file::counting(table, contents).to_string();
            if !text.is_empty() {
                counting.push(("uv.toml".to_owned(), envspec::identity(&text).into_owned()));
            }
        }
        self.counting = counting;
    }

    /// Returns the text of uv's configuration file.
    pub(crate) fn file_text(&self) -> Option<String> {
        self.file.as_ref().filter(|table| !table.is_empty()).map(ToString::to_string)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("tool", &self.tool)
            .field("variables", &self.variables.keys())
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_page_of_links_names_counts_by_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir(dir.join("links")).unwrap();
        fs::write(dir.join("links/p.html"), "<a href='../a-1-py3-none-any.whl'>a</a>").unwrap();
        let identity = |(tool, variable, links): (Tool, &str, &str), contents: &str| {
            fs::write(dir.join("a-1-py3-none-any.whl"), contents).unwrap();
            let ambient = Ambient::default().with_variable(variable, links);
            let install = Install::new(tool, Vec::new());
            Settings::read_in(&install, None, &ambient, dir).unwrap().identity()
        };
        for setting in [
            (Tool::Pip, "PIP_FIND_LINKS", "links/p.html"),
            (Tool::Pip, "PIP_FIND_LINKS", "links"),
            (Tool::Uv, "UV_FIND_LINKS", "links/p.html"),
            (Tool::Uv, "UV_INDEX", "links"),
        ] {
            assert_ne!(identity(setting, "one"), identity(setting, "two"), "{setting:?}");
        }
    }

    #[test]
    fn a_credential_that_may_name_the_object_counts_wherever_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let identity = |tool, variables: &[(&str, &str)], query: &str| {
            let url = format!("https://h/simple{query}");
            let ini = format!("[global]\nextra-index-url = {url}\n");
            fs::write(dir.path().join("pip.conf"), ini).unwrap();
            let toml = format!("[[index]]\nurl = '{url}'\n");
            fs::write(dir.path().join("uv.toml"), toml).unwrap();
            let ambient = variables.iter().fold(Ambient::default(), |all, (name, value)| {
                all.with_variable(name, value.replace("URL", &url))
            });
            let install = Install::new(tool, Vec::new());
            Settings::read_in(&install, None, &ambient, dir.path()).unwrap().identity()
        };
        for (tool, variables) in [
            (Tool::Pip, [("PIP_INDEX_URL", "URL")]),
            (Tool::Uv, [("UV_INDEX", "URL")]),
            (Tool::Pip, [("PIP_CONFIG_FILE", "pip.conf")]),
            (Tool::Uv, [("UV_CONFIG_FILE", "uv.toml")]),
        ] {
            let identity = |query| identity(tool, &variables, query);
            assert_ne!(identity("?key=hunter1"), identity("?key=hunter2"), "{variables:?}");
            assert_eq!(identity("?sig=hunter1"), identity("?sig=hunter2"), "{variables:?}");
            let shown = String::from_utf8_lossy(&identity("?key=hunter2")).into_owned();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_callers_folder_or_at_that_of_a_uv_toml() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for folder in ["w", "sub"] {
            fs::create_dir(dir.join(folder)).unwrap();
        }
        let text = "[global]\nfind-links = w\n  https://h\ncert=c.pem\ncache-dir = ~/c\n";
        fs::write(dir.join("pip.conf"), text).unwrap();
        let toml = "find-links = ['../w']\nindex = [{name = 'x', url = '../w', format = 'flat'}]\n";
        fs::write(dir.join("sub/uv.toml"), toml).unwrap();
        let read = |tool, variables: &[(&str, &str)]| {
            let ambient = variables
                .iter()
                .chain(&[("HOME", "/home/me")])
                .fold(Ambient::default(), |all, (name, value)| all.with_variable(name, value));
            Settings::read_in(&Install::new(tool, Vec::new()), None, &ambient, dir).unwrap()
        };
        let path = |name: &str| dir.join(name).display().to_string();
        let pip = read(Tool::Pip, &[("PIP_CONFIG_FILE", "pip.conf"), ("PIP_CONSTRAINT", "c.txt")]);
        assert_eq!(pip.variables["PIP_FIND_LINKS"], format!("{} https://h", path("w")));
        assert_eq!(pip.variables["PIP_CERT"], path("c.pem"));
        assert_eq!(pip.variables["PIP_CACHE_DIR"], "/home/me/c");
        assert_eq!(pip.variables["PIP_CONSTRAINT"], path("c.txt"));
        let uv =
            read(Tool::Uv, &[("UV_CONFIG_FILE", "sub/uv.toml"), ("UV_FIND_LINKS", "w,https://h")]);
        assert_eq!(uv.variables["UV_FIND_LINKS"], format!("{},https://h", path("w")));
        let text = uv.file_text().unwrap();
        assert_eq!(text.matches(&path("w")).count(), 2, "{text}");
        // Only their contents matter, not their paths.
        let other = tempfile::tempdir().unwrap();
        let absolute = format!("{},https://h", path("w"));
        let ambient = Ambient::default()
            .with_variable("UV_CONFIG_FILE", path("sub/uv.toml"))
            .with_variable("UV_FIND_LINKS", absolute);
        let install = Install::new(Tool::Uv, Vec::new());
        let same = Settings::read_in(&install, None, &ambient, other.path()).unwrap();
        assert_eq!(same.identity(), uv.identity());
    }
}
