//! A setting: its names, its value and its effect.

use std::path::{Path, PathBuf};

use crate::location;

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

pub(super) const COMPILED: &str = "what is added is always compiled, for all workers at once";
const NOT_OF_INSTALL: &str = "it is of no installation, and the package manager would refuse it";
pub(super) const REPORTED: &str =
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

pub(super) const fn setting(name: &'static str, value: Value, effect: Effect) -> Setting {
    Setting { name, others: &[], short: None, value, effect, variables: &[], instead: None }
}

pub(super) const fn flag(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Flag, effect)
}

pub(super) const fn text(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Text, effect)
}

pub(super) const fn path(name: &'static str, effect: Effect) -> Setting {
    setting(name, Value::Path, effect)
}

impl Setting {
    pub(super) const fn or(self, others: &'static [&'static str]) -> Self {
        Self { others, ..self }
    }

    pub(super) const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    pub(super) const fn var(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    pub(super) const fn instead(self, reason: &'static str) -> Self {
        Self { instead: Some(Instead { same: None, reason }), ..self }
    }

    /// Marks a setting that only other commands or configuration files have.
    pub(super) const fn of_others(self) -> Self {
        self.instead(NOT_OF_INSTALL)
    }

    pub(super) const fn instead_unless(self, same: &'static str, reason: &'static str) -> Self {
        Self { instead: Some(Instead { same: Some(same), reason }), ..self }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.others.iter().copied())
    }

    /// Returns whether it can be given as an option, and not only as a variable.
    #[must_use]
    pub fn is_option(&self) -> bool {
        !self.name.starts_with(|letter: char| letter.is_ascii_uppercase())
    }
}

impl Value {
    /// Returns the text with relative paths made absolute from `dir`, and the local files that it
    /// names. A text with a separator holds several items.
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
