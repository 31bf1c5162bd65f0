//! The configuration files of pip and uv that are in force: they may name another index.
//!
//! pip's are those of its documentation on configuration files (global, per user, and
//! `PIP_CONFIG_FILE`; the one of a virtualenv is no matter, for ours have none), uv's those of its
//! own (per user, per system, and `UV_CONFIG_FILE`; a project's is kept from it).

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envspec::Tool;

/// What the files hold that decides what is installed: without credentials, comments and blank
/// lines. Empty where there is no such file.
pub(crate) fn in_force(tool: Tool) -> Vec<String> {
    let files = match tool {
        Tool::Pip => pip_files(|name| env::var_os(name), env::home_dir().as_deref()),
        Tool::Uv => uv_files(|name| env::var_os(name), env::home_dir().as_deref()),
    };
    files.iter().filter_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Option<String> {
    // One that cannot be read does not reach the tool either, or the tool fails and says so.
    let bytes = files::read(file, files::MOST_TEXT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut kept = String::new();
    for line in text.lines().map(str::trim_end) {
        let start = line.trim_start();
        if !(start.is_empty() || start.starts_with(['#', ';']) || is_secret(start)) {
            kept.push_str(&envspec::redact(line));
            kept.push('\n');
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// `password = …`, whoever reads that.
fn is_secret(line: &str) -> bool {
    let name = line.split(['=', ':']).next().unwrap_or_default().trim();
    // A keyring is no secret, and a "key" names no index.
    name.len() < 60 && !name.contains("keyring") && envspec::names_a_secret(name)
}

fn set(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folders of an XDG variable that holds a list, or the one by default.
fn listed(variable: &impl Fn(&str) -> Option<OsString>, name: &str, default: &str) -> Vec<PathBuf> {
    let list = variable(name).filter(|value| !value.is_empty());
    let list = list.unwrap_or_else(|| default.into());
    env::split_paths(&list).collect()
}

fn config_home(
    variable: &impl Fn(&str) -> Option<OsString>,
    home: Option<&Path>,
) -> Option<PathBuf> {
    let set = set(variable, "XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    set.or_else(|| home.map(|home| home.join(".config")))
}

fn pip_files(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Vec<PathBuf> {
    let named = set(&variable, "PIP_CONFIG_FILE");
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = listed(&variable, "XDG_CONFIG_DIRS", "/etc/xdg")
        .into_iter()
        .map(|dir| dir.join("pip/pip.conf"))
        .collect();
    files.push("/etc/pip.conf".into());
    // A file that is named takes the place of the user's.
    if let Some(named) = named.filter(|file| file.is_file()) {
        files.push(named);
        return files;
    }
    if let Some(home) = home {
        files.push(home.join(".pip/pip.conf"));
        if cfg!(target_os = "macos") {
            files.push(home.join("Library/Application Support/pip/pip.conf"));
        }
    }
    files.extend(config_home(&variable, home).map(|dir| dir.join("pip/pip.conf")));
    files
}

fn uv_files(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Vec<PathBuf> {
    if let Some(named) = set(&variable, "UV_CONFIG_FILE") {
        return vec![named];
    }
    let off = variable("UV_NO_CONFIG").and_then(|value| value.into_string().ok());
    if off.is_some_and(|value| ["1", "true", "yes", "on", "t", "y"].contains(&&*value)) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = listed(&variable, "XDG_CONFIG_DIRS", "/etc/xdg")
        .into_iter()
        .map(|dir| dir.join("uv/uv.toml"))
        .collect();
    files.push("/etc/uv/uv.toml".into());
    files.extend(config_home(&variable, home).map(|dir| dir.join("uv/uv.toml")));
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(files: &[PathBuf]) -> Vec<&str> {
        files.iter().map(|file| file.to_str().unwrap()).collect()
    }

    #[test]
    fn the_files_are_those_that_pip_reads() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.conf");
        fs::write(&own, "").unwrap();
        let home = Some(Path::new("/h"));
        let none = pip_files(|_| None, home);
        let user = ["/h/.pip/pip.conf", "/h/.config/pip/pip.conf"];
        let global = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"];
        assert!([global, user].concat().iter().all(|file| names(&none).contains(file)));
        let with = |value: OsString| {
            pip_files(|name| (name == "PIP_CONFIG_FILE").then(|| value.clone()), home)
        };
        let named = with(own.clone().into());
        assert_eq!(names(&named), [global[0], global[1], own.to_str().unwrap()]);
        assert!(with("/dev/null".into()).is_empty());
    }

    #[test]
    fn the_files_are_those_that_uv_reads() {
        let with = |own: &'static str| {
            let variable = move |name: &str| (name == own).then(|| OsString::from("/x"));
            uv_files(variable, Some(Path::new("/h")))
        };
        assert_eq!(
            names(&with("")),
            ["/etc/xdg/uv/uv.toml", "/etc/uv/uv.toml", "/h/.config/uv/uv.toml"]
        );
        assert_eq!(names(&with("UV_CONFIG_FILE")), ["/x"]);
        assert_eq!(names(&with("XDG_CONFIG_HOME"))[2], "/x/uv/uv.toml");
    }

    #[test]
    fn what_decides_counts_and_credentials_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pip.conf");
        let of = |text: &str| {
            fs::write(&file, text).unwrap();
            read(&file)
        };
        let one = of("[global]\n# why\nindex-url = https://u:secret@h/simple\n\n").unwrap();
        assert!(!one.contains("secret"));
        assert_eq!(of("[global]\nindex-url = https://other@h/simple\npassword = x\n"), Some(one));
        assert_eq!(of("# nothing\n"), None);
    }
}
