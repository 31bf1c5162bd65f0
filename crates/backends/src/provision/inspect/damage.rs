//! Checks that an environment is still as it was built.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use envspec::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::provision::build::{BuildRecord, Installed};
use crate::provision::environment::Environment;
use crate::run::Error;

/// A file of an environment that differs from the built one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file, relative to the environment's folder.
    pub path: PathBuf,
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The problem of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "problem", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Problem {
    /// It is gone.
    Gone,
    /// It has another length, in bytes.
    Length {
        /// The length when the environment was built.
        recorded: u64,
        /// The current length.
        found: u64,
    },
    /// Its contents differ from its package's list of files (`RECORD`).
    Contents,
    /// It is a package's list of files, and not the one that was installed.
    List,
    /// The whole environment is made of links into a base that has changed since.
    Base,
}

impl Environment {
    /// Compares the environment with its record: the length of every file except bytecode, and the
    /// contents of the files that were installed into it.
    ///
    /// An added file is no damage, and an edit of one of the base's files that keeps its length is
    /// not detected. The base and prebuilt environments are not compared.
    pub fn damage(&self) -> Result<Vec<Damage>, Error> {
        let Some(cached) = self.cached().filter(|_| self.key().is_some()) else {
            return Ok(Vec::new());
        };
        let differences = cached.differences().map_err(Error::cache)?;
        let mut damage: Vec<Damage> = differences
            .into_iter()
            .map(|difference| {
                let recorded = difference.recorded;
                let problem = difference
                    .found
                    .map_or(Problem::Gone, |found| Problem::Length { recorded, found });
                Damage { path: difference.path, problem }
            })
            .collect();
        let installed = Installed::of_environment(cached.dir());
        let bytecode = self.record().and_then(|record| record.bytecode.as_ref());
        for added in self.details().into_iter().flat_map(|details| details.added) {
            // A removed package has left its files in the list above.
            let Some(distribution) = installed.get(&added.name) else { continue };
            let list = distribution.record_file();
            check_package(cached.dir(), &list, added.record.as_deref(), bytecode, &mut damage)
                .map_err(|source| Error::io("read", list.display().to_string(), source))?;
        }
        if self.has_stale_links() {
            damage.push(Damage { path: PathBuf::new(), problem: Problem::Base });
        }
        damage.sort();
        damage.dedup_by(|later, earlier| later.path == earlier.path);
        Ok(damage)
    }
}

