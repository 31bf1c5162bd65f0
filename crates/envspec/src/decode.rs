//! The text of a requirements file, and its lines, as its package manager sees them.

use crate::tool::Tool;

/// Returns the text of a file's bytes: UTF-8, the encoding of a byte order mark, or for pip the
/// encoding in a comment of the first two lines (PEP 263). `Err` says why there is no text.
pub(crate) fn decode(bytes: &[u8], tool: Tool) -> Result<String, String> {
    let utf8 = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map(str::to_owned);
        text.map_err(|error| format!("it is no UTF-8 text from byte {} on", error.valid_up_to()))
    };
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return utf8(rest);
    }
    if tool == Tool::Pip {
        let text = if let Some(rest) = bytes.strip_prefix(b"\0\0\xfe\xff") {
            Some(utf32(rest, u32::from_be_bytes))
        } else {
            let rest = bytes.strip_prefix(b"\xff\xfe\0\0");
            rest.map(|rest| utf32(rest, u32::from_le_bytes))
        };
        if let Some(text) = text {
            return text.ok_or_else(|| "it is no UTF-32 text, though it starts as one".to_owned());
        }
    }
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
        let text = text.ok().filter(|_| odd.is_empty());
        text.ok_or_else(|| "it is no UTF-16 text, though it starts as one".to_owned())
    };
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return utf16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return utf16(rest, u16::from_be_bytes);
    }
    match declared(bytes).filter(|_| tool == Tool::Pip) {
        None => utf8(bytes),
        Some(name) => match encoding(&name) {
            Some(Encoding::Utf8) => utf8(bytes),
            Some(Encoding::Ascii) if bytes.is_ascii() => utf8(bytes),
            Some(Encoding::Ascii) => Err("it says that it is ASCII, and is not".to_owned()),
            Some(Encoding::Latin1) => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            // Unknown encodings agree on ASCII, which nearly all requirements use.
            None if bytes.is_ascii() && !is_shifting(&name) => utf8(bytes),
            None => Err(format!("its encoding `{name}` is not known here")),
        },
    }
}

fn utf32(rest: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (units, []) = rest.as_chunks::<4>() else { return None };
    units.iter().map(|bytes| char::from_u32(unit(*bytes))).collect()
}

enum Encoding {
    Utf8,
    Ascii,
    Latin1,
}

/// Returns the encoding that Python knows by this name, if requirements files need it.
fn encoding(name: &str) -> Option<Encoding> {
    match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "u8" | "utf-8-sig" | "cp65001" => Some(Encoding::Utf8),
        "ascii" | "us-ascii" | "646" => Some(Encoding::Ascii),
        "latin-1" | "latin1" | "latin" | "l1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" => {
            Some(Encoding::Latin1)
        }
        _ => None,
    }
}

/// Returns whether ASCII bytes may mean other characters in an encoding of this name, or Python has
/// none.
fn is_shifting(name: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "iso-8859-",
        "iso8859-",
        "cp125",
        "windows-125",
        "koi8-",
        "gb",
        "big5",
        "euc-",
        "shift-jis",
        "sjis",
        "cp437",
        "cp850",
    ];
    let name = name.to_ascii_lowercase().replace('_', "-");
    !PLAIN.iter().any(|start| name.starts_with(start))
}

/// Returns the name in `coding: NAME` or `coding=NAME` in a comment of the first two lines.
fn declared(bytes: &[u8]) -> Option<String> {
    let lines = bytes.split(|byte| *byte == b'\n').take(2);
    lines.filter(|line| line.starts_with(b"#")).find_map(|line| {
        let line = String::from_utf8_lossy(line);
        let mut rest = &*line;
        while let Some((_, after)) = rest.split_once("coding") {
            rest = after;
            let Some(name) = after.strip_prefix([':', '=']).map(str::trim_start) else { continue };
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let name = &name[..name.find(|c| !is_name(c)).unwrap_or(name.len())];
            if !name.is_empty() {
                return Some(name.to_owned());
            }
        }
        None
    })
}

/// Returns the lines of a text, split as the package manager does: pip like Python's `splitlines`,
/// uv at line feeds and carriage returns.
pub(crate) fn lines(text: &str, tool: Tool) -> impl Iterator<Item = &str> {
    let ends_line = move |c: char| match c {
        '\n' | '\r' => true,
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
            tool == Tool::Pip
        }
        _ => false,
    };
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(ends_line) else {
            rest = None;
            return Some(text);
        };
        let is_pair = text[line.len()..].starts_with("\r\n");
        rest = Some(&after[usize::from(is_pair)..]).filter(|text| !text.is_empty());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_the_package_manager_ends_them() {
        let text = "a\rb\r\nc\n\nd\u{b}e\u{2028}f\r";
        let split = |tool| lines(text, tool).collect::<Vec<_>>();
        assert_eq!(split(Tool::Pip), ["a", "b", "c", "", "d", "e", "f"]);
        assert_eq!(split(Tool::Uv), ["a", "b", "c", "", "d\u{b}e\u{2028}f"]);
        assert_eq!(lines("", Tool::Pip).count(), 0);
    }
}
