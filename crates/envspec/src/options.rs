//! Option lines of requirements files, and the same options on a package manager's command line.

use crate::error::Error;
use crate::redact::redact;
use crate::settings::Given;
use crate::suggest::nearest;
use crate::tool::Tool;

/// A known option, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    IndexUrl(String),
    ExtraIndexUrl(String),
    NoIndex,
    FindLinks(String),
    Pre,
    NoBinary(String),
    OnlyBinary(String),
    RequireHashes,
    Constraint(String),
    Override(String),
    Requirement(String),
    Editable(String),
    /// Words for the package manager; none if it ignores the option.
    Tool(Vec<String>),
}

impl Known {
    /// Returns the part of the option that may hold a relative path.
    pub(crate) fn value(&self) -> &str {
        match self {
            Self::IndexUrl(value)
            | Self::ExtraIndexUrl(value)
            | Self::FindLinks(value)
            | Self::Constraint(value)
            | Self::Override(value)
            | Self::Requirement(value)
            | Self::Editable(value) => value,
            _ => "",
        }
    }

    /// Returns whether the option names requirements, and says nothing of indexes.
    pub(crate) fn names_a_list(&self) -> bool {
        matches!(
            self,
            Self::Constraint(_) | Self::Override(_) | Self::Requirement(_) | Self::Editable(_)
        )
    }
}

impl Known {
    /// Returns the option of a command line as one of these.
    pub(crate) fn of(given: &Given) -> Option<Self> {
        let value = || given.value.clone().unwrap_or_default();
        let long = format!("--{}", given.setting.name);
        let flag = FLAGS.iter().find(|(name, _)| *name == long).map(|(_, known)| known.clone());
        let valued = VALUED.iter().find(|(name, ..)| *name == long);
        flag.or_else(|| valued.map(|(.., known)| known(value())))
    }
}

/// Long name, short name, and the option's constructor.
type Valued = (&'static str, Option<&'static str>, fn(String) -> Known);

const VALUED: [Valued; 12] = [
    ("--index-url", Some("-i"), Known::IndexUrl),
    ("--pypi-url", None, Known::IndexUrl),
    ("--extra-index-url", None, Known::ExtraIndexUrl),
    ("--find-links", Some("-f"), Known::FindLinks),
    ("--no-binary", None, Known::NoBinary),
    ("--only-binary", None, Known::OnlyBinary),
    ("--constraint", Some("-c"), Known::Constraint),
    ("--constraints", None, Known::Constraint),
    ("--override", None, Known::Override),
    ("--requirement", Some("-r"), Known::Requirement),
    ("--requirements", None, Known::Requirement),
    ("--editable", Some("-e"), Known::Editable),
];

const FLAGS: [(&str, Known); 3] = [
    ("--no-index", Known::NoIndex),
    ("--pre", Known::Pre),
    ("--require-hashes", Known::RequireHashes),
];

/// The names that the error for an unknown option suggests.
const NAMES: [&str; 11] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--no-index",
    "--pre",
    "--no-binary",
    "--only-binary",
    "--require-hashes",
    "--constraint",
    "--requirement",
    "--editable",
];

/// Takes the first word of `words` if it is a known option, with its value; `None` leaves the words
/// unchanged.
fn take(words: &mut &[String], tool: Tool) -> Result<Option<Known>, Error> {
    let Some((word, rest)) = words.split_first() else {
        return Ok(None);
    };
    let whole = whole_name(word).filter(|_| tool == Tool::Pip);
    let word = whole.as_ref().unwrap_or(word);
    if let Some((_, flag)) = FLAGS.iter().find(|(name, _)| name == word) {
        *words = rest;
        return Ok(Some(flag.clone()));
    }
    for (long, short, known) in VALUED {
        let attached = match word.strip_prefix(long) {
            Some("") => None,
            Some(value) => match value.strip_prefix('=') {
                Some(value) => Some(value),
                None => continue,
            },
            None => match short.and_then(|short| word.strip_prefix(short)) {
                Some("") => None,
                // uv takes `-i=URL`, which pip reads as the address `=URL`.
                Some(value) => value.strip_prefix('=').filter(|_| tool == Tool::Uv).or(Some(value)),
                None => continue,
            },
        };
        let (value, rest) = match attached {
            Some(value) => (value, rest),
            None => match rest.split_first() {
                Some((value, rest)) => (value.as_str(), rest),
                None => ("", rest),
            },
        };
        if value.is_empty() {
            return Err(Error::OptionValue { option: long.to_owned(), reason: "needs a value" });
        }
        *words = rest;
        return Ok(Some(known(value.to_owned())));
    }
    Ok(None)
}

