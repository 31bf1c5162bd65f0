//! A fake uv that installs nothing and records its calls.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::ambient::Ambient;
use crate::outcome::Package;
use crate::tools::Tools;

/// The fake's program: each call leaves one file, its arguments before an empty line, the
/// requirements after it.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "uv 99.0.0"; exit; fi
dir=$(dirname "$0")
call=$(mktemp "$dir/calls/.new-XXXXXX")
{
    printf '%s\n' "$@"
    echo
    for argument; do last=$argument; done
    cat "$last" 2>/dev/null
} > "$call"
mv "$call" "$dir/calls/$(date +%s%N)-$$"
case " $* " in
" pip install "*" --dry-run "*) ;;
" pip install "*)
    if [ -d "$dir/packages" ]; then
        while [ "$1" != --python ]; do shift; done
        site=$("$2" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        cp -R "$dir/packages/." "$site"
    fi
    ;;
esac
cat "$dir/words" >&2
cat "$dir/report"
exit "$(cat "$dir/code")"
"#;

/// A fake uv that installs nothing, gives scripted answers, and records its calls.
///
/// It is a real program, which [`Tools`] finds through [`FakeUv::ambient`]. So everything around
/// the tool is real: the command line, the process group, the deadline, and the parsing of its
/// answer.
///
/// ```
/// use std::path::Path;
/// use envspec::{Install, Tool};
/// use installer::testing::FakeUv;
/// use installer::{Deadline, Package, Request};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fake = FakeUv::new()?;
/// fake.will_report(&[Package::new("packaging", "24.0")], &[])?;
///
/// let python = Path::new("/nowhere/bin/python");
/// let uv = fake.tools().locate(Tool::Uv, None, python, Deadline::NEVER)?;
/// let install = Install::new(Tool::Uv, vec!["packaging==24.0".parse()?]);
/// let outcome = uv.install(&Request::new(&install, python))?;
///
/// assert_eq!(outcome.added, [Package::new("packaging", "24.0")]);
/// assert_eq!(fake.calls()?[0].requirements, ["packaging==24.0"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FakeUv {
    dir: TempDir,
}

/// One call of a [`FakeUv`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The arguments after the program.
    pub arguments: Vec<String>,
    /// The lines of the requirements file that it was given.
    pub requirements: Vec<String>,
}

impl FakeUv {
    /// Creates one that reports no change. It is deleted on drop.
    ///
    /// # Errors
    ///
    /// If the temporary folder is not writable.
    pub fn new() -> io::Result<Self> {
        let fake = Self { dir: tempfile::tempdir()? };
        fs::create_dir(fake.dir.path().join("calls"))?;
        fs::write(fake.program(), PROGRAM)?;
        fs::set_permissions(fake.program(), fs::Permissions::from_mode(0o755))?;
        fake.will_report(&[], &[])?;
        Ok(fake)
    }

    /// Returns the environment of this process, with this uv as the operator's choice.
    #[must_use]
    pub fn ambient(&self) -> Ambient {
        Ambient::from_env().with_variable("CURATOR_UV", self.program())
    }

    /// Returns tools that include this uv.
    pub fn tools(&self) -> Tools {
        Tools::new(self.dir.path().join("tools")).with_ambient(self.ambient())
    }

    /// Lets the calls from now on succeed with these changes.
    ///
    /// # Errors
    ///
    /// If the answer cannot be written.
    pub fn will_report(&self, added: &[Package], removed: &[Package]) -> io::Result<()> {
        let change = |package: &Package, action| json!({ "name": package.name, "version": package.version, "action": action });
        let added = added.iter().map(|package| change(package, "installed"));
        let removed = removed.iter().map(|package| change(package, "uninstalled"));
        let report = json!({ "changes": removed.chain(added).collect::<Vec<_>>() });
        self.answer(0, "", &report.to_string())
    }

    /// Lets the installations from now on succeed and write the metadata of these packages, by
    /// which Python and this project find them. None of them has a module.
    ///
    /// # Errors
    ///
    /// If the answer cannot be written.
    pub fn will_install(&self, packages: &[Package]) -> io::Result<()> {
        for Package { name, version } in packages {
            let info = format!("{}-{version}.dist-info", name.replace('-', "_"));
            let folder = self.dir.path().join("packages").join(&info);
            fs::create_dir_all(&folder)?;
            let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
            fs::write(folder.join("METADATA"), metadata)?;
            fs::write(folder.join("RECORD"), format!("{info}/METADATA,,\n{info}/RECORD,,\n"))?;
        }
        self.will_report(packages, &[])
    }

    /// Lets the calls from now on fail with these words.
    ///
    /// # Errors
    ///
    /// If the answer cannot be written.
    pub fn will_fail(&self, words: &str) -> io::Result<()> {
        self.answer(1, words, "")
    }

    /// Returns the calls so far, in order, without queries of the version.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn calls(&self) -> io::Result<Vec<Call>> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path().join("calls"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        files.sort();
        files
            .iter()
            .map(|file| {
                let text = fs::read_to_string(file)?;
                let (arguments, requirements) = text.split_once("\n\n").unwrap_or((&text, ""));
                let lines = |text: &str| text.lines().map(str::to_owned).collect();
                Ok(Call { arguments: lines(arguments), requirements: lines(requirements) })
            })
            .collect()
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("uv")
    }

    fn answer(&self, code: i32, words: &str, report: &str) -> io::Result<()> {
        for (name, text) in [("code", &*code.to_string()), ("words", words), ("report", report)] {
            fs::write(self.dir.path().join(name), text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use envspec::{Install, Tool};

    use super::*;
    use crate::{Deadline, Error, Request};

    #[test]
    fn a_call_is_recorded_and_answered() {
        let fake = FakeUv::new().unwrap();
        let python = Path::new("/nowhere/bin/python");
        let uv = fake.tools().locate(Tool::Uv, None, python, Deadline::NEVER).unwrap();
        assert_eq!(uv.version(), "99.0.0");

        let mut install = Install::new(Tool::Uv, vec!["a==1".parse().unwrap()]);
        install.constraints = vec!["b<2".parse().unwrap()];
        fake.will_report(&[Package::new("a", "1")], &[Package::new("a", "0")]).unwrap();
        let outcome = uv.install(&Request::new(&install, python)).unwrap();
        assert_eq!(outcome.added, [Package::new("a", "1")]);
        assert_eq!(outcome.removed, [Package::new("a", "0")]);

        fake.will_fail("error: No solution found when resolving dependencies").unwrap();
        let error = uv.resolve(&Request::new(&install, python)).unwrap_err();
        assert!(matches!(error, Error::Unsatisfiable { .. }), "{error:?}");

        let calls = fake.calls().unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].arguments[..2], ["pip", "install"]);
        assert_eq!(calls[0].requirements, ["-c constraints.txt", "a==1.0"]);
        assert!(calls[1].arguments.iter().any(|argument| argument == "--dry-run"));
    }
}
