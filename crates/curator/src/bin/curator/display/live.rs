//! The display on a terminal: redrawn ten times a second, as a whole.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use curator::backends::sync::Mutex;

use unicode_width::UnicodeWidthStr;

use super::board::{Board, Row, RowState, clock, thousands};
use super::shared::Shared;
use crate::output::{cut, padded};
use crate::terminal::{draw, is_error_colourful, say, visible};

const TICK: Duration = Duration::from_millis(100);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Width of the bar, in columns.
const BAR: usize = 24;
/// Columns and rows of a terminal that does not report its size.
const UNKNOWN: (usize, usize) = (80, 24);

const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Lines on a terminal that change in place.
pub(super) struct Live {
    screen: Arc<Mutex<Screen>>,
    end: Sender<()>,
    /// `None` if the system refuses another thread: then nothing is drawn.
    thread: Option<JoinHandle<()>>,
}

impl Live {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let screen = Arc::<Mutex<Screen>>::default();
        let (end, ended) = channel();
        let drawn = screen.clone();
        let thread = thread::Builder::new().name("curator-display".to_owned()).spawn(move || {
            let mut frame = 0;
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let text = text(&mut shared.board(), frame, size());
                drawn.lock().draw(text);
                frame += 1;
            }
        });
        Self { screen, end, thread: thread.ok() }
    }

    /// Prints a line above.
    pub(super) fn print(&self, line: &str) {
        self.above(|| say(line));
    }

    /// Removes the lines while something is written.
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut screen = self.screen.lock();
        screen.erase();
        let written = write();
        screen.draw_again();
        written
    }

    /// Removes the lines.
    pub(super) fn end(self) {
        drop(self.end);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
        self.screen.lock().erase();
    }
}

/// The lines now on the terminal. Each is narrower than the terminal, so that the position of the
/// cursor is known: terminals disagree on its row after the last column.
#[derive(Default)]
struct Screen {
    text: String,
    is_drawn: bool,
}

impl Screen {
    fn draw(&mut self, text: String) {
        let erasing = self.erasing();
        self.text = text;
        self.is_drawn = true;
        draw(&(erasing + &self.text.replace('\n', "\r\n")));
    }

    fn draw_again(&mut self) {
        self.draw(self.text.clone());
    }

    fn erase(&mut self) {
        draw(&self.erasing());
        self.is_drawn = false;
    }

    /// Returns the sequence that removes the lines, starting at the end of the last one.
    fn erasing(&self) -> String {
        if !self.is_drawn {
            return String::new();
        }
        let above = self.text.matches('\n').count();
        format!("\r\x1b[2K{}", "\x1b[1A\x1b[2K".repeat(above))
    }
}

/// Returns the columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map_or(UNKNOWN, |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

fn text(board: &mut Board, frame: usize, (width, height): (usize, usize)) -> String {
    let spinner = SPINNER[frame % SPINNER.len()];
    let mut lines = Vec::new();
    for (key, state) in board.building() {
        lines.push(
            Line::default().add(spinner, CYAN).add(&format!(" environment {key}  {state}"), ""),
        );
    }
    let rows = board.rows();
    // Leave room for the head, the line below, and a shell's prompt.
    let room = height.saturating_sub(lines.len() + 4).max(1);
    let (shown, hidden) = choose(rows, room);
    let names = shown.iter().map(|row| row.name.width()).max().unwrap_or(0).clamp(5, 28);
    let head = format!(
        "  {:<names$}  {:>7} {:>7} {:>9} {:>7} {:>10} {:>8}",
        "stage", "queue", "workers", "done", "failed", "rate", "left"
    );
    lines.push(Line::default().add(&head, DIM));
    lines.extend(shown.iter().map(|row| row_line(row, names, spinner)));
    if hidden > 0 {
        lines.push(Line::default().add(&format!("  and {hidden} more"), DIM));
    }
    lines.push(total(board, shown.iter().filter_map(|row| row.left).max()));
    let lines: Vec<String> = lines.iter().map(|line| line.cut(width.saturating_sub(1))).collect();
    lines.join("\n")
}

/// Returns the stages that fit: first those at work, in their order.
fn choose(rows: Vec<Row>, room: usize) -> (Vec<Row>, usize) {
    let hidden = rows.len().saturating_sub(room);
    let mut to_hide = hidden;
    let mut shown = Vec::new();
    for row in rows {
        if to_hide > 0 && row.state != RowState::Working {
            to_hide -= 1;
        } else {
            shown.push(row);
        }
    }
    shown.truncate(room);
    (shown, hidden)
}

fn row_line(row: &Row, names: usize, spinner: &str) -> Line {
    let line = match row.state {
        RowState::Finished => Line::default().add("✓", GREEN),
        RowState::Working if row.active > 0 => Line::default().add(spinner, CYAN),
        RowState::Working | RowState::Waiting => Line::default().add("·", DIM),
    };
    let name = padded(cut(&row.name, names).0, names);
    let workers = match row.state {
        RowState::Working => format!("{}/{}", row.active, row.workers),
        RowState::Waiting | RowState::Finished => "-".to_owned(),
    };
    let rate = row.rate.filter(|_| row.state != RowState::Finished).map_or_else(
        || "-".to_owned(),
        |rate| if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") },
    );
    let left = row.left.map_or_else(|| "-".to_owned(), clock);
    let (queue, done) = (thousands(row.queue), thousands(row.done));
    line.add(&format!(" {name}  {queue:>7} {workers:>7} {done:>9} "), "")
        .add(&format!("{:>7}", thousands(row.failed)), if row.failed > 0 { RED } else { "" })
        .add(&format!(" {rate:>10} {left:>8}"), "")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a short bar"
)]
fn total(board: &mut Board, left: Option<Duration>) -> Line {
    let line = Line::default().add("  ", "");
    let line = match board.share() {
        Some(share) => {
            let full = (share * BAR as f64).round() as usize;
            line.add(&"━".repeat(full), CYAN)
                .add(&"━".repeat(BAR - full), DIM)
                .add(&format!(" {:>3.0} %  ", share * 100.0), "")
        }
        None => line,
    };
    let line = line.add(&clock(board.elapsed()), "");
    match left {
        Some(left) => line.add(&format!(", about {} left", clock(left)), DIM),
        None => line,
    }
}

/// A line in parts, each with a colour (a number of ANSI's) or none.
#[derive(Default)]
struct Line(Vec<(String, &'static str)>);

impl Line {
    fn add(mut self, text: &str, colour: &'static str) -> Self {
        self.0.push((visible(text).replace('\n', " "), colour));
        self
    }

    /// Returns the coloured line, cut to the width: a wrapped line could not be overwritten.
    fn cut(&self, width: usize) -> String {
        let is_plain = !is_error_colourful();
        let (mut text, mut room) = (String::new(), width);
        for (part, colour) in &self.0 {
            let (part, used) = cut(part, room);
            room -= used;
            if colour.is_empty() || part.is_empty() || is_plain {
                text.push_str(part);
            } else {
                let _ = write!(text, "\x1b[{colour}m{part}\x1b[0m");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that wraps would leave its rest on the screen.
    #[test]
    fn a_line_is_never_wider_than_the_terminal() {
        for text in ["漢字漢字漢字", "a plain text", "🦀🦀🦀 e\u{301}e\u{301}"] {
            for width in 0..20 {
                let cut = Line::default().add(" · ", "").add(text, "").cut(width);
                assert!(cut.width() <= width, "`{cut}` in {width} columns");
            }
        }
    }
}
