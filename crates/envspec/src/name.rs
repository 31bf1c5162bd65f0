//! Names of distributions and extras, in the normal form of PEP 503.

use std::path::Path;

/// Returns whether `text` is a name by PEP 508: ASCII letters and digits, with `-`, `_` and `.`
/// inside.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|&byte| is_name_byte(byte))
}

/// Returns whether a name may contain `byte`.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Returns the normal form of a name: lower case, each run of `-`, `_` and `.` a single `-` (PEP
/// 503).
#[must_use]
pub fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.push(character.to_ascii_lowercase());
        }
    }
    normal
}

/// Returns the normal name of the distribution at the start of a wheel's or source archive's file
/// name.
#[must_use]
pub fn of_archive(file_name: &str) -> Option<String> {
    let stem = archive_stem(file_name)?;
    let name = if is_wheel(file_name) { stem.split('-').next()? } else { stem.rsplit_once('-')?.0 };
    is_name(name).then(|| normal_name(name))
}

/// Returns whether a path is that of a wheel or a source archive.
pub(crate) fn is_archive_path(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_archive)
}

/// Returns whether a file name is that of a wheel or a source archive, by the suffixes that pip
/// accepts.
pub(crate) fn is_archive(file_name: &str) -> bool {
    archive_stem(file_name).is_some()
}

fn is_wheel(file_name: &str) -> bool {
    strip_suffix(file_name, ".whl").is_some()
}

fn archive_stem(file_name: &str) -> Option<&str> {
    const SUFFIXES: [&str; 12] = [
        ".whl",
        ".tar.gz",
        ".tgz",
        ".tar.bz2",
        ".tbz",
        ".tar.xz",
        ".txz",
        ".tar.lz",
        ".tlz",
        ".tar.lzma",
        ".tar",
        ".zip",
    ];
    SUFFIXES.iter().find_map(|suffix| strip_suffix(file_name, suffix))
}

/// Returns `text` without a suffix of either case.
fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (stem, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

/// Returns the normal name after `#egg=` in a URL.
pub(crate) fn egg_name(url: &str) -> Option<String> {
    egg_in_fragment(url.split_once('#')?.1)
}

/// Returns the normal name after `egg=` in the fragment of a URL or a path.
pub(crate) fn egg_in_fragment(fragment: &str) -> Option<String> {
    let egg = fragment.split('&').find_map(|part| part.strip_prefix("egg="))?;
    let egg = egg.split('[').next()?;
    is_name(egg).then(|| normal_name(egg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_separators_are_one_dash() {
        assert_eq!(normal_name("Foo_.-Bar.baz"), "foo-bar-baz");
    }

    #[test]
    fn an_archive_names_its_distribution() {
        assert_eq!(of_archive("My_Pkg-1.0-py3-none-any.whl").as_deref(), Some("my-pkg"));
        assert_eq!(of_archive("my-pkg-1.0.tar.gz").as_deref(), Some("my-pkg"));
        assert_eq!(of_archive("folder"), None);
    }
}
