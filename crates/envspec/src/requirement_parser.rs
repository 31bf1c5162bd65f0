//! Reading one requirement: PEP 508, and the paths and bare URLs that pip and uv also take.
//!
//! `pep508_rs` is not used for it: it panics on names such as `a- ` and `a[b-]`, and its markers
//! lose meaning (see `marker.rs`). A property test compares the two where both can read a line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use crate::error::Error;
use crate::location;
use crate::marker::Marker;
use crate::name;
use crate::redact::redact;
use crate::requirement::{Requirement, Target};
use crate::specifier::{Operator, Specifier};
use crate::tool::Tool;

/// Reads a line as `tool` does; relative paths start at `dir`.
pub(crate) fn parse_for(tool: Tool, line: &str, dir: &Path) -> Result<Requirement, Error> {
    let line = match (tool, without_comment(line).trim().strip_suffix(';')) {
        // pip accepts an empty marker.
        (Tool::Pip, Some(line)) => Cow::Borrowed(line),
        (Tool::Pip, None) => with_marker_apart(line),
        (Tool::Uv, _) => Cow::Borrowed(line),
    };
    parse(&line, Some(dir))
}

/// Returns `name @ url;marker` with a blank before the semicolon, where pip ends the URL.
fn with_marker_apart(line: &str) -> Cow<'_, str> {
    let is_named = |before: &str| {
        before.contains(':') && !before.starts_with('-') && location::scheme(before).is_none()
    };
    match line.split_once(';') {
        Some((before, marker)) if is_named(before) => format!("{before} ; {marker}").into(),
        _ => line.into(),
    }
}

impl Requirement {
    /// Reads a line of a requirements file that lies in the absolute folder `dir`, from which
    /// relative paths start.
    ///
    /// Fails on option lines other than `-e`, and on text that is no requirement. A comment is
    /// dropped.
    pub fn parse_in(line: &str, dir: &Path) -> Result<Self, Error> {
        parse(line, Some(dir))
    }
}

impl FromStr for Requirement {
    type Err = Error;

    /// As [`Requirement::parse_in`], with relative paths refused.
    fn from_str(line: &str) -> Result<Self, Error> {
        parse(line, None)
    }
}

fn parse(line: &str, dir: Option<&Path>) -> Result<Requirement, Error> {
    let text = without_comment(line).trim();
    let (text, is_editable) = match editable(text) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (body, hashes) = split_hashes(text)?;
    read(body.trim(), dir, is_editable).map(|requirement| requirement.with_hashes(hashes)).map_err(
        |reason| Error::Requirement {
            text: redact(text).into_owned(),
            // It may quote a part of the text.
            reason: redact(&reason).into_owned(),
        },
    )
}

/// Returns the line up to a `#` at its start or after a blank, as in pip.
pub(crate) fn without_comment(line: &str) -> &str {
    let mut after_blank = true;
    for (index, character) in line.char_indices() {
        if character == '#' && after_blank {
            return &line[..index];
        }
        after_blank = character.is_whitespace();
    }
    line
}

/// Returns the text after `-e`, `--editable` or `--editable=`.
pub(crate) fn editable(text: &str) -> Option<&str> {
    let rest = if let Some(rest) = text.strip_prefix("--editable") {
        rest.strip_prefix('=').or_else(|| rest.starts_with(char::is_whitespace).then_some(rest))?
    } else {
        text.strip_prefix("-e")?
    };
    let rest = rest.trim();
    let unquoted = |quote| rest.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    Some(unquoted('"').or_else(|| unquoted('\'')).unwrap_or(rest))
}

/// Splits `requirement --hash=… --hash …`; an option other than `--hash` is refused by name.
fn split_hashes(text: &str) -> Result<(&str, BTreeSet<String>), Error> {
    let mut hashes = BTreeSet::new();
    // As in pip, the options start at the first word with a dash.
    let starts = text
        .char_indices()
        .zip(text.chars().skip(1))
        .find_map(|((index, c), next)| (c.is_whitespace() && next == '-').then_some(index));
    let Some(start) = starts else {
        return Ok((text, hashes));
    };
    let (body, options) = text.split_at(start);
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some(("--hash", value)) => Some(value),
            None if word == "--hash" => words.next(),
            _ => {
                let option = redact(word.split('=').next().unwrap_or(word)).into_owned();
                return Err(Error::UnknownOption { option, nearest: None });
            }
        };
        let hash = value.and_then(normal_hash).ok_or_else(|| Error::OptionValue {
            option: "--hash".to_owned(),
            reason: "takes `sha256:`, `sha384:` or `sha512:` and as many hexadecimal digits as the \
                     algorithm gives",
        })?;
        hashes.insert(hash);
    }
    Ok((body, hashes))
}

