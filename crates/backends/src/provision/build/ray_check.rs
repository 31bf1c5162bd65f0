//! Whether a base with Ray still imports it after an installation: what moved under it would kill every
//! worker that Ray starts.
//!
//! The import takes half a second and more, and most packages are none of its business. So what it
//! asked for is kept, by the base: modules by their names at the top, found or not, and distributions
//! whose metadata it read. An installation that touches nothing of that cannot change it, and is not
//! tried. What is kept comes from an environment where nothing of it was touched either, and where the
//! import was thus that of the base.
//!
//! It is also kept that the import worked beside just these files of packages, for an environment of the
//! same packages that is built again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envspec::normal_name;
use installer::{Limit, Outcome};
use venv_cache::{Base, Key, Memo};

use super::installed::{Distribution, Installed};
use crate::run::Error;

const PROGRAM: &str = include_str!("../../../python/curator_ray_check.py");

/// How often a check looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Where packages put what no import looks at, beside their modules.
const BESIDE: [&str; 6] = ["bin", "share", "include", "etc", "man", "doc"];

/// The groups of entry points that are programs: all others are found by looking through metadata.
const PROGRAMS: [&str; 2] = ["console_scripts", "gui_scripts"];

/// Fails if the base has Ray, and what was installed keeps Ray from being imported.
pub(super) fn check_ray(
    base: &Base,
    records: &Path,
    python: &Path,
    (before, now): (&Installed, &Installed),
    outcome: &Outcome,
    limit: &Limit,
) -> Result<(), Error> {
    if before.version("ray").is_none() || outcome.is_unchanged() {
        return Ok(());
    }
    let touched = Touched::by(outcome, before, now);
    let memo = Memo::new(records, "ray", &question(base));
    let kept: Option<BTreeSet<String>> = memo.read().filter(|it: &BTreeSet<_>| it.contains("ray"));
    if kept.is_some_and(|asked| touched.as_ref().is_some_and(|it| it.is_outside(&asked))) {
        return Ok(());
    }
    let seen = beside(base, outcome, now).map(|question| Memo::new(records, "ray", &question));
    if seen.as_ref().and_then(Memo::read::<BTreeSet<String>>).is_some_and(|it| it.contains("ray")) {
        return Ok(());
    }
    let asked = import_ray(python, outcome, limit)?;
    if let Some(seen) = seen {
        seen.write(&asked);
    }
    if touched.is_some_and(|it| it.is_outside(&asked)) {
        memo.write(&asked);
    }
    Ok(())
}

/// Returns a digest of the question what Ray asks for in a base. Another program is another question.
fn question(base: &Base) -> Key {
    Key::derive("backends/ray-check/v1", &parts_of(base))
}

/// Returns a digest of the question whether Ray can be imported in a base beside these packages; none
/// where their lists do not tell all of their files, as those of packages that are installed in place.
fn beside(base: &Base, outcome: &Outcome, now: &Installed) -> Option<Key> {
    let mut lists = Vec::new();
    for added in &outcome.added {
        let found = now.get(&added.name).filter(|found| found.source().is_none())?;
        lists.push((added.to_string(), found.record_digest()?));
    }
    lists.sort_unstable();
    let mut removed: Vec<String> = outcome.removed.iter().map(ToString::to_string).collect();
    removed.sort_unstable();
    let added = lists
        .iter()
        .flat_map(|(package, list)| [("added", package.as_bytes()), ("list", list.as_bytes())]);
    let removed = removed.iter().map(|package| ("removed", package.as_bytes()));
    let parts: Vec<_> = parts_of(base).into_iter().chain(added).chain(removed).collect();
    Some(Key::derive("backends/ray-check/beside/v1", &parts))
}

fn parts_of(base: &Base) -> [(&str, &[u8]); 3] {
    [
        ("program", PROGRAM.as_bytes()),
        ("python", base.python().as_os_str().as_encoded_bytes()),
        ("base", base.fingerprint().as_bytes()),
    ]
}

