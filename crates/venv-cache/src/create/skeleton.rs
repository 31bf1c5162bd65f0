//! What every virtualenv has: links to the interpreter, `pyvenv.cfg`, folders, `activate`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::place::Placement;
use crate::error::Error;
use crate::interpreter::Interpreter;

/// The fixed parts of one environment.
pub(super) struct Skeleton<'a> {
    interpreter: &'a Interpreter,
    dir: &'a Path,
}

impl<'a> Skeleton<'a> {
    pub(super) fn new(interpreter: &'a Interpreter, dir: &'a Path) -> Self {
        Self { interpreter, dir }
    }

    /// Returns the folder of its scripts.
    pub(super) fn scripts(&self) -> PathBuf {
        self.dir.join(&self.interpreter.layout().scripts)
    }

    /// Returns its interpreter.
    pub(super) fn python(&self) -> PathBuf {
        self.scripts().join("python")
    }

    /// Writes all but the `lib64` link, which a cloned virtualenv has of its own.
    pub(super) fn write(&self, placement: &Placement<'_>) -> Result<(), Error> {
        let layout = self.interpreter.layout();
        let scripts = self.scripts();
        placement.folder(&scripts)?;
        placement.folder(&self.dir.join(&layout.purelib))?;
        placement.folder(&self.dir.join("include"))?;

        // To the interpreter proper: a chain through the base's link would break with the base.
        let executable = self.interpreter.base_executable();
        placement.own_link(executable, &self.python())?;
        let major = format!("python{}", major(self.interpreter.version()));
        let exact = format!("python{}", self.interpreter.short_version());
        let mut names = vec![OsStr::new(&major), OsStr::new(&exact)];
        // `python3.13t`, `pypy3.10`: programs ask for them by name.
        names.extend(executable.file_name().filter(|name| *name != "python"));
        names.sort_unstable();
        names.dedup();
        for name in names {
            placement.own_link(Path::new("python"), &scripts.join(name))?;
        }
        placement.own_file(
            &self.dir.join("pyvenv.cfg"),
            settings(self.interpreter).as_bytes(),
            0o644,
            None,
        )?;
        placement.own_file(&scripts.join("activate"), activate(self.dir).as_bytes(), 0o644, None)
    }

    /// Links `lib64` to `lib` where `venv` does, for tools that look for extension modules there.
    pub(super) fn write_lib64(&self, placement: &Placement<'_>) -> Result<(), Error> {
        let separate = self.interpreter.layout().platlib.starts_with("lib64");
        if cfg!(target_os = "linux") && (self.interpreter.is_wide() || separate) {
            placement.own_link(Path::new("lib"), &self.dir.join("lib64"))?;
        }
        Ok(())
    }
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

/// Returns the text of `pyvenv.cfg` (PEP 405), with the keys that `venv` writes.
fn settings(interpreter: &Interpreter) -> String {
    let executable = interpreter.base_executable();
    let home = executable.parent().unwrap_or(Path::new("/"));
    format!(
        "home = {}\ninclude-system-site-packages = false\nversion = {}\nexecutable = {}\n",
        home.display(),
        interpreter.version(),
        executable.display(),
    )
}

/// Returns a script for POSIX shells to source. The base's own would not be quoted for another
/// path.
fn activate(dir: &Path) -> String {
    let quoted = shell_quoted(&dir.to_string_lossy());
    format!(
        r#"# Source this file: `. bin/activate`; `deactivate` undoes it.
deactivate () {{
    if [ -n "${{_OLD_VIRTUAL_PATH+set}}" ]; then
        PATH="$_OLD_VIRTUAL_PATH"
        export PATH
        unset _OLD_VIRTUAL_PATH
    fi
    if [ -n "${{_OLD_VIRTUAL_PYTHONHOME+set}}" ]; then
        PYTHONHOME="$_OLD_VIRTUAL_PYTHONHOME"
        export PYTHONHOME
        unset _OLD_VIRTUAL_PYTHONHOME
    fi
    hash -r 2> /dev/null
    unset VIRTUAL_ENV
    [ "${{1:-}}" = nondestructive ] || unset -f deactivate
}}
deactivate nondestructive

VIRTUAL_ENV={quoted}
export VIRTUAL_ENV
_OLD_VIRTUAL_PATH="$PATH"
PATH="$VIRTUAL_ENV/bin:$PATH"
export PATH
if [ -n "${{PYTHONHOME+set}}" ]; then
    _OLD_VIRTUAL_PYTHONHOME="$PYTHONHOME"
    unset PYTHONHOME
fi
hash -r 2> /dev/null
"#
    )
}

/// Returns the text as one word of a POSIX shell.
pub(super) fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_path_stays_one_word() {
        assert_eq!(shell_quoted("/it's here"), r#"'/it'"'"'s here'"#);
    }
}
