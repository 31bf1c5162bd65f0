//! Python's own pipelines: what `Pipeline.stream` of the package takes for small tasks beside the
//! command, for large tables, and in memory on both sides.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use curator::venv_cache::BoxError;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::lab::{Lab, copy};
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::peers::{Peer, Runs, last_line, package, script};
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};

/// Number of small tasks, in a full and in a quick run.
const TASKS: [usize; 2] = [1_000_000, 100_000];
/// The size of a table, and their number: 10 GiB, and 1 GiB in a quick run.
const TABLE: usize = 64 << 20;
const TABLES: [usize; 2] = [160, 16];
/// The number of tables in the command's file: 2.5 GiB, so that the file stays in memory.
const IN_FILE: [usize; 2] = [40, 8];

/// What a run of `client.py` took: resident bytes at the most, in its process and in the program's, and
/// the seconds from the call to the last task.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Held {
    client: f64,
    program: f64,
    seconds: f64,
}

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    let count = lab.runs(TASKS[0], TASKS[1]);
    progress(&format!("{count} small tasks from a program in Python"));
    table.section(format!("{count} small tasks through one stage, start included: per task"));
    let command = Command::of_tasks(lab, count)?;
    let (mut ours, mut held, mut peer) = (Vec::new(), Vec::new(), Runs::default());
    #[expect(clippy::cast_precision_loss, reason = "they are a million at the most")]
    let tasks = count as f64;
    for _ in 0..lab.runs(3, 1) {
        lab.world.settle()?;
        let (seconds, of_it) = client(lab, lab.python(), &["tasks", &count.to_string()])?;
        ours.push(seconds / tasks);
        held.push(of_it);
        lab.world.settle()?;
        peer.add(|| Ok(command.run()? / tasks));
    }
    let (ours, peer) = (Sample::new(ours), peer.sample());
    let rates = [
        ("Pipeline.stream", Some(ours.median())),
        ("curator run", peer.as_ref().ok().map(Sample::median)),
    ];
    let peer = Peer::new("curator run, from a file", peer).with_budget(Budget::Client);
    table.add_beside("a small task by Pipeline.stream", &ours, vec![peer]);
    for (way, seconds) in rates {
        if let Some(seconds) = seconds {
            let rate = Sample::new(vec![1.0 / seconds]);
            table.add(Row::rate(format!("small tasks by {way}"), &rate));
        }
    }
    add_memory("small tasks", &held, table);

    let count = lab.runs(TABLES[0], TABLES[1]);
    progress(&format!("{count} tables from a program in Python"));
    let base = MeasuredBase::tables(lab.world)?;
    table.section(format!("{count} tables of 64 MiB through one stage, start included: per table"));
    let command = Command::of_tables(lab, &base.python, lab.runs(IN_FILE[0], IN_FILE[1]))?;
    let (mut ours, mut held, mut peer) = (Vec::new(), Vec::new(), Runs::default());
    #[expect(clippy::cast_precision_loss, reason = "they are 160 at the most")]
    let [tables, in_file] = [count as f64, command.count as f64];
    for _ in 0..lab.runs(3, 1) {
        lab.world.settle()?;
        let words = ["tables", &count.to_string(), &TABLE.to_string()];
        let (_, of_it) = client(lab, &base.python, &words)?;
        ours.push(of_it.seconds / tables);
        held.push(of_it);
        lab.world.settle()?;
        peer.add(|| Ok(command.run()? / in_file));
    }
    let what = format!("curator run, {} from a file", command.count);
    let peer = Peer::new(what, peer.sample()).with_budget(Budget::Client);
    table.add_beside("a table by Pipeline.stream", &Sample::new(ours), vec![peer]);
    table.add(Row::seconds("a table: one copy of it in memory", &copy(&[TABLE])));
    add_memory("tables", &held, table);
    Ok(())
}

fn add_memory(what: &str, held: &[Held], table: &mut Table) {
    let sample = |part: fn(&Held) -> f64| Sample::new(held.iter().map(part).collect());
    let client = sample(|it| it.client);
    table.add(Row::bytes(format!("{what}: memory of the program in Python, at most"), &client));
    let program = sample(|it| it.program);
    table.add(Row::bytes(format!("{what}: memory of `curator serve`, at most"), &program));
}

