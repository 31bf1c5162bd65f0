//! Sources of packages: indexes, links, and the allowed kinds of archives.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::location;
use crate::name;
use crate::redact::{public_url, url_identity};

/// The address of a package index or of a page or folder of links.
///
/// It is a URL or the absolute path of a local folder. Display, debug output and serialization
/// leave out its credentials; [`IndexUrl::expose`] returns them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexUrl(String);

impl IndexUrl {
    /// Returns the address with its credentials, for the package manager alone.
    ///
    /// A `${NAME}` among the credentials stays as written if the spec's own `env_vars` have no
    /// value for it. pip and uv replace it from their environment when they read the address from a
    /// requirements file.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the absolute path, if the address is a local folder or file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.starts_with('/').then(|| Path::new(&self.0))
    }

    /// Reads an address from a file in the absolute folder `dir`.
    pub(crate) fn parse_in(text: &str, dir: &Path) -> Self {
        if location::scheme(text).is_some() {
            return Self::parse(text);
        }
        Self(location::absolute(dir, text).to_string_lossy().into_owned())
    }

    fn parse(text: &str) -> Self {
        let text = text.trim();
        if location::is_file_url(text)
            && let Ok((path, _)) = location::file_url(text)
        {
            return Self(path.to_string_lossy().into_owned());
        }
        Self(location::normal_url(text))
    }

    /// Returns the address of a simple index without the slash at its end, which pip and uv both add.
    /// A page of links needs its slash, since its relative links start there, and so does a query.
    pub(crate) fn of_index(self) -> Self {
        match self.0.strip_suffix('/') {
            Some(bare) if !bare.contains(['?', '#']) && !bare.ends_with(['/', ':']) => {
                Self(bare.to_owned())
            }
            _ => self,
        }
    }

    /// Returns the address as it counts in a key.
    pub(crate) fn identity(&self) -> String {
        url_identity(&self.0).into_owned()
    }
}

impl FromStr for IndexUrl {
    type Err = Infallible;

    /// Reads a URL or an absolute path. Scheme and host become lower case; the scheme's default
    /// port is dropped.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for IndexUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&public_url(&self.0))
    }
}

impl fmt::Debug for IndexUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexUrl({self})")
    }
}

impl Serialize for IndexUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IndexUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// The indexes and links of packages, and the allowed kinds of archives.
///
/// Default: the package manager's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct IndexOptions {
    /// `--index-url`.
    pub index_url: Option<IndexUrl>,
    /// `--extra-index-url`, in order, each once. The order matters to uv.
    pub extra_index_urls: Vec<IndexUrl>,
    /// `--no-index`.
    pub no_index: bool,
    /// `--find-links`, in order, each once.
    pub find_links: Vec<IndexUrl>,
    /// `--pre`.
    pub pre: bool,
    /// `--no-binary`: package names in normal form, or `:all:`; sorted.
    pub no_binary: Vec<String>,
    /// `--only-binary`: package names in normal form, or `:all:`; sorted.
    pub only_binary: Vec<String>,
    /// `--require-hashes`.
    pub require_hashes: bool,
}

/// Collects the options for indexes from lines and command lines, one after another.
#[derive(Default)]
pub(crate) struct IndexCollector {
    /// All options except those below.
    pub(crate) options: IndexOptions,
    extra_index_urls: Addresses,
    find_links: Addresses,
    binary: Binary,
    /// Those of uv's command line.
    uv_command: Binary,
}

/// The names of `--no-binary` and of `--only-binary`.
#[derive(Default)]
struct Binary {
    no: BTreeSet<String>,
    only: BTreeSet<String>,
}

/// How the values of `--no-binary` and `--only-binary` add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryRules {
    /// `:all:` clears both lists first, `:none:` clears this list, and a name is removed from the
    /// other list.
    Pip,
    /// The lists are independent, and `:none:` says nothing.
    UvLine,
    /// The lists are independent, and `:none:` clears what the command line said before.
    UvCommand,
}

impl IndexCollector {
    pub(crate) fn add_extra_index(&mut self, url: IndexUrl) {
        self.extra_index_urls.add(url);
    }

    /// Forgets the indexes so far, as pip does at a line with `--index-url`.
    pub(crate) fn clear_indexes(&mut self) {
        self.options.index_url = None;
        self.extra_index_urls = Addresses::default();
    }

    pub(crate) fn add_find_links(&mut self, url: IndexUrl) {
        self.find_links.add(url);
    }