/// Takes an option that only pip allows on a line, as the first of `words`. uv has another name for
/// trusted hosts, and ignores the other options.
fn take_of_pip(words: &mut &[String], tool: Tool) -> Result<Option<Known>, Error> {
    let Some((word, rest)) = words.split_first() else { return Ok(None) };
    let (name, attached) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word.as_str(), None),
    };
    let value = match name {
        "--prefer-binary" if attached.is_none() => None,
        "--trusted-host" | "--use-feature" => match attached.or(rest.first().map(String::as_str)) {
            Some(value) if !value.is_empty() => Some(value.to_owned()),
            _ => return Err(Error::OptionValue { option: name.into(), reason: "needs a value" }),
        },
        _ => return Ok(None),
    };
    let is_apart = value.is_some() && attached.is_none();
    *words = if is_apart { &rest[1..] } else { rest };
    let name = match (tool, name) {
        (Tool::Pip, name) => name,
        (Tool::Uv, "--trusted-host") => "--allow-insecure-host",
        (Tool::Uv, _) => return Ok(Some(Known::Tool(Vec::new()))),
    };
    Ok(Some(Known::Tool([name.to_owned()].into_iter().chain(value).collect())))
}

/// Returns the option with its full name, if a shortened name fits only one: pip's `optparse`
/// accepts that on lines, too. uv does not, and has options of its own with such names (`--index`).
fn whole_name(word: &str) -> Option<String> {
    let (name, value) = word.split_at(word.find('=').unwrap_or(word.len()));
    let names = || VALUED.iter().map(|(name, ..)| *name).chain(FLAGS.iter().map(|(name, _)| *name));
    if !name.starts_with("--") || name.len() < 3 || names().any(|whole| whole == name) {
        return None;
    }
    let mut found = names().filter(|whole| whole.starts_with(name));
    match (found.next(), found.next()) {
        (Some(whole), None) => Some(format!("{whole}{value}")),
        _ => None,
    }
}

/// Returns the options of an option line; an unknown option is refused by name.
pub(crate) fn parse_line(line: &str, tool: Tool) -> Result<Vec<Known>, Error> {
    let words = split_words(line)?;
    let mut words = words.as_slice();
    let mut options = Vec::new();
    while let Some(word) = words.first() {
        let name = word.split('=').next().unwrap_or(word).to_owned();
        let known = match take(&mut words, tool)? {
            None => take_of_pip(&mut words, tool)?,
            known => known,
        };
        match known {
            Some(known) => options.push(known),
            None if word.starts_with('-') => {
                let nearest = nearest(&name, NAMES);
                return Err(Error::UnknownOption { option: redact(&name).into_owned(), nearest });
            }
            None => {
                return Err(Error::OptionValue {
                    option: line.split(['=', ' ', '\t']).next().unwrap_or(line).to_owned(),
                    reason: "is followed by more words than it takes",
                });
            }
        }
    }
    Ok(options)
}

/// Splits at blanks, with the quotes and backslashes of a POSIX shell, as pip does.
fn split_words(line: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().extend(characters.next());
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(Error::OptionValue {
            option: line.split(['=', ' ', '\t']).next().unwrap_or(line).to_owned(),
            reason: "has a quote that is not closed",
        });
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_every_spelling() {
        for line in [
            "-i URL",
            "-iURL",
            "--index-url URL",
            "--index-url=URL",
            "--index-url 'URL'",
            "--index URL",
            "--ind=URL",
        ] {
            let known = parse_line(line, Tool::Pip).unwrap();
            assert_eq!(known, [Known::IndexUrl("URL".to_owned())], "{line}");
        }
        assert_eq!(
            parse_line(r#"--no-index -f "my wheels" --pre"#, Tool::Pip).unwrap(),
            [Known::NoIndex, Known::FindLinks("my wheels".to_owned()), Known::Pre]
        );
    }

    #[test]
    fn a_line_for_uv_has_whole_names() {
        for line in ["--index URL", "--extra-index URL", "--no-ind", "--find URL", "--only a"] {
            assert!(parse_line(line, Tool::Pip).is_ok(), "{line}");
            let error = parse_line(line, Tool::Uv).unwrap_err();
            let name = line.split(' ').next().unwrap();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
            assert!(error.hint().is_some(), "{line}");
        }
        for (line, pip) in [("-i=URL", "=URL"), ("-i URL", "URL"), ("--index-url=URL", "URL")] {
            let known = |tool| parse_line(line, tool).unwrap();
            assert_eq!(known(Tool::Pip), [Known::IndexUrl(pip.to_owned())], "{line}");
            assert_eq!(known(Tool::Uv), [Known::IndexUrl("URL".to_owned())], "{line}");
        }
    }

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let error = parse_line("--index-ulr=https://u:p@h", Tool::Pip).unwrap_err();
        assert_eq!(error.to_string(), "the option `--index-ulr` is not understood in requirements");
        assert_eq!(error.hint().as_deref(), Some("did you mean `--index-url`?"));
        for line in ["--trusted-host", "-x", "-i", "--pre x", "-r 'open", "-"] {
            assert!(parse_line(line, Tool::Pip).is_err(), "{line}");
        }
    }
}