/// Returns the seconds of a process of `client.py`, and the memory that was held.
fn client(lab: &Lab<'_>, python: &Path, words: &[&str]) -> Result<(f64, Held), BoxError> {
    let command = program(python, words.iter().map(OsString::from))
        .env("CURATOR_PROGRAM", lab.world.program())
        .env("CURATOR_CACHE_DIR", &lab.cache)
        .env_remove("VIRTUAL_ENV")
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked();
    let (output, seconds) = timed(|| command.run());
    let output = output?;
    if !output.status.success() {
        return Err(last_line(&output.stderr).into());
    }
    Ok((seconds, serde_json::from_slice(&output.stdout)?))
}

/// Returns `client.py` with these words.
fn program(python: &Path, words: impl IntoIterator<Item = OsString>) -> duct::Expression {
    let words = [script("client.py").into_os_string()].into_iter().chain(words);
    duct::cmd(python, words).env("PYTHONPATH", package())
}

/// The same tasks and stage, in files for the command.
struct Command<'a> {
    lab: &'a Lab<'a>,
    dir: TempDir,
    count: usize,
    /// The Python of the stage's base.
    python: PathBuf,
    /// How files of tasks end.
    extension: &'static str,
}

impl<'a> Command<'a> {
    fn of_tasks(lab: &'a Lab<'a>, count: usize) -> Result<Self, BoxError> {
        let command = Self::new(lab, lab.python(), count, "jsonl")?;
        let mut tasks = BufWriter::new(fs::File::create(command.file("in"))?);
        for n in 0..count {
            writeln!(tasks, "{}", json!({ "n": n, "text": "a small task" }))?;
        }
        tasks.flush()?;
        Ok(command)
    }

    fn of_tables(lab: &'a Lab<'a>, python: &Path, count: usize) -> Result<Self, BoxError> {
        let command = Self::new(lab, python, count, "arrow")?;
        let numbers = [count, TABLE].map(|number| OsString::from(number.to_string()));
        let words = ["file".into()].into_iter().chain(numbers).chain([command.file("in").into()]);
        program(python, words).run()?;
        Ok(command)
    }

    fn new(
        lab: &'a Lab<'a>,
        python: &Path,
        count: usize,
        extension: &'static str,
    ) -> Result<Self, BoxError> {
        let dir = tempfile::tempdir_in(lab.world.root())?;
        let pipeline = json!({
            "name": "client",
            "base": python,
            "stage": [{
                "name": "Same",
                "python": format!("{}:Same", script("stages.py").display()),
                "num_workers": 1,
            }],
        });
        fs::write(dir.path().join("pipeline.json"), pipeline.to_string())?;
        Ok(Self { lab, dir, count, python: python.to_owned(), extension })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name).with_extension(self.extension)
    }

    /// Returns the seconds of a process.
    fn run(&self) -> Result<f64, BoxError> {
        let files = ["in", "out"].map(|name| self.file(name).display().to_string());
        let [input, output] = &files;
        let words = ["run", "pipeline.json", "--quiet", "--input", input, "--output", output];
        let command = self.lab.world.curator(&words, &self.lab.cache).dir(self.dir.path());
        let (ran, seconds) = timed(|| command.run());
        ran?;
        let (found, expected) = (self.rows("out")?, self.rows("in")?);
        if found != expected {
            return Err(format!("{found} of {expected} came out of the command").into());
        }
        fs::remove_file(self.file("out"))?;
        Ok(seconds)
    }

    /// Returns the number of lines, or of rows of tables, in a file.
    fn rows(&self, name: &str) -> Result<usize, BoxError> {
        let path = self.file(name);
        if self.extension == "jsonl" {
            return Ok(BufReader::new(fs::File::open(path)?).lines().count());
        }
        let printed = program(&self.python, ["rows".into(), path.into()]).read()?;
        Ok(printed.trim().parse()?)
    }
}