    /// Takes a value of `--no-binary` or, with `only`, of `--only-binary`.
    pub(crate) fn restrict_binary(
        &mut self,
        value: &str,
        only: bool,
        rules: BinaryRules,
    ) -> Result<(), &'static str> {
        let lists = match rules {
            BinaryRules::UvCommand => &mut self.uv_command,
            BinaryRules::Pip | BinaryRules::UvLine => &mut self.binary,
        };
        let (names, other) = match lists {
            Binary { no, only: names } if only => (names, no),
            Binary { no, only } => (no, only),
        };
        let is_pip = rules == BinaryRules::Pip;
        for item in value.split(',').map(str::trim) {
            match item {
                ":all:" => {
                    if is_pip {
                        other.clear();
                    }
                    *names = BTreeSet::from([":all:".to_owned()]);
                }
                ":none:" if rules == BinaryRules::UvLine => {}
                ":none:" => names.clear(),
                _ if name::is_name(item) => {
                    let item = name::normal_name(item);
                    if is_pip {
                        other.remove(&item);
                    }
                    // `:all:` includes every name.
                    if !names.contains(":all:") {
                        names.insert(item);
                    }
                }
                _ => return Err("takes names, `:all:` or `:none:`"),
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> IndexOptions {
        let sum = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            let names: Vec<String> = one.union(other).cloned().collect();
            let all = ":all:".to_owned();
            if names.contains(&all) { vec![all] } else { names }
        };
        IndexOptions {
            extra_index_urls: self.extra_index_urls.list,
            find_links: self.find_links.list,
            no_binary: sum(&self.binary.no, &self.uv_command.no),
            only_binary: sum(&self.binary.only, &self.uv_command.only),
            ..self.options
        }
    }
}

/// Addresses in order, each once; addresses of one identity count as one.
#[derive(Default)]
struct Addresses {
    list: Vec<IndexUrl>,
    known: BTreeSet<String>,
}

impl Addresses {
    fn add(&mut self, url: IndexUrl) {
        if self.known.insert(url.identity()) {
            self.list.push(url);
        }
    }
}

impl IndexOptions {
    /// Returns `--no-binary` and `--only-binary` as options, in an order with the same meaning for
    /// pip: `:all:` clears the options before it.
    pub fn binary_options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let no = self.no_binary.iter().map(|name| ("--no-binary", name.as_str()));
        let only = self.only_binary.iter().map(|name| ("--only-binary", name.as_str()));
        let (all, others): (Vec<_>, Vec<_>) =
            no.chain(only).partition(|(_, name)| *name == ":all:");
        all.into_iter().chain(others)
    }

    /// Returns the local folders and files among the addresses, and whether the whole folder
    /// counts.
    pub(crate) fn local_paths(&self) -> impl Iterator<Item = (PathBuf, bool)> {
        let indexes = self.index_url.iter().chain(&self.extra_index_urls);
        let links = self.find_links.iter().map(|url| (url, false));
        links
            .chain(indexes.map(|url| (url, true)))
            .filter_map(|(url, whole)| Some((url.path()?.to_owned(), whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_inside() {
        let url: IndexUrl = "https://me:secret@Example.org/simple/".parse().unwrap();
        assert_eq!(url.expose(), "https://me:secret@example.org/simple/");
        assert_eq!(url.to_string(), "https://example.org/simple/");
        assert!(!format!("{url:?}{}", serde_json::to_string(&url).unwrap()).contains("secret"));
    }

    #[test]
    fn binary_restrictions_follow_the_package_manager() {
        use BinaryRules::{Pip, UvCommand, UvLine};
        let (no, only) = (false, true);
        for (given, expected) in [
            (&[(no, "B_b,a", Pip), (only, "a", Pip)][..], ("b-b", "a")),
            (&[(no, "a", Pip), (only, ":all:", Pip)], ("", ":all:")),
            (&[(no, ":all:", Pip), (only, "a", Pip)], (":all:", "a")),
            // The name leaves the other list, although `:all:` includes it here.
            (&[(no, ":all:", Pip), (only, "a", Pip), (no, "a", Pip)], (":all:", "")),
            (&[(no, "a", Pip), (no, ":none:", Pip)], ("", "")),
            (&[(no, "a", UvLine), (only, "a", UvLine)], ("a", "a")),
            (&[(no, ":all:", UvLine), (only, ":all:", UvLine)], (":all:", ":all:")),
            (&[(no, ":all:", UvLine), (only, "a", UvLine), (no, "a", UvLine)], (":all:", "a")),
            (&[(no, "a", UvLine), (no, ":none:", UvLine)], ("a", "")),
            (&[(no, "a", UvCommand), (no, ":none:", UvCommand)], ("", "")),
            (&[(no, "a", UvLine), (no, ":none:", UvCommand), (no, "b", UvCommand)], ("a b", "")),
            (&[(no, "a", UvLine), (no, ":all:", UvCommand)], (":all:", "")),
        ] {
            let mut collector = IndexCollector::default();
            for (only, value, rules) in given {
                collector.restrict_binary(value, *only, *rules).unwrap();
            }
            let options = collector.finish();
            let found = (options.no_binary.join(" "), options.only_binary.join(" "));
            assert_eq!((&*found.0, &*found.1), expected, "{given:?}");
        }
        assert!(IndexCollector::default().restrict_binary("-x", true, Pip).is_err());
    }
}
