//! Progress of a build: on the standard error stream, and never on the standard output.

use std::fs;

use crate::pipelines::Folder;
use crate::support::{CURATOR, World};

#[test]
fn a_log_gets_a_line_for_each_phase() {
    let world = World::new();
    let arguments = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
    let run = world.run(&arguments);
    let phases: Vec<&str> =
        run.err.lines().map(|line| line.split_once(": ").expect("a phase").1).collect();
    for phase in ["creating", "resolving", "installing 1 package", "compiling 1 package"] {
        assert!(phases.contains(&phase), "{phase}: {}", run.err);
    }
    assert!(!run.err.contains('\x1b') && !run.err.contains('\r'), "{:?}", run.err);
    assert_eq!(run.text().lines().count(), 1);
    assert_eq!(world.run(&arguments).err, "", "what is there is taken in silence");
}

#[test]
fn a_terminal_shows_how_far_it_is_in_one_line() {
    let world = World::new();
    // `script` gives its command a terminal, and writes the terminal's output to a file.
    let shown = world.dir().join("shown");
    let line = format!(
        "{CURATOR} env create --pip numpy==1.26.4 --pip packaging==24.0 --base {} > printed",
        world.base()
    );
    let words = ["-qec", &line, shown.to_str().expect("a path of ours")];
    let command = duct::cmd("script", words).dir(world.dir()).stdout_null().stdin_null();
    let command = command.env("CURATOR_CACHE_DIR", world.cache()).env("TERM", "xterm");
    command.env_remove("VIRTUAL_ENV").run().expect("it is built");
    let shown = String::from_utf8_lossy(&fs::read(shown).unwrap()).into_owned();
    for words in ["resolving", "installing", "2 packages", "compiling", "\r"] {
        assert!(shown.contains(words), "{words}: {shown:?}");
    }
    let printed = fs::read_to_string(world.dir().join("printed")).unwrap();
    assert!(
        printed.trim_end().ends_with("/bin/python") && printed.lines().count() == 1,
        "{printed}"
    );
}

/// Number of columns of the terminal.
const WIDTH: usize = 80;

/// Returns the final screen of a terminal that knows the display's sequences only.
fn screen(written: &str) -> Vec<String> {
    screen_of(written, false)
}

/// Returns the screen of a terminal that wraps as soon as a row is full, or only at the next
/// letter.
fn screen_of(written: &str, wraps_at_once: bool) -> Vec<String> {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut letters = written.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                rows.resize(rows.len().max(row + 1), Vec::new());
            }
            '\x1b' => {
                assert_eq!(letters.next(), Some('['));
                let mut number = String::new();
                let end = loop {
                    match letters.next().expect("the end of a sequence") {
                        digit @ ('0'..='9' | ';' | '?') => number.push(digit),
                        end => break end,
                    }
                };
                let count = number.parse().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(count),
                    'B' => row = (row + count).min(rows.len() - 1),
                    'K' if number == "2" => rows[row].clear(),
                    'K' => rows[row].truncate(column),
                    'J' => rows.truncate(row + 1),
                    'm' | 'h' | 'l' => {}
                    other => panic!("the display writes `{other}`"),
                }
            }
            letter => {
                if column == WIDTH {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), Vec::new());
                }
                let line = &mut rows[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = letter;
                column += 1;
                if wraps_at_once && column == WIDTH {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), Vec::new());
                }
            }
        }
    }
    rows.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn results_on_a_terminal_stand_above_what_changes() {
    let folder = Folder::numbers(8, "{ seconds = 0.15 }");
    let line = format!("stty cols {WIDTH} rows 24; {CURATOR} run pipeline.toml -i tasks.jsonl");
    let words = ["-qec", &line, "shown"];
    let command = folder.expression(&duct::cmd("script", words)).stdout_null().stdin_null();
    command.env("TERM", "xterm").run().expect("a run");
    let shown = String::from_utf8_lossy(&fs::read(folder.path("shown")).unwrap()).into_owned();
    assert!(shown.contains("workers"), "the display was drawn: {shown:?}");
    // `script` begins and ends with a line of its own.
    let shown: Vec<&str> = shown.split('\n').filter(|line| !line.starts_with("Script ")).collect();
    let screen = screen(&shown.join("\n"));
    for n in 0..8 {
        let result = format!("{{\"n\":{n}}}");
        assert_eq!(screen.iter().filter(|line| **line == result).count(), 1, "{n}: {screen:#?}");
    }
    assert!(!screen.iter().any(|line| line.contains("queue")), "it is gone: {screen:#?}");
}

#[test]
fn notes_on_a_terminal_leave_no_part_of_the_display_behind() {
    let folder = Folder::numbers(8, "{}");
    folder.write(
        "stages.py",
        "import time\nclass Picky:\n    def process(self, task):\n        time.sleep(0.15)\n        \
         print('note', task.data['n'])\n        return task\n",
    );
    let line =
        format!("stty cols {WIDTH} rows 24; {CURATOR} run pipeline.toml -i tasks.jsonl -o out");
    let words = ["-qec", &line, "shown"];
    let command = folder.expression(&duct::cmd("script", words)).stdout_null().stdin_null();
    command.env("TERM", "xterm").run().expect("a run");
    let shown = String::from_utf8_lossy(&fs::read(folder.path("shown")).unwrap()).into_owned();
    assert!(shown.contains("queue"), "the display was drawn: {shown:?}");
    let shown: Vec<&str> = shown.split('\n').filter(|line| !line.starts_with("Script ")).collect();
    // Also on a terminal whose cursor moves to the next row once a row is full.
    for wraps in [false, true] {
        let screen = screen_of(&shown.join("\n"), wraps);
        assert!(!screen.iter().any(|line| line.contains("queue")), "{screen:#?}");
        for n in 0..8 {
            let note = format!("Picky | note {n}");
            assert_eq!(screen.iter().filter(|line| **line == note).count(), 1, "{screen:#?}");
        }
    }
}
