//! The effect of each setting of pip and uv on an installation, in one table.
//!
//! A setting has one meaning in every form: as an option of a spec, as a variable of the spec or of
//! the process (`PIP_RETRIES`, `UV_HTTP_RETRIES`), or as a key of a configuration file. A setting
//! that no table here lists is refused by name in a spec, and left out with a warning on the
//! machine. A test asks real pips and uvs for all their settings.

mod command_line;
mod pip;
mod uv;

use std::path::{Path, PathBuf};

use crate::location;
use crate::tool::Tool;

pub use command_line::{Given, parse};

/// The effect of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Never in force: it decides where packages go, for which Python they are, or whether any are
    /// installed.
    Refused,
    /// In force, and in the key: it decides the contents of an environment.
    Counts,
    /// In force, and not in the key: it does not change the contents.
    Quiet,
    /// Left out: Curator sets it itself, or it does not matter to an installation. An option of a
    /// spec that contradicts Curator's setting is refused ([`instead`](field@Setting::instead)).
    Ours,
}

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// No value, or yes or no.
    Flag,
    /// A text that names no file on this machine.
    Text,
    /// A file or folder whose contents do not count.
    Path,
    /// Files whose contents count.
    Files,
    /// Pages or folders of archives.
    Links,
    /// Indexes, each with an optional name and `=` before it.
    Indexes,
}

/// One setting, in all its forms.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// The option without its dashes, which is also the key in configuration files. A variable
    /// without an option has its own name here.
    pub name: &'static str,
    /// Other spellings of the option.
    pub others: &'static [&'static str],
    /// The option's letter.
    pub short: Option<char>,
    /// Its value.
    pub value: Value,
    /// Its effect.
    pub effect: Effect,
    /// uv's variables for it; pip's are its names in capitals.
    pub variables: &'static [&'static str],
    /// Curator's own setting, for a spec that gives this one and would otherwise be ignored.
    pub instead: Option<Instead>,
}

/// Why an option that is [`Effect::Ours`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instead {
    /// The value that agrees with Curator's own setting, if there is one.
    pub same: Option<&'static str>,
    /// Curator's own setting, in words.
    pub reason: &'static str,
}

const COMPILED: &str = "what is added is always compiled, for all workers at once";
const NOT_OF_INSTALL: &str = "it is of no installation, and the package manager would refuse it";
const REPORTED: &str =
    "Curator reads what the package manager tells, and tells it in its own report";

/// A file or folder of this machine that a setting names, and how it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A file, by its contents.
    File(PathBuf),
    /// A folder of archives, by those archives, or a page of links.
    Links(PathBuf),
    /// A folder that is an index, by all its files.
    Index(PathBuf),
}

const fn setting(name: &'static str, value: Value, effect: Effect) -> Setting {
    Setting { name, others: &[], short: None, value, effect, variables: &[], instead: None }
}

const fn flag(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Flag, effect)
}

const fn text(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Text, effect)
}

const fn path(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Path, effect)
}

impl Setting {
    const fn or(self, others: &'static [&'static str]) -> Self {
        Self { others, ..self }
    }

    const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    const fn var(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    const fn instead(self, reason: &'static str) -> Self {
        Self { instead: Some(Instead { same: None, reason }), ..self }
    }

    /// Marks a setting of other commands, or a key of configuration files alone.
    const fn of_others(self) -> Self {
        self.instead(NOT_OF_INSTALL)
    }

    const fn instead_unless(self, same: &'static str, reason: &'static str) -> Self {
        Self { instead: Some(Instead { same: Some(same), reason }), ..self }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.others.iter().copied())
    }

    /// Returns whether it can be given as an option, and not only as a variable.
    #[must_use]
    pub fn is_option(&self) -> bool {
        !self.name.starts_with(|letter: char| letter.is_ascii_uppercase())
    }
}

/// Returns all settings of a tool.
#[must_use]
pub fn all(tool: Tool) -> &'static [Setting] {
    match tool {
        Tool::Pip => pip::SETTINGS,
        Tool::Uv => uv::SETTINGS,
    }
}

