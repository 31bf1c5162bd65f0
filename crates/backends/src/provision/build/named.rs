//! Checks that a path or an address in a requirement was really installed: the version alone does
//! not distinguish it from the base's package.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use envspec::{Install, Requirement};
use installer::Outcome;
use zip::ZipArchive;

use super::installed::{Distribution, Installed};
use super::sources;
use crate::run::Error;

/// Fails if the distribution that a requirement names is missing. It must be newly installed, or of
/// exactly the repository's commit; for a local wheel, each file must have the wheel's contents.
///
/// A package installed in place is not checked.
pub(super) fn check_named(
    install: &Install,
    requirement: &Requirement,
    now: &Installed,
    outcome: &Outcome,
) -> Result<(), Error> {
    let is_overridden = || {
        let name = requirement.name();
        name.is_some() && install.overrides.iter().any(|by| by.name() == name)
    };
    if !sources::is_direct(requirement) || requirement.is_editable() || is_overridden() {
        return Ok(());
    }
    let is_meant = |(name, it): &(&str, &Distribution)| {
        let source = it.source().map(|source| source.url);
        sources::asks_for(requirement, name, source.as_deref())
    };
    // Its name may be known only to the package manager.
    let Some((name, found)) = now.iter().find(is_meant) else { return Ok(()) };
    let is_new = outcome.added.iter().any(|added| added.name == name);
    if !is_new && found.source().is_none_or(|source| source.commit.is_none()) {
        return Err(misinstalled(requirement, "is there as the base has it"));
    }
    let is_wheel = |path: &&Path| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("whl"));
    if let Some(path) = requirement.path().filter(is_wheel) {
        let has_all = holds(found, path)
            .map_err(|source| Error::io("compare with", path.display().to_string(), source))?;
        if !has_all {
            return Err(misinstalled(requirement, "is there with other files"));
        }
    }
    Ok(())
}

/// Returns whether a distribution's list of files contains that of a wheel. Scripts and data move
/// during installation, and the list itself is rewritten.
fn holds(distribution: &Distribution, wheel: &Path) -> io::Result<bool> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    let is_list = |name: &str| {
        name.split_once('/')
            .is_some_and(|(top, file)| top.ends_with(".dist-info") && file == "RECORD")
    };
    let Some(name) = archive.file_names().find(|name| is_list(name)).map(str::to_owned) else {
        return Ok(true);
    };
    let mut list = String::new();
    archive.by_name(&name)?.read_to_string(&mut list)?;
    let installed = std::fs::read_to_string(distribution.record_file())?;
    let there: BTreeSet<&str> = installed.lines().map(file_and_digest).collect();
    let is_moved =
        |line: &str| line.contains(".data/") || line.trim_matches('"').starts_with(&name);
    let mut wanted = list.lines().filter(|line| !line.is_empty() && !is_moved(line));
    Ok(wanted.all(|line| there.contains(file_and_digest(line))))
}

/// Returns a line of a list without the file's length, which some tools leave out.
fn file_and_digest(line: &str) -> &str {
    line.trim_end().rsplit_once(',').map_or(line, |(rest, _)| rest)
}

pub(super) fn misinstalled(requirement: &Requirement, problem: &str) -> Error {
    Error::Misinstalled { requirement: requirement.to_string(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_wheel_is_there_if_all_of_its_files_are() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("a-1.0.dist-info");
        fs::create_dir(&info).unwrap();
        let list = "a.py,sha256=one,3\r\n\"b,c.py\",sha256=two,3\na-1.0.dist-info/INSTALLER,,\n\
                    ../../../bin/a,sha256=three,9\na-1.0.dist-info/RECORD,,\n";
        fs::write(info.join("RECORD"), list).unwrap();
        let installed = Installed::read([dir.path()]);
        let wheel = dir.path().join("a-1.0-py3-none-any.whl");
        for (lines, is_there) in [
            (
                "a.py,sha256=one,3\n\"b,c.py\",sha256=two,\na-1.0.data/scripts/a,sha256=four,9\n",
                true,
            ),
            ("a.py,sha256=other,3\n", false),
            ("more.py,sha256=one,3\n", false),
        ] {
            let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file("a-1.0.dist-info/RECORD", options).unwrap();
            archive.write_all(lines.as_bytes()).unwrap();
            archive.write_all(b"a-1.0.dist-info/RECORD,,\n").unwrap();
            archive.finish().unwrap();
            assert_eq!(holds(installed.get("a").unwrap(), &wheel).unwrap(), is_there, "{lines}");
        }
    }
}
