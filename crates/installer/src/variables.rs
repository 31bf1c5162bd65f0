//! The environment variables of a call, as pure data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use envspec::{IndexUrl, Install, Requirement, Tool, settings};

use crate::command_line::Abilities;
use crate::error::Error;
use crate::redact::Secrets;
use crate::settings::Settings;
use crate::tool_options::ToolOptions;

/// Variables for every call, whatever the tool's version.
const MANNERS: &[(&str, &str)] = &[
    // A prompt on the terminal would stall a background process group until the deadline.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_COLOR", "1"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_PROGRESS_BAR", "off"),
    // Settings of configuration files are passed as variables: see `Settings`.
    ("PIP_CONFIG_FILE", "/dev/null"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
    // pip starts itself again to prepare builds: its own folder may belong to the base.
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONNOUSERSITE", "1"),
    ("UV_NO_CONFIG", "1"),
    ("UV_NO_PROGRESS", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

const TOOLS: [Tool; 2] = [Tool::Pip, Tool::Uv];

/// Variables that would redirect an interpreter, and the tool with it.
const LEADING_ASTRAY: [&str; 5] =
    ["PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"];

/// Returns the environment of one call: the process's, the settings in force, the spec's, and ours,
/// the later winning.
pub(crate) fn environment(
    abilities: Abilities,
    install: &Install,
    ambient: &BTreeMap<OsString, OsString>,
    settings: &Settings,
) -> Result<BTreeMap<OsString, OsString>, Error> {
    let mut variables = with_settings(ambient, settings);
    for (name, value) in &install.build_env {
        let is_setting = TOOLS.iter().any(|&tool| settings::is_variable_of(tool, name));
        let is_ours = MANNERS.iter().any(|(ours, _)| ours == name);
        if !is_setting && !is_ours && !LEADING_ASTRAY.contains(&name.as_str()) {
            variables.insert(name.into(), value.into());
        }
    }
    let options = ToolOptions::of(install)?;
    let options = options.addresses();
    if let (Some(proxy), Tool::Pip) = (options.proxy, install.tool) {
        variables.insert("PIP_PROXY".into(), proxy.into());
    }
    let index = &install.index;
    let names = IndexVariables::of(install.tool, abilities);
    let of_lines = index.index_url.as_ref().map(IndexUrl::expose);
    let mut extra: Vec<_> = expose(&index.extra_index_urls).collect();
    let index_url = if let (Some(url), Tool::Pip) = (of_lines, install.tool) {
        // With pip, the index of a line takes the place of all that options and settings name.
        variables.remove(&OsString::from(names.extra_index_urls));
        Some(url)
    } else {
        extra.extend(options.extra_index_urls);
        options.index_url.or(of_lines)
    };
    let links: Vec<_> = expose(&index.find_links).chain(options.find_links).collect();
    if let Some(url) = index_url {
        for name in names.index_url {
            variables.remove(&OsString::from(name));
        }
        variables.insert(names.index_url[0].into(), url.into());
    }
    prepend(&mut variables, names.extra_index_urls, &extra, ' ');
    prepend(&mut variables, names.find_links, &links, names.find_links_separator);
    Ok(variables)
}

/// Returns the process's variables, the settings in force, and those that every call needs.
pub(crate) fn with_settings(
    ambient: &BTreeMap<OsString, OsString>,
    settings: &Settings,
) -> BTreeMap<OsString, OsString> {
    let mut variables = with_manners(ambient);
    let own = settings.variables.iter().map(|(name, value)| (name.into(), value.into()));
    variables.extend(own);
    variables
}

/// Returns the process's variables and those that every call needs.
pub(crate) fn with_manners(ambient: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let mut variables = ambient.clone();
    variables.extend(MANNERS.iter().map(|(name, value)| (name.into(), value.into())));
    variables
}

/// Limits the wait for an index, and disables retries.
pub(crate) fn hasten(variables: &mut BTreeMap<OsString, OsString>, patience: Duration) {
    let seconds = patience.as_secs().max(1).to_string();
    for name in ["PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_TIMEOUT"]
    {
        variables.insert(name.into(), (&seconds).into());
    }
    for name in ["PIP_RETRIES", "UV_HTTP_RETRIES"] {
        variables.insert(name.into(), "0".into());
    }
}

/// Returns the credentials of a call, to remove from its output.
pub(crate) fn secrets(
    install: &Install,
    ambient: &BTreeMap<OsString, OsString>,
    settings: &Settings,
) -> Secrets {
    let mut secrets = Secrets::default();
    let index = &install.index;
    let urls = index.index_url.iter().chain(&index.extra_index_urls).chain(&index.find_links);
    urls.for_each(|url| secrets.add_url(url.expose()));
    install.tool_options.iter().for_each(|option| secrets.add_url(option));
    let texts = install.build_env.values().cloned();
    let texts = texts.chain(ambient.values().map(|value| value.to_string_lossy().into_owned()));
    let texts = texts.chain(settings.variables.values().cloned()).chain(settings.file_text());
    let texts = texts.chain(install.requirements.iter().map(Requirement::expose));
    for text in texts.filter(|text| text.contains("://")) {
        text.split([' ', ',', '\n', '"']).for_each(|url| secrets.add_url(url));
    }
    secrets
}

/// Returns a tool's variables with addresses of indexes.
struct IndexVariables {
    /// The variable to set, then others with the same meaning.
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

fn expose(urls: &[IndexUrl]) -> impl Iterator<Item = &str> {
    urls.iter().map(IndexUrl::expose)
}

/// Prepends values to a list-like variable.
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
        list.push(settings::one_word(value, separator));
        list.push(separator.to_string());
    }
    let before = variables.remove(&OsString::from(name)).unwrap_or_default();
    list.push(before);
    let list = list.to_string_lossy().trim_end_matches(separator).to_owned();
    variables.insert(name.into(), list.into());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ambient::Ambient;

    const PINNED: &[&str] =
        &["--index-url", "https://me:pw@a/simple", "--extra-index-url", "https://b"];

    fn abilities(tool: Tool, version: &str) -> Abilities {
        Abilities::of(tool, &version.parse().unwrap())
    }

    /// Returns the process's environment, and the settings for an installation in it.
    fn process(install: &Install, variables: &[(&str, &str)]) -> (Ambient, Settings) {
        let ambient = variables
            .iter()
            // Without the files of this machine.
            .chain(&[("PIP_CONFIG_FILE", "/dev/null"), ("UV_NO_CONFIG", "1")])
            .fold(Ambient::default(), |ambient, (name, value)| ambient.with_variable(name, value));
        let settings = Settings::read_in(install, None, &ambient, Path::new("/here")).unwrap();
        (ambient, settings)
    }

    fn with_options(tool: Tool, options: &[&str]) -> Install {
        let mut install = Install::new(tool, Vec::new());
        install.tool_options = options.iter().map(|&option| option.to_owned()).collect();
        install
    }

    /// The variables that differ from those of a call without any wishes.
    fn wishes(install: &Install, version: &str, ambient: &[(&str, &str)]) -> Vec<String> {
        let tool = abilities(install.tool, version);
        let (ambient, settings) = process(install, ambient);
        let mut variables = environment(tool, install, &ambient.for_tool(), &settings).unwrap();
        variables.retain(|name, _| !MANNERS.iter().any(|(ours, _)| name == ours));
        variables
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect()
    }

    #[test]
    fn the_specs_index_replaces_the_operators_and_its_extra_ones_come_first() {
        let ambient = [("PIP_INDEX_URL", "https://old"), ("PIP_EXTRA_INDEX_URL", "https://c")];
        assert_eq!(
            wishes(&with_options(Tool::Pip, PINNED), "24.0", &ambient),
            ["PIP_EXTRA_INDEX_URL=https://b https://c", "PIP_INDEX_URL=https://me:pw@a/simple"]
        );
        let ambient = [("UV_INDEX_URL", "https://old"), ("UV_INDEX", "https://c")];
        assert_eq!(
            wishes(&with_options(Tool::Uv, PINNED), "0.13.9", &ambient),
            ["UV_DEFAULT_INDEX=https://me:pw@a/simple", "UV_INDEX=https://b https://c"]
        );
        assert_eq!(
            wishes(&with_options(Tool::Uv, PINNED), "0.4.0", &[]),
            ["UV_EXTRA_INDEX_URL=https://b", "UV_INDEX_URL=https://me:pw@a/simple"]
        );
    }

    /// As `pip install --index-url A --extra-index-url B -r FILE` looks at the index in FILE alone,
    /// and uv at A and B first.
    #[test]
    fn with_pip_the_index_of_a_line_takes_the_place_of_all_others() {
        for (tool, ambient, expected) in [
            (
                Tool::Pip,
                [("PIP_INDEX_URL", "https://old"), ("PIP_EXTRA_INDEX_URL", "https://c")],
                ["PIP_EXTRA_INDEX_URL=https://y", "PIP_INDEX_URL=https://x"],
            ),
            (
                Tool::Uv,
                [("UV_DEFAULT_INDEX", "https://old"), ("UV_INDEX", "https://c")],
                [
                    "UV_DEFAULT_INDEX=https://me:pw@a/simple",
                    "UV_INDEX=https://y https://b https://c",
                ],
            ),
        ] {
            let mut install = with_options(tool, PINNED);
            install.index.index_url = "https://x".parse().ok();
            install.index.extra_index_urls = vec!["https://y".parse().unwrap()];
            let version = if tool == Tool::Pip { "24.0" } else { "0.13.9" };
            assert_eq!(wishes(&install, version, &ambient), expected);
        }
    }

    #[test]
    fn a_path_with_the_lists_separator_stays_one_item() {
        let install = with_options(Tool::Pip, &["-f", "/my wheels"]);
        assert_eq!(
            wishes(&install, "24.0", &[("PIP_FIND_LINKS", "/w")]),
            ["PIP_FIND_LINKS=file:///my%20wheels /w"]
        );
        let install = with_options(Tool::Uv, &["-f", "/a,b", "-f", "/c d"]);
        assert_eq!(wishes(&install, "0.13.9", &[]), ["UV_FIND_LINKS=file:///a%2Cb,/c d"]);
    }

    #[test]
    fn the_specs_variables_win_over_the_operators_but_not_over_ours() {
        let mut install = Install::new(Tool::Uv, Vec::new());
        for (name, value) in [
            ("UV_INDEX_STRATEGY", "spec"),
            ("UV_PYTHON", "/other"),
            ("UV_NO_PROGRESS", "0"),
            ("CC", "x"),
        ] {
            install.build_env.insert(name.to_owned(), value.to_owned());
        }
        let ambient = [
            ("UV_INDEX_STRATEGY", "operator"),
            ("UV_LINK_MODE", "symlink"),
            ("HOME", "/h"),
            ("CFLAGS", "-O0"),
        ];
        let (ambient, settings) = process(&install, &ambient);
        let tool = abilities(Tool::Uv, "0.13.9");
        let variables = environment(tool, &install, &ambient.for_tool(), &settings).unwrap();
        let value = |name: &str| variables.get(&OsString::from(name)).and_then(|v| v.to_str());
        assert_eq!(value("UV_INDEX_STRATEGY"), Some("spec"));
        assert_eq!(value("UV_PYTHON"), None);
        assert_eq!(value("UV_NO_PROGRESS"), Some("1"));
        assert_eq!(value("UV_LINK_MODE"), None);
        assert_eq!(value("HOME"), Some("/h"));
        assert_eq!(value("CC"), Some("x"));
        assert_eq!(value("CFLAGS"), None);
    }

    #[test]
    fn credentials_of_every_source_are_known() {
        let mut install =
            with_options(Tool::Pip, &["--extra-index-url=https://me:secret-1@b/simple"]);
        install.build_env.insert("PIP_PROXY".to_owned(), "http://me:secret-2@proxy".to_owned());
        install.requirements = vec!["a @ https://secret-3@host/a.whl".parse().unwrap()];
        let ambient = [("PIP_INDEX_URL", "https://me:secret-4@c")];
        let (ambient, settings) = process(&install, &ambient);
        let secrets = secrets(&install, &ambient.for_tool(), &settings);
        let told = "secret-1 secret-2 secret-3 secret-4";
        assert_eq!(secrets.redact(told), "**** **** **** ****");
    }
}
