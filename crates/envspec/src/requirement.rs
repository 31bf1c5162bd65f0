//! One requirement in normal form.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::{Digest, Encoder};
use crate::error::Error;
use crate::location;
use crate::marker::Marker;
use crate::name;
use crate::redact::{public_url, url_identity};
use crate::specifier::Specifier;

/// One requirement in normal form.
///
/// It displays as a line of a requirements file that both pip and uv accept, with hashes and
/// absolute paths, but without the credentials of a URL: [`Requirement::expose`] returns the line
/// for the package manager. Two spellings of one requirement (PEP 503, 440 and 508) are equal.
///
/// ```
/// use envspec::Requirement;
///
/// let requirement: Requirement = "Foo.Bar [b,a] >= 1.0.0, <2 ; python_version>'3.8'".parse()?;
/// assert_eq!(requirement.to_string(), "foo-bar[a,b]<2.0,>=1.0 ; python_version > '3.8'");
/// assert!(requirement.accepts("1.5"));
/// # Ok::<(), envspec::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    pub(crate) target: Target,
    pub(crate) extras: BTreeSet<String>,
    pub(crate) marker: Option<Marker>,
    /// `algorithm:hexadecimal`.
    pub(crate) hashes: BTreeSet<String>,
    /// The distribution's name that the URL or path in `target` gives.
    told_name: Option<String>,
}

/// The thing to install.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    /// A distribution from an index.
    Index { name: String, specifiers: Vec<Specifier> },
    /// An archive or a version control repository; the URL may hold credentials.
    Url { name: Option<String>, url: String, is_editable: bool },
    /// A local wheel, archive or folder. `fragment` is the text after `#` in a `file:` URL.
    Path { name: Option<String>, path: PathBuf, fragment: Option<String>, is_editable: bool },
}

impl Requirement {
    pub(crate) fn new(target: Target, extras: BTreeSet<String>, marker: Option<Marker>) -> Self {
        let told_name = target.told_name();
        Self { target, extras, marker, hashes: BTreeSet::new(), told_name }
    }

    pub(crate) fn with_hashes(self, hashes: BTreeSet<String>) -> Self {
        Self { hashes, ..self }
    }

    /// Returns the requirement with the hashes of another one in place of its own.
    #[must_use]
    pub fn with_hashes_of(&self, other: &Self) -> Self {
        self.clone().with_hashes(other.hashes.clone())
    }

    /// Returns the requirement without hashes.
    #[must_use]
    pub fn without_hashes(&self) -> Self {
        self.clone().with_hashes(BTreeSet::new())
    }

