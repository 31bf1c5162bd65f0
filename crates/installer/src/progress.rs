//! Progress of a tool, from its output and from the files that arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use envspec::Tool;

/// Progress of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// The number of packages fetched, or installed.
    pub done: usize,
    /// The total number, if known. uv names only large packages as it fetches them, and pip does
    /// not know how many it will fetch.
    pub packages: Option<usize>,
    /// Their size, in bytes.
    pub bytes: u64,
    /// The total size, if known.
    pub total_bytes: Option<u64>,
}

/// Steps of an installation, in this order; one may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Missing packages are being fetched.
    Downloading,
    /// All packages are present, and are being installed.
    Installing,
}

/// Counts packages by the tool's output and by arriving files.
#[derive(Debug)]
pub(crate) struct Meter {
    tool: Tool,
    now: Option<Progress>,
    /// Downloads under way, by the tool's name, with their sizes.
    fetched: BTreeMap<String, u64>,
    arrivals: Arrivals,
}

impl Meter {
    /// Creates a counter for an installation into this interpreter's environment, before it begins.
    pub(crate) fn new(tool: Tool, python: &Path) -> Self {
        Self { tool, now: None, fetched: BTreeMap::new(), arrivals: Arrivals::new(python) }
    }

    /// Returns the progress after this line, if it has changed.
    pub(crate) fn hear(&mut self, line: &str) -> Option<Progress> {
        let before = self.now;
        match self.tool {
            Tool::Uv => self.hear_uv(line),
            Tool::Pip => self.hear_pip(line),
        }
        self.now.filter(|_| self.now != before)
    }

    /// Returns the progress by the files present, if it has changed.
    pub(crate) fn look(&mut self) -> Option<Progress> {
        let now = self.now.as_mut().filter(|now| now.step == Step::Installing)?;
        let before = *now;
        (now.done, now.bytes) = self.arrivals.count();
        Some(*now).filter(|now| *now != before)
    }

    fn hear_uv(&mut self, line: &str) {
        let count = |verb: &str| line.strip_prefix(verb)?.split(' ').next()?.parse::<usize>().ok();
        if count("Resolved ").is_some() {
            self.at(Step::Downloading);
        } else if let Some((name, size)) = line.strip_prefix("Downloading ").and_then(sized) {
            self.fetch(name, size);
            let number = self.fetched.len() + self.at(Step::Downloading).done;
            self.at(Step::Downloading).packages = Some(number);
        } else if let Some(name) = line.strip_prefix(" Downloaded ") {
            self.fetched(name.trim_end());
        // If nothing had to be fetched, uv reports only the end.
        } else if let Some(packages) = count("Prepared ").or_else(|| count("Installed ")) {
            self.at(Step::Installing).packages = Some(packages);
        }
    }

    fn hear_pip(&mut self, line: &str) {
        // It says when it begins to fetch something, and then what it does next.
        while let Some(name) = self.fetched.keys().next().cloned() {
            self.fetched(&name);
        }
        let fetches = line.trim_start().strip_prefix("Downloading ").and_then(sized);
        if let Some((name, size)) = fetches.filter(|(name, _)| !name.ends_with(".metadata")) {
            self.fetch(name, size);
        } else if let Some(names) = line.strip_prefix("Installing collected packages: ") {
            self.at(Step::Installing).packages = Some(names.split(", ").count());
        }
    }

    fn fetch(&mut self, name: &str, size: u64) {
        self.fetched.insert(name.to_owned(), size);
        let now = self.at(Step::Downloading);
        now.total_bytes = Some(now.total_bytes.unwrap_or(0) + size);
    }

    fn fetched(&mut self, name: &str) {
        if let Some(size) = self.fetched.remove(name) {
            let now = self.at(Step::Downloading);
            now.done += 1;
            now.bytes += size;
        }
    }

    /// Returns the progress of this step, which begins now unless it has begun.
    fn at(&mut self, step: Step) -> &mut Progress {
        let begun = Progress { step, done: 0, packages: None, bytes: 0, total_bytes: None };
        let now = self.now.get_or_insert(begun);
        if now.step < step {
            *now = begun;
        }
        now
    }
}

/// Reads `numpy (16.1MiB)` or `numpy-2.4.6-cp311.whl (16.9 MB)`: a name, and a size in bytes.
fn sized(text: &str) -> Option<(&str, u64)> {
    let (name, size) = text.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    let end = size.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = size.split_at(end);
    let factor = match unit.trim() {
        "B" | "bytes" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number, and `as` keeps to the limits"
    )]
    let bytes = (number.parse::<f64>().ok()? * factor) as u64;
    Some((name, bytes))
}

/// Distributions added to an environment since this value was created: those with a `RECORD`, which
/// is written last.
#[derive(Debug)]
struct Arrivals {
    site: Option<PathBuf>,
    known: BTreeSet<OsString>,
    count: usize,
    bytes: u64,
}

