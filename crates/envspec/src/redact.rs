//! Cutting credentials out of text.

use std::borrow::Cow;
use std::ops::Range;

use crate::location;
use crate::query;

/// Returns `text` without the credentials of any URL in it: the `user:password@`, and the tokens
/// and signatures of its query.
///
/// A user alone is cut too, since it may be a token. Only an `ssh` scheme keeps it:
/// `git+ssh://git@host/` needs its user, and only a password is cut there.
///
/// A parameter of a query is a credential if [its name tells a secret](crate::names_a_secret), or it belongs
/// to a signature, such as those of presigned addresses (`X-Amz-…`, `X-Goog-…`, `sig` with its
/// `se`, `sp` and so on, `Expires` beside a `Signature`), or if it is a JSON web token.
///
/// ```
/// let text = "failed to fetch https://me:secret@example.org/simple/";
/// assert_eq!(envspec::redact(text), "failed to fetch https://example.org/simple/");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    query::without_credentials(without_users(text, Reading::Text))
}

/// Returns `text` as a part of a key, in which it reveals no credential of any URL in it.
///
/// Users, passwords and signatures are left out, since they decide only who may fetch something. Any
/// other credential in a query may name what is fetched (`?key=wheels/a`), so a digest takes its
/// place.
///
/// ```
/// let [one, other] = ["https://h/x?key=a", "https://h/x?key=b"].map(envspec::identity);
/// assert_ne!(one, other);
/// assert_eq!(envspec::identity("https://me:secret@h/x?sig=c0"), "https://h/x");
/// ```
#[must_use]
pub fn identity(text: &str) -> Cow<'_, str> {
    query::with_digests(without_users(text, Reading::Text))
}

/// Returns a URL without its credentials, and without those of URLs in its path or query.
///
/// Unlike [`redact`], it treats nothing else as credentials, so that two URLs that differ in
/// anything else stay different.
pub(crate) fn public_url(url: &str) -> Cow<'_, str> {
    query::without_credentials(without_users(url, Reading::Url))
}

/// Returns the [`identity`] of a URL; it treats as credentials only what [`public_url`] does.
pub(crate) fn url_identity(url: &str) -> Cow<'_, str> {
    query::with_digests(without_users(url, Reading::Url))
}

fn without_users(text: &str, reading: Reading) -> Cow<'_, str> {
    let mut cut = String::new();
    let mut copied = 0;
    for UserInfo { range, ssh } in user_infos(text, reading) {
        let credentials = if ssh {
            let user = text[range.clone()].find(':').unwrap_or(range.len());
            range.start + user..range.end
        } else {
            range.start..range.end + 1
        };
        if credentials.is_empty() {
            continue;
        }
        cut.push_str(&text[copied..credentials.start]);
        copied = credentials.end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    cut.push_str(&text[copied..]);
    Cow::Owned(cut)
}

/// The `user` or `user:password` of a URL, without the `@` that follows it.
pub(crate) struct UserInfo {
    pub(crate) range: Range<usize>,
    /// Whether the URL's scheme is `ssh` or ends in `+ssh`.
    pub(crate) ssh: bool,
}

/// The way to read a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Any text that may hold URLs, also invalid ones: a password with a raw `/`, `?` or `#` is
    /// found, although it ends the authority early.
    Text,
    /// A URL that a package manager accepts.
    Url,
}

/// Returns every user part of a URL in `text`, in order. The time is linear in the length of the
/// text.
pub(crate) fn user_infos(text: &str, reading: Reading) -> Vec<UserInfo> {
    let mut found = Vec::new();
    let mut word = Word { end: 0, last_at: None };
    let mut from = 0;
    while let Some(offset) = text[from..].find("://") {
        let separator = from + offset;
        let start = separator + 3;
        from = start;
        if word.end <= start {
            word = Word::at(text, start);
        }
        let Some(end) = user_info_end(text, start, &word, reading) else { continue };
        let scheme_start = text[..separator]
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
        let scheme = text[scheme_start..separator].to_ascii_lowercase();
        let ssh = scheme == "ssh" || scheme.ends_with("+ssh");
        found.push(UserInfo { range: start..end, ssh });
        from = end + 1;
    }
    found
}

/// Text up to a character that no URL holds.
struct Word {
    end: usize,
    last_at: Option<usize>,
}

impl Word {
    fn at(text: &str, start: usize) -> Self {
        let ends_word =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '`');
        let rest = &text[start..];
        let word = &rest[..rest.find(ends_word).unwrap_or(rest.len())];
        Self { end: start + word.len(), last_at: word.rfind('@').map(|at| start + at) }
    }
}

/// Returns the end of the user part of the URL whose authority starts at `start`.
fn user_info_end(text: &str, start: usize, word: &Word, reading: Reading) -> Option<usize> {
    let last_at = word.last_at.filter(|at| *at >= start)?;
    let authority = location::authority(&text[start..word.end]);
    if let Some(at) = authority.rfind('@') {
        return Some(start + at);
    }
    // The text after the colon is no port: the host comes after a later `@`.
    (reading == Reading::Text && location::port(authority).is_err()).then_some(last_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_cut_from_every_url() {
        for (text, expected) in [
            ("https://u:p@h/a and http://t@h", "https://h/a and http://h"),
            ("git+ssh://git@h/r.git", "git+ssh://git@h/r.git"),
            ("git+ssh://git:pw@h/r.git", "git+ssh://git@h/r.git"),
            ("git+https://tok@h/r.git@main", "git+https://h/r.git@main"),
            ("https://u:a@b@h/", "https://h/"),
            ("https://u:a/b@h/x", "https://h/x"),
            ("https://u:a:0/b@h/x", "https://h/x"),
            ("https://[::1]:80/x@1", "https://[::1]:80/x@1"),
            ("https://h:8080/x@1", "https://h:8080/x@1"),
            ("git+https://h:/org/a.git@v1", "git+https://h:/org/a.git@v1"),
            ("https://h:/one.whl#x=@", "https://h:/one.whl#x=@"),
            ("https://${U}:${P}@h/", "https://h/"),
            ("a://b c://d:e@f", "a://b c://f"),
            ("no url: me@example.org", "no url: me@example.org"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn a_url_loses_its_credentials_alone() {
        for (url, expected) in [
            ("https://u:p@h:/a@1", "https://h:/a@1"),
            ("https://h/https://u:p@x/a.whl", "https://h/https://x/a.whl"),
            ("https://h/x://y:z/one@2", "https://h/x://y:z/one@2"),
            ("https://h/?a=://b:c/d#e@f", "https://h/?a=://b:c/d#e@f"),
        ] {
            assert_eq!(public_url(url), expected, "{url}");
        }
    }
}
