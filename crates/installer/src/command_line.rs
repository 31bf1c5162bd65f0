//! Command lines and environments of pip and uv, as pure data.
//!
//! Options stand on the command line if they change what is installed. What only concerns how the
//! tool talks goes through environment variables, because an old version ignores a variable that it
//! does not know and refuses an option. Addresses of indexes go through variables too: they may hold
//! credentials, and a command line is readable by every user of the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envspec::{IndexUrl, Install, Tool};
use pep440_rs::Version;

use crate::ambient::reaches_tool;
use crate::redact::Secrets;
use crate::request::{Links, Request};
use crate::scratch::Scratch;

/// What the tools are told in every call, whatever their version.
const MANNERS: &[(&str, &str)] = &[
    // A prompt on the terminal would stop a background process group until the deadline.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_COLOR", "1"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_PROGRESS_BAR", "off"),
    // A configuration file may ask for these two; the target is the request's alone.
    ("PIP_REQUIRE_VIRTUALENV", "0"),
    ("PIP_USER", "0"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
    // pip starts itself again to prepare builds: its own folder may belong to the base.
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONNOUSERSITE", "1"),
    ("UV_NO_PROGRESS", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

/// Whether a call installs or only says what it would install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Install,
    DryRun,
}

/// A package manager that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The executable.
    Uv(PathBuf),
    /// What the target's interpreter is given to run: `pip/__pip-runner__.py`, which imports that
    /// pip and nothing beside it, or a folder or wheel that holds pip alone.
    Pip(PathBuf),
}

impl Program {
    pub(crate) const fn tool(&self) -> Tool {
        match self {
            Self::Uv(_) => Tool::Uv,
            Self::Pip(_) => Tool::Pip,
        }
    }

    /// The executable and its first arguments, for an environment's interpreter.
    pub(crate) fn start(&self, python: &Path) -> Vec<OsString> {
        match self {
            Self::Uv(uv) => vec![uv.into(), "pip".into()],
            // Isolated, so that only the environment's own packages are seen; without writing
            // bytecode next to a pip of the base; unbuffered, so that its words stay in order.
            Self::Pip(entry) => {
                let mut argv = vec![python.into()];
                argv.extend(["-I", "-B", "-u", "-X", "utf8"].map(OsString::from));
                argv.push(entry.into());
                argv
            }
        }
    }
}

/// What this version of a package manager can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// `pip install --report` (22.2), `uv pip install --output-format json` (0.13).
    pub(crate) has_report: bool,
    /// `UV_DEFAULT_INDEX` instead of `UV_INDEX_URL` (0.4.23).
    has_named_indexes: bool,
}

impl Abilities {
    pub(crate) fn of(tool: Tool, version: &Version) -> Self {
        let since = |release: [u64; 3]| *version >= Version::new(release);
        match tool {
            Tool::Pip => Self { has_report: since([22, 2, 0]), has_named_indexes: false },
            Tool::Uv => {
                Self { has_report: since([0, 13, 0]), has_named_indexes: since([0, 4, 23]) }
            }
        }
    }
}

