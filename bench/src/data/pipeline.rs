//! A pipeline of nine stages of NeMo Curator, unchanged, by Curator's executor and by NeMo
//! Curator's own: whole processes, and the processor time of all that they start.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, PipeWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use curator::RuntimeEnv;
use curator::backends::DiskSource;
use curator::stage::Isolation;
use curator::venv_cache::BoxError;
use serde_json::{Value, json};

use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::cpu;
use crate::peers::{Cluster, last_line, package, script};
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

const FILES: usize = 4;
const DOCUMENTS: usize = 400;
/// The executors, by the names of `nine_stages.py`.
const OURS: [(&str, &str); 2] = [("fused", "Curator"), ("unfused", "Curator, not fused")];
const PEERS: [(&str, &str); 3] =
    [("ray-data", "Ray Data"), ("xenna", "Xenna"), ("ray-actor-pool", "Ray Actor Pool")];
/// The package that a stage has of its own.
const PACKAGE: &str = "packaging==24.0";
/// Time limit of one process.
const PATIENCE: Duration = Duration::from_mins(6);
const ROUNDS: [&str; 2] = ["first run", "second run"];

/// What a process took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Taken {
    wall: f64,
    processors: f64,
}

/// A figure, out of all that a process took.
type Figure = fn(&Taken) -> f64;

const FIGURES: [(&str, Figure); 2] =
    [("the process", |it| it.wall), ("processor time", |it| it.processors)];

/// The runs of one executor: first and second ones.
type Measured = [Vec<Taken>; 2];

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    let base = MeasuredBase::nemo(lab.world)?;
    let job = Job::new(lab.world, &base.python)?;
    // All package managers have the package at hand.
    let loaded = RuntimeEnv::uv([PACKAGE]).load(&DiskSource, &std::env::current_dir()?)?;
    World::provisioner(&lab.base(), &lab.cache)?.prepare(&loaded, Isolation::Shared)?;
    let mut ours = Vec::new();
    for (executor, name) in OURS {
        progress(&format!("nine stages by {name}"));
        let mut measured = Measured::default();
        for _ in 0..lab.runs(3, 1) {
            let cache = lab.world.fresh_cache()?;
            for taken in &mut measured {
                taken.push(job.ours(executor, &cache)?);
            }
        }
        ours.push((name, measured));
    }
    let mut peers = Vec::new();
    // A quick run has time for one of them only.
    for (executor, name) in PEERS.into_iter().take(lab.runs(PEERS.len(), 1)) {
        progress(&format!("nine stages by NeMo Curator on {name}"));
        let mut measured = Measured::default();
        if let Err(problem) = job.peer(executor, &mut measured) {
            table.fail(format!("nine stages, by {name}"), problem.to_string());
        }
        peers.push((name, measured));
    }
    for round in 0..ROUNDS.len() {
        for figure in FIGURES {
            add_figures(round, figure, [&ours, &peers], table);
        }
    }
    Ok(())
}