    /// Returns the requirement at a commit, with this name if it has none. If it is for no
    /// repository, it is returned unchanged.
    #[must_use]
    pub fn at_commit(&self, normal_name: &str, commit: &str) -> Self {
        let Target::Url { name, url, is_editable } = &self.target else { return self.clone() };
        let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.contains('+'))
        else {
            return self.clone();
        };
        let start = url.len() - rest.len() + location::authority(rest).len();
        let (place, fragment) = match url.find('#') {
            Some(at) => url.split_at(at),
            None => (url.as_str(), ""),
        };
        let end = place[start..].rfind('@').map_or(place.len(), |at| start + at);
        let url = format!("{}@{commit}{fragment}", &place[..end]);
        let is_nameless = self.told_name.is_none() && !is_editable;
        let name = if is_nameless { Some(normal_name.to_owned()) } else { name.clone() };
        let target = Target::Url { name, url, is_editable: *is_editable };
        Self::new(target, self.extras.clone(), self.marker.clone()).with_hashes(self.hashes.clone())
    }

    /// Returns the distribution's normal name (PEP 503), if the text has one: before `@`, in a file
    /// name or after `#egg=`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.target {
            Target::Index { name, .. } => Some(name),
            Target::Url { .. } | Target::Path { .. } => self.told_name.as_deref(),
        }
    }

    /// Returns the version specifiers in normal form, sorted; none if any version will do, and for
    /// a URL or a path.
    #[must_use]
    pub fn specifiers(&self) -> &[Specifier] {
        match &self.target {
            Target::Index { specifiers, .. } => specifiers,
            Target::Url { .. } | Target::Path { .. } => &[],
        }
    }

    /// Returns whether an installed `version` satisfies all specifiers. Pre-releases count as any
    /// other version: the resolver decides whether one may be chosen.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.specifiers().iter().all(|specifier| specifier.accepts(version))
    }

    /// Returns the extras' normal names, sorted.
    pub fn extras(&self) -> impl ExactSizeIterator<Item = &str> {
        self.extras.iter().map(String::as_str)
    }

    /// Returns the environment marker in normal form.
    #[must_use]
    pub fn marker(&self) -> Option<String> {
        self.marker.as_ref().map(ToString::to_string)
    }

    /// Returns whether the marker holds if `lookup` returns the values of marker variables (PEP
    /// 508: `python_version`, `sys_platform`, …); true without a marker.
    ///
    /// A variable that `lookup` does not know counts as an empty text.
    #[must_use]
    pub fn applies<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.marker.as_ref().is_none_or(|marker| marker.holds(&lookup))
    }

    /// Returns the hashes as `algorithm:hexadecimal`, sorted. A download must have one of them.
    pub fn hashes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.hashes.iter().map(String::as_str)
    }

    /// Returns whether it is a local wheel, archive or folder.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.path().is_some()
    }

    /// Returns the absolute path of a local wheel, archive or folder.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::Path { path, .. } => Some(path),
            Target::Index { .. } | Target::Url { .. } => None,
        }
    }

    /// Returns the requirement with another absolute path if it is a local wheel, archive or
    /// folder, else unchanged.
    #[must_use]
    pub fn with_path(&self, to: &Path) -> Self {
        let mut moved = self.clone();
        if let Target::Path { path, .. } = &mut moved.target {
            to.clone_into(path);
        }
        moved
    }

    /// Returns the URL of an archive or repository, without credentials.
    #[must_use]
    pub fn url(&self) -> Option<Cow<'_, str>> {
        match &self.target {
            Target::Url { url, .. } => Some(public_url(url)),
            Target::Index { .. } | Target::Path { .. } => None,
        }
    }

    /// Returns whether it is installed in place (`-e`).
    #[must_use]
    pub fn is_editable(&self) -> bool {
        match &self.target {
            Target::Url { is_editable, .. } | Target::Path { is_editable, .. } => *is_editable,
            Target::Index { .. } => false,
        }
    }

    /// Returns the line for the package manager alone: with the credentials of its URL, and with every
    /// spelling of its extras, of which a pip before 23.3 knows only that of the package's metadata.
    #[must_use]
    pub fn expose(&self) -> String {
        Line { requirement: self, is_for_tool: true }.to_string()
    }

    /// Returns bytes that are equal for two requirements only if both ask for the same.
    ///
    /// With the digest of its contents, a local file counts by its name and that digest, and a
    /// folder by the digest. So a project that is moved or cloned again asks for the same
    /// environment. An editable also counts by its path, since the environment will point there.
    pub(crate) fn encode(&self, contents: Option<&Digest>) -> Vec<u8> {
        let Self { target, extras, marker, hashes, told_name: _ } = self;
        let mut encoder = Encoder::default();
        match target {
            Target::Index { name, specifiers } => {
                encoder.tag(0);
                encoder.text(name);
                let specifiers: Vec<_> = specifiers.iter().map(ToString::to_string).collect();
                encoder.texts(specifiers.iter().map(String::as_str));
            }
            Target::Url { name, url, is_editable } => {
                encoder.tag(1);
                encoder.optional_text(name.as_deref());
                encoder.text(&url_identity(url));
                encoder.tag(u8::from(*is_editable));
            }
            Target::Path { name, path, fragment, is_editable } => {
                encoder.tag(2);
                encoder.optional_text(name.as_deref());
                encoder.optional_text(fragment.as_deref());
                encoder.tag(u8::from(*is_editable));
                let path_bytes = path.as_os_str().as_encoded_bytes();
                match contents {
                    Some(digest) if *is_editable => {
                        encoder.tag(2);
                        encoder.blob(path_bytes);
                        encoder.blob(digest.as_bytes());
                    }
                    Some(digest) => {
                        encoder.tag(1);
                        let file_name = path.file_name().and_then(|name| name.to_str());
                        encoder.optional_text(file_name.filter(|name| name::is_archive(name)));
                        encoder.blob(digest.as_bytes());
                    }
                    None => {
                        encoder.tag(0);
                        encoder.blob(path_bytes);
                    }
                }
            }
        }
        encoder.texts(extras.iter().map(String::as_str));
        encoder.optional_text(marker.as_ref().map(ToString::to_string).as_deref());
        encoder.texts(hashes.iter().map(String::as_str));
        encoder.finish()
    }
}

