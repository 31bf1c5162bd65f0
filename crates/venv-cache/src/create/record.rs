//! What a distribution's metadata says of its files.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Returns the files outside of the site folder that a `RECORD` (PEP 376) names, relative to the
/// folder: scripts, data, headers.
pub(super) fn outside(record: &str) -> impl Iterator<Item = String> {
    record.lines().filter_map(|line| {
        let path = match line.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.replace("\"\"", "__").find('"')?;
                quoted.get(..end)?.replace("\"\"", "\"")
            }
            None => line.split(',').next()?.to_owned(),
        };
        path.starts_with("../").then_some(path)
    })
}

/// Returns the names of the scripts that `entry_points.txt` asks for.
pub(super) fn scripts(entry_points: &str) -> impl Iterator<Item = &str> {
    let mut wanted = false;
    entry_points.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with('[') {
            wanted = matches!(line, "[console_scripts]" | "[gui_scripts]");
            return None;
        }
        let (name, _) = line.split_once('=')?;
        wanted.then_some(name.trim())
    })
}

/// Returns the name of the distribution whose metadata folder or file is called `name`, in the form
/// in which names are compared (PEP 503).
pub(super) fn distribution(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info"))?;
    let name = stem.split('-').next().unwrap_or(stem).to_ascii_lowercase();
    let words = name.split(['.', '_', '-']).filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join("-"))
}

/// Returns a `RECORD` for a distribution that was installed without one, as Debian does: no
/// installer would know how to take it away. It names the metadata, what is under the top-level
/// names that the distribution declares (its own name, if it declares none), and its scripts.
///
/// The metadata is called `from` in the base's folder, and will be the folder `to`; from the site
/// folder, `scripts` is where scripts will be.
pub(super) fn made_up(site_dir: &Path, from: &str, to: &str, scripts: &str) -> String {
    let mut record = String::new();
    for top in top_levels(site_dir, from).iter().flat_map(|top| entries_of(site_dir, top)) {
        let files = WalkDir::new(site_dir.join(top)).sort_by_file_name().into_iter();
        for file in files.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir()) {
            let relative = file.path().strip_prefix(site_dir).ok().and_then(Path::to_str);
            if let Some(path) = relative.filter(|path| !path.contains([',', '"', '\n'])) {
                let _ = writeln!(record, "{path},,");
            }
        }
    }
    let entry_points = site_dir.join(from).join("entry_points.txt");
    for name in self::scripts(&files::read_regular_text(&entry_points).unwrap_or_default()) {
        let _ = writeln!(record, "{scripts}/{name},,");
    }
    let mut own: Vec<String> = files_in(&site_dir.join(from));
    own.extend(["METADATA", "RECORD"].map(str::to_owned));
    own.sort();
    own.dedup();
    for file in own {
        let _ = writeln!(record, "{to}/{file},,");
    }
    record
}

/// Returns whether a list of files is as an installer leaves it: each line has its fields, and one
/// is of the list in the metadata folder `info`. One that was cut short, or is empty, is not.
pub(super) fn is_whole(record: &str, info: &str) -> bool {
    let mut names_itself = false;
    for line in record.lines().filter(|line| !line.is_empty()) {
        if line.matches(',').count() < 2 {
            return false;
        }
        let path = line.trim_start_matches('"');
        names_itself |= path.strip_prefix(info).is_some_and(|rest| rest.starts_with("/RECORD"));
    }
    names_itself
}

