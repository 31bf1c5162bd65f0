//! What each setting of pip and uv is to an installation: the one account of it.
//!
//! A setting has one meaning in whatever way it comes: as an option of a spec, as a variable of the
//! spec or of the process (`PIP_RETRIES`, `UV_HTTP_RETRIES`), or as a key of a configuration file.
//! What a table here does not list is refused by name where a spec gives it, and left out and told
//! where the machine does. A test asks real pips and uvs for all that they have.

mod command_line;
mod pip;
mod uv;

use std::path::{Path, PathBuf};

use crate::location;
use crate::tool::Tool;

pub use command_line::{Given, parse};

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Never in force: it says where packages go, for which Python they are, or whether any are
    /// installed.
    Refused,
    /// In force, and a part of the key: it decides what an environment holds.
    Counts,
    /// In force, and no part of the key: it says how the tool gets there.
    Quiet,
    /// Left out: Curator says it itself, or it is of no matter to an installation. An option of a spec
    /// that asks for something else than is done is refused ([`instead`](field@Setting::instead)).
    Ours,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Nothing, or yes or no.
    Flag,
    /// A text that names nothing on this machine.
    Text,
    /// A file or folder whose contents are of no matter.
    Path,
    /// Files whose contents count.
    Files,
    /// Pages or folders of archives.
    Links,
    /// Indexes, perhaps each behind a name and `=`.
    Indexes,
}

/// One setting, in every way in which it can be given.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// The option without its dashes, which is also the key in configuration files. A variable that
    /// has no option goes by its own name.
    pub name: &'static str,
    /// Other spellings of the option.
    pub others: &'static [&'static str],
    /// The option's letter.
    pub short: Option<char>,
    /// What it takes.
    pub value: Value,
    /// What becomes of it.
    pub effect: Effect,
    /// uv's variables for it; pip's are its names in capitals.
    pub variables: &'static [&'static str],
    /// What is done in its place, where a spec that gives it would be passed over otherwise.
    pub instead: Option<Instead>,
}

/// Why an option that is [`Effect::Ours`] cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instead {
    /// The value that asks for just what is done, where there is one.
    pub same: Option<&'static str>,
    /// What is done in its place, in words.
    pub reason: &'static str,
}

const COMPILED: &str = "what is added is always compiled, for all workers at once";
const NOT_OF_INSTALL: &str = "it is of no installation, and the package manager would refuse it";
const REPORTED: &str =
    "Curator reads what the package manager tells, and tells it in its own report";

/// Something on this machine that a setting names, and how it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A file, by its contents.
    File(PathBuf),
    /// A folder of archives, by those in it, or a page of links.
    Links(PathBuf),
    /// A folder that is an index, by all that is in it.
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

    /// Of no installation: of other commands, or a key of configuration files alone.
    const fn of_others(self) -> Self {
        self.instead(NOT_OF_INSTALL)
    }

    const fn instead_unless(self, same: &'static str, reason: &'static str) -> Self {
        Self { instead: Some(Instead { same: Some(same), reason }), ..self }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.others.iter().copied())
    }

    /// Whether it can be given as an option, and not only as a variable.
    #[must_use]
    pub fn is_option(&self) -> bool {
        !self.name.starts_with(|letter: char| letter.is_ascii_uppercase())
    }
}

/// All settings of a tool.
#[must_use]
pub fn all(tool: Tool) -> &'static [Setting] {
    match tool {
        Tool::Pip => pip::SETTINGS,
        Tool::Uv => uv::SETTINGS,
    }
}

/// The setting of a key in a configuration file, or of an option by its whole name.
#[must_use]
pub fn by_name(tool: Tool, name: &str) -> Option<&'static Setting> {
    all(tool).iter().find(|setting| setting.is_option() && setting.names().any(|one| one == name))
}

/// Whether a variable of this name is for the tool at all.
#[must_use]
pub fn is_variable_of(tool: Tool, variable: &str) -> bool {
    match tool {
        Tool::Pip => variable.starts_with("PIP_"),
        Tool::Uv => variable.starts_with("UV_"),
    }
}

/// The setting of a variable.
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

/// The character between the items of a variable that holds several.
#[must_use]
pub fn separator(variable: &str) -> char {
    if variable == "UV_FIND_LINKS" { ',' } else { ' ' }
}

impl Value {
    /// The text with relative paths made absolute from `dir`, and what of this machine it names. With
    /// a separator, it holds several items.
    #[must_use]
    pub fn absolute(self, text: &str, separator: Option<char>, dir: &Path) -> (String, Vec<Named>) {
        let mut named = Vec::new();
        let separator = separator.filter(|_| self.is_list());
        let items: Vec<&str> = match separator {
            None => vec![text],
            // pip and uv take any blank for a space.
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

/// A path or URL that has the separator of a list in it, as a URL that has not.
#[must_use]
pub fn one_word(value: &str, separator: char) -> String {
    if !value.contains(separator) {
        return value.to_owned();
    }
    let encoded = value.replace(separator, &format!("%{:02X}", u32::from(separator)));
    if value.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
