//! Eggs: distributions as `easy_install` left them, each a folder or an archive that a `.pth` file
//! puts on `sys.path`.
//!
//! uv does not see them and would leave the old one beside the new, and neither tool takes away what
//! lies outside of the site folder. So in an environment each has what an installed wheel has: a
//! `.dist-info` folder with a list of its files. Those stay in a folder of the egg's name, so Python
//! finds them in the order in which it does so in the base.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;
use zip::ZipArchive;

use super::doubles::Doubles;
use super::place::Placement;
use super::record;
use super::repoint::{Moves, normalized};
use super::walk::{Folder, Verdict, Visitor, walk};
use crate::error::{Error, IoResultExt};

/// An egg's metadata, in its folder or archive.
const INFO: &str = "EGG-INFO";

/// What `easy_install` writes into a `.pth` file by which eggs come before the site folder.
const FIRST: &[u8] = b"sys.__plen";

/// The eggs that Python finds by the `.pth` files of one site folder.
pub(super) struct Eggs {
    from: PathBuf,
    to: PathBuf,
    found: BTreeMap<OsString, Egg>,
    /// The metadata folders of other distributions that are there more than once.
    doubles: Doubles,
}

struct Egg {
    path: PathBuf,
    is_archive: bool,
    /// Its name, in the form in which names are compared.
    distribution: String,
    /// Its name and version, as its metadata folder is called.
    identity: String,
    /// Whether it is the distribution of its name that Python finds first.
    counts: bool,
}

impl Eggs {
    /// Returns the eggs of the site folder `from`, for the site folder `to`. Of those that
    /// `is_shadowed` tells of by name an earlier site folder has the distribution.
    pub(super) fn of(
        from: &Path,
        to: &Path,
        is_shadowed: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut eggs = Self {
            from: from.to_owned(),
            to: to.to_owned(),
            found: BTreeMap::default(),
            doubles: Doubles::default(),
        };
        let mut names = Vec::new();
        match fs::read_dir(from) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry.context("list", from)?.file_name());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(eggs),
            Err(error) => return Err(error).context("list", from),
        }
        // In this order Python reads them.
        names.sort_unstable();
        eggs.doubles = Doubles::of(from, &names);
        let beside: HashSet<_> =
            names.iter().filter_map(|name| record::distribution(name.to_str()?)).collect();
        let mut before = HashSet::new();
        for name in names.iter().filter(|name| name.as_encoded_bytes().ends_with(b".pth")) {
            // What cannot be read is for the walk to tell.
            let Ok(text) = files::read_regular(&from.join(name)) else { continue };
            let is_first = text.windows(FIRST.len()).any(|window| window == FIRST);
            for path in text.split(|byte| *byte == b'\n').filter_map(|line| named(line, from)) {
                let Some(mut egg) = Egg::read(&path) else { continue };
                egg.counts = !is_shadowed(&egg.distribution)
                    && (is_first || !beside.contains(&egg.distribution))
                    && before.insert(egg.distribution.clone());
                if let Some(name) = path.file_name() {
                    eggs.found.entry(name.to_owned()).or_insert(egg);
                }
            }
        }
        Ok(eggs)
    }

    /// Returns the distributions that are in the environment as eggs.
    pub(super) fn distributions(&self) -> impl Iterator<Item = &str> {
        self.counting().map(|egg| egg.distribution.as_str())
    }

    /// Returns the scripts of those eggs.
    pub(super) fn scripts(&self) -> Result<Vec<String>, Error> {
        let scripts = self.counting().map(|egg| Ok(scripts(&egg.metadata()?)));
        Ok(scripts.collect::<Result<Vec<_>, Error>>()?.concat())
    }

    fn counting(&self) -> impl Iterator<Item = &Egg> {
        self.found.values().filter(|egg| egg.counts)
    }

    /// Decides on an entry of the site folder, where that concerns eggs. Scripts are in the
    /// environment's folder `scripts`.
    pub(super) fn place(
        &self,
        placement: &Placement<'_>,
        name: &OsStr,
        scripts: &Path,
    ) -> Result<Option<Verdict>, Error> {
        let Some(egg) = self.found.get(name).filter(|egg| self.is_beside(egg)) else {
            let distribution = name.to_str().and_then(record::distribution);
            let is_hidden =
                distribution.is_some_and(|own| self.distributions().any(|name| name == own));
            let is_left = is_hidden || self.doubles.is_left(name);
            return Ok(is_left.then_some(Verdict::Leave));
        };
        if !egg.counts {
            return Ok(Some(Verdict::Leave));
        }
        egg.write(placement, &self.to, scripts)?;
        Ok(Some(if egg.is_archive { Verdict::Leave } else { Verdict::Take }))
    }

    /// Returns the metadata folders of the site folder that are there more than once.
    pub(super) fn doubles(&self) -> &Doubles {
        &self.doubles
    }

    /// Brings in the eggs that lie elsewhere.
    pub(super) fn fetch(
        &self,
        placement: &Placement<'_>,
        moves: &Moves,
        scripts: &Path,
    ) -> Result<(), Error> {
        for (name, egg) in self.found.iter().filter(|(_, egg)| egg.counts && !self.is_beside(egg)) {
            egg.write(placement, &self.to, scripts)?;
            if !egg.is_archive {
                let real = fs::canonicalize(&egg.path).context("resolve", &egg.path)?;
                let mut root = Folder::new(real, self.to.join(name));
                root.in_site = true;
                walk(placement, moves, root, self)?;
            }
        }
        Ok(())
    }

    /// Returns the text of a `.pth` file of the site folder, with the eggs that lie elsewhere named
    /// as those that were brought in.
    pub(super) fn lines<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.found.values().all(|egg| self.is_beside(egg)) {
            return Cow::Borrowed(text);
        }
        let line = |line: &'t [u8]| -> Cow<'t, [u8]> {
            let name = named(line, &self.from).and_then(|path| {
                let name = path.file_name()?.to_owned();
                self.found.get(&name).filter(|egg| !self.is_beside(egg)).map(|_| name)
            });
            match name {
                Some(name) => Cow::Owned([b"./", name.as_bytes(), b"\n"].concat()),
                None => Cow::Borrowed(line),
            }
        };
        let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').map(line).collect();
        Cow::Owned(lines.concat())
    }

    /// Returns whether an entry of a folder is the metadata of an egg, which the environment has
    /// elsewhere.
    pub(super) fn is_info(&self, folder: &Folder, name: &OsStr) -> bool {
        name == INFO
            && folder.to.parent() == Some(&self.to)
            && folder.to.file_name().is_some_and(|egg| self.found.contains_key(egg))
    }

    fn is_beside(&self, egg: &Egg) -> bool {
        egg.path.parent() == Some(&self.from)
    }
}