/// Adds one figure of one round, of all executors.
fn add_figures(
    round: usize,
    (figure, of): (&str, Figure),
    [ours, peers]: [&[(&'static str, Measured)]; 2],
    table: &mut Table,
) {
    let what = format!("nine stages, {}, {figure}", ROUNDS[round]);
    table.section(format!("{what}: {FILES} files of {DOCUMENTS} documents"));
    let samples = |measured: &[(&'static str, Measured)]| -> Vec<(&'static str, Sample)> {
        let sample = |taken: &Measured| {
            let values: Vec<f64> = taken[round].iter().map(of).collect();
            (!values.is_empty()).then(|| Sample::new(values))
        };
        measured.iter().filter_map(|(name, taken)| Some((*name, sample(taken)?))).collect()
    };
    let (ours, peers) = (samples(ours), samples(peers));
    let best = peers.iter().min_by(|(_, one), (_, other)| one.median().total_cmp(&other.median()));
    for (name, sample) in &ours {
        let row = Row::seconds(format!("{what}: {name}"), sample);
        table.add(match best {
            Some((_, best)) => row.against(best.median()),
            None => row,
        });
    }
    for (name, sample) in &peers {
        table.add(Row::seconds(format!("{what}: {name}"), sample));
    }
    if let (Some((_, first)), Some((engine, best))) = (ours.first(), best) {
        let peer = format!("{engine}, NeMo's best");
        table.compare(&what, &peer, first.median(), best.median(), None);
    }
}

/// The documents, and what must come of them.
struct Job<'a> {
    world: &'a World,
    python: &'a Path,
    documents: PathBuf,
    /// What came of the first run: ids of tasks, and files with their rows.
    expected: RefCell<Option<Value>>,
}

impl<'a> Job<'a> {
    fn new(world: &'a World, python: &'a Path) -> Result<Self, BoxError> {
        let documents = world.root().join("documents");
        fs::create_dir_all(&documents)?;
        for file in 0..FILES {
            let lines = (0..DOCUMENTS).try_fold(String::new(), |mut lines, row| {
                let words: Vec<String> =
                    (0..=row % 7).map(|word| format!("w{file}_{row}_{word}")).collect();
                let text = format!("{}\n\n\nand the \"rest\" of it", words.join(" "));
                writeln!(lines, "{}", json!({ "text": text, "n": row, "tags": [row, null] }))?;
                Ok::<String, std::fmt::Error>(lines)
            })?;
            fs::write(documents.join(format!("{file}.jsonl")), lines)?;
        }
        Ok(Self { world, python, documents, expected: RefCell::default() })
    }

    /// Runs the pipeline by Curator, with what the cache holds.
    fn ours(&self, executor: &str, cache: &Path) -> Result<Taken, BoxError> {
        // It has the variable that the processes are known by, and no Ray.
        let cluster = Cluster::new(self.world)?;
        self.run(&cluster, executor, |run| {
            let variables = [
                ("CURATOR_PROGRAM", self.world.program().as_os_str().to_owned()),
                ("CURATOR_CACHE_DIR", cache.as_os_str().to_owned()),
                ("PYTHONPATH", package().into_os_string()),
            ];
            let words = ["run".into()].into_iter().chain(run.arguments.iter().map(OsString::from));
            let words = [script("nine_stages.py").into_os_string()].into_iter().chain(words);
            let command = cluster.command(self.python, words, variables)?.stdin_null();
            let running = command.stdout_path(&run.output).stderr_path(&run.errors).start()?;
            let ended = running.wait_timeout(PATIENCE)?.map(|output| output.status.code());
            if ended.is_none() {
                running.kill()?;
            }
            Ok(ended.flatten())
        })
    }

    /// Runs the pipeline in a new session of Ray, and again in the same one.
    fn peer(&self, executor: &str, measured: &mut Measured) -> Result<(), BoxError> {
        let cluster = Cluster::new(self.world)?;
        let mut session = None;
        for taken in measured {
            taken.push(self.run(&cluster, executor, |run| {
                let session = match &mut session {
                    Some(session) => session,
                    none => none.insert(Session::start(&cluster, self.python)?),
                };
                session.run(run)
            })?);
        }
        Ok(())
    }

    /// Measures a run by one way to start the process, which returns its code unless it takes too
    /// long.
    fn run(
        &self,
        cluster: &Cluster,
        executor: &str,
        process: impl FnOnce(&Run) -> Result<Option<i32>, BoxError>,
    ) -> Result<Taken, BoxError> {
        let results = cluster.dir().join("results");
        if results.exists() {
            files::delete(&results).map_err(|left| format!("{left}: {}", left.source))?;
        }
        let text =
            |path: &Path| path.to_str().map(str::to_owned).ok_or("a folder's path is no text");
        // Files instead of pipes, since Ray's processes may keep them open after the script ends.
        let [output, errors] = ["out", "err"].map(|name| cluster.dir().join(name));
        let arguments = [text(&self.documents)?, text(&results)?, executor.to_owned()];
        let run = Run { arguments, output, errors };
        self.world.settle()?;
        let ((code, wall), processors) = cpu::used(&cluster.variable(), || timed(|| process(&run)));
        match code? {
            Some(0) => {}
            Some(_) => return Err(last_line(&fs::read(&run.errors)?).into()),
            None => return Err(format!("it was not done after {} s", PATIENCE.as_secs()).into()),
        }
        self.check(&fs::read_to_string(&run.output)?, &results)?;
        Ok(Taken { wall, processors })
    }

    /// Compares what came out with what came of the first run: a wrong run gives no figure.
    fn check(&self, printed: &str, results: &Path) -> Result<(), BoxError> {
        let ids = printed.lines().last().ok_or("the pipeline printed no ids")?;
        let ids: Value = serde_json::from_str(ids)?;
        let shown = duct::cmd!(self.python, script("nine_stages.py"), "show", results).read()?;
        let files: Value = serde_json::from_str(&shown)?;
        let found = json!({ "ids": ids, "files": files });
        let mut expected = self.expected.borrow_mut();
        let Some(expected) = &*expected else {
            let by_file = files.as_object().into_iter().flatten();
            let rows: Vec<&Value> =
                by_file.filter_map(|(_, rows)| rows.as_array()).flatten().collect();
            let is_isolated = rows.iter().all(|row| row["packaging"] == "24.0");
            if ids.as_array().map(Vec::len) != Some(FILES) || rows.is_empty() || !is_isolated {
                return Err(format!("{} rows came out, and ids {ids}", rows.len()).into());
            }
            *expected = Some(found);
            return Ok(());
        };
        for (part, what) in [("ids", "ids of tasks"), ("files", "files or rows")] {
            if expected[part] != found[part] {
                return Err(format!("other {what} came out than of the first run").into());
            }
        }
        Ok(())
    }
}

/// What a process of `nine_stages.py` is given.
struct Run {
    arguments: [String; 3],
    output: PathBuf,
    errors: PathBuf,
}

/// A session of Ray, which ends when this is dropped.
struct Session {
    answers: BufReader<duct::ReaderHandle>,
    lines: PipeWriter,
    errors: PathBuf,
}

impl Session {
    fn start(cluster: &Cluster, python: &Path) -> Result<Self, BoxError> {
        let (input, lines) = std::io::pipe()?;
        let errors = cluster.dir().join("session");
        let seconds = PATIENCE.as_secs().to_string();
        let words = [script("nine_stages.py").into(), "session".into(), seconds.into()];
        let command = cluster.command(python, words, [])?.stdin_file(input).stderr_path(&errors);
        let mut session = Self { answers: BufReader::new(command.reader()?), lines, errors };
        session.answer::<String>()?;
        Ok(session)
    }

    /// Runs a process in the session. Returns its code, unless it takes too long.
    fn run(&mut self, run: &Run) -> Result<Option<i32>, BoxError> {
        let [documents, results, executor] = &run.arguments;
        let line = json!([run.output, run.errors, documents, results, executor]);
        writeln!(self.lines, "{line}")?;
        self.answer()
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, BoxError> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(last_line(&fs::read(&self.errors)?).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
