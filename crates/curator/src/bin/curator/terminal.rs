//! Output to the terminal: all text goes through here, and control sequences are made visible.
//!
//! Log lines, errors, names and metadata come from others. An escape sequence in them could move
//! the cursor, clear the screen, fill the clipboard or reverse text, so each such character is
//! written as `\x1b`. The same happens to text for a file, since a log may later be read on a
//! terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

use crate::streams;

/// These two enclose a colour of ours (an ANSI number), which is converted only here. No foreign
/// text contains them: they are not characters.
const COLOUR: (char, char) = ('\u{fdd0}', '\u{fdd1}');
/// The known colours; nothing else ever becomes an escape sequence.
const COLOURS: [&str; 9] = ["0", "1", "2", "31", "32", "33", "36", "1;31", "1;36"];

/// Makes control sequences in `text` visible; keeps line ends.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c, visible| {
        let code = u32::from(c);
        let _ = if code < 0x100 {
            write!(visible, "\\x{code:02x}")
        } else {
            write!(visible, "\\u{{{code:x}}}")
        };
    })
}

/// Makes control sequences in JSON visible, and keeps its value.
fn visible_json(text: &str) -> Cow<'_, str> {
    escaped(text, |c, visible| {
        let _ = write!(visible, "\\u{:04x}", u32::from(c));
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            escape(c, &mut visible);
        } else {
            visible.push(c);
        }
    }
    Cow::Owned(visible)
}

/// Returns whether a character is a control character other than line end and tab, changes the
/// direction of text, or is another kind of line end.
fn steers(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

/// Marks a text to be shown in a colour.
pub(crate) fn coloured(text: &str, colour: &str) -> String {
    let (begin, end) = COLOUR;
    format!("{begin}{colour}{end}{text}{begin}0{end}")
}

/// Renders a text: control sequences visible, with or without colours.
pub(crate) fn shown(text: &str, is_colourful: bool) -> String {
    let text = visible(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(COLOUR.0) {
        let (before, after) = rest.split_at(at);
        let after = &after[COLOUR.0.len_utf8()..];
        shown.push_str(before);
        rest = after;
        let Some((colour, after)) = after.split_once(COLOUR.1) else { continue };
        if COLOURS.contains(&colour) {
            if is_colourful {
                let _ = write!(shown, "\x1b[{colour}m");
            }
            rest = after;
        }
    }
    shown.push_str(rest);
    shown
}

/// Returns whether a stream shows colours, by what it is and what the user wants (`NO_COLOR`,
/// `CLICOLOR_FORCE`, `TERM`).
fn is_colourful(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Returns whether standard error shows colours.
pub(crate) fn is_error_colourful() -> bool {
    is_colourful(&io::stderr())
}

/// Writes a result for people to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_raw(&shown(text, is_colourful(&io::stdout())))
}

/// Writes a result as JSON to standard output.
pub(crate) fn print_json(text: &str) -> io::Result<()> {
    print_raw(&visible_json(text))
}

/// Writes a result for a script, such as a path: unchanged, unless standard output is a terminal.
pub(crate) fn print_exactly(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { print(text) } else { print_raw(text) }
}

fn print_raw(text: &str) -> io::Result<()> {
    streams::check_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes a line to standard error; ignores a closed stream.
pub(crate) fn say(line: &str) {
    let text = shown(line, is_error_colourful()) + "\n";
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Draws on standard error, which is a terminal: visible lines and cursor movements, in one write,
/// so that no other output comes between.
pub(crate) fn draw(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Standard error, for log lines of the logging library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) is_json: bool,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = if self.is_json { visible_json(&text) } else { visible(&text) };
        io::stderr().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_made_visible() {
        for (text, expected) in [
            ("plain ü 漢 🦀\n\ttext", "plain ü 漢 🦀\n\ttext"),
            ("\x1b[2J\x1b]52;c;aGk=\x07", "\\x1b[2J\\x1b]52;c;aGk=\\x07"),
            ("50 %\rdone\u{8}", "50 %\\rdone\\x08".replace("\\r", "\\x0d").as_str()),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f"),
            ("a\u{202e}b\u{2066}\u{200f}", "a\\u{202e}b\\u{2066}\\u{200f}"),
        ] {
            assert_eq!(visible(text), expected);
            assert_eq!(shown(text, true), expected);
        }
    }

    #[test]
    fn only_our_colours_become_escape_sequences() {
        let text = coloured("he\x1b[8mad", "1");
        assert_eq!(shown(&text, true), "\x1b[1mhe\\x1b[8mad\x1b[0m");
        assert_eq!(shown(&text, false), "he\\x1b[8mad");
        assert_eq!(shown("\u{fdd0}8\u{fdd1}a\u{fdd0}", true), "8\u{fdd1}a");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}\x1b\u{7f}\n" });
        let text = serde_json::to_string(&value).unwrap();
        let visible = visible_json(&text);
        assert!(visible.chars().all(|c| (' '..='~').contains(&c)), "{visible}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&visible).unwrap(), value);
    }

    /// Data that the user requested (`--output -`) is written unchanged.
    #[test]
    fn nothing_goes_around_the_door() {
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/curator");
        let mut folders = vec![std::path::PathBuf::from(sources)];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.ends_with("terminal.rs") || path.ends_with("run/lines.rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                seen += usize::from(path.extension().is_some_and(|it| it == "rs"));
                for way in
                    ["println!", "print!(", "io::stdout()", "writeln!(io::std", "io::stderr)"]
                {
                    assert!(!text.contains(way), "{}: {way}", path.display());
                }
                // Asking for a stream's type writes nothing.
                let asked = text.matches("io::stderr().is_terminal()").count()
                    + text.matches("tcgetwinsize(io::stderr())").count();
                assert_eq!(text.matches("io::stderr()").count(), asked, "{}", path.display());
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
