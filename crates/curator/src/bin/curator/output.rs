//! Results on standard output: text for people, JSON for programs.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::failure::Failure;
use crate::streams;
use crate::terminal::{self, coloured};

/// The form of the result.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Json {
    /// Print the result as JSON.
    #[arg(long, help_heading = None)]
    pub(crate) json: bool,
}

/// Number of digits of a key shown to people: enough to be unique in any cache.
const SHORT_KEY: usize = 12;

/// Prints a result, and returns success.
pub(crate) fn text(text: &str) -> Result<ExitCode, Failure> {
    printed(terminal::print(text))
}

/// Prints a result unchanged, for scripts, and returns success.
pub(crate) fn exactly(text: &str) -> Result<ExitCode, Failure> {
    printed(terminal::print_exactly(text))
}

/// Prints what `--help` or `--version` asks for, in its colours on a terminal.
pub(crate) fn help(text: &clap::Error) -> Result<ExitCode, Failure> {
    printed(streams::check_stdout().and_then(|()| text.print()))
}

fn printed(written: io::Result<()>) -> Result<ExitCode, Failure> {
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::unread()),
        Err(error) => Err(Failure::io("write the result", &error)),
    }
}

/// Prints a result as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<ExitCode, Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(json) => printed(terminal::print_json(&json)),
        Err(error) => Err(Failure::io("write the result", &error.into())),
    }
}

/// Returns the start of a key, for people.
pub(crate) fn short(key: &impl ToString) -> String {
    key.to_string().chars().take(SHORT_KEY).collect()
}

/// Formats bytes for people: `6.6 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 {
            let decimals = usize::from(unit != "B");
            return format!("{size:.decimals$} {unit}");
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

/// Formats the time since a moment, for people.
pub(crate) fn ago(moment: SystemTime) -> String {
    let elapsed = SystemTime::now().duration_since(moment).unwrap_or_default().as_secs();
    let (count, unit) = match elapsed {
        0..60 => return "just now".to_owned(),
        60..3600 => (elapsed / 60, "minute"),
        3600..86400 => (elapsed / 3600, "hour"),
        _ => (elapsed / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// Returns a moment for JSON: seconds since 1970.
pub(crate) fn unix_seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}

/// Returns the moment this many seconds after 1970.
pub(crate) fn moment(unix_seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds)).unwrap_or(UNIX_EPOCH)
}

/// Formats a count: `1 environment`, `2 environments`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Formats rows in columns as wide as their widest cell, with the head highlighted on a terminal.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let text = plain_table(head, rows);
    match text.split_once('\n') {
        Some((head, rows)) => format!("{}\n{rows}", coloured(head, "1")),
        None => coloured(&text, "1"),
    }
}

/// Formats rows for any stream.
pub(crate) fn plain_table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            // A row is one line, even if foreign names contain line ends.
            let cell = cell.replace('\n', " ");
            let _ = write!(line, "{}  ", padded(&cell, width));
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(head)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// Returns a text with blanks behind it, up to this many columns of a terminal.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// Returns the start of a text that fits into this many columns of a terminal, and its columns.
pub(crate) fn cut(text: &str, columns: usize) -> (&str, usize) {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        let width = letter.width().unwrap_or(0);
        if used + width > columns {
            return (&text[..at], used);
        }
        used += width;
    }
    (text, used)
}

/// Formats names and values, one pair per line; a value of several lines stays in its column.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        for (number, line) in value.lines().enumerate() {
            let name = if number == 0 { *name } else { "" };
            let _ = writeln!(text, "{name:<width$}  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1000, 6_600_000, 10_737_418_240].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "6.6 MB", "10.7 GB"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "long cell".to_owned()], ["bcd".to_owned(), String::new()]];
        assert_eq!(plain_table(["x", "y"], &rows), "x    y\na    long cell\nbcd");
        let table = table(["x", "y"], &rows);
        assert_eq!(terminal::shown(&table, false), "x    y\na    long cell\nbcd");
    }

    /// A letter may take two columns, or none.
    #[test]
    fn columns_stand_below_each_other_in_every_script() {
        let names = ["漢字", "naïve", "nai\u{308}ve", "🦀", "plain"];
        let rows = names.map(|name| [name.to_owned(), "|".to_owned()]);
        for line in plain_table(["x", "y"], &rows).lines().skip(1) {
            assert_eq!(line.trim_end_matches('|').width(), 7, "{line}");
        }
        for columns in 0..8 {
            for name in names {
                let (start, used) = cut(name, columns);
                assert!(name.starts_with(start) && start.width() <= used && used <= columns);
                assert_eq!(padded(start, columns).width(), columns, "{name}");
            }
        }
    }

    #[test]
    fn values_stay_in_their_column() {
        let text = fields(&[("key", "1".to_owned()), ("added", "a\nb".to_owned())]);
        assert_eq!(text, "key    1\nadded  a\n       b\n");
    }
}
