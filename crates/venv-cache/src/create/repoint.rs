//! Texts that name the base's folders, rewritten to name the environment's. Nothing here touches
//! the disk.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::skeleton::shell_quoted;
use crate::interpreter::{Interpreter, is_interpreter_name};

/// The longest `#!` line that every kernel takes, the newline not counted (`BINPRM_BUF_SIZE`).
const LONGEST_SHEBANG: usize = 127;

/// How a script begins that cannot name its interpreter in a `#!` line. To the shell the second
/// line is a command; to Python both are a string.
const EXEC_HEADER: &[u8] = b"#!/bin/sh\n'''exec' ";
const EXEC_END: &[u8] = b"\n' '''\n";

/// Which folder of the base became which of the environment.
pub(super) struct Moves {
    /// Longest old path first, so that the closest one counts.
    pairs: Vec<(PathBuf, PathBuf)>,
}

impl Moves {
    /// Returns the moves from the base of `interpreter` to the environment `dir`, whose packages
    /// are in `site_dir`.
    pub(super) fn new(interpreter: &Interpreter, dir: &Path, site_dir: &Path) -> Self {
        let mut pairs: Vec<_> = interpreter
            .site_dirs()
            .iter()
            .filter(|folder| {
                !interpreter.is_virtualenv() || !folder.starts_with(interpreter.prefix())
            })
            .map(|folder| (folder.clone(), site_dir.to_path_buf()))
            .collect();
        if interpreter.is_virtualenv() {
            pairs.push((interpreter.prefix().to_path_buf(), dir.to_path_buf()));
        }
        Self::from_pairs(pairs)
    }

    fn from_pairs(mut pairs: Vec<(PathBuf, PathBuf)>) -> Self {
        pairs.sort_by_key(|(old, _)| std::cmp::Reverse(old.as_os_str().len()));
        Self { pairs }
    }

    /// Adds another spelling of a folder that is moved.
    pub(super) fn with(self, old: PathBuf, new: PathBuf) -> Self {
        let mut pairs = self.pairs;
        pairs.push((old, new));
        Self::from_pairs(pairs)
    }

    /// Returns where `path` is in the environment, if it has moved.
    pub(super) fn path(&self, path: &Path) -> Option<PathBuf> {
        self.pairs.iter().find_map(|(old, new)| {
            let rest = path.strip_prefix(old).ok()?;
            Some(if rest.as_os_str().is_empty() { new.clone() } else { new.join(rest) })
        })
    }

    /// Returns the text with every mention of a moved folder replaced.
    pub(super) fn text<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut replaced = Vec::new();
        let mut copied = 0;
        let mut at = 0;
        while at < text.len() {
            let found = self.pairs.iter().find(|(old, _)| is_path_at(text, at, old));
            if let Some((old, new)) = found {
                replaced.extend_from_slice(&text[copied..at]);
                replaced.extend_from_slice(new.as_os_str().as_bytes());
                at += old.as_os_str().len();
                copied = at;
            } else {
                at += 1;
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        replaced.extend_from_slice(&text[copied..]);
        Cow::Owned(replaced)
    }

    /// Returns a `.pth` file or egg-link of the site folder `from`: paths on lines of their own,
    /// relative to the folder, or lines of Python.
    pub(super) fn path_lines<'t>(&self, text: &'t [u8], from: &Path) -> Cow<'t, [u8]> {
        let lines: Vec<_> = text
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| self.path_line(line, from))
            .collect();
        if lines.iter().all(|line| matches!(line, Cow::Borrowed(_))) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(lines.concat())
    }

    fn path_line<'t>(&self, line: &'t [u8], from: &Path) -> Cow<'t, [u8]> {
        let is_code = line.starts_with(b"import ") || line.starts_with(b"import\t");
        let path = Path::new(OsStr::from_bytes(line.trim_ascii_end()));
        if is_code || line.starts_with(b"#") || path.is_absolute() || path.as_os_str().is_empty() {
            return self.text(line);
        }
        // What lies beside the file has come along; anything else is not where it was.
        let named = normalized(&from.join(path));
        if named.starts_with(from) {
            return Cow::Borrowed(line);
        }
        let moved = self.path(&named).unwrap_or(named);
        let end = &line[line.trim_ascii_end().len()..];
        Cow::Owned([moved.as_os_str().as_bytes(), end].concat())
    }

    /// Returns a script of the base, for the interpreter `python` if `is_base` says that the one in
    /// its first line is the base's. Of other scripts only the folders that they name are moved.
    pub(super) fn script<'t>(
        &self,
        content: &'t [u8],
        python: &Path,
        is_base: impl Fn(&Path) -> bool,
    ) -> Cow<'t, [u8]> {
        match Header::parse(content) {
            Some(header) if is_base(header.interpreter) => {
                let mut script = shebang(python, header.arguments);
                script.extend_from_slice(&self.text(header.body));
                Cow::Owned(script)
            }
            _ => self.text(content),
        }
    }
}