fn normal_hash(text: &str) -> Option<String> {
    let (algorithm, digits) = text.split_once(':')?;
    let algorithm = algorithm.to_ascii_lowercase();
    let length = match algorithm.as_str() {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return None,
    };
    (digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| format!("{algorithm}:{}", digits.to_ascii_lowercase()))
}

fn read(text: &str, dir: Option<&Path>, is_editable: bool) -> Result<Requirement, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("it holds a control character".to_owned());
    }
    if location::scheme(text).is_some() {
        let (url, marker) = split_url_marker(text)?;
        return reference(url, marker, None, BTreeSet::new(), dir, is_editable);
    }
    if is_editable || looks_like_path(text) {
        let (path, marker) = split_marker(text)?;
        return reference(path, marker, None, BTreeSet::new(), dir, is_editable);
    }
    named(text, dir)
}

/// Reads PEP 508: `name[extras] versions ; marker` or `name[extras] @ url ; marker`.
fn named(text: &str, dir: Option<&Path>) -> Result<Requirement, String> {
    let end = text.bytes().position(|byte| !name::is_name_byte(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name::is_name(name) {
        return Err(if name.is_empty() {
            "a name starts with a letter or a digit".to_owned()
        } else {
            format!("`{name}` is no name: it starts and ends with a letter or a digit")
        });
    }
    let name = name::normal_name(name);
    let (extras, rest) = split_extras(rest.trim_start())?;
    let rest = rest.trim_start();
    if let Some(address) = rest.strip_prefix('@') {
        let (url, marker) = split_url_marker(address.trim_start())?;
        if url.is_empty() {
            return Err("nothing follows the `@`".to_owned());
        }
        if Operator::split(url).is_some() {
            return Err("what follows the `@` is no URL; a version needs no `@`".to_owned());
        }
        return reference(url, marker, Some(name), extras, dir, false);
    }
    let (versions, marker) = split_marker(rest)?;
    let versions = match versions.strip_prefix('(') {
        Some(inside) => {
            inside.strip_suffix(')').ok_or_else(|| "a parenthesis is not closed".to_owned())?.trim()
        }
        None => versions,
    };
    let specifiers = if versions.is_empty() { Vec::new() } else { Specifier::parse_set(versions)? };
    let target = Target::Index { name, specifiers };
    Ok(Requirement::new(target, extras, marker))
}

/// Reads a URL or a path, with or without a name before it.
fn reference(
    text: &str,
    marker: Option<Marker>,
    name: Option<String>,
    mut extras: BTreeSet<String>,
    dir: Option<&Path>,
    is_editable: bool,
) -> Result<Requirement, String> {
    let is_url = location::scheme(text).is_some();
    let is_file = location::is_file_url(text);
    let mut text = text;
    if name.is_none() && (!is_url || is_file) {
        let (path, found) = split_trailing_extras(text)?;
        (text, extras) = (path, found);
    }
    if is_url && !is_file {
        if text.contains(char::is_whitespace) {
            return Err("its URL holds a blank".to_owned());
        }
        location::check_url(text)?;
        let url = location::normal_url(text);
        // With extras in the fragment, only the bare URL keeps them.
        let has_extras = url.split_once('#').is_some_and(|(_, fragment)| fragment.contains('['));
        // pip before 24 needs a host in `name @ url`.
        let is_local = url.starts_with("git+file:///");
        let name = name.or_else(|| name::egg_name(&url).filter(|_| !has_extras && !is_local));
        // Written back as `name @ url` it would lose its `-e`, which pip and uv take before a bare
        // URL only; the name stays in the fragment.
        let target = if is_editable {
            Target::Url { name: None, url, is_editable }
        } else {
            Target::Url { name, url, is_editable }
        };
        return Ok(Requirement::new(target, extras, marker));
    }
    let (path, fragment) = if is_file {
        let (path, fragment) = location::file_url(text)?;
        (path, fragment.map(str::to_owned))
    } else if let Some(dir) = dir {
        (location::absolute(dir, text), None)
    } else if text.starts_with('/') {
        (location::absolute(Path::new("/"), text), None)
    } else {
        return Err("a relative path needs a folder that it starts from".to_owned());
    };
    if fragment.as_deref().is_some_and(|fragment| fragment.contains(char::is_whitespace)) {
        return Err("its URL holds a blank".to_owned());
    }
    if path.to_str().is_none_or(|path| path.chars().any(char::is_control)) {
        return Err("its path holds a control character or is no text".to_owned());
    }
    let target = Target::Path { name, path, fragment, is_editable };
    Ok(Requirement::new(target, extras, marker))
}

/// Characters that begin a URL or a comparison, so that the text before them is a name.
const NOT_IN_PATHS: [char; 6] = ['@', '=', '<', '>', '~', '!'];

/// Returns whether the text is a path rather than a name: it starts with a dot, holds a slash, or
/// ends like a wheel or a source archive, and no character of [`NOT_IN_PATHS`] comes first or, after
/// white space, next. A path with such a character needs `./` before it.
fn looks_like_path(text: &str) -> bool {
    let word = text.split([';', ' ', '\t']).next().unwrap_or(text);
    let before_extras = word.split('[').next().unwrap_or(word);
    // In `a.tar <= 3` it is a name.
    let rest = text[word.len()..].trim_start();
    let after_extras = if rest.starts_with('[') { rest.split_once(']') } else { Some(("", rest)) };
    let next = after_extras.and_then(|(_, rest)| rest.trim_start().chars().next());
    let is_compared = next.is_some_and(|next| next == '(' || NOT_IN_PATHS.contains(&next));
    word.starts_with('.')
        || word.split_once('/').is_some_and(|(before, _)| !before.contains(&NOT_IN_PATHS[..]))
        || (name::is_archive(before_extras) && !word.contains(&NOT_IN_PATHS[..]) && !is_compared)
}

/// The name in `egg=name` or `egg=name[extras]`, among the parts of a URL's fragment.
/// Splits `[a, b]rest` into the extras' normal names and the rest.
fn split_extras(text: &str) -> Result<(BTreeSet<String>, &str), String> {
    let Some(inside) = text.strip_prefix('[') else {
        return Ok((BTreeSet::new(), text));
    };
    let (inside, rest) =
        inside.split_once(']').ok_or_else(|| "a bracket is not closed".to_owned())?;
    Ok((extras(inside)?, rest))
}

/// Splits `path[a,b]` into the path and the extras.
fn split_trailing_extras(text: &str) -> Result<(&str, BTreeSet<String>), String> {
    match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        Some((path, inside)) if !path.is_empty() => Ok((path, extras(inside)?)),
        _ => Ok((text, BTreeSet::new())),
    }
}

fn extras(inside: &str) -> Result<BTreeSet<String>, String> {
    if inside.trim().is_empty() {
        return Ok(BTreeSet::new());
    }
    inside
        .split(',')
        .map(str::trim)
        .map(|extra| {
            let is_name = name::is_name(extra);
            is_name
                .then(|| name::normal_name(extra))
                .ok_or_else(|| format!("`{extra}` is no name of an extra"))
        })
        .collect()
}

fn split_marker(text: &str) -> Result<(&str, Option<Marker>), String> {
    match text.split_once(';') {
        Some((before, marker)) => Ok((before.trim_end(), Some(Marker::parse(marker)?))),
        None => Ok((text.trim_end(), None)),
    }
}

/// Splits off a marker like `split_marker`. A URL may itself hold a `;` without blanks around it.
fn split_url_marker(text: &str) -> Result<(&str, Option<Marker>), String> {
    let separator = text.char_indices().find(|(index, character)| {
        let blank_before = text[..*index].ends_with(char::is_whitespace);
        *character == ';' && (blank_before || text[index + 1..].starts_with(char::is_whitespace))
    });
    match separator {
        Some((index, _)) => {
            Ok((text[..index].trim_end(), Some(Marker::parse(&text[index + 1..])?)))
        }
        None => Ok((text.trim_end(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(line: &str) -> String {
        parse(line, Some(Path::new("/project"))).unwrap().to_string()
    }

    #[test]
    fn every_form_has_one_spelling() {
        let hash = "a".repeat(64);
        for (line, expected) in [
            ("Foo_Bar", "foo-bar"),
            ("foo (>=1.0, <2)", "foo<2.0,>=1.0"),
            ("foo[B,a]==1.0.0 # pinned", "foo[a,b]==1.0"),
            ("foo[]", "foo"),
            ("a @ git+file:///r@v1", "a @ git+file:///r@v1"),
            ("a @ hg+file://LOCALHOST/r@v1", "a @ hg+file:///r@v1"),
            ("a.tar <= 3", "a-tar<=3.0"),
            ("a.tar<=3", "a-tar<=3.0"),
            ("a.zip\t(<= 3)", "a-zip<=3.0"),
            ("a.zip [b] ==3", "a-zip[b]==3.0"),
            ("a.zip @ https://h/x.whl", "a-zip @ https://h/x.whl"),
            ("foo;os_name=='nt'", "foo ; os_name == 'nt'"),
            ("foo@https://H/x.whl", "foo @ https://h/x.whl"),
            (
                "foo @ file:///a/./x.whl ; os_name == 'nt'",
                "foo @ file:///a/x.whl ; os_name == 'nt'",
            ),
            ("https://u:p@H/x-1-py3-none-any.whl", "https://h/x-1-py3-none-any.whl"),
            ("git+https://h/r@main#egg=foo", "foo @ git+https://h/r@main#egg=foo"),
            ("-e git+https://h/r@main#egg=foo", "-e git+https://h/r@main#egg=foo"),
            ("./a/../x.whl", "/project/x.whl"),
            ("x-1.tar.gz", "/project/x-1.tar.gz"),
            ("../pkg[dev]", "/pkg[dev]"),
            ("-e .", "-e /project"),
            ("--editable=pkg", "-e /project/pkg"),
            ("./my pkg", "file:///project/my%20pkg"),
            ("./my pkg[dev]", "/project/my pkg[dev]"),
            ("-e './my pkg[dev]'", "-e file:///project/my%20pkg[dev]"),
            ("file:///a/b[c]", "/a/b[c]"),
            ("-e file:///a/b#egg=c", "-e file:///a/b#egg=c"),
        ] {
            let found = normal(line);
            assert_eq!(found, expected, "{line}");
            let again: Requirement = found.parse().unwrap();
            assert_eq!(again.to_string(), expected, "{line}");
            // What the package manager is told has the same meaning.
            assert_eq!(again.expose().parse::<Requirement>().unwrap(), again, "{line}");
        }
        let repository: Requirement = "a @ git+file:///r@v1".parse().unwrap();
        assert_eq!(repository.expose(), "a @ git+file://localhost/r@v1");
        assert_eq!(
            normal(&format!("foo==1 --hash=SHA256:{} --hash sha256:{hash}", hash.to_uppercase())),
            format!("foo==1.0 --hash=sha256:{hash}")
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for line in [
            "",
            "# comment",
            "a-",
            "a- ==1",
            "a[b-]",
            "a[b",
            "a b",
            "a==",
            "a (==1",
            "a==1/2",
            "~/x",
            "a @",
            "-x",
            "a --hash=md5:00",
            "a --install-option=x",
            "a==1 ; nonsense",
            "https://h/a b",
            "é",
        ] {
            assert!(parse(line, Some(Path::new("/"))).is_err(), "{line}");
        }
        assert!(parse("./relative", None).is_err());
    }

    #[test]
    fn names_come_from_where_they_are_written() {
        let name =
            |line: &str| normal(line).parse::<Requirement>().unwrap().name().map(str::to_owned);
        assert_eq!(name("/w/My_Pkg-1.0-py3-none-any.whl").as_deref(), Some("my-pkg"));
        assert_eq!(name("https://h/My_Pkg-1.0.zip?x=1").as_deref(), Some("my-pkg"));
        assert_eq!(name("git+https://h/r#egg=My_Pkg").as_deref(), Some("my-pkg"));
        assert_eq!(name("./folder"), None);
    }
}
