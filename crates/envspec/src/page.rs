//! Local pages of links to archives.

use std::path::{Path, PathBuf};

use crate::location;
use crate::name;

/// Returns whether pip and uv read a local file as a page of links.
#[must_use]
pub fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "html" || end == "htm")
}

/// Returns the archives on this machine that a page links to, in order: by a relative address, which
/// starts at the folder of the page or at its `<base>`, or by one with `file:`.
///
/// A package manager installs them as they are, so they count beside the text of the page.
///
/// ```
/// use std::path::{Path, PathBuf};
///
/// let text = "<a href='../w/six-1.0-py3-none-any.whl#sha256=c0'>six</a> <a href='https://h/x.whl'>";
/// let found = envspec::linked_archives(Path::new("/links/page.html"), text);
/// assert_eq!(found, [PathBuf::from("/w/six-1.0-py3-none-any.whl")]);
/// ```
#[must_use]
pub fn linked_archives(page: &Path, text: &str) -> Vec<PathBuf> {
    let dir = page.parent().unwrap_or(Path::new("/"));
    let addresses = addresses(text);
    let base = addresses.iter().find(|(is_base, _)| *is_base).map(|(_, address)| address.as_str());
    let base = match base {
        None => dir.to_owned(),
        Some(address) => match local(address, dir) {
            Some(path) if address.ends_with('/') => path,
            Some(path) => path.parent().unwrap_or(Path::new("/")).to_owned(),
            // Relative links lead to another machine, and others to this one.
            None => PathBuf::new(),
        },
    };
    let links = addresses.iter().filter(|(is_base, _)| !is_base);
    let paths = links.filter_map(|(_, address)| local(address, &base));
    paths.filter(|path| path.is_absolute() && name::is_archive_path(path)).collect()
}

/// Returns the path that an address leads to from a folder; none to another machine.
fn local(address: &str, dir: &Path) -> Option<PathBuf> {
    let path = address.split(['#', '?']).next().unwrap_or(address);
    if location::is_file_url(path) {
        return location::file_url(path).ok().map(|(path, _)| path);
    }
    let first = path.split('/').next().unwrap_or(path);
    if first.contains(':') || path.starts_with("//") {
        return None;
    }
    if path.starts_with('/') && dir.as_os_str().is_empty() {
        return None;
    }
    Some(location::absolute(dir, &location::percent_decoded(path)?))
}

/// Returns the address of each tag with an attribute `href`, and whether the tag is `<base>`.
fn addresses(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for tag in text.split('<').skip(1) {
        let name_end = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let is_base = tag[..name_end].eq_ignore_ascii_case("base");
        if let Some(address) = href(&tag[name_end..]) {
            found.push((is_base, unescaped(address)));
        }
    }
    found
}

/// Returns the value of `href` among the attributes of a tag.
fn href(attributes: &str) -> Option<&str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))?;
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=') else {
            if name.is_empty() {
                return None;
            }
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote)?,
            _ => value.split_at(value.find(|c: char| c.is_whitespace() || c == '>')?),
        };
        if name.eq_ignore_ascii_case("href") {
            return Some(value.trim());
        }
        rest = after;
    }
}

/// Returns an attribute with the characters that a page writes otherwise.
fn unescaped(value: &str) -> String {
    const NAMED: [(&str, &str); 5] =
        [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    NAMED.iter().fold(value.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_this_machine_are_found_in_every_spelling() {
        for (text, expected) in [
            ("<a href=\"a-1.whl\">", "/d/a-1.whl"),
            ("<A class=x\n HREF = 'sub/a-1.whl'>", "/d/sub/a-1.whl"),
            ("<a href=../a-1.tar.gz>", "/a-1.tar.gz"),
            ("<a data-x='>' href='a%2B1.whl#sha256=c0'>", "/d/a+1.whl"),
            ("<a download href='a-1.whl?x=1&amp;y'/>", "/d/a-1.whl"),
            ("<a href='file:///w/a-1.whl'>", "/w/a-1.whl"),
            ("<a href='/w/a-1.whl'>", "/w/a-1.whl"),
            ("<base href='../e/'><a href='a-1.whl'>", "/e/a-1.whl"),
            ("<base href='file:///e/f'><a href='a-1.whl'>", "/e/a-1.whl"),
            ("<base href='https://h/'><a href='file:/w/a-1.whl'>", "/w/a-1.whl"),
        ] {
            let found = linked_archives(Path::new("/d/p.html"), text);
            assert_eq!(found, [PathBuf::from(expected)], "{text}");
        }
        for text in [
            "<a href='https://h/a-1.whl'>",
            "<a href='//h/a-1.whl'>",
            "<a href='notes.txt'>",
            "<base href='https://h/'><a href='a-1.whl'><a href='/a-1.whl'>",
            "href='a-1.whl'",
            "<a href='a-1.whl",
            "<a hrefs='a-1.whl'>",
            "<a ==='a-1.whl' <é",
        ] {
            assert!(linked_archives(Path::new("/d/p.html"), text).is_empty(), "{text}");
        }
    }
}
