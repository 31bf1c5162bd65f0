//! The input of a package manager: the loaded, normal form of `pip` or `uv`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::digest::{Digest, Encoder};
use crate::index::{IndexOptions, IndexUrl};
use crate::redact::{identity, redact};
use crate::requirement::Requirement;
use crate::secret_name::names_a_secret;
use crate::settings::{self, Effect};
use crate::specifier::Specifier;
use crate::tool::Tool;

/// Names the encoding below. A changed encoding changes every cache key: raise the version, and add
/// a line to the changelog.
const DOMAIN: &str = "envspec/v4\n";

/// One call of a package manager, in normal form.
///
/// Its serialized form and debug output contain no credentials: those of URLs are cut, and the
/// values of environment variables with the name of a credential (`UV_INDEX_INTERNAL_PASSWORD`) are
/// left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Install {
    /// The package manager.
    pub tool: Tool,
    /// A specifier (`==24.1.2`) of `pip_version` or `uv_version`, perhaps with a marker after ` ; `.
    #[serde(default)]
    pub tool_version: Option<String>,
    /// The packages to install, sorted, each once.
    pub requirements: Vec<Requirement>,
    /// Versions that a resolution must respect, without asking for the package; sorted, each once.
    #[serde(default)]
    pub constraints: Vec<Requirement>,
    /// Versions that replace the requirements of any package; sorted, each once.
    #[serde(default)]
    pub overrides: Vec<Requirement>,
    /// Names of base packages whose versions must not change, in normal form; sorted, each once.
    #[serde(default)]
    pub keep: Vec<String>,
    /// The indexes and links of packages.
    #[serde(default)]
    pub index: IndexOptions,
    /// `pip_install_options` or `uv_pip_install_options`, in order, without those that became part
    /// of another field (`-r`, `-c`, `--index-url` and similar ones).
    #[serde(default, serialize_with = "redacted_list")]
    pub tool_options: Vec<String>,
    /// `pip_check` or `uv_check`.
    #[serde(default)]
    pub check: bool,
    /// Environment variables of the spec that reach the package manager: its own, if [`settings`]
    /// allows them, and those named in `config.build_env`.
    #[serde(default, serialize_with = "redacted_map")]
    pub build_env: BTreeMap<String, String>,
    /// The digest of each local path named above, taken when the spec was loaded.
    #[serde(default)]
    pub contents: BTreeMap<PathBuf, Digest>,
}

impl Install {
    /// Creates a request to `tool` for `requirements`, with every other field at its default.
    ///
    /// Nothing is read: a local file among the requirements counts by its path in the digest,
    /// unless [`Install::contents`] has the digest of its contents.
    #[must_use]
    pub fn new(tool: Tool, mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_unstable();
        requirements.dedup();
        Self {
            tool,
            tool_version: None,
            requirements,
            constraints: Vec::new(),
            overrides: Vec::new(),
            keep: Vec::new(),
            index: IndexOptions::default(),
            tool_options: Vec::new(),
            check: false,
            build_env: BTreeMap::new(),
            contents: BTreeMap::new(),
        }
    }

    /// Returns whether an installed `version` may result from `requirement`, which is one of these:
    /// any version that it [accepts](Requirement::accepts), or any at all if an override replaces
    /// it. For uv, `===` means `==`.
    #[must_use]
    pub fn accepts(&self, requirement: &Requirement, version: &str) -> bool {
        let is_overridden = || {
            self.overrides.iter().any(|it| it.name().is_some() && it.name() == requirement.name())
        };
        let accepts = |specifier: &Specifier| {
            specifier.accepts(version)
                || (self.tool == Tool::Uv && specifier.accepts_as_version(version))
        };
        requirement.specifiers().iter().all(accepts) || is_overridden()
    }

