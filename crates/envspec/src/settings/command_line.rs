//! Command-line options, as pip and uv read them.

use super::{Effect, Setting, Value, all};
use crate::error::Error;
use crate::redact::redact;
use crate::suggest::nearest;
use crate::tool::Tool;

/// A given option, in any spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The setting of the option.
    pub setting: &'static Setting,
    /// Its value, with credentials; `None` if it takes none.
    pub value: Option<String>,
}

impl Given {
    /// Fails if a spec cannot have the option: because it decides where packages go, or because
    /// Curator's own setting would override it.
    ///
    /// # Errors
    ///
    /// [`Error::ForbiddenOption`] and [`Error::OverriddenOption`], which name it.
    pub fn check(&self) -> Result<(), Error> {
        let option = || format!("--{}", self.setting.name);
        match self.setting.instead {
            _ if self.setting.effect == Effect::Refused => {
                Err(Error::ForbiddenOption { option: option() })
            }
            Some(instead) if self.value.is_none() || self.value.as_deref() != instead.same => {
                Err(Error::OverriddenOption { option: option(), reason: instead.reason })
            }
            _ => Ok(()),
        }
    }

    /// Returns its one spelling, as one word, with credentials.
    #[must_use]
    pub fn word(&self) -> String {
        let name = self.setting.name;
        match &self.value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        }
    }
}

/// Reads the words of a command line: attached and separate values, letters that share a dash, and
/// for pip shortened names, which `optparse` takes.
///
/// # Errors
///
/// Fails for a word that is no option, an unknown option, an ambiguous name, and a missing or
/// superfluous value.
pub fn parse(tool: Tool, words: &[String]) -> Result<Vec<Given>, Error> {
    let mut given = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let setting = by_long(tool, name)?;
            given.push(take(setting, attached, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                let setting = all(tool)
                    .iter()
                    .find(|setting| setting.short == Some(letter))
                    .ok_or_else(|| unknown(tool, &format!("-{letter}")))?;
                let rest = letters.as_str();
                let mut attached = None;
                if setting.value != Value::Flag && !rest.is_empty() {
                    // clap drops a `=` between a letter and its value.
                    let bare = rest.strip_prefix('=').filter(|_| tool == Tool::Uv);
                    attached = Some(bare.unwrap_or(rest));
                    letters = "".chars();
                }
                given.push(take(setting, attached, &mut words)?);
            }
        } else {
            return Err(Error::OptionValue {
                option: redact(word).into_owned(),
                reason: "is no option: what to install belongs in the list",
            });
        }
    }
    Ok(given)
}

fn take<'a>(
    setting: &'static Setting,
    attached: Option<&'a str>,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<Given, Error> {
    let wrong = |reason| Error::OptionValue { option: format!("--{}", setting.name), reason };
    if setting.value == Value::Flag {
        return match attached {
            Some(_) => Err(wrong("takes no value")),
            None => Ok(Given { setting, value: None }),
        };
    }
    let value = attached.or_else(|| words.next()).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| wrong("needs a value"))?;
    Ok(Given { setting, value: Some(value.to_owned()) })
}

fn by_long(tool: Tool, name: &str) -> Result<&'static Setting, Error> {
    if let Some(setting) = super::by_name(tool, name) {
        return Ok(setting);
    }
    let starts = |setting: &&Setting| {
        !name.is_empty()
            && setting.is_option()
            && setting.names().any(|candidate| candidate.starts_with(name))
    };
    let candidates: Vec<_> = match tool {
        Tool::Pip => all(tool).iter().filter(starts).collect(),
        Tool::Uv => Vec::new(),
    };
    match candidates[..] {
        [] => Err(unknown(tool, &format!("--{name}"))),
        [setting] => Ok(setting),
        _ => Err(Error::AmbiguousOption {
            option: format!("--{name}"),
            candidates: candidates.iter().map(|setting| format!("--{}", setting.name)).collect(),
        }),
    }
}

fn unknown(tool: Tool, option: &str) -> Error {
    let options = all(tool).iter().filter(|setting| setting.is_option());
    let nearest = nearest(option.trim_start_matches('-'), options.map(|setting| setting.name));
    Error::UnknownToolOption { tool, option: redact(option).into_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Effect;

    fn words(tool: Tool, line: &str) -> Result<Vec<String>, Error> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Ok(parse(tool, &words)?.iter().map(Given::word).collect())
    }

    #[test]
    fn pips_options_are_read_as_optparse_reads_them() {
        for (line, expected) in [
            ("-t/x", &["--target=/x"][..]),
            ("-Ut /x", &["--upgrade", "--target=/x"]),
            ("-U -t /x", &["--upgrade", "--target=/x"]),
            ("--targ /x", &["--target=/x"]),
            ("--targ=/x", &["--target=/x"]),
            ("--dry", &["--dry-run"]),
            ("--ignore-ins", &["--ignore-installed"]),
            ("--extra-index https://h", &["--extra-index-url=https://h"]),
            ("--no-dependencies", &["--no-deps"]),
            (
                "-vvIC a=b",
                &["--verbose", "--verbose", "--ignore-installed", "--config-settings=a=b"],
            ),
            ("--config-settings -v", &["--config-settings=-v"]),
            ("--pre --user", &["--pre", "--user"]),
            ("-i=x", &["--index-url==x"]),
        ] {
            assert_eq!(words(Tool::Pip, line).unwrap(), expected, "{line}");
        }
        for line in ["--no-b x", "--use", "--nothing", "-Z", "six", "-t", "--pre=1", "--", "-"] {
            assert!(words(Tool::Pip, line).is_err(), "{line}");
        }
    }

    #[test]
    fn uvs_options_are_read_as_clap_reads_them() {
        for (line, expected) in [
            ("-p=/x", &["--python=/x"][..]),
            ("-p/x -nU", &["--python=/x", "--no-cache", "--upgrade"]),
            ("--overrides o.txt", &["--override=o.txt"]),
        ] {
            assert_eq!(words(Tool::Uv, line).unwrap(), expected, "{line}");
        }
        for line in ["--targ /x", "--dry", "--prere allow"] {
            assert!(words(Tool::Uv, line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_spelling_is_of_one_setting() {
        for tool in [Tool::Pip, Tool::Uv] {
            let mut seen = std::collections::BTreeSet::new();
            for setting in all(tool) {
                let letter = setting.short.map(|letter| format!("-{letter}"));
                let variables = setting.variables.iter().map(|&name| name.to_owned());
                let all = setting.names().map(str::to_owned).chain(letter).chain(variables);
                for spelling in all {
                    assert!(seen.insert(spelling.clone()), "{spelling}");
                }
            }
        }
        let effect = |name| crate::settings::by_variable(Tool::Uv, name).map(|one| one.effect);
        assert_eq!(effect("UV_INDEX_X_PASSWORD"), Some(Effect::Quiet));
        assert_eq!(effect("UV_PYTHON"), Some(Effect::Refused));
        assert_eq!(effect("UV_MARK"), None);
    }
}
