//! What a distribution's metadata says of its files.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use walkdir::WalkDir;

/// The files outside of the site folder that a `RECORD` (PEP 376) names, relative to the folder:
/// scripts, data, headers.
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

/// The names of the scripts that `entry_points.txt` asks for.
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

/// The name of the distribution whose metadata folder or file is called `name`, in the form in
/// which names are compared (PEP 503).
pub(super) fn distribution(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info"))?;
    let name = stem.split('-').next().unwrap_or(stem).to_ascii_lowercase();
    let words = name.split(['.', '_', '-']).filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join("-"))
}

/// A `RECORD` for a distribution that was installed without one, as Debian does: no installer
/// would know how to take it away. It names the metadata and what is under the top-level names
/// that the distribution declares (its own name, if it declares none).
pub(super) fn made_up(site_dir: &Path, metadata_dir: &Path) -> String {
    let folder = metadata_dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let declared = fs::read_to_string(metadata_dir.join("top_level.txt"))
        .unwrap_or_else(|_| distribution(folder).unwrap_or_default().replace('-', "_"));
    let mut record = String::new();
    let tops = declared.split_whitespace().flat_map(|top| [top.to_owned(), format!("{top}.py")]);
    for top in tops.chain([folder.to_owned()]) {
        let files = WalkDir::new(site_dir.join(top)).sort_by_file_name().into_iter();
        for file in files.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir()) {
            let relative = file.path().strip_prefix(site_dir).ok().and_then(Path::to_str);
            if let Some(path) = relative.filter(|path| !path.contains([',', '"', '\n'])) {
                let _ = writeln!(record, "{path},,");
            }
        }
    }
    let _ = writeln!(record, "{folder}/RECORD,,");
    record
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
}