impl Visitor for Eggs {
    fn enter(&self, _: &mut Folder) -> Result<(), Error> {
        Ok(())
    }

    fn visit(&self, folder: &Folder, name: &OsStr, _: FileType) -> Result<Verdict, Error> {
        Ok(if self.is_info(folder, name) { Verdict::Leave } else { Verdict::Take })
    }
}

impl Egg {
    /// Returns the egg at this path; none if there is no metadata of a distribution.
    fn read(path: &Path) -> Option<Self> {
        let is_archive = fs::metadata(path).ok()?.is_file();
        let own = if is_archive {
            let mut bytes = Vec::new();
            let mut archive = ZipArchive::new(File::open(path).ok()?).ok()?;
            let mut file = archive.by_name("EGG-INFO/PKG-INFO").ok()?;
            file.read_to_end(&mut bytes).ok()?;
            bytes
        } else {
            files::read_regular(&path.join(INFO).join("PKG-INFO")).ok()?
        };
        let (name, version) = record::identity(&String::from_utf8_lossy(&own))?;
        let identity = format!("{name}-{version}");
        let distribution = record::distribution(&format!("{identity}.dist-info"))?;
        Some(Self { path: path.to_owned(), is_archive, distribution, identity, counts: true })
    }

    /// Returns the files of its metadata.
    fn metadata(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let files = if self.is_archive {
            unpacked(&self.path, |name| name.starts_with(INFO)).context("read", &self.path)?
        } else {
            let read = |path: String| {
                let file = self.path.join(&path);
                Ok((path, files::read_regular(&file).context("read", &file)?))
            };
            let is_wanted =
                |path: &String| path.starts_with(INFO) && self.path.join(path).is_file();
            let all = files_in(&self.path).into_iter().filter(is_wanted);
            all.map(read).collect::<Result<_, Error>>()?
        };
        let inside = |(path, bytes): (String, Vec<u8>)| {
            Some((path.strip_prefix(INFO)?.strip_prefix('/')?.to_owned(), bytes))
        };
        Ok(files.into_iter().filter_map(inside).collect())
    }

