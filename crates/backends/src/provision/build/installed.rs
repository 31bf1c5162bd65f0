//! The distributions in a folder of packages, read from their metadata.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use envspec::{Digest, Requirement, normal_name};

use super::markers::Markers;

/// One installed distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    pub(crate) version: String,
    /// Its folder of metadata; distutils may have installed one file instead.
    info: PathBuf,
}

/// Reads the distribution of an entry in a folder of packages, with its name: a `.dist-info` (PEP
/// 376), an `.egg-info`, as Linux distributors install it, or an egg, which has the data in its
/// name. In an environment of ours, an egg's metadata is a `.dist-info`.
fn read_distribution(info: PathBuf) -> Option<(String, Distribution)> {
    let file_name = info.file_name()?.to_str()?;
    let (name, version) = if let Some(stem) = file_name.strip_suffix(".dist-info") {
        let (name, version) = stem.split_once('-')?;
        (name.to_owned(), version.to_owned())
    } else if let Some(stem) = file_name.strip_suffix(".egg") {
        let (name, version) = stem.split_once('-')?;
        let version = version.split('-').next()?.to_owned();
        let (name, inside) = (name.to_owned(), info.join("EGG-INFO"));
        let is_whole = info.is_file() || inside.is_dir();
        return is_whole.then_some((name, Distribution { version, info: inside }));
    } else {
        // `name-version-py3.11`, `name-version`, or `name` alone.
        let stem = file_name.strip_suffix(".egg-info")?;
        let mut parts = stem.split('-');
        let name = parts.next()?.to_owned();
        let version = parts.next().map(ToOwned::to_owned);
        let version = version.or_else(|| headers(&info, "Version:").into_iter().next())?;
        (name, version)
    };
    Some((name, Distribution { version, info }))
}

/// Returns whether a folder of metadata tells of the files beside it rather than another of its
/// distribution.
fn prevails(info: &Path, other: &Path) -> bool {
    let is_folder = |path: &Path| path.extension().is_some_and(|it| it == "dist-info");
    let names = (info.file_name(), other.file_name(), info.parent());
    let (Some(name), Some(other_name), Some(folder)) = names else { return false };
    is_folder(info)
        && is_folder(other)
        && venv_cache::prevailing(folder, &[other_name, name]) == Some(name)
}

/// Returns what the metadata of a distribution says behind each header of this name.
fn headers(info: &Path, header: &str) -> Vec<String> {
    let files = [info.join("METADATA"), info.join("PKG-INFO"), info.to_owned()];
    let text =
        files.iter().find_map(|file| files::read_regular_text(file).ok()).unwrap_or_default();
    // The headers end at the first empty line; the description follows.
    let headers = text.lines().take_while(|line| !line.is_empty());
    let values = headers.filter_map(|line| line.strip_prefix(header));
    values.map(|value| value.trim().to_owned()).collect()
}

/// The installed distributions, by normal name (PEP 503).
#[derive(Clone, Debug, Default)]
pub(crate) struct Installed {
    distributions: BTreeMap<String, Distribution>,
}

impl Installed {
    /// Reads folders in the order of `sys.path`: the first of several distributions with one name
    /// counts.
    ///
    /// A missing folder counts as empty, as for Python itself.
    pub(crate) fn read<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut found = BTreeMap::new();
        for folder in folders {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            // Python searches eggs after the folder itself.
            paths.sort_by_key(|path| path.extension().is_some_and(|it| it == "egg"));
            let mut here: BTreeMap<String, Distribution> = BTreeMap::new();
            for (name, distribution) in paths.into_iter().filter_map(read_distribution) {
                match here.entry(normal_name(&name)) {
                    Entry::Vacant(slot) => _ = slot.insert(distribution),
                    Entry::Occupied(mut slot) => {
                        // An environment has only this one of them.
                        if prevails(&distribution.info, &slot.get().info) {
                            slot.insert(distribution);
                        }
                    }
                }
            }
            for (name, distribution) in here {
                found.entry(name).or_insert(distribution);
            }
        }
        Self { distributions: found }
    }

    /// Returns the distributions of an environment of ours.
    pub(crate) fn of_environment(dir: &Path) -> Self {
        // One folder, named after the version of Python.
        let entries = fs::read_dir(dir.join("lib")).into_iter().flatten().flatten();
        let folders: Vec<PathBuf> = entries
            .filter(|entry| {
                let name = entry.file_name();
                ["python", "pypy"].iter().any(|it| name.to_string_lossy().starts_with(it))
            })
            .map(|entry| entry.path().join("site-packages"))
            .collect();
        Self::read(folders.iter().map(PathBuf::as_path))
    }

    /// Returns the `3.12` in the name of the distributions' folder.
    pub(crate) fn python_version(&self) -> Option<String> {
        let distribution = self.distributions.values().next()?;
        let folder = distribution.info.ancestors().nth(2)?.file_name()?.to_str()?;
        folder.strip_prefix("python").map(ToOwned::to_owned)
    }

    /// Returns the implementation of Python in the folder's name.
    pub(crate) fn implementation(&self) -> Option<&'static str> {
        let distribution = self.distributions.values().next()?;
        let folder = distribution.info.ancestors().nth(2)?.file_name()?.to_str()?;
        Some(if folder.starts_with("pypy") { "pypy" } else { "cpython" })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Distribution> {
        self.distributions.get(name)
    }

    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        self.distributions.get(name).map(|distribution| distribution.version.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        self.distributions.iter().map(|(name, distribution)| (name.as_str(), distribution))
    }
}

