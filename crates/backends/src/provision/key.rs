//! The name of an environment: everything that decides what is in it.

use std::collections::BTreeMap;

use envspec::{Install, Tool};
use stage::Isolation;
use venv_cache::{Base, Interpreter, Key, Strategy};

use super::settings_files;

/// The key of an environment over a base.
///
/// A strategy is a part of it only where somebody asked for one, so that what a probe finds out
/// about file systems leaves keys alone.
pub(crate) fn environment(
    base: &Base,
    install: &Install,
    isolation: Isolation,
    strategy: Option<Strategy>,
) -> Key {
    let interpreter = interpreter_identity(base.interpreter());
    let prefix = base.interpreter().prefix().to_string_lossy().into_owned();
    let isolation: &[u8] = match isolation {
        Isolation::Shared => b"shared",
        Isolation::Full => b"full",
    };
    let digest = install.digest();
    let settings = settings(install.tool);
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("base", prefix.as_bytes()),
        ("fingerprint", base.fingerprint().as_bytes()),
        ("interpreter", interpreter.as_bytes()),
        ("install", digest.as_bytes()),
        ("isolation", isolation),
        ("settings", &settings),
    ];
    let strategy = strategy.map(|strategy| strategy.to_string());
    if let Some(strategy) = &strategy {
        parts.push(("strategy", strategy.as_bytes()));
    }
    Key::derive("curator/environment/v1", &parts)
}

/// The key of a managed base.
pub(crate) fn managed_base(interpreter: &Interpreter, install: &Install) -> Key {
    let identity = interpreter_identity(interpreter);
    Key::derive(
        "curator/base/v1",
        &[
            ("interpreter", identity.as_bytes()),
            ("install", install.digest().as_bytes()),
            ("settings", &settings(install.tool)),
        ],
    )
}

/// Which interpreter, which build of it, and for which platform.
fn interpreter_identity(interpreter: &Interpreter) -> String {
    let libc = interpreter.libc().map(ToString::to_string).unwrap_or_default();
    [
        interpreter.base_executable().to_string_lossy().as_ref(),
        interpreter.implementation(),
        interpreter.version(),
        interpreter.soabi().unwrap_or_default(),
        interpreter.platform(),
        &libc,
    ]
    .join("\n")
}

/// What the package manager is told by others than the spec: by this process's environment, and by
/// its configuration files.
fn settings(tool: Tool) -> Vec<u8> {
    // A variable that is no text is none of those that count.
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut bytes = ambient(tool, vars);
    for file in settings_files::in_force(tool) {
        append(&mut bytes, "file");
        append(&mut bytes, &file);
    }
    append_files(&mut bytes, tool, |name| std::env::var(name).ok());
    bytes
}

/// Appends what the files hold that variables name: they decide what is installed, as those of the
/// spec do. What is no file here is an address, or the tool fails and says so.
fn append_files(bytes: &mut Vec<u8>, tool: Tool, variable: impl Fn(&str) -> Option<String>) {
    let names = match tool {
        Tool::Pip => &["PIP_BUILD_CONSTRAINT", "PIP_CONSTRAINT", "PIP_REQUIREMENT"][..],
        Tool::Uv => &["UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_OVERRIDE"],
    };
    for value in names.iter().filter_map(|name| variable(name)) {
        for data in value
            .split_whitespace()
            .filter_map(|file| files::read(file.as_ref(), files::MOST_TEXT).ok())
        {
            append(bytes, &envspec::Digest::of(&data).to_string());
        }
    }
}

fn append(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The package manager's own settings in this process's environment, without credentials and
/// without those that decide where it keeps its things and how it talks, not what it installs.
fn ambient(tool: Tool, vars: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    const PIP: [&str; 12] = [
        "PIP_CACHE_DIR",
        "PIP_CERT",
        "PIP_DEFAULT_TIMEOUT",
        "PIP_DISABLE_PIP_VERSION_CHECK",
        "PIP_LOG",
        "PIP_NO_CACHE_DIR",
        "PIP_NO_COLOR",
        "PIP_NO_INPUT",
        "PIP_PROGRESS_BAR",
        "PIP_QUIET",
        "PIP_TIMEOUT",
        "PIP_VERBOSE",
    ];
    const UV: [&str; 9] = [
        "UV_CACHE_DIR",
        "UV_CONCURRENT_BUILDS",
        "UV_CONCURRENT_DOWNLOADS",
        "UV_CONCURRENT_INSTALLS",
        "UV_HTTP_TIMEOUT",
        "UV_LINK_MODE",
        "UV_NO_CACHE",
        "UV_NO_PROGRESS",
        "UV_OFFLINE",
    ];
    let (prefix, without_effect) = match tool {
        Tool::Pip => ("PIP_", &PIP[..]),
        Tool::Uv => ("UV_", &UV[..]),
    };
    let settings: BTreeMap<String, String> = vars
        .filter(|(name, _)| name.starts_with(prefix) && !without_effect.contains(&name.as_str()))
        .collect();
    let mut bytes = Vec::new();
    for (name, value) in settings {
        let value = envspec::redact(&value);
        append(&mut bytes, &name);
        // `UV_INDEX_INTERNAL_PASSWORD` is a credential, and its value is none of the key's.
        append(&mut bytes, if envspec::names_a_secret(&name) { "" } else { &value });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_variables_name_count_by_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("constraints.txt");
        let value = format!("https://host/c.txt {}", file.display());
        let of = |tool| {
            let mut bytes = Vec::new();
            append_files(&mut bytes, tool, |name| {
                ["PIP_CONSTRAINT", "UV_CONSTRAINT"].contains(&name).then(|| value.clone())
            });
            bytes
        };
        assert!(of(Tool::Pip).is_empty());
        std::fs::write(&file, "six==1.16").unwrap();
        let before = [of(Tool::Pip), of(Tool::Uv)];
        assert_eq!(before, [of(Tool::Pip), of(Tool::Uv)]);
        std::fs::write(&file, "six==1.17").unwrap();
        assert!(before[0] != of(Tool::Pip) && before[1] != of(Tool::Uv) && !before[0].is_empty());
    }

    #[test]
    fn settings_count_where_they_decide_what_is_installed() {
        let of = |tool, vars: &[(&str, &str)]| {
            let owned = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            ambient(tool, owned)
        };
        let none = of(Tool::Uv, &[]);
        assert_eq!(of(Tool::Uv, &[("UV_CACHE_DIR", "/a"), ("PIP_PRE", "1"), ("HOME", "/b")]), none);
        let index = of(Tool::Uv, &[("UV_INDEX_URL", "https://u:secret@host/simple")]);
        assert_ne!(index, none);
        assert_eq!(of(Tool::Uv, &[("UV_INDEX_URL", "https://u:other@host/simple")]), index);
        assert!(!String::from_utf8_lossy(&index).contains("secret"));
        let password = of(Tool::Uv, &[("UV_INDEX_X_PASSWORD", "one")]);
        assert_eq!(of(Tool::Uv, &[("UV_INDEX_X_PASSWORD", "two")]), password);
    }
}
