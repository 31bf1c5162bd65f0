//! pip's configuration files, as Python's `configparser.RawConfigParser` reads them.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The sections that apply to an installation, the later winning. The last is pip's name for its
/// variables, which pip would also read from a file.
const SECTIONS: [&str; 3] = ["global", "install", ":env:"];

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) file: PathBuf,
    pub(super) section: String,
    /// The setting, in the spelling of options.
    pub(super) key: String,
    pub(super) value: String,
}

/// Merges files, in pip's order; for one key in one section, the last file's value wins.
pub(super) fn merged(files: &[PathBuf]) -> Result<Vec<Entry>, Error> {
    let mut all: Vec<Entry> = Vec::new();
    for file in files {
        let text = match files::read_file(file, files::MOST_TEXT) {
            Ok(bytes) => {
                String::from_utf8(bytes).map_err(|_| refused(file, None, "is not UTF-8 text"))?
            }
            Err(error) if is_absent(&error) => continue,
            Err(source) => {
                return Err(Error::Io { action: "read", path: file.clone(), source });
            }
        };
        for entry in parse(file, &text)? {
            let same =
                |other: &&mut Entry| (&other.section, &other.key) == (&entry.section, &entry.key);
            match all.iter_mut().find(same) {
                Some(other) => *other = entry,
                None => all.push(entry),
            }
        }
    }
    // An empty value does not override an earlier section.
    let of = |section: &'static str| {
        all.iter().filter(move |entry| entry.section == section && !entry.value.is_empty())
    };
    Ok(SECTIONS.into_iter().flat_map(of).cloned().collect())
}

/// Returns whether a file is missing or hidden from this user, so that it has no settings.
pub(super) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

pub(super) fn refused(file: &Path, line: Option<usize>, reason: &str) -> Error {
    let reason = match line {
        Some(line) => format!("line {line} {reason}"),
        None => reason.to_owned(),
    };
    Error::Settings { file: file.to_owned(), reason }
}

fn parse(file: &Path, text: &str) -> Result<Vec<Entry>, Error> {
    let mut section: Option<String> = None;
    let mut entries: Vec<Entry> = Vec::new();
    // Indentation of the current key; lines indented more continue its value.
    let mut open: Option<usize> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let content = line.trim();
        if content.starts_with(['#', ';']) {
            continue;
        }
        if content.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let (Some(from), Some(entry)) = (open, entries.last_mut())
            && indent > from
        {
            entry.value.push('\n');
            entry.value.push_str(content);
            continue;
        }
        open = None;
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            section = Some(name.0.to_owned());
            continue;
        }
        let Some(section) = &section else {
            return Err(refused(file, Some(index + 1), "stands before any section"));
        };
        let Some((key, value)) = content.split_once(['=', ':']) else {
            return Err(refused(file, Some(index + 1), "is neither `[section]` nor `key = value`"));
        };
        open = Some(indent);
        entries.push(Entry {
            file: file.to_owned(),
            section: section.clone(),
            key: normal_key(key),
            value: value.trim().to_owned(),
        });
    }
    for entry in &mut entries {
        entry.value = entry.value.trim().to_owned();
    }
    Ok(entries)
}

fn normal_key(key: &str) -> String {
    let key = key.trim().to_lowercase().replace('_', "-");
    key.strip_prefix("--").map(str::to_owned).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_as_pip_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(
            &one,
            "# x\n[global]\nindex_url: https://h  ; no comment\nfind-links =\n  /a\n\n  # y\n  /b\n\
             [install]\n--pre = yes\ntarget=\n[list]\nformat = columns\n",
        )
        .unwrap();
        fs::write(&two, "[global]\nFIND-LINKS = /c\n[install]\npre=\n").unwrap();
        let of = |files: &[&PathBuf]| {
            let files: Vec<_> = files.iter().map(|&file| file.clone()).collect();
            let entries = merged(&files).unwrap().into_iter();
            entries.map(|entry| format!("{}={}", entry.key, entry.value)).collect::<Vec<_>>()
        };
        let first = ["index-url=https://h  ; no comment", "find-links=/a\n/b", "pre=yes"];
        assert_eq!(of(&[&one]), first);
        assert_eq!(of(&[&one, &two]), [first[0], "find-links=/c"]);
        assert!(of(&[&dir.path().join("none")]).is_empty());
        for text in ["pre = 1\n", "[global]\npre\n"] {
            fs::write(&two, text).unwrap();
            assert!(
                matches!(merged(std::slice::from_ref(&two)), Err(Error::Settings { .. })),
                "{text}"
            );
        }
    }
}