fn names(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

/// Imports Ray, and returns what that asked for.
fn import_ray(python: &Path, outcome: &Outcome, limit: &Limit) -> Result<BTreeSet<String>, Error> {
    // It writes no bytecode, and so nothing into an environment that is no longer ours.
    let failed = |source| Error::io("run", python.display().to_string(), source);
    let child = duct::cmd(python, ["-I", "-B", "-c", PROGRAM])
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()
        .map_err(failed)?;
    let output = loop {
        // It ends at once when the child does; in between it looks around.
        let output = child.wait_timeout(LOOK).map_err(failed)?;
        if output.is_some() || limit.is_over() {
            break output;
        }
    };
    let words = match output {
        Some(output) if output.status.success() => {
            return Ok(names(&String::from_utf8_lossy(&output.stdout)));
        }
        Some(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        None => {
            child.kill().map_err(failed)?;
            "it took longer than the set-up of the environment may".to_owned()
        }
    };
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(Error::RayBroken {
        added: outcome.added.iter().map(ToString::to_string).collect(),
        words: last.to_owned(),
    })
}

/// What an installation touched of what an import may ask for.
#[derive(Debug, Default)]
struct Touched {
    /// Modules and packages at the top.
    modules: BTreeSet<String>,
    /// Distributions, by normal name.
    distributions: BTreeSet<String>,
    /// Whether something comes to those who look through all metadata.
    has_plugins: bool,
}

impl Touched {
    /// Returns what came and went; none where it cannot be told, or every start of the interpreter
    /// changes.
    fn by(outcome: &Outcome, before: &Installed, now: &Installed) -> Option<Self> {
        let mut touched = Self::default();
        for (packages, installed) in [(&outcome.added, now), (&outcome.removed, before)] {
            for package in packages {
                touched.add(installed.get(&package.name)?)?;
                touched.distributions.insert(normal_name(&package.name));
            }
        }
        Some(touched)
    }

    fn add(&mut self, distribution: &Distribution) -> Option<()> {
        let list = distribution.record_file();
        let text = files::read_regular_text(&list).ok()?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let path = line.rsplitn(3, ',').last()?.trim_matches('"');
            let path = PathBuf::from(path);
            if path.is_absolute() {
                return None;
            }
            let mut parts = path.iter().filter_map(|part| part.to_str()).filter(|it| *it != ".");
            let first = parts.next()?;
            if first == ".." {
                let place = parts.find(|part| *part != "..")?;
                if !BESIDE.contains(&place) {
                    return None;
                }
                continue;
            }
            if first.ends_with(".dist-info") {
                continue;
            }
            // `name.py` and `name.cpython-311-x86_64-linux-gnu.so` are modules, and so is a folder.
            let is_alone = parts.next().is_none();
            let module = if is_alone { first.split('.').next()? } else { first };
            // Python runs lines of `.pth` files, and these two modules, whenever it starts.
            let is_run = is_alone && Path::new(first).extension().is_some_and(|it| it == "pth");
            if is_run || ["sitecustomize", "usercustomize"].contains(&module) {
                return None;
            }
            self.modules.insert(module.to_owned());
        }
        let points = list.with_file_name("entry_points.txt");
        let points = files::read_regular_text(&points).unwrap_or_default();
        let groups = points.lines().filter_map(|line| line.trim().strip_prefix('['));
        self.has_plugins |=
            groups.into_iter().any(|group| !PROGRAMS.contains(&group.trim_end_matches(']').trim()));
        Some(())
    }

    /// Returns whether nothing of it is among what was asked for.
    fn is_outside(&self, asked: &BTreeSet<String>) -> bool {
        let is_read = |name: &String| {
            asked.iter().filter_map(|it| it.strip_prefix('=')).any(|it| normal_name(it) == *name)
        };
        self.modules.is_disjoint(asked)
            && !self.distributions.iter().any(is_read)
            && !(self.has_plugins && asked.contains("*"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touched(record: &str, points: &str) -> Option<Touched> {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("a-1.0.dist-info");
        fs::create_dir(&info).unwrap();
        fs::write(info.join("RECORD"), record).unwrap();
        fs::write(info.join("entry_points.txt"), points).unwrap();
        let installed = Installed::read([dir.path()]);
        let mut touched = Touched::default();
        touched.add(installed.get("a").unwrap()).map(|()| touched)
    }

    #[test]
    fn what_a_list_names_at_the_top_is_touched() {
        let record = "a/__init__.py,sha256=x,1\n\"b.py\",,\nc.cpython-311-x86_64-linux-gnu.so,,\n\
            ../../../bin/d,,\na-1.0.dist-info/RECORD,,\n__pycache__/b.cpython-311.pyc,,\n";
        let touched = touched(record, "[console_scripts]\nd = a:b\n").unwrap();
        let modules: Vec<_> = touched.modules.iter().map(String::as_str).collect();
        assert_eq!(modules, ["__pycache__", "a", "b", "c"]);
        assert!(!touched.has_plugins);
        for (asked, is_outside) in [("ray os\n=b\n*", true), ("a", false), ("c", false)] {
            assert_eq!(
                touched.is_outside(&names(&asked.replace(' ', "\n"))),
                is_outside,
                "{asked}"
            );
        }
    }

    #[test]
    fn what_changes_every_start_of_python_is_never_outside() {
        for record in
            ["a.pth,,", "sitecustomize.py,,", "../../site-packages/a.py,,", "/usr/lib/a.py,,"]
        {
            assert!(touched(record, "").is_none(), "{record}");
        }
    }

    #[test]
    fn plugins_and_metadata_count_where_they_are_looked_for() {
        let mut touched = touched("a.py,,", "[opentelemetry_context]\nx = a:b\n").unwrap();
        assert!(touched.is_outside(&names("ray")) && !touched.is_outside(&names("ray\n*")));
        touched.distributions.insert("a-b".to_owned());
        assert!(!touched.is_outside(&names("ray\n=A_b")));
    }
}