impl Target {
    /// Returns the normal name before `@`, after `#egg=` or in a file name.
    fn told_name(&self) -> Option<String> {
        match self {
            Self::Index { .. } => None,
            Self::Url { name: Some(name), .. } | Self::Path { name: Some(name), .. } => {
                Some(name.clone())
            }
            Self::Url { url, .. } => name::egg_name(url).or_else(|| {
                let path = url.split(['?', '#']).next()?;
                name::of_archive(path.rsplit('/').next()?)
            }),
            Self::Path { path, fragment, .. } => fragment
                .as_deref()
                .and_then(name::egg_in_fragment)
                .or_else(|| name::of_archive(path.file_name()?.to_str()?)),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Line { requirement: self, is_for_tool: false }.fmt(f)
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = String::deserialize(deserializer)?;
        line.parse().map_err(|error: Error| de::Error::custom(error.chain()))
    }
}

/// A requirement as a line of a requirements file.
struct Line<'a> {
    requirement: &'a Requirement,
    /// Whether the line includes credentials and all spellings of extras, for the package manager
    /// alone.
    is_for_tool: bool,
}

impl Line<'_> {
    fn extras(&self) -> String {
        let names = self.requirement.extras.iter().map(String::as_str);
        let names: Vec<_> = if self.is_for_tool {
            names.flat_map(spellings).collect()
        } else {
            names.map(Cow::from).collect()
        };
        if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) }
    }
}

/// Returns the spellings of an extra with this normal name, except those that mix separators.
fn spellings(normal: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = ["_", "."].into_iter().filter(|_| normal.contains('-'));
    let others = others.map(move |separator| Cow::from(normal.replace('-', separator)));
    std::iter::once(Cow::from(normal)).chain(others)
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { target, extras: _, marker, hashes, told_name: _ } = self.requirement;
        let extras = self.extras();
        if self.requirement.is_editable() {
            f.write_str("-e ")?;
        }
        match target {
            Target::Index { name, specifiers } => {
                write!(f, "{name}{extras}")?;
                for (index, specifier) in specifiers.iter().enumerate() {
                    write!(f, "{}{specifier}", if index > 0 { "," } else { "" })?;
                }
            }
            Target::Url { name, url, .. } => {
                let url = if self.is_for_tool { Cow::from(url) } else { public_url(url) };
                match name {
                    Some(name) if self.is_for_tool => {
                        write!(f, "{name}{extras} @ {}", location::with_host(&url))?;
                    }
                    Some(name) => write!(f, "{name}{extras} @ {url}")?,
                    None => write!(f, "{url}")?,
                }
            }
            Target::Path { name, path, fragment, .. } => {
                if let Some(name) = name {
                    write!(f, "{name}{extras} @ ")?;
                }
                // pip takes extras after a bare `file:` URL only with `-e`, and blanks in a path
                // only without it.
                let is_plain = if extras.is_empty() || self.requirement.is_editable() {
                    location::is_plain(path)
                } else {
                    location::is_plain_but_for_blanks(path)
                };
                if name.is_none() && fragment.is_none() && is_plain {
                    write!(f, "{}{extras}", path.display())?;
                } else {
                    f.write_str(&location::to_file_url(path))?;
                    if let Some(fragment) = fragment {
                        write!(f, "#{fragment}")?;
                    }
                    if name.is_none() {
                        f.write_str(&extras)?;
                    }
                }
            }
        }
        if let Some(marker) = marker {
            write!(f, " ; {marker}")?;
        }
        hashes.iter().try_for_each(|hash| write!(f, " --hash={hash}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_pinned_whatever_its_address_looks_like() {
        for (line, pinned) in [
            ("git+file:///r", "r @ git+file:///r@abc"),
            ("r @ git+ssh://git@h/r.git@v1@2", "r @ git+ssh://git@h/r.git@v1@abc"),
            ("git+https://h/r@main#subdirectory=a@b", "r @ git+https://h/r@abc#subdirectory=a@b"),
            ("git+https://h/r#egg=s", "s @ git+https://h/r@abc#egg=s"),
            ("-e git+https://h/r@v1#egg=r", "-e git+https://h/r@abc#egg=r"),
            ("r @ https://h/r@1.zip", "r @ https://h/r@1.zip"),
            ("r==1.0", "r==1.0"),
        ] {
            let requirement: Requirement = line.parse().expect(line);
            assert_eq!(requirement.at_commit("r", "abc").to_string(), pinned, "{line}");
        }
        let extras: Requirement = "r[X_y,z]==1.0".parse().expect("a requirement");
        assert_eq!(extras.expose(), "r[x-y,x_y,x.y,z]==1.0");
        assert_eq!(extras.to_string(), "r[x-y,z]==1.0");
        let secret: Requirement = "git+https://me:key@h/r@v1".parse().expect("a requirement");
        assert_eq!(secret.at_commit("r", "abc").expose(), "r @ git+https://me:key@h/r@abc");
    }
}
