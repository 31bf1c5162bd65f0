//! Command lines of pip and uv, as pure data.
//!
//! Options that change what is installed are here. Settings of the tool's output go through
//! environment variables, because an old version ignores an unknown variable but refuses an unknown
//! option. Addresses of indexes go through variables too: they may hold credentials, and every user
//! of the machine can read a command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use envspec::{Install, Tool};
use pep440_rs::Version;

use crate::error::Error;
use crate::local::Local;
use crate::mode::Mode;
use crate::request::Request;
use crate::scratch::Scratch;
use crate::settings::Settings;
use crate::tool_options::ToolOptions;

/// A package manager that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The executable.
    Uv(PathBuf),
    /// The program for the target's interpreter: `pip/__pip-runner__.py`, which imports that pip
    /// and nothing beside it, or a folder or wheel that contains only pip.
    Pip {
        entry: PathBuf,
        /// The folder for bytecode of a pip that has none beside it; without it, each call takes
        /// more than a second longer.
        bytecode_dir: Option<PathBuf>,
    },
}

impl Program {
    pub(crate) const fn tool(&self) -> Tool {
        match self {
            Self::Uv(_) => Tool::Uv,
            Self::Pip { .. } => Tool::Pip,
        }
    }

    /// Returns the executable and its first arguments, for an environment's interpreter.
    pub(crate) fn start(&self, python: &Path) -> Vec<OsString> {
        match self {
            Self::Uv(uv) => vec![uv.into(), "pip".into()],
            // Isolated, so that only the environment's own packages are seen; without writing
            // bytecode next to a pip of the base; unbuffered, so that its words stay in order.
            Self::Pip { entry, bytecode_dir } => {
                let mut argv = vec![python.into()];
                argv.extend(["-I", "-u", "-X", "utf8"].map(OsString::from));
                if let Some(dir) = bytecode_dir {
                    let mut option = OsString::from("pycache_prefix=");
                    option.push(dir);
                    argv.extend(["-X".into(), option]);
                } else {
                    argv.push("-B".into());
                }
                argv.push(entry.into());
                argv
            }
        }
    }
}

/// Capabilities of this version of a package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Abilities {
    /// `pip install --report` (22.2), `uv pip install --output-format json` (0.13).
    pub(crate) has_report: bool,
    /// Whether it trusts cached pages of an index for a while, and has an option to query again:
    /// any uv, and pip since 26.2 (`--refresh-package`). An older pip always queries.
    pub(crate) has_refresh: bool,
    /// `UV_DEFAULT_INDEX` instead of `UV_INDEX_URL` (0.4.23).
    pub(crate) has_named_indexes: bool,
    /// Whether it replaces existing files instead of writing into them. Before 0.10.6, uv wrote
    /// into them when it copied: on request, or with its cache on another file system.
    pub(crate) replaces_files: bool,
}

impl Abilities {
    pub(crate) fn of(tool: Tool, version: &Version) -> Self {
        let since = |release: [u64; 3]| *version >= Version::new(release);
        match tool {
            Tool::Pip => Self {
                has_report: since([22, 2, 0]),
                has_refresh: since([26, 2, 0]),
                has_named_indexes: false,
                replaces_files: true,
            },
            Tool::Uv => Self {
                has_report: since([0, 13, 0]),
                has_refresh: true,
                has_named_indexes: since([0, 4, 23]),
                replaces_files: since([0, 10, 6]),
            },
        }
    }
}