    /// Returns the digest of [`Install::canonical_bytes`]: equal for two calls that ask for the
    /// same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_bytes())
    }

    /// Returns bytes that are equal for two calls exactly if both ask for the same.
    ///
    /// Requirements, constraints, overrides and names are sets. Credentials are left out, or count
    /// by a digest where they may [name what is fetched](crate::identity); left out are also options
    /// that only change the package manager's output or its use of a cache. A local
    /// wheel, archive or folder counts by its contents, and by all other files on this machine that
    /// its build reads; an editable by its path and by all files that its build may read; a version
    /// control reference by its text.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        // No `..`: a new field is hashed here, or refused here with a reason.
        let Self {
            tool,
            tool_version,
            requirements,
            constraints,
            overrides,
            keep,
            index,
            tool_options,
            check,
            build_env,
            contents,
        } = self;
        let mut encoder = Encoder::new(DOMAIN);
        encoder.text(tool.as_str());
        encoder.optional_text(tool_version.as_deref());
        for set in [requirements, constraints, overrides] {
            encoder.set(set.iter().map(|requirement| self.encode(requirement)).collect());
        }
        encoder.set(keep.iter().map(|name| name.as_bytes().to_vec()).collect());
        encode_index(&mut encoder, index, contents);
        let options = significant(*tool, tool_options);
        encoder.texts(options.iter().map(String::as_str));
        encoder.tag(u8::from(*check));
        let counting = || build_env.iter().filter(|(variable, _)| counts(*tool, variable));
        encoder.length(counting().count());
        for (variable, value) in counting() {
            encoder.text(variable);
            // A build reads a variable whatever its name suggests; `USE_AUTH=1` decides as much as
            // any other. The value itself stays out.
            let value = if names_a_secret(variable) {
                Digest::of(value.as_bytes()).to_string().into()
            } else {
                identity(value)
            };
            encoder.optional_text(Some(&value));
        }
        // The digests of files that a requirement or an address names are encoded with it.
        let named = self.named_paths();
        let others: Vec<_> = contents.iter().filter(|(path, _)| !named.contains(*path)).collect();
        encoder.length(others.len());
        for (path, digest) in others {
            encoder.blob(path.as_os_str().as_encoded_bytes());
            encoder.blob(digest.as_bytes());
        }
        encoder.finish()
    }

    fn encode(&self, requirement: &Requirement) -> Vec<u8> {
        requirement.encode(requirement.path().and_then(|path| self.contents.get(path)))
    }

    fn named_paths(&self) -> BTreeSet<PathBuf> {
        let requirements = [&self.requirements, &self.constraints, &self.overrides];
        let paths = requirements.into_iter().flatten().filter_map(Requirement::path);
        paths.map(Into::into).chain(self.index.local_paths().map(|(path, _)| path)).collect()
    }
}

impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tool,
            tool_version,
            requirements,
            constraints,
            overrides,
            keep,
            index,
            tool_options,
            check,
            build_env,
            contents,
        } = self;
        let tool_options: Vec<_> = tool_options.iter().map(|option| redact(option)).collect();
        f.debug_struct("Install")
            .field("tool", tool)
            .field("tool_version", tool_version)
            .field("requirements", requirements)
            .field("constraints", constraints)
            .field("overrides", overrides)
            .field("keep", keep)
            .field("index", index)
            .field("tool_options", &tool_options)
            .field("check", check)
            .field("build_env", &Redacted(build_env))
            .field("contents", contents)
            .finish()
    }
}

/// Environment variables without the values that are credentials, for debug output.
pub(crate) struct Redacted<'a>(pub(crate) &'a BTreeMap<String, String>);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = |(name, value): (&'_ String, &'_ String)| {
            (name.clone(), visible(name, value).map_or("…".to_owned(), Cow::into_owned))
        };
        f.debug_map().entries(self.0.iter().map(visible)).finish()
    }
}

/// Serializes environment variables without those that have the name of a credential.
pub(crate) fn redacted_map<S: Serializer>(
    variables: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        variables.iter().filter_map(|(name, value)| Some((name, visible(name, value)?))),
    )
}

fn redacted_list<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|item| redact(item)))
}

/// Returns the value of an environment variable without credentials, or none if it is one itself.
fn visible<'a>(name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    (!names_a_secret(name)).then(|| redact(value))
}

/// Returns whether a variable that reaches the package manager decides what is installed.
fn counts(tool: Tool, variable: &str) -> bool {
    !settings::is_variable_of(tool, variable)
        || settings::by_variable(tool, variable)
            .is_some_and(|setting| setting.effect == Effect::Counts)
}

fn encode_index(encoder: &mut Encoder, index: &IndexOptions, contents: &BTreeMap<PathBuf, Digest>) {
    let IndexOptions {
        index_url,
        extra_index_urls,
        no_index,
        find_links,
        pre,
        no_binary,
        only_binary,
        require_hashes,
    } = index;
    let mut addresses = |urls: &[IndexUrl]| {
        encoder.length(urls.len());
        for url in urls {
            if let Some(digest) = url.path().and_then(|path| contents.get(path)) {
                encoder.tag(1);
                encoder.blob(digest.as_bytes());
            } else {
                encoder.tag(0);
                encoder.text(&url.identity());
            }
        }
    };
    addresses(index_url.as_slice());
    addresses(extra_index_urls);
    addresses(find_links);
    for flag in [no_index, pre, require_hashes] {
        encoder.tag(u8::from(*flag));
    }
    for names in [no_binary, only_binary] {
        encoder.set(names.iter().map(|name| name.as_bytes().to_vec()).collect());
    }
}

/// Returns the options that change what is installed, each as one word that reveals no credential.
fn significant(tool: Tool, options: &[String]) -> Vec<String> {
    let Ok(given) = settings::parse(tool, options) else {
        // Other tools are not called with these options.
        return options.iter().map(|option| identity(option).into_owned()).collect();
    };
    given
        .iter()
        .filter(|given| given.setting.effect == Effect::Counts)
        .map(|given| identity(&given.word()).into_owned())
        .collect()
}