/// The whole command line of one installation, program first.
pub(crate) fn argv(
    program: &Program,
    abilities: Abilities,
    request: &Request<'_>,
    mode: Mode,
    scratch: &Scratch,
) -> Vec<OsString> {
    let Install { index, .. } = request.install;
    let mut argv = program.start(&request.python);
    let mut add = |arguments: &[&str]| argv.extend(arguments.iter().map(OsString::from));
    add(&["install"]);
    match program {
        Program::Pip(_) => {
            // What was added is compiled afterwards, on all cores.
            add(&["--no-compile"]);
            if mode == Mode::DryRun {
                add(&["--dry-run"]);
            }
            if request.is_offline || index.no_index {
                add(&["--no-index"]);
            }
            if index.pre {
                add(&["--pre"]);
            }
        }
        Program::Uv(_) => {
            if mode == Mode::DryRun {
                // Nothing is broken by a dry run, and without it uv refuses a system's Python.
                add(&["--dry-run", "--break-system-packages"]);
            }
            if abilities.has_report {
                add(&["--output-format", "json"]);
            }
            if request.links == Links::Copy {
                add(&["--link-mode", "copy"]);
            }
            if request.is_offline {
                add(&["--offline"]);
            }
            if index.no_index {
                add(&["--no-index"]);
            }
            if index.pre {
                add(&["--prerelease", "allow"]);
            }
        }
    }
    for (option, names) in
        [("--no-binary", &index.no_binary), ("--only-binary", &index.only_binary)]
    {
        for name in names {
            add(&[option, name]);
        }
    }
    if index.require_hashes {
        add(&["--require-hashes"]);
    }
    let options = ToolOptions::of(request.install);
    add(&options.kept);
    match program {
        Program::Pip(_) if abilities.has_report => {
            argv.extend(["--report".into(), scratch.report_file().into()]);
        }
        Program::Uv(_) => {
            // The interpreter stands last: an option of the spec must not move the target.
            argv.extend(["--python".into(), request.python.clone().into()]);
            if !request.install.overrides.is_empty() {
                argv.extend(["--override".into(), scratch.overrides_file().into()]);
            }
        }
        Program::Pip(_) => {}
    }
    argv.extend(["-r".into(), scratch.requirements_file().into()]);
    argv
}

/// The command line that checks the installed packages against each other.
pub(crate) fn check_argv(program: &Program, python: &Path) -> Vec<OsString> {
    let mut argv = program.start(python);
    argv.push("check".into());
    if let Program::Uv(_) = program {
        argv.extend(["--python".into(), python.into()]);
    }
    argv
}

/// The environment of one call: the operator's, the spec's, and ours, the later winning.
pub(crate) fn environment(
    abilities: Abilities,
    install: &Install,
    links: Links,
    ambient: &BTreeMap<OsString, OsString>,
) -> BTreeMap<OsString, OsString> {
    let mut variables = with_manners(ambient);
    for (name, value) in &install.build_env {
        if reaches_tool(name.as_ref()) && !MANNERS.iter().any(|(ours, _)| ours == name) {
            variables.insert(name.into(), value.into());
        }
    }
    if links == Links::Hardlink {
        // The operator may have a reason to copy, such as a cache on another file system.
        variables.entry("UV_LINK_MODE".into()).or_insert_with(|| "hardlink".into());
    }
    let options = ToolOptions::of(install);
    let index = &install.index;
    let index_url = options.index_url.or(index.index_url.as_ref().map(IndexUrl::expose));
    let extra: Vec<_> = expose(&index.extra_index_urls).chain(options.extra_index_urls).collect();
    let links: Vec<_> = expose(&index.find_links).chain(options.find_links).collect();
    let names = IndexVariables::of(install.tool, abilities);
    if let Some(url) = index_url {
        for name in names.index_url {
            variables.remove(&OsString::from(name));
        }
        variables.insert(names.index_url[0].into(), url.into());
    }
    prepend(&mut variables, names.extra_index_urls, &extra, ' ');
    prepend(&mut variables, names.find_links, &links, names.find_links_separator);
    variables
}

/// The operator's variables and those that every call needs.
pub(crate) fn with_manners(ambient: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let mut variables = ambient.clone();
    variables.extend(MANNERS.iter().map(|(name, value)| (name.into(), value.into())));
    variables
}