/// Compares the files of one package with its list, and the list with its recorded digest.
fn check_package(
    dir: &Path,
    list: &Path,
    recorded: Option<&str>,
    bytecode: Option<&BTreeMap<PathBuf, String>>,
    damage: &mut Vec<Damage>,
) -> io::Result<()> {
    let relative = |path: &Path| path.strip_prefix(dir).unwrap_or(path).to_owned();
    let bytes = match fs::read(list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes?,
    };
    if recorded.is_some_and(|recorded| recorded != Digest::of(&bytes).to_string()) {
        damage.push(Damage { path: relative(list), problem: Problem::List });
        return Ok(());
    }
    let Some(site) = list.parent().and_then(Path::parent) else { return Ok(()) };
    let is_as_left = |contents: &[u8], path: &Path| match bytecode {
        Some(left) => left.get(path).is_some_and(|it| *it == Digest::of(contents).to_string()),
        None => true,
    };
    for (path, digest) in String::from_utf8_lossy(&bytes).lines().filter_map(entry) {
        let path = normal(&site.join(path));
        if !path.starts_with(dir) {
            continue;
        }
        match holds(&path, &digest) {
            Ok(true) => {}
            Ok(false) if is_bytecode(&path) && is_as_left(&fs::read(&path)?, &relative(&path)) => {}
            Ok(false) => damage.push(Damage { path: relative(&path), problem: Problem::Contents }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                damage.push(Damage { path: relative(&path), problem: Problem::Gone });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns which of these packages, by name and list of files, have a file that differs from its
/// list.
pub(crate) fn altered(
    dir: &Path,
    packages: impl IntoIterator<Item = (String, PathBuf)>,
) -> Result<Vec<String>, Error> {
    let mut altered = Vec::new();
    for (name, list) in packages {
        let mut damage = Vec::new();
        check_package(dir, &list, None, Some(&BTreeMap::new()), &mut damage)
            .map_err(|source| Error::io("read", list.display().to_string(), source))?;
        if !damage.is_empty() {
            altered.push(name);
        }
    }
    Ok(altered)
}

/// Returns whether the contents of a file have this digest. A large file is read in pieces.
fn holds(path: &Path, digest: &[u8]) -> io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()[..] == *digest),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the digests of bytecode that packages brought with them, if it has changed since: it was
/// compiled again after the installation.
pub(crate) fn brought_bytecode(
    dir: &Path,
    installed: &Installed,
    record: &BuildRecord,
) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for distribution in record.added.iter().filter_map(|added| installed.get(&added.name)) {
        let list = distribution.record_file();
        let Some(site) = list.parent().and_then(Path::parent) else { continue };
        let text = fs::read(&list).unwrap_or_default();
        for (path, digest) in String::from_utf8_lossy(&text).lines().filter_map(entry) {
            let path = normal(&site.join(path));
            let Some(below) = path.strip_prefix(dir).ok().filter(|below| is_bytecode(below)) else {
                continue;
            };
            let Ok(contents) = fs::read(&path) else { continue };
            let left = Digest::of(&contents);
            if left.as_bytes()[..] != digest {
                found.insert(below.to_owned(), left.to_string());
            }
        }
    }
    found
}

fn is_bytecode(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "pyc")
}

/// Reads a line of a `RECORD`: the path, and the SHA-256 if there is one. Bytecode, and files
/// written after the installation, have none.
fn entry(line: &str) -> Option<(String, Vec<u8>)> {
    let (rest, _size) = line.rsplit_once(',')?;
    let (path, digest) = rest.rsplit_once(',')?;
    let digest = URL_SAFE_NO_PAD.decode(digest.strip_prefix("sha256=")?).ok()?;
    // CSV: a path with a comma or a quote is quoted, and its quotes are doubled.
    let quoted = path.strip_prefix('"').and_then(|path| path.strip_suffix('"'));
    Some((quoted.map_or_else(|| path.to_owned(), |path| path.replace("\"\"", "\"")), digest))
}

/// Returns the path without `..`, which here never crosses a link.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_list_are_read() {
        let digest = URL_SAFE_NO_PAD.encode([7; 32]);
        let plain = entry(&format!("a/b.py,sha256={digest},12")).unwrap();
        assert_eq!(plain, ("a/b.py".to_owned(), vec![7; 32]));
        let quoted = entry(&format!("\"a,\"\"b\"\".py\",sha256={digest},12")).unwrap();
        assert_eq!(quoted.0, "a,\"b\".py");
        assert_eq!(entry("a-1.0.dist-info/RECORD,,"), None);
    }

    #[test]
    fn changed_and_missing_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("a-1.0.dist-info");
        fs::create_dir(&info).unwrap();
        let digest = URL_SAFE_NO_PAD.encode(Digest::of(b"right").as_bytes());
        let names = ["right.py", "wrong.py", "gone.py", "../outside.py"];
        let lines = names.map(|name| format!("{name},sha256={digest},5\n")).concat();
        fs::write(info.join("RECORD"), &lines).unwrap();
        fs::write(dir.path().join("right.py"), "right").unwrap();
        fs::write(dir.path().join("wrong.py"), "wrong").unwrap();

        let check = |recorded: &str| {
            let mut damage = Vec::new();
            check_package(dir.path(), &info.join("RECORD"), Some(recorded), None, &mut damage)
                .unwrap();
            damage
        };
        let found = check(&Digest::of(lines.as_bytes()).to_string());
        let expected = [("wrong.py", Problem::Contents), ("gone.py", Problem::Gone)];
        assert_eq!(found, expected.map(|(path, problem)| Damage { path: path.into(), problem }));
        assert_eq!(check("another")[0].problem, Problem::List);
    }
}