/// Returns the whole command line of one installation, program first.
pub(crate) fn argv(
    program: &Program,
    abilities: Abilities,
    request: &Request<'_>,
    settings: &Settings,
    mode: Mode,
    scratch: &Scratch,
) -> Result<Vec<OsString>, Error> {
    let Install { index, .. } = request.install;
    let mut argv = program.start(&request.python);
    let mut add = |arguments: &[&str]| argv.extend(arguments.iter().map(OsString::from));
    add(match (program, mode) {
        (Program::Uv(_), Mode::Lock) => &["compile"],
        _ => &["install"],
    });
    match program {
        Program::Pip { .. } => {
            // Added packages are compiled afterwards, on all cores. Checking all installed packages
            // for broken requirements takes a third of the time over a large base, so only
            // `conflicts` does that, on request.
            add(&["--no-compile", "--no-warn-conflicts"]);
            if mode != Mode::Install {
                add(&["--dry-run"]);
            }
            if mode == Mode::Lock {
                add(&["--ignore-installed"]);
            }
            if request.is_fresh && abilities.has_refresh {
                add(&["--refresh-package", ":all:"]);
            }
            if request.is_offline || request.known.is_some() || index.no_index {
                add(&["--no-index"]);
            }
            if index.pre {
                add(&["--pre"]);
            }
        }
        Program::Uv(_) => {
            if mode == Mode::Lock {
                add(&["--generate-hashes", "--no-header", "--no-annotate", "--no-strip-extras"]);
            }
            if mode == Mode::DryRun {
                // A dry run breaks nothing, and without this option uv refuses a system's Python.
                add(&["--dry-run", "--break-system-packages"]);
            }
            if abilities.has_report && mode != Mode::Lock {
                add(&["--output-format", "json"]);
            }
            if request.is_fresh {
                add(&["--refresh"]);
            }
            // Installed files share no bytes with uv's cache, or a program that edits one in place
            // would change every environment that is built from that cache. Here it wins over the
            // variable and the configuration file. uv copies by reference where that is possible.
            add(&["--link-mode", "copy"]);
            if request.is_offline || request.known.is_some() {
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
    let local = Local::of(request, settings)?;
    let of_cache = local.words(program.tool(), request.again, mode == Mode::Lock);
    for word in &of_cache {
        add(&[word]);
    }
    if program.tool() == Tool::Pip && !request.again.is_empty() {
        add(&["--force-reinstall", "--no-deps"]);
    }
    settings.arguments.iter().for_each(|argument| add(&[argument]));
    for (option, name) in index.binary_options() {
        add(&[option, name]);
    }
    if index.require_hashes && !(mode == Mode::Lock && program.tool() == Tool::Uv) {
        add(&["--require-hashes"]);
    }
    ToolOptions::of(request.install)?.words(mode).for_each(|word| add(&[&word]));
    match program {
        Program::Pip { .. } if request.known.is_some() => {
            argv.extend(["--find-links".into(), scratch.known_file().into()]);
            argv.extend(["--report".into(), scratch.report_file().into()]);
        }
        Program::Pip { .. } if abilities.has_report => {
            argv.extend(["--report".into(), scratch.report_file().into()]);
        }
        Program::Uv(_) => {
            // The interpreter comes last: an option of the spec must not change the target.
            argv.extend(["--python".into(), request.python.clone().into()]);
            if !request.install.overrides.is_empty() {
                argv.extend(["--override".into(), scratch.overrides_file().into()]);
            }
        }
        Program::Pip { .. } => {}
    }
    if mode == Mode::Lock && program.tool() == Tool::Uv {
        if request.as_file {
            argv.extend(["--format", "pylock.toml"].map(OsString::from));
        }
        let output = if request.as_file { scratch.pylock_file() } else { scratch.lock_file() };
        argv.extend(["--output-file".into(), output.into()]);
        argv.push(scratch.requirements_file().into());
    } else {
        argv.extend(["-r".into(), scratch.requirements_file().into()]);
    }
    Ok(argv)
}

/// Returns the command line that checks the installed packages against each other.
pub(crate) fn check_argv(program: &Program, python: &Path) -> Vec<OsString> {
    let mut argv = program.start(python);
    argv.push("check".into());
    if let Program::Uv(_) = program {
        argv.extend(["--python".into(), python.into()]);
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Ambient;

    fn request(install: &Install) -> Request<'_> {
        Request::new(install, Path::new("/env/bin/python"))
    }

    fn line(program: &Program, version: &str, request: &Request<'_>, mode: Mode) -> String {
        let abilities = Abilities::of(program.tool(), &version.parse().unwrap());
        let scratch = Scratch::named("/tmp/scratch");
        let none = Ambient::default().with_variable("PIP_CONFIG_FILE", "/dev/null");
        let settings = Settings::read_in(request.install, None, &none, Path::new("/")).unwrap();
        let argv = argv(program, abilities, request, &settings, mode, &scratch).unwrap();
        let words: Vec<_> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    fn uv() -> Program {
        Program::Uv("/tools/uv".into())
    }

    fn pip() -> Program {
        Program::Pip { entry: "/base/pip/__pip-runner__.py".into(), bytecode_dir: None }
    }

    #[test]
    fn uv_installs() {
        let install = Install::new(Tool::Uv, vec!["a==1".parse().unwrap()]);
        assert_eq!(
            line(&uv(), "0.13.9", &request(&install), Mode::Install),
            "/tools/uv pip install --output-format json --link-mode copy --python /env/bin/python \
             -r /tmp/scratch/requirements.txt"
        );
        assert_eq!(
            line(&uv(), "0.4.0", &request(&install), Mode::Install),
            "/tools/uv pip install --link-mode copy --python /env/bin/python -r /tmp/scratch/requirements.txt"
        );
    }

    #[test]
    fn pip_installs() {
        let install = Install::new(Tool::Pip, vec!["a==1".parse().unwrap()]);
        assert_eq!(
            line(&pip(), "23.2.1", &request(&install), Mode::Install),
            "/env/bin/python -I -u -X utf8 -B /base/pip/__pip-runner__.py install --no-compile \
             --no-warn-conflicts --report /tmp/scratch/report.json -r /tmp/scratch/requirements.txt"
        );
        let old =
            Program::Pip { entry: "/tools/pip-20/pip".into(), bytecode_dir: Some("/t/b".into()) };
        assert_eq!(
            line(&old, "20.3.4", &request(&install), Mode::Install),
            "/env/bin/python -I -u -X utf8 -X pycache_prefix=/t/b /tools/pip-20/pip install \
             --no-compile --no-warn-conflicts -r /tmp/scratch/requirements.txt"
        );
    }

    #[test]
    fn kept_pages_are_asked_for_again_where_they_are_kept() {
        let mut install = Install::new(Tool::Pip, vec!["a==1".parse().unwrap()]);
        let has = |tool: &Program, version, word: &str, install: &Install| {
            let line = line(tool, version, &request(install).fresh(), Mode::Install);
            line.contains(word)
        };
        assert!(has(&pip(), "26.2", " --refresh-package :all: ", &install));
        assert!(!has(&pip(), "26.1.2", "--refresh", &install));
        install.tool = Tool::Uv;
        assert!(has(&uv(), "0.4.0", " --refresh ", &install));
    }

    #[test]
    fn every_wish_reaches_the_command_line() {
        let mut install = Install::new(Tool::Uv, vec!["a==1".parse().unwrap()]);
        install.overrides = vec!["b==2".parse().unwrap()];
        install.index.pre = true;
        install.index.no_index = true;
        install.index.require_hashes = true;
        install.index.no_binary = vec!["c".to_owned(), "d".to_owned()];
        install.index.only_binary = vec![":all:".to_owned()];
        install.tool_options = vec!["--no-build-isolation".to_owned(), "--quiet".to_owned()];
        let again = ["e".to_owned()];
        let wishes = request(&install).with_again(&again).offline();
        assert_eq!(
            line(&uv(), "0.13.9", &wishes, Mode::DryRun),
            "/tools/uv pip install --dry-run --break-system-packages --output-format json \
             --link-mode copy --offline --no-index --prerelease allow --reinstall-package e --no-cache \
             --only-binary :all: --no-binary c --no-binary d --require-hashes --no-build-isolation \
             --python /env/bin/python \
             --override /tmp/scratch/overrides.txt -r /tmp/scratch/requirements.txt"
        );
        install.tool = Tool::Pip;
        install.overrides.clear();
        let wishes = request(&install).offline();
        assert_eq!(
            line(&pip(), "26.3", &wishes, Mode::DryRun),
            "/env/bin/python -I -u -X utf8 -B /base/pip/__pip-runner__.py install --no-compile \
             --no-warn-conflicts --dry-run --no-index --pre --no-cache-dir --only-binary :all: --no-binary c --no-binary d \
             --require-hashes --no-build-isolation --report /tmp/scratch/report.json \
             -r /tmp/scratch/requirements.txt"
        );
    }

    #[test]
    fn checks_name_the_interpreter() {
        let text = |program: &Program| {
            let argv = check_argv(program, Path::new("/env/bin/python"));
            argv.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&uv()), "/tools/uv pip check --python /env/bin/python");
        assert_eq!(
            text(&pip()),
            "/env/bin/python -I -u -X utf8 -B /base/pip/__pip-runner__.py check"
        );
    }
}