/// Returns the setting of a key in a configuration file, or of an option by its full name.
#[must_use]
pub fn by_name(tool: Tool, name: &str) -> Option<&'static Setting> {
    all(tool).iter().find(|setting| setting.is_option() && setting.names().any(|one| one == name))
}

/// Returns whether a variable of this name is for the tool at all.
#[must_use]
pub fn is_variable_of(tool: Tool, variable: &str) -> bool {
    match tool {
        Tool::Pip => variable.starts_with("PIP_"),
        Tool::Uv => variable.starts_with("UV_"),
    }
}

/// Returns the setting of a variable.
#[must_use]
pub fn by_variable(tool: Tool, variable: &str) -> Option<&'static Setting> {
    let exact = all(tool)
        .iter()
        .find(|setting| setting.variables.contains(&variable) || setting.name == variable);
    match tool {
        Tool::Pip => exact.or_else(|| {
            let name = variable.strip_prefix("PIP_")?;
            by_name(tool, &name.to_ascii_lowercase().replace('_', "-"))
        }),
        Tool::Uv => exact.or_else(|| uv::by_pattern(variable)),
    }
}

/// Returns the character between the items of a variable that holds several.
#[must_use]
pub fn separator(variable: &str) -> char {
    if variable == "UV_FIND_LINKS" { ',' } else { ' ' }
}

impl Value {
    /// Returns the text with relative paths made absolute from `dir`, and the local files that it
    /// names. With a separator, the text holds several items.
    #[must_use]
    pub fn absolute(self, text: &str, separator: Option<char>, dir: &Path) -> (String, Vec<Named>) {
        let mut named = Vec::new();
        let separator = separator.filter(|_| self.is_list());
        let items: Vec<&str> = match separator {
            None => vec![text],
            // pip and uv accept any kind of blank as a space.
            Some(' ') => text.split_whitespace().collect(),
            Some(separator) => text.split(separator).filter(|item| !item.is_empty()).collect(),
        };
        let items: Vec<String> = items
            .into_iter()
            .map(|item| {
                let item = self.item(item, dir, &mut named);
                separator
                    .filter(|_| self != Self::Path)
                    .map_or_else(|| item.clone(), |separator| one_word(&item, separator))
            })
            .collect();
        let joined = items.join(separator.unwrap_or(' ').encode_utf8(&mut [0; 4]));
        (joined, named)
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Files | Self::Links | Self::Indexes)
    }

    fn item(self, item: &str, dir: &Path, named: &mut Vec<Named>) -> String {
        let absolute = |text: &str| location::absolute(dir, text);
        let local = |text: &str| {
            if location::is_file_url(text) {
                location::file_url(text).ok().map(|(path, _)| (text.to_owned(), path))
            } else if location::scheme(text).is_some() {
                None
            } else {
                let path = absolute(text);
                Some((path.to_string_lossy().into_owned(), path))
            }
        };
        match self {
            Self::Flag | Self::Text => item.to_owned(),
            Self::Path if item.is_empty() || location::scheme(item).is_some() => item.to_owned(),
            Self::Path => absolute(item).to_string_lossy().into_owned(),
            Self::Files | Self::Links => match local(item) {
                None => item.to_owned(),
                Some((text, path)) => {
                    named.push(match self {
                        Self::Files => Named::File(path),
                        _ => Named::Links(path),
                    });
                    text
                }
            },
            Self::Indexes => {
                let (name, url) = match item.split_once('=') {
                    Some((name, url)) if is_index_name(name) => (Some(name), url),
                    _ => (None, item),
                };
                match local(url) {
                    None => item.to_owned(),
                    Some((text, path)) => {
                        named.push(Named::Index(path));
                        name.map_or(text.clone(), |name| format!("{name}={text}"))
                    }
                }
            }
        }
    }
}

fn is_index_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Returns a path or URL that contains the separator of a list as a URL without it.
#[must_use]
pub fn one_word(value: &str, separator: char) -> String {
    if !value.contains(separator) {
        return value.to_owned();
    }
    let encoded = value.replace(separator, &format!("%{:02X}", u32::from(separator)));
    if value.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