impl Distribution {
    /// Returns its list of files, which some distributions lack.
    pub(crate) fn record_file(&self) -> PathBuf {
        self.info.join("RECORD")
    }

    /// Returns the SHA-256 of its list of files; none without a list.
    pub(crate) fn record_digest(&self) -> Option<String> {
        let bytes = files::read_regular(&self.record_file()).ok()?;
        Some(Digest::of(&bytes).to_string())
    }

    /// Returns its requirements here without extras. Unreadable ones are left to the package
    /// manager's own check, since this list is for warnings.
    pub(crate) fn requirements(&self, markers: &Markers) -> Vec<Requirement> {
        let mut requirements = self.all_requirements();
        requirements.retain(|requirement| markers.hold(requirement, &BTreeSet::new()));
        requirements
    }

    /// Returns all its requirements, here or elsewhere, with and without extras. Unreadable ones
    /// are left out.
    pub(crate) fn all_requirements(&self) -> Vec<Requirement> {
        let requirements = headers(&self.info, "Requires-Dist:");
        requirements.iter().filter_map(|text| text.parse::<Requirement>().ok()).collect()
    }

    /// Returns the normal names of its extras; none if its metadata may not list them.
    pub(crate) fn extras(&self) -> Option<BTreeSet<String>> {
        let is_listed = self.info.extension().is_some_and(|it| it == "dist-info");
        let extras = || headers(&self.info, "Provides-Extra:").into_iter();
        is_listed.then(|| extras().map(|extra| normal_name(&extra)).collect())
    }

    /// Returns its source, if not an index (PEP 610).
    pub(crate) fn source(&self) -> Option<Source> {
        let bytes = files::read_regular(&self.info.join("direct_url.json")).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let archive = &value["archive_info"];
        let hash = archive["hashes"]["sha256"].as_str();
        let hash = hash.or_else(|| archive["hash"].as_str()?.strip_prefix("sha256="));
        Some(Source {
            url: envspec::redact(value["url"].as_str()?).into_owned(),
            commit: value["vcs_info"]["commit_id"].as_str().map(ToOwned::to_owned),
            hash: hash.map(ToOwned::to_owned),
            is_editable: value["dir_info"]["editable"].as_bool().unwrap_or_default(),
        })
    }
}

/// The source of a distribution, if not an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Without credentials.
    pub(crate) url: String,
    /// The commit of a repository.
    pub(crate) commit: Option<String>,
    /// The SHA-256 of an archive, if the package manager noted it.
    pub(crate) hash: Option<String>,
    /// Whether it is installed in place.
    pub(crate) is_editable: bool,
}

/// A package of the base whose requirements are no longer met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) package: String,
    pub(crate) requires: String,
    pub(crate) found: String,
}