    /// Writes what an installed wheel has beside its modules, and the modules of an archive.
    fn write(&self, placement: &Placement<'_>, to: &Path, folder: &Path) -> Result<(), Error> {
        let metadata = self.metadata()?;
        let (info, name) = (format!("{}.dist-info", self.identity), self.path.file_name());
        let name = name.and_then(OsStr::to_str).unwrap_or_default();
        let mut files: Vec<String> = Vec::new();
        let own = |path: &str, bytes: &[u8]| {
            let path = to.join(path);
            placement.folder(path.parent().unwrap_or(to))?;
            placement.own_file(&path, bytes, 0o644, None)
        };
        for (path, bytes) in &metadata {
            let (path, bytes) = match &**path {
                "RECORD" | "METADATA" => continue,
                "PKG-INFO" => ("METADATA", described(bytes, &metadata)),
                path => (path, Cow::Borrowed(&**bytes)),
            };
            files.push(format!("{info}/{path}"));
            own(&format!("{info}/{path}"), &bytes)?;
        }
        if self.is_archive {
            // Bytecode tells when its source was changed last, which here is now.
            let is_code = |path: &str| !path.starts_with(INFO) && !path.contains("__pycache__/");
            for (path, bytes) in unpacked(&self.path, is_code).context("read", &self.path)? {
                files.push(format!("{name}/{path}"));
                own(&format!("{name}/{path}"), &bytes)?;
            }
        } else {
            let modules = files_in(&self.path).into_iter().filter(|path| !path.starts_with(INFO));
            files.extend(modules.map(|path| format!("{name}/{path}")));
        }
        files
            .extend(scripts(&metadata).iter().map(|name| record::relative(to, &folder.join(name))));
        files.push(format!("{info}/RECORD"));
        let mut list = String::new();
        for file in files.iter().filter(|file| !file.contains([',', '"', '\n'])) {
            let _ = writeln!(list, "{file},,");
        }
        own(&format!("{info}/RECORD"), list.as_bytes())
    }
}

/// Returns the egg that a line of a `.pth` file of the folder `from` names.
fn named(line: &[u8], from: &Path) -> Option<PathBuf> {
    let line = line.trim_ascii_end();
    let is_egg = line.to_ascii_lowercase().ends_with(b".egg") && !line.starts_with(b"#");
    is_egg.then(|| normalized(&from.join(OsStr::from_bytes(line))))
}

/// Returns the names of the scripts that an egg's metadata has or asks for.
fn scripts(metadata: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut names = Vec::new();
    for (path, bytes) in metadata {
        if path == "entry_points.txt" {
            let text = String::from_utf8_lossy(bytes);
            names.extend(record::scripts(&text).map(str::to_owned));
        }
        names.extend(path.strip_prefix("scripts/").map(str::to_owned));
    }
    names
}

/// Returns an egg's description as that of a wheel, which also says what the distribution requires.
fn described<'t>(text: &'t [u8], metadata: &[(String, Vec<u8>)]) -> Cow<'t, [u8]> {
    let has = text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"Requires-Dist:"));
    let requires = metadata.iter().find(|(path, _)| path == "requires.txt").filter(|_| !has);
    let (Some((_, requires)), Some(end)) = (requires, text.iter().position(|it| *it == b'\n'))
    else {
        return Cow::Borrowed(text);
    };
    let (first, rest) = text.split_at(end + 1);
    Cow::Owned([first, required(&String::from_utf8_lossy(requires)).as_bytes(), rest].concat())
}

/// Returns the headers that say what a `requires.txt` does: its sections are called by an extra, a
/// marker, or both (`[extra:marker]`).
fn required(text: &str) -> String {
    let (mut headers, mut condition) = (String::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
            let _ = writeln!(headers, "Requires-Dist: {line}{condition}");
            continue;
        };
        let (extra, marker) = section.split_once(':').unwrap_or((section, ""));
        if !extra.is_empty() {
            let _ = writeln!(headers, "Provides-Extra: {extra}");
        }
        condition = match (extra, marker) {
            ("", "") => String::new(),
            ("", marker) => format!(" ; {marker}"),
            (extra, "") => format!(" ; extra == '{extra}'"),
            (extra, marker) => format!(" ; ({marker}) and extra == '{extra}'"),
        };
    }
    headers
}

/// Returns the files of an archive that are wanted by name, unpacked.
fn unpacked(path: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(File::open(path)?)?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // A name that leads out of the archive is none.
        let name = file.enclosed_name().and_then(|name| name.to_str().map(str::to_owned));
        let Some(name) = name.filter(|name| file.is_file() && wanted(name)) else { continue };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        files.push((name, bytes));
    }
    Ok(files)
}

/// Returns the files of a folder, by their paths in it.
fn files_in(folder: &Path) -> Vec<String> {
    let files = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    files
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_egg_requires_is_said_in_headers() {
        let text = "six>=1\n\n[:python_version < '3']\nfutures\n\n[docs]\nsphinx\n\
                    [test:os_name == 'nt' or os_name == 'java']\ncolorama @ https://h/c.whl\n";
        assert_eq!(
            required(text),
            "Requires-Dist: six>=1\n\
             Requires-Dist: futures ; python_version < '3'\n\
             Provides-Extra: docs\nRequires-Dist: sphinx ; extra == 'docs'\n\
             Provides-Extra: test\nRequires-Dist: colorama @ https://h/c.whl ; \
             (os_name == 'nt' or os_name == 'java') and extra == 'test'\n"
        );
    }
}