/// How a Python script says what runs it.
struct Header<'t> {
    interpreter: &'t Path,
    /// What follows the interpreter, such as ` -s`.
    arguments: &'t [u8],
    body: &'t [u8],
}

impl<'t> Header<'t> {
    fn parse(content: &'t [u8]) -> Option<Self> {
        if let Some(rest) = content.strip_prefix(EXEC_HEADER) {
            let end = find(rest, EXEC_END)?;
            let (command, body) = (&rest[..end], &rest[end + EXEC_END.len()..]);
            let command = command.strip_suffix(br#" "$0" "$@""#)?;
            // pip quotes the path only if it has spaces (with `"`), uv always (with `'`).
            let (interpreter, arguments) = match command.first()? {
                quote @ (b'"' | b'\'') => {
                    let length = command[1..].iter().position(|byte| byte == quote)?;
                    (&command[1..=length], &command[length + 2..])
                }
                _ => split_word(command),
            };
            return Some(Self { interpreter: as_path(interpreter), arguments, body });
        }
        let rest = content.strip_prefix(b"#!")?;
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, body) = (&rest[..end], &rest[(end + 1).min(rest.len())..]);
        let line = line.trim_ascii();
        // A path with spaces works in no `#!` line, so a space ends it.
        let (interpreter, arguments) = split_word(line);
        Some(Self { interpreter: as_path(interpreter), arguments, body })
    }
}