/// Returns one list of what several have, for the metadata folder `info`: of each file the first
/// line, without lines that are no more than a part of one, and without the metadata of others.
pub(super) fn joined(lists: &[String], info: &str) -> String {
    let mut seen = HashSet::new();
    let mut joined = String::new();
    for line in lists.iter().flat_map(|list| list.lines()) {
        let mut fields = line.rsplitn(3, ',');
        let (Some(_), Some(_), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let is_of_other = path
            .split('/')
            .next()
            .is_some_and(|top| top != info && top.trim_start_matches('"').ends_with(".dist-info"));
        if !is_of_other && seen.insert(path) {
            let _ = writeln!(joined, "{line}");
        }
    }
    joined
}

/// Returns what the name of a metadata folder says, as its `METADATA`.
pub(super) fn named(info: &str) -> String {
    let stem = info.strip_suffix(".dist-info").unwrap_or(info);
    let (name, version) = stem.split_once('-').unwrap_or((stem, "0"));
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
}

/// Returns the names of the files in a metadata folder; none if it is a file.
pub(super) fn files_in(metadata: &Path) -> Vec<String> {
    let files = WalkDir::new(metadata).min_depth(1).into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| !entry.file_type().is_dir());
    files
        .filter_map(|entry| Some(entry.path().strip_prefix(metadata).ok()?.to_str()?.to_owned()))
        .filter(|path| !path.contains([',', '"', '\n']))
        .collect()
}

/// Returns the names that a distribution declares to be imported by, else its own name as a module.
pub(super) fn top_levels(site_dir: &Path, metadata: &str) -> Vec<String> {
    let declared = files::read_regular_text(&site_dir.join(metadata).join("top_level.txt"))
        .unwrap_or_else(|_| distribution(metadata).unwrap_or_default().replace('-', "_"));
    declared.split_whitespace().map(str::to_owned).collect()
}

/// Returns the entries of a site folder that are imported by a name: a package, or a module in
/// whatever form. A name that stands for a distribution's may differ in upper and lower case.
fn entries_of(site_dir: &Path, top: &str) -> Vec<String> {
    let is_module = |name: &str| {
        let stem = name.split('.').next().unwrap_or(name);
        let extension = Path::new(name).extension();
        stem.eq_ignore_ascii_case(top)
            && extension.is_none_or(|extension| extension == "py" || extension == "so")
    };
    let entries = fs::read_dir(site_dir).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_module(name));
    names.sort();
    names
}

/// Returns the name and the version in a distribution's metadata, as a folder's name has them.
pub(super) fn identity(metadata: &str) -> Option<(String, String)> {
    let headers = metadata.lines().take_while(|line| !line.is_empty());
    let header = |name: &str| {
        headers.clone().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned)
    };
    let escaped = |text: String| text.replace('-', "_");
    let (name, version) = (escaped(header("Name:")?), escaped(header("Version:")?));
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['/', '\0']);
    (is_plain(&name) && is_plain(&version)).then_some((name, version))
}

/// Returns the path of a file from a folder, both from the root.
pub(super) fn relative(folder: &Path, file: &Path) -> String {
    let shared = folder.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Path::new(".."));
    let down = file.components().skip(shared).map(|part| Path::new(part.as_os_str()));
    up.chain(down).collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_outside_of_the_site_folder_are_named() {
        let record = "a/__init__.py,sha256=x,1\n../../../bin/a,sha256=y,2\n\
                      \"../../../share/a, b\"\"c\",,\na-1.dist-info/RECORD,,\n";
        let named: Vec<_> = outside(record).collect();
        assert_eq!(named, ["../../../bin/a", "../../../share/a, b\"c"]);
    }

    #[test]
    fn a_damaged_record_names_nothing() {
        assert_eq!(outside("\"../x\n\"\n,\n\n\"é").count(), 0);
    }

    #[test]
    fn scripts_of_both_kinds_are_named() {
        let text = "[console_scripts]\na = a:main\nb=b:main [extra]\n\n[other]\nc = c\n[gui_scripts]\nd = d:x\n";
        assert_eq!(scripts(text).collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    #[test]
    fn distributions_are_compared_by_their_normal_names() {
        for name in ["Foo_Bar-1.0.dist-info", "foo.bar-2.egg-info", "FOO__bar.egg-info"] {
            assert_eq!(distribution(name).as_deref(), Some("foo-bar"), "{name}");
        }
        assert_eq!(distribution("foo"), None);
    }

    #[test]
    fn scripts_are_named_from_the_site_folder() {
        let site = Path::new("/env/lib/python3.11/site-packages");
        assert_eq!(relative(site, Path::new("/env/bin/a")), "../../../bin/a");
    }
}
