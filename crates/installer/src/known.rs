//! Archives that an installation took from an index, with which it can be repeated without the
//! index.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// An archive from an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Archive {
    /// The normal name of its distribution.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its address.
    pub url: String,
    /// The SHA-256 of its contents.
    pub sha256: String,
}

impl Archive {
    /// Returns whether it is a wheel that a page of links can name. Builds from sources depend on
    /// more than their archive, and addresses with credentials are not written to files.
    pub(crate) fn is_plain_wheel(&self) -> bool {
        let is_remote = ["http://", "https://"].iter().any(|start| self.url.starts_with(start));
        let is_hash =
            self.sha256.len() == 64 && self.sha256.bytes().all(|it| it.is_ascii_hexdigit());
        let is_plain =
            self.url.bytes().all(|it| it.is_ascii_graphic() && !b"\"<>'?#".contains(&it));
        is_remote
            && is_hash
            && is_plain
            && self.url.strip_suffix(".whl").is_some()
            && !has_credentials(&self.url)
    }
}

fn has_credentials(url: &str) -> bool {
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    host.is_none_or(|host| host.contains('@')) || envspec::redact(url) != url
}

/// Returns a page of links to archives, which pip reads in place of an index. pip compares the
/// contents with the digests, and notes no address, so the installed packages look as if they came
/// from the index.
pub(crate) fn page(archives: &[Archive]) -> String {
    let mut page = "<!DOCTYPE html>\n<html><body>\n".to_owned();
    for Archive { url, sha256, .. } in archives.iter().filter(|it| it.is_plain_wheel()) {
        let name = url.rsplit('/').next().unwrap_or_default();
        // Writing to a text does not fail.
        let _ =
            writeln!(page, r#"<a href="{}#sha256={sha256}">{name}</a>"#, url.replace('&', "&amp;"));
    }
    page + "</body></html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wheels_of_an_index_without_credentials_are_known() {
        let archive = |url: &str| Archive {
            name: "a".to_owned(),
            version: "1".to_owned(),
            url: url.to_owned(),
            sha256: "0".repeat(64),
        };
        assert!(archive("https://h/p/a-1%2Bx-py3-none-any.whl").is_plain_wheel());
        for url in [
            "file:///w/a-1-py3-none-any.whl",
            "https://h/a-1.tar.gz",
            "https://me:pw@h/a-1-py3-none-any.whl",
            "https://h/a-1-py3-none-any.whl?token=x",
            "https://h/\"><a-1-py3-none-any.whl",
        ] {
            assert!(!archive(url).is_plain_wheel(), "{url}");
            assert!(!page(&[archive(url)]).contains("href"), "{url}");
        }
    }
}