/// Returns the lines that make `python` run a script: `#!`, or a detour through the shell where the
/// path is too long for that or has spaces.
fn shebang(python: &Path, arguments: &[u8]) -> Vec<u8> {
    let path = python.as_os_str().as_bytes();
    let fits = path.len() + arguments.len() + 2 <= LONGEST_SHEBANG
        && !path.iter().any(u8::is_ascii_whitespace);
    if fits {
        return [b"#!", path, arguments, b"\n"].concat();
    }
    let quoted = shell_quoted(&python.to_string_lossy());
    [EXEC_HEADER, quoted.as_bytes(), arguments, br#" "$0" "$@""#, EXEC_END].concat()
}

/// Returns whether the interpreter at `path` is called as one, in one of the folders.
pub(super) fn is_interpreter_in(path: &Path, is_folder: impl Fn(&Path) -> bool) -> bool {
    path.file_name().is_some_and(is_interpreter_name) && path.parent().is_some_and(is_folder)
}

/// Returns the path without `.` and `..`, by its text alone.
pub(super) fn normalized(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Returns whether `text` names `path` at `at`: that very folder or something in it.
fn is_path_at(text: &[u8], at: usize, path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let continues =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte) || !byte.is_ascii();
    text[at..].starts_with(path)
        && !text.get(at + path.len()).is_some_and(continues)
        && !at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(continues)
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len()))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves() -> Moves {
        Moves::from_pairs(vec![
            ("/opt/base".into(), "/cache/env".into()),
            (
                "/usr/lib/python3/dist-packages".into(),
                "/cache/env/lib/python3.11/site-packages".into(),
            ),
        ])
    }

    fn script(content: &str, python: &str) -> String {
        let is_base =
            |path: &Path| is_interpreter_in(path, |dir| dir == Path::new("/opt/base/bin"));
        String::from_utf8(
            moves().script(content.as_bytes(), Path::new(python), is_base).into_owned(),
        )
        .expect("text")
    }

    #[test]
    fn a_shebang_names_the_new_interpreter() {
        let cases = [
            ("#!/opt/base/bin/python3.11\nx\n", "#!/cache/env/bin/python\nx\n"),
            ("#!/opt/base/bin/python -s\nx\n", "#!/cache/env/bin/python -s\nx\n"),
            ("#!/opt/base/bin/python", "#!/cache/env/bin/python\n"),
            ("#!/usr/bin/env python3\nx\n", "#!/usr/bin/env python3\nx\n"),
            ("#!/usr/bin/python3\nx\n", "#!/usr/bin/python3\nx\n"),
            ("#!/bin/bash\n. /opt/base/share/x\n", "#!/bin/bash\n. /cache/env/share/x\n"),
            ("#!/opt/base/bin/ruby\n", "#!/cache/env/bin/ruby\n"),
        ];
        for (old, new) in cases {
            assert_eq!(script(old, "/cache/env/bin/python"), new, "{old}");
        }
    }

    #[test]
    fn the_detour_through_the_shell_is_understood() {
        for quoted in ["\"/opt/base/bin/python\"", "'/opt/base/bin/python'", "/opt/base/bin/python"]
        {
            let old = format!("#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\nx\n");
            assert_eq!(
                script(&old, "/cache/env/bin/python"),
                "#!/cache/env/bin/python\nx\n",
                "{old}"
            );
        }
    }

    #[test]
    fn a_long_path_or_one_with_spaces_takes_the_detour() {
        let long = format!("/{}/bin/python", "a".repeat(130));
        for python in [long.as_str(), "/my env/bin/python"] {
            assert_eq!(
                script("#!/opt/base/bin/python\nx\n", python),
                format!("#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\nx\n")
            );
        }
    }

    #[test]
    fn a_path_free_script_stays_as_it_is() {
        let relocatable = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\nx\n";
        assert_eq!(script(relocatable, "/cache/env/bin/python"), relocatable);
    }

    #[test]
    fn only_whole_paths_are_moved() {
        let text = b"/opt/base /opt/base2 /opt/base/x:/opt/base-y file:///opt/base/src x/opt/base";
        assert_eq!(
            String::from_utf8_lossy(&moves().text(text)),
            "/cache/env /opt/base2 /cache/env/x:/opt/base-y file:///cache/env/src x/opt/base"
        );
    }

    #[test]
    fn a_pth_line_that_leaves_the_base_becomes_absolute() {
        let from = Path::new("/opt/base/lib/python3.11/site-packages");
        let cases = [
            ("/opt/base/src/pkg\n", "/cache/env/src/pkg\n"),
            ("/home/me/src\r\n", "/home/me/src\r\n"),
            ("./eggs/a.egg\n", "./eggs/a.egg\n"),
            ("../../../src/pkg\n", "/cache/env/src/pkg\n"),
            ("../../../../elsewhere", "/opt/elsewhere"),
            (
                "import sys; sys.path.append('/opt/base/x')\n",
                "import sys; sys.path.append('/cache/env/x')\n",
            ),
            ("# ../../../../comment\n", "# ../../../../comment\n"),
        ];
        for (old, new) in cases {
            let moved = moves();
            assert_eq!(String::from_utf8_lossy(&moved.path_lines(old.as_bytes(), from)), new);
        }
    }
}