/// Returns the packages whose requirements the base met and the environment does not.
pub(crate) fn broken_by(base: &Installed, now: &Installed, markers: &Markers) -> Vec<Broken> {
    let changed: BTreeSet<&str> = now
        .iter()
        .filter(|(name, distribution)| base.version(name) != Some(distribution.version.as_str()))
        .map(|(name, _)| name)
        .collect();
    let mut broken = Vec::new();
    if changed.is_empty() {
        return broken;
    }
    for (name, distribution) in now.iter() {
        // New packages were resolved together.
        if base.version(name) != Some(distribution.version.as_str()) {
            continue;
        }
        for requirement in distribution.requirements(markers) {
            let Some(wanted) = requirement.name() else { continue };
            let wanted = normal_name(wanted);
            let (Some(before), Some(after)) = (base.version(&wanted), now.version(&wanted)) else {
                continue;
            };
            let is_changed = changed.contains(wanted.as_str());
            if is_changed && requirement.accepts(before) && !requirement.accepts(after) {
                broken.push(Broken {
                    package: format!("{name} {}", distribution.version),
                    requires: requirement.to_string(),
                    found: format!("{wanted} {after}"),
                });
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(packages: &[(&str, &str, &str)]) -> (tempfile::TempDir, Installed) {
        let dir = tempfile::tempdir().unwrap();
        for (name, version, requires) in packages {
            let folder = dir.path().join(format!("{name}-{version}.dist-info"));
            fs::create_dir(&folder).unwrap();
            fs::write(
                folder.join("METADATA"),
                format!("Name: {name}\n{requires}\n\nRequires-Dist: no"),
            )
            .unwrap();
        }
        let installed = Installed::read([dir.path()]);
        (dir, installed)
    }

    #[test]
    fn what_a_distributor_of_linux_installed_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path();
        let text = "Metadata-Version: 2.1\nName: x\nVersion: 3.4\nRequires-Dist: six\n\nVersion: 9";
        for folder in ["PyJWT-2.6.0.egg-info", "Legacy_Name.egg-info"] {
            fs::create_dir(site.join(folder)).unwrap();
            fs::write(site.join(folder).join("PKG-INFO"), text).unwrap();
        }
        fs::write(site.join("one_file-1.5-py3.11.egg-info"), text).unwrap();
        fs::write(site.join("nothing.egg-info"), "").unwrap();
        fs::create_dir_all(site.join("an_egg-2.0-py3.11.egg/EGG-INFO")).unwrap();
        fs::write(site.join("an_egg-2.0-py3.11.egg/EGG-INFO/PKG-INFO"), text).unwrap();
        fs::write(site.join("zipped-2.1-py3.11-linux-x86_64.egg"), "").unwrap();
        // The leftover of an egg whose metadata is elsewhere.
        fs::create_dir_all(site.join("left-1.0-py3.11.egg")).unwrap();
        fs::create_dir(site.join("PyJWT-1.0-py3.11.egg")).unwrap();
        fs::create_dir(site.join("PyJWT-1.0-py3.11.egg/EGG-INFO")).unwrap();
        let installed = Installed::read([site]);
        let found: Vec<_> = installed.iter().map(|(name, it)| (name, &*it.version)).collect();
        assert_eq!(
            found,
            [
                ("an-egg", "2.0"),
                ("legacy-name", "3.4"),
                ("one-file", "1.5"),
                ("pyjwt", "2.6.0"),
                ("zipped", "2.1")
            ]
        );
        let requirements = installed.get("one-file").unwrap().all_requirements();
        assert_eq!(requirements[0].to_string(), "six");
        assert!(installed.get("pyjwt").unwrap().record_digest().is_none());
    }

    #[test]
    fn of_metadata_that_is_there_twice_that_counts_which_tells_of_the_files() {
        for (version, other) in [("1.0", "2.0"), ("2.0", "1.0")] {
            let (dir, _) = site(&[("twice", version, ""), ("twice", other, "")]);
            fs::write(dir.path().join("twice.py"), "x = 1").unwrap();
            for (version, length) in [(version, 5), (other, 6)] {
                let list = dir.path().join(format!("twice-{version}.dist-info/RECORD"));
                fs::write(list, format!("twice.py,sha256=x,{length}\n")).unwrap();
            }
            assert_eq!(Installed::read([dir.path()]).version("twice"), Some(version));
        }
    }

    #[test]
    fn only_what_the_override_broke_is_reported() {
        let vision = ("torch_vision", "1.0", "Requires-Dist: Torch==2.0\nRequires-Dist: other<1");
        let extra = ("sound", "1.0", "Requires-Dist: torch==2.0; extra == \"gpu\"");
        let (_base, base) = site(&[("torch", "2.0", ""), ("other", "1.5", ""), vision, extra]);
        let (_now, now) = site(&[("torch", "2.1", ""), ("other", "1.5", ""), vision, extra]);
        let markers = Markers::new("3.11.7", "cpython");
        let broken = broken_by(&base, &now, &markers);
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert_eq!(broken[0].package, "torch-vision 1.0");
        assert_eq!(broken[0].found, "torch 2.1");
        assert!(broken_by(&base, &base, &markers).is_empty());
    }

    #[test]
    fn what_an_override_broke_counts_where_its_marker_holds() {
        let requires = [
            "Requires-Dist: numpy>=1.26.0; python_version < \"3.14\"",
            "Requires-Dist: numpy>=2.3.3; python_version >= \"3.14\"",
            "Requires-Dist: six<1; python_full_version <= \"3.11.2\"",
        ];
        let pandas = ("pandas", "3.0", &*requires.join("\n"));
        let (_base, base) = site(&[("numpy", "2.3.4", ""), ("six", "0.9", ""), pandas]);
        let (_now, now) = site(&[("numpy", "1.24", ""), ("six", "1.17", ""), pandas]);
        let broken = broken_by(&base, &now, &Markers::new("3.11.7", "cpython"));
        let words: Vec<_> = broken.iter().map(|it| it.requires.as_str()).collect();
        assert_eq!(words, ["numpy>=1.26 ; python_version < '3.14'"]);
    }
}