/// The credentials that a call knows, to be cut from what it says.
pub(crate) fn secrets(install: &Install, ambient: &BTreeMap<OsString, OsString>) -> Secrets {
    let mut secrets = Secrets::default();
    let index = &install.index;
    let urls = index.index_url.iter().chain(&index.extra_index_urls).chain(&index.find_links);
    urls.for_each(|url| secrets.add_url(url.expose()));
    install.tool_options.iter().for_each(|option| secrets.add_url(option));
    let texts = install.build_env.values().cloned();
    let texts = texts.chain(ambient.values().map(|value| value.to_string_lossy().into_owned()));
    let texts = texts.chain(install.requirements.iter().map(ToString::to_string));
    for text in texts.filter(|text| text.contains("://")) {
        text.split([' ', ',', '\n']).for_each(|url| secrets.add_url(url));
    }
    secrets
}

/// The variables of a tool that hold addresses of indexes.
struct IndexVariables {
    /// The one to set, then others that mean the same.
    index_url: &'static [&'static str],
    extra_index_urls: &'static str,
    find_links: &'static str,
    find_links_separator: char,
}

impl IndexVariables {
    fn of(tool: Tool, abilities: Abilities) -> Self {
        match tool {
            Tool::Pip => Self {
                index_url: &["PIP_INDEX_URL", "PIP_PYPI_URL"],
                extra_index_urls: "PIP_EXTRA_INDEX_URL",
                find_links: "PIP_FIND_LINKS",
                find_links_separator: ' ',
            },
            Tool::Uv if abilities.has_named_indexes => Self {
                index_url: &["UV_DEFAULT_INDEX", "UV_INDEX_URL"],
                extra_index_urls: "UV_INDEX",
                find_links: "UV_FIND_LINKS",
                find_links_separator: ',',
            },
            Tool::Uv => Self {
                index_url: &["UV_INDEX_URL", "UV_DEFAULT_INDEX"],
                extra_index_urls: "UV_EXTRA_INDEX_URL",
                find_links: "UV_FIND_LINKS",
                find_links_separator: ',',
            },
        }
    }
}

/// `pip_install_options` or `uv_pip_install_options`, with the addresses taken out.
///
/// They may hold credentials like those of the spec's index options, and are treated as such. What
/// would silence the tool is left out, for its words are read.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToolOptions<'a> {
    kept: Vec<&'a str>,
    index_url: Option<&'a str>,
    extra_index_urls: Vec<&'a str>,
    find_links: Vec<&'a str>,
}

impl<'a> ToolOptions<'a> {
    fn of(install: &'a Install) -> Self {
        let mut sorted = Self::default();
        let mut options = install.tool_options.iter().map(String::as_str);
        while let Some(option) = options.next() {
            let (name, attached) = match option.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (option, None),
            };
            let mut value = || attached.or_else(|| options.next());
            match name {
                "--index-url" | "-i" | "--pypi-url" | "--default-index" => {
                    sorted.index_url = value().or(sorted.index_url);
                }
                "--extra-index-url" | "--index" => sorted.extra_index_urls.extend(value()),
                "--find-links" | "-f" => sorted.find_links.extend(value()),
                "-q" | "-qq" | "-qqq" | "--quiet" => {}
                _ => sorted.kept.push(option),
            }
        }
        sorted
    }
}

fn expose(urls: &[IndexUrl]) -> impl Iterator<Item = &str> {
    urls.iter().map(IndexUrl::expose)
}

/// Puts values before those that a list-like variable has already.
fn prepend(
    variables: &mut BTreeMap<OsString, OsString>,
    name: &str,
    values: &[&str],
    separator: char,
) {
    if values.is_empty() {
        return;
    }
    let mut list = OsString::new();
    for value in values {
        list.push(one_word(value, separator));
        list.push(separator.to_string());
    }
    let before = variables.remove(&OsString::from(name)).unwrap_or_default();
    list.push(before);
    let list = list.to_string_lossy().trim_end_matches(separator).to_owned();
    variables.insert(name.into(), list.into());
}

/// A path or URL that has the separator of a list in it, as a URL that has not.
fn one_word(value: &str, separator: char) -> String {
    if !value.contains(separator) {
        return value.to_owned();
    }
    let encoded = value.replace(separator, &format!("%{:02X}", u32::from(separator)));
    if value.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