impl Arrivals {
    /// Creates a counter for the virtualenv of this interpreter alone.
    fn new(python: &Path) -> Self {
        let lib = python.parent().and_then(Path::parent).map(|prefix| prefix.join("lib"));
        let folders = lib.and_then(|lib| fs::read_dir(lib).ok()).into_iter().flatten().flatten();
        let site = folders.map(|entry| entry.path().join("site-packages")).find(|it| it.is_dir());
        let known = site.iter().flat_map(|site| distributions(site)).collect();
        Self { site, known, count: 0, bytes: 0 }
    }

    /// Returns their current number, and the total size of their files.
    fn count(&mut self) -> (usize, u64) {
        for name in self.site.iter().flat_map(|site| distributions(site)) {
            if self.known.contains(&name) {
                continue;
            }
            let record = self.site.iter().map(|site| site.join(&name).join("RECORD")).next();
            // An unreadable one is not complete yet.
            if let Some(Ok(text)) = record.map(|it| files::read_regular_text(&it)) {
                let size = |line: &str| line.rsplit(',').next()?.trim().parse::<u64>().ok();
                self.bytes += text.lines().filter_map(size).sum::<u64>();
                self.count += 1;
                self.known.insert(name);
            }
        }
        (self.count, self.bytes)
    }
}

/// Returns the names of the distributions' metadata folders.
fn distributions(site: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(site).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names.filter(|name| Path::new(name).extension().is_some_and(|it| it == "dist-info")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last that is told by these lines, as step, packages and bytes.
    fn told(tool: Tool, lines: &[&str]) -> (Step, usize, Option<usize>, u64, Option<u64>) {
        let mut meter = Meter::new(tool, Path::new("/nowhere/bin/python"));
        let told = lines.iter().filter_map(|line| meter.hear(line)).last().unwrap();
        (told.step, told.done, told.packages, told.bytes, told.total_bytes)
    }

    #[test]
    fn uv_tells_what_it_fetches_where_that_is_large() {
        let lines = [
            "Using Python 3.11.7 environment at: v1",
            "Resolved 10 packages in 334ms",
            "Downloading numpy (16.0MiB)",
            "Downloading pandas (512.0KiB)",
            " Downloaded numpy",
            " Downloaded pandas",
            "Prepared 10 packages in 1.94s",
            "Installed 10 packages in 228ms",
            " + certifi==2026.10.18",
        ];
        let of = |count: usize| told(Tool::Uv, &lines[..count]);
        assert_eq!(of(2), (Step::Downloading, 0, None, 0, None));
        assert_eq!(of(4), (Step::Downloading, 0, Some(2), 0, Some(17_301_504)));
        assert_eq!(of(5), (Step::Downloading, 1, Some(2), 16_777_216, Some(17_301_504)));
        assert_eq!(of(6), (Step::Downloading, 2, Some(2), 17_301_504, Some(17_301_504)));
        assert_eq!(of(9), (Step::Installing, 0, Some(10), 0, None));
    }

    #[test]
    fn pip_tells_each_file_as_it_begins_to_fetch_it() {
        let lines = [
            "Collecting pandas==2.2.3",
            "  Downloading pandas-2.2.3-cp311-cp311-manylinux_2_17_x86_64.whl.metadata (89 kB)",
            "  Downloading pandas-2.2.3-cp311-cp311-manylinux_2_17_x86_64.whl (13.1 MB)",
            "Collecting requests",
            "  Downloading requests-2.34.2-py3-none-any.whl (73 kB)",
            "Installing collected packages: pytz, requests, pandas",
        ];
        let of = |count: usize| told(Tool::Pip, &lines[..count]);
        assert_eq!(of(3), (Step::Downloading, 0, None, 0, Some(13_100_000)));
        assert_eq!(of(4), (Step::Downloading, 1, None, 13_100_000, Some(13_100_000)));
        assert_eq!(of(5), (Step::Downloading, 1, None, 13_100_000, Some(13_173_000)));
        assert_eq!(of(6), (Step::Installing, 0, Some(3), 0, None));
    }

    #[test]
    fn what_has_arrived_is_counted_by_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(site.join("old-1.0.dist-info")).unwrap();
        let mut meter = Meter::new(Tool::Pip, &dir.path().join("bin/python"));
        assert_eq!(meter.look(), None, "nothing is being installed");
        meter.hear("Installing collected packages: one, two");
        fs::create_dir(site.join("one-1.0.dist-info")).unwrap();
        fs::create_dir(site.join("two-1.0.dist-info")).unwrap();
        let record = "one.py,sha256=abc,30\n\"a,b.py\",sha256=abc,12\none-1.0.dist-info/RECORD,,\n";
        fs::write(site.join("one-1.0.dist-info/RECORD"), record).unwrap();
        let now = meter.look().unwrap();
        assert_eq!((now.done, now.packages, now.bytes), (1, Some(2), 42));
        assert_eq!(meter.look(), None);
    }
}
