//! The package that a stage's file imports first, as far as its text tells.
//!
//! It only decides whether a common root is worth a process. That process reads the files as Python
//! does, and finds out what they have in common.

/// Returns the first package that is no part of Python and that a file imports before it does
/// anything else.
pub(super) fn first_package(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split(" #").next().unwrap_or(line).trim_end();
        let is_hidden = line.starts_with([' ', '\t', '#', ')']) || line.is_empty();
        if is_hidden || is_constant(line) || is_for_type_checkers(line) {
            continue;
        }
        if let Some(quotes) = long_text(line) {
            // Its end stands on this line or on a later one.
            let after = line.split_once(quotes)?.1;
            if after.contains(quotes) || lines.any(|line| line.contains(quotes)) {
                continue;
            }
            return None;
        }
        let imported = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "))?;
        let is_from = line.starts_with("from ");
        let first = imported.split(';').next().unwrap_or(imported);
        for module in first.split(',').take(if is_from { 1 } else { usize::MAX }) {
            let module = module.trim().split([' ', '.', '\\']).next().unwrap_or_default();
            // A relative import is one of the user's.
            if module.is_empty() {
                return None;
            }
            if !is_standard(module) {
                return Some(module);
            }
        }
        if imported.contains(';') {
            return None;
        }
    }
    None
}

/// Returns the quotes of a text that may go over several lines.
fn long_text(line: &str) -> Option<&'static str> {
    let line = line.trim_start_matches(['r', 'R', 'u', 'U']);
    ["\"\"\"", "'''"].into_iter().find(|quotes| line.starts_with(quotes))
}

/// Returns whether a line is a text, or gives a name to a text or a number.
fn is_constant(line: &str) -> bool {
    let value = match line.split_once(" = ") {
        Some((name, value)) if !name.contains([' ', '.', '[', '(']) => value,
        _ => line,
    };
    let is_text = value.starts_with(['"', '\'']) && long_text(value).is_none();
    is_text || value != line && value.starts_with(|first: char| first.is_ascii_digit())
}

fn is_for_type_checkers(line: &str) -> bool {
    matches!(line, "if TYPE_CHECKING:" | "if typing.TYPE_CHECKING:")
}

/// Returns whether a module comes with Python or with the worker.
fn is_standard(module: &str) -> bool {
    STANDARD.split_ascii_whitespace().any(|name| name == module)
}

/// The modules of Python 3.9 to 3.14, and those that a worker offers.
const STANDARD: &str = "\
    __future__ curator_stage curator_table \
    abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit \
    audioop base64 bdb binascii binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk \
    cmath cmd code codecs codeop collections colorsys compileall compression concurrent \
    configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses \
    datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno \
    faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib functools gc \
    genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http \
    idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 \
    linecache locale logging lzma macpath mailbox mailcap marshal math mimetypes mmap \
    modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path \
    numbers opcode operator optparse os ossaudiodev parser pathlib pdb pickle pickletools \
    pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd \
    py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib \
    resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal \
    site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants \
    sre_parse ssl stat statistics string stringprep struct subprocess sunau symbol symtable \
    sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap this threading \
    time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle \
    turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref \
    webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib \
    zoneinfo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_package_is_found_where_nothing_comes_before_it() {
        for (text, first) in [
            ("import pandas", Some("pandas")),
            ("import pandas as pd, numpy", Some("pandas")),
            ("from pandas.core import frame", Some("pandas")),
            ("import os, json\nimport torch # the large one\n", Some("torch")),
            ("#!/usr/bin/env python3\n# A word.\n\n'A text.'\nimport torch", Some("torch")),
            ("\"\"\"A text.\n\nof lines\n\"\"\"\nimport torch", Some("torch")),
            ("r'''A text.'''\nimport torch", Some("torch")),
            ("from __future__ import annotations\nA = 'x'\nB = 10\nimport torch", Some("torch")),
            ("from typing import (\n    Any,\n    List,\n)\nimport torch", Some("torch")),
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import six\nimport torch",
                Some("torch"),
            ),
            ("from curator_stage import Task\nimport torch", Some("torch")),
            ("import torch; torch.seed()", Some("torch")),
            ("import os; os.environ['A'] = '1'\nimport torch", None),
            ("import os\nos.environ['A'] = '1'\nimport torch", None),
            ("from . import neighbour\nimport torch", None),
            ("A = f()\nimport torch", None),
            ("class A:\n    pass\nimport torch", None),
            ("\"\"\"never closed\nimport torch", None),
            ("import", None),
            ("import \nimport torch", None),
            ("", None),
        ] {
            assert_eq!(first_package(text), first, "{text}");
        }
    }
}
