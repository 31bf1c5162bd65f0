//! The user's own Python code of a stage: the stage's file, and the modules that it imports from
//! its folder, from `working_dir` and from `py_modules`.
//!
//! Python is not asked for the imports, since that would run the code. A module counts if its name
//! stands anywhere in a counted file: in an `import`, in the argument of `importlib.import_module`,
//! or by chance, which costs at most one needless refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envspec::is_by_product;
use sha2::{Digest, Sha256};
use stage::PythonSource;
use walkdir::WalkDir;

use crate::run::PlannedStage;

/// Returns the digests of a stage's own files, by names that people recognize.
pub(super) fn of_stage(stage: &PlannedStage) -> io::Result<BTreeMap<String, String>> {
    let mut walk = Closure::default();
    if let Some(code) = stage.behaviour.as_python() {
        match code.source() {
            PythonSource::File(file) => {
                // The worker reports a missing file.
                if file.is_file() {
                    let folder = file.parent().unwrap_or(Path::new("."));
                    walk.add_folder(folder, "")?;
                    walk.take(file, &name_of(file), folder)?;
                }
            }
            PythonSource::Module(module) => walk.read(module.as_bytes()),
            PythonSource::Inline(text) => {
                walk.digests.insert("source".to_owned(), digest(text.as_bytes()));
                walk.read(text.as_bytes());
            }
        }
    }
    if let Some(env) = &stage.env {
        if let Some(dir) = env.working_dir.as_deref().filter(|dir| dir.is_dir()) {
            walk.add_folder(dir, "")?;
        }
        for module in &env.py_modules {
            walk.take_whole(module)?;
        }
    }
    walk.close()?;
    Ok(walk.digests)
}

/// The counted files so far, and the places of more.
#[derive(Default)]
struct Closure {
    digests: BTreeMap<String, String>,
    /// All names in the counted files.
    words: BTreeSet<String>,
    /// Modules that may be imported from the counted folders, each with its import name and its
    /// shown name.
    modules: Vec<(String, PathBuf, String)>,
    folders: BTreeSet<PathBuf>,
    taken: BTreeSet<PathBuf>,
}

impl Closure {
    /// Adds the modules in this folder, which may be imported by their names from now on.
    fn add_folder(&mut self, folder: &Path, shown: &str) -> io::Result<()> {
        if !self.folders.insert(fs::canonicalize(folder)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = name_of(&path);
            let imported = name.split('.').next().unwrap_or_default().to_owned();
            let is_module = is_code(&path) || (path.is_dir() && imported == name);
            let has = |below: &Path| folder.join(below).is_file();
            if is_module && !is_by_product(&Path::new(&name).join("x"), has) {
                self.modules.push((imported, path, format!("{shown}{name}")));
            }
        }
        Ok(())
    }

    /// Follows names until no more are found.
    fn close(&mut self) -> io::Result<()> {
        loop {
            let (named, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.modules)
                .into_iter()
                .partition(|(name, ..)| self.words.contains(name));
            self.modules = left;
            if named.is_empty() {
                return Ok(());
            }
            for (_, path, shown) in named {
                if path.is_file() {
                    let folder = path.parent().unwrap_or(Path::new("."));
                    self.take(&path, &shown, folder)?;
                } else {
                    self.take_package(&path, &shown)?;
                }
            }
        }
    }

    /// Counts a package as a whole, since it may search for its modules itself; in another folder,
    /// only the named modules count.
    fn take_package(&mut self, dir: &Path, shown: &str) -> io::Result<()> {
        let is_package = dir.join("__init__.py").is_file();
        self.add_folder(dir, &format!("{shown}/"))?;
        if !is_package {
            return Ok(());
        }
        let mut entries: Vec<PathBuf> =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for path in entries {
            let below = format!("{shown}/{}", name_of(&path));
            if path.is_file() && is_code(&path) {
                self.take(&path, &below, dir)?;
            } else if path.join("__init__.py").is_file() && self.taken.insert(path.clone()) {
                self.take_package(&path, &below)?;
            }
        }
        Ok(())
    }

    /// Counts a file of code, and the names in it.
    fn take(&mut self, file: &Path, shown: &str, folder: &Path) -> io::Result<()> {
        if !self.taken.insert(fs::canonicalize(file)?) {
            return Ok(());
        }
        let text = fs::read(file)?;
        self.digests.insert(shown.to_owned(), digest(&text));
        self.read(&text);
        self.add_folder(folder, folder_of(shown))
    }

    /// Counts a module that a stage is given, with all its files.
    fn take_whole(&mut self, module: &Path) -> io::Result<()> {
        let name = name_of(module);
        let mut whole = Sha256::new();
        for entry in WalkDir::new(module).follow_links(true).sort_by_file_name() {
            // The worker reports an unreadable file, if it needs it.
            let Ok(entry) = entry else { continue };
            let below = entry.path().strip_prefix(module).unwrap_or(entry.path());
            let has = |below: &Path| module.join(below).is_file();
            if entry.file_type().is_file() && !is_by_product(below, has) {
                let text = fs::read(entry.path())?;
                for part in [below.as_os_str().as_encoded_bytes(), text.as_slice()] {
                    whole.update((part.len() as u64).to_le_bytes());
                    whole.update(part);
                }
            }
        }
        self.digests.insert(name, short(&whole.finalize().into()));
        Ok(())
    }

    /// Notes the names in a text.
    fn read(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let words = text.split(|letter: char| letter != '_' && !letter.is_alphanumeric());
        self.words.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the part of a shown name before its last one, with its slash.
fn folder_of(shown: &str) -> &str {
    shown.rfind('/').map_or("", |end| &shown[..=end])
}

fn is_code(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py" || extension == "so")
}

fn digest(bytes: &[u8]) -> String {
    short(&Sha256::digest(bytes).into())
}

/// Returns as much of a digest as tells files apart.
pub(super) fn short(digest: &[u8; 32]) -> String {
    hex::encode(&digest[..16])
}

#[cfg(test)]
mod tests {
    use stage::{Pipeline, PythonStage};

    use super::*;
    use crate::run::Plan;

    fn names(dir: &Path) -> Vec<String> {
        let stage = PythonStage::from_file("main.py", "Main");
        let plan = Plan::new(&Pipeline::new("test").with_dir(dir).with_stage(stage)).unwrap();
        of_stage(&plan.stages()[0]).unwrap().into_keys().collect()
    }

    #[test]
    fn what_a_file_names_of_its_folder_counts_and_its_neighbours_do_not() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("main.py", "import helper, os\nfrom space.deep import x\nload('plugin')"),
            ("helper.py", "from pkg import sub"),
            ("other.py", ""),
            ("plugin.py", ""),
            ("pkg/__init__.py", ""),
            ("pkg/sub.py", "from . import late"),
            ("pkg/unnamed.py", ""),
            ("pkg/data.txt", ""),
            ("space/deep.py", "import helper"),
            ("space/shallow.py", ""),
            ("out/other.py", ""),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(
            names(dir.path()),
            [
                "helper.py",
                "main.py",
                "pkg/__init__.py",
                "pkg/sub.py",
                "pkg/unnamed.py",
                "plugin.py",
                "space/deep.py",
            ]
        );
    }
}
