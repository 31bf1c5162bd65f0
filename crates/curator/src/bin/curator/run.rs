//! `run`: a pipeline from a file, over tasks from a file or a pipe.

mod apart;
#[cfg(feature = "arrow")]
mod arrow;
mod checks;
mod destinations;
mod failed;
mod input;
mod interrupt;
mod lines;
mod malformed;
mod numbered;
mod report;
mod results;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use curator::backends::{
    Checkpoint, Event, FailurePolicy, Observer, Provisioner, Recorder, RunRecord, RunReport, Sink,
};
use curator::stage::Backend;
use curator::{Task, backends};

use crate::display::Display;
use crate::engine::{self, Manner};
use crate::failure::Failure;
use crate::logging::{LogFormat, Logging};
use crate::observers::Observers;
use crate::output;
use crate::pipeline::{Loaded, PipelineArguments};
use failed::FailedFile;
pub(crate) use input::Reading;
use input::{Input, Tasks};
use interrupt::Interrupt;
use numbered::Numbered;
use report::ReportFile;
use results::Results;

/// Shown below the options of `run --help`.
pub(crate) const HELP: &str = "Examples:\n  \
    curator run pipeline.toml --input tasks.jsonl --output results.jsonl\n  \
    cat tasks.jsonl | curator run pipeline.toml --set stage.clean.batch_size=8 | head\n  \
    curator run pipeline.toml --input tasks.jsonl --failed failed.jsonl\n\n\
    A line of input is the data of a task, as JSON, of at most 256 MiB. A line such as {\"data\": {\"json\": ...}} or \
    {\"data\": {\"base64\": \"...\"}}, perhaps with \"metadata\" and \"dataset_name\", is a whole \
    task; output has this form where the data alone would not say everything. Lines of output \
    come in the order in which tasks are done.\n\n\
    A file whose name ends in .arrow is one of Arrow tables instead (of a build with the feature \
    `arrow`): each of its record batches is a task, and results, which must be tables with the same \
    columns, add theirs.\n\n\
    Ctrl-C or SIGTERM ends the run once the workers have finished what they have in their hands, and \
    what waits is dropped; a second one ends it at once. With --checkpoint, the same command does the \
    rest.\n\n\
    Exit codes: 0 done, 1 the run or a task failed, 2 wrong usage or pipeline, 130 Ctrl-C, 141 the reader of \
    the output left, 143 SIGTERM.";

/// What a person who forgot the input sees, as some pipelines need none.
const NO_INPUT: &str = "no input was given, so the run began with one empty task: give tasks by \
    `--input FILE`, or by a pipe";

/// How to run a pipeline.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pipeline: PipelineArguments,
    /// Tasks as JSON lines, `-` for the standard input [default: the standard input if it is a pipe
    /// or a file, else one empty task].
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    input: Option<PathBuf>,
    /// Where results go as JSON lines, `-` for the standard output [default: -].
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write each result as a whole task, with its id and what each stage cost it.
    #[arg(long)]
    whole_tasks: bool,
    /// Where tasks that fail go, with their causes; the file can be the input of another run. Has
    /// the run go on after a failure, unless a failure policy is given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    failed: Option<PathBuf>,
    /// Keep in this folder which tasks are finished and what came of them, and do only the rest the
    /// next time. Results come at the end, those of earlier runs too, in the order of the input.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    checkpoint: Option<PathBuf>,
    /// Take up a checkpoint of work that has changed since: what is finished stays as it is, tasks
    /// that have changed are done again, and those that are gone are left out.
    #[arg(long, requires = "checkpoint")]
    checkpoint_accept_changes: bool,
    /// Keep in this folder what the environments held, with hashes, versions and times.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    record: Option<PathBuf>,
    /// Have the environments hold just what they held in the run that was recorded in this folder.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    locked: Option<PathBuf>,
    /// What to do about a task that fails [default: the file's, else `fail-fast`].
    #[arg(long, value_name = "POLICY")]
    failure_policy: Option<Policy>,
    /// How long workers may take to finish what they have in their hands after Ctrl-C or SIGTERM
    /// [default: 20s].
    #[arg(long, value_name = "TIME", value_parser = curator::stage::parse_age)]
    stop_grace: Option<Duration>,
    /// Keep the stages' imports for this long after the run (`10m`), so that the next run with this
    /// option starts without them. `curator ps` lists the processes that hold them; 0s keeps none
    /// [default: the file's, else 0s].
    #[arg(long, value_name = "TIME", value_parser = curator::stage::parse_age)]
    keep_warm: Option<Duration>,
    /// The engine [default: the file's, else `local`].
    #[arg(long, value_name = "ENGINE", value_parser = backend)]
    backend: Option<Backend>,
    /// Where the report goes, also of a run that fails: a page if its name ends in `.html`, else
    /// `.json`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
    /// Tell only of warnings and failures.
    #[arg(long, short, conflicts_with = "log_format")]
    quiet: bool,
    /// Tell of what happens in lines of this form, in place of the progress display; `RUST_LOG`
    /// says of what.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Stop at the first task that fails.
    FailFast,
    /// Go on with the others.
    Record,
}

fn backend(name: &str) -> Result<Backend, curator::stage::UnknownBackend> {
    name.parse()
}

pub(crate) fn run(arguments: &Run, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let report = arguments.report.as_deref().map(ReportFile::new).transpose()?;
    arguments.check_formats()?;
    let mut loaded = arguments.pipeline.load()?;
    loaded.read_declared(cache_dir)?;
    let locked = arguments.locked.as_deref().map(RunRecord::read).transpose()?;
    if let Some(record) = &locked {
        loaded.plan = record.lock(&loaded.plan, cache_dir)?;
    }
    let input = Input::of(arguments.input.as_deref());
    let output = Results::to(arguments.output.as_deref(), arguments.whole_tasks)?;
    arguments.check_files(&loaded.plan, &input, &output)?;
    arguments.check_destinations(&output)?;
    let backend = arguments.backend.unwrap_or(loaded.file.engine().backend);
    engine::check(loaded.file.engine(), backend, &loaded.plan)?;

    let reading = Arc::new(Reading::default());
    let tasks = input.open(&reading)?;
    let checkpoint = arguments.checkpoint.as_deref();
    let checkpoint =
        checkpoint.map(|dir| loaded.checkpoint(dir, arguments.checkpoint_accept_changes));
    let checkpoint = checkpoint.transpose()?;
    arguments.record.as_deref().map(RunRecord::claim).transpose()?;
    let logging = Logging::begin(arguments.log_format);
    let display = Arc::new(if logging.is_some() || arguments.quiet {
        Display::silent(arguments.quiet, reading.clone())
    } else {
        Display::new(loaded.plan.stages(), reading.clone(), input.length())
    });
    let interrupt = Interrupt::install(reading.clone(), display.clone())?;
    let recorder =
        report.as_ref().map(|_| Arc::new(Recorder::from_env(&loaded.plan, backend.as_str())));
    let mut this = Running {
        arguments,
        has_input: input != Input::None,
        backend,
        recorder,
        loaded,
        reading,
        display,
        logging,
        output,
        failed: arguments.failed.as_deref().map(FailedFile::new),
        checkpoint,
        broken: None,
        interrupt,
    };
    if let Some(record) = locked {
        let provisioner = Provisioner::builder()
            .base_of(&this.loaded.plan)
            .cache_dir(cache_dir)
            .observer(this.display.clone())
            .open()?;
        let verified = record.verify(&this.loaded.plan, &provisioner);
        if verified.is_err() {
            this.display.finish();
        }
        verified?;
    }
    let result = this.execute(tasks, cache_dir);
    let result = this.record(result, cache_dir);
    let reported = this.report(report.as_ref(), result.as_ref(), cache_dir);
    this.end(result, reported)
}

impl Run {
    fn policy(&self, loaded: &Loaded) -> FailurePolicy {
        match (self.failure_policy, loaded.file.failure_policy()) {
            (Some(Policy::FailFast), _) => FailurePolicy::FailFast,
            (None, Some(policy)) => policy,
            (None, None) if self.failed.is_none() => FailurePolicy::FailFast,
            (Some(Policy::Record), _) | (None, None) => FailurePolicy::Record,
        }
    }
}

/// A run under way.
struct Running<'a> {
    arguments: &'a Run,
    /// Whether tasks were given, or the run began with an empty one.
    has_input: bool,
    backend: Backend,
    /// Where a report is wanted.
    recorder: Option<Arc<Recorder>>,
    loaded: Loaded,
    reading: Arc<Reading>,
    display: Arc<Display>,
    logging: Option<Logging>,
    output: Results,
    failed: Option<FailedFile>,
    checkpoint: Option<Checkpoint>,
    /// Why the output could not be written.
    broken: Option<io::Error>,
    interrupt: Interrupt,
}

impl Running<'_> {
    /// Runs the pipeline, or what a checkpoint has left of it, and writes what comes out.
    fn execute(
        &mut self,
        tasks: Tasks,
        cache_dir: Option<&Path>,
    ) -> Result<RunReport, backends::Error> {
        let (arguments, loaded) = (self.arguments, &self.loaded);
        let manner = Manner {
            policy: arguments.policy(loaded),
            stop: self.interrupt.stop.clone(),
            stop_grace: arguments.stop_grace,
            keep_warm: arguments.keep_warm,
            owner: None,
        };
        let executor = engine::executor(loaded.file.engine(), self.backend, manner, cache_dir)?;
        let mut observers = self.observers();
        // A checkpoint follows its tasks itself, and withholds what shares a task with a failure.
        let followed = self.failed.as_ref().filter(|_| self.checkpoint.is_none());
        let intake = followed.map(|failed| failed.intake.clone());
        let held = followed.map(FailedFile::held);
        if let Some(intake) = &intake {
            observers.add(intake.clone());
        }
        let observer: Arc<dyn Observer> = Arc::new(observers);
        let kept = self.checkpoint.as_ref().filter(|_| !arguments.checkpoint_accept_changes);
        let mut tasks = Numbered {
            lines: tasks,
            next: 0,
            reading: self.reading.clone(),
            failed: self.failed.clone(),
            intake,
            settled: kept.into_iter().flat_map(Checkpoint::finished_tasks).collect(),
            goes_on: arguments.policy(loaded) == FailurePolicy::Record,
            observer: observer.clone(),
        };
        let (results, broken) = (&mut self.output, &mut self.broken);
        let recorder = self.recorder.clone();
        let display = self.display.clone();
        let is_seen = results.is_terminal();
        let mut write = |task: &Task| {
            let added =
                if is_seen { display.above(|| results.add(task)) } else { results.add(task) };
            added.map_err(|error| {
                let kind = error.kind();
                *broken = Some(error);
                curator::stage::BoxError::from(io::Error::from(kind))
            })
        };
        let sink: &mut Sink<'_> = &mut |task: Task| {
            if let Some(recorder) = &recorder {
                recorder.see(&task);
            }
            match &held {
                Some(held) => held.exchange(task).iter().try_for_each(&mut write),
                None => write(&task),
            }
        };
        if let Some(checkpoint) = self.checkpoint.take() {
            if checkpoint.finished() > 0 {
                let finished = output::count(checkpoint.finished(), "task");
                self.display.note(&format!("{finished} finished by earlier runs"));
            }
            let checkpoint = match self.failed.as_ref().map(FailedFile::held) {
                Some(held) => checkpoint.with_unfinished(move |group| held.unfinished(group)),
                None => checkpoint,
            };
            return checkpoint.run(&*executor, &loaded.plan, &mut tasks, observer, sink);
        }
        let result = executor.execute(&loaded.plan, &mut tasks, observer, sink);
        // What was known only when all had ended. That it cannot be written, `broken` tells.
        let rest = held.map(|held| held.take()).unwrap_or_default();
        let _ = rest.iter().try_for_each(&mut write);
        result
    }

    /// Returns what observes every run: the display, the log, the report, and what ends the input.
    fn observers(&self) -> Observers {
        let reading = self.reading.clone();
        let mut observers = Observers::default();
        observers.add(self.display.clone());
        observers.add(Arc::new(move |event: &Event| {
            // A thread that waits for input must stop when tasks are no longer wanted.
            if matches!(event, Event::Stopping) {
                reading.stop.store(true, Ordering::Relaxed);
            }
        }));
        let interrupt = self.interrupt.clone();
        if self.backend == Backend::Local {
            interrupt.is_heard();
        } else {
            // Before that an engine on Ray builds or starts, and hears of nothing.
            observers.add(Arc::new(move |event: &Event| {
                if matches!(event, Event::WorkerReady { .. }) {
                    interrupt.is_heard();
                }
            }));
        }
        if let Some(logging) = &self.logging {
            observers.add(Arc::new(logging.clone()));
        }
        if let Some(recorder) = &self.recorder {
            observers.add(recorder.clone());
        }
        observers
    }

    /// Writes the record of a run that came to its end, where one is wanted.
    fn record(
        &self,
        result: Result<RunReport, backends::Error>,
        cache_dir: Option<&Path>,
    ) -> Result<RunReport, backends::Error> {
        let report = result?;
        if let Some(dir) = &self.arguments.record {
            let provisioner = self.loaded.provisioner(cache_dir)?;
            RunRecord::new(&self.loaded.plan, &provisioner, &report)?.write(dir)?;
        }
        Ok(report)
    }

    /// Writes the report, where one is wanted, however the run ended.
    fn report(
        &self,
        file: Option<&ReportFile>,
        result: Result<&RunReport, &backends::Error>,
        cache_dir: Option<&Path>,
    ) -> Result<(), Failure> {
        let (Some(file), Some(recorder)) = (file, &self.recorder) else { return Ok(()) };
        if result.is_err() {
            report::describe(recorder, &self.loaded.plan, cache_dir);
        }
        file.write(recorder, result)
    }

    /// Completes what was written, and tells how it went.
    fn end(
        &mut self,
        result: Result<RunReport, backends::Error>,
        reported: Result<(), Failure>,
    ) -> Result<ExitCode, Failure> {
        self.display.finish();
        let completed = self.failed.as_ref().map_or(Ok(()), FailedFile::finish);
        let broken = self.broken.take().map(|error| self.output.failure(&error));
        if let Some(failure) = completed.err().or(broken) {
            // What came out before is worth something. If that fails too, one failure is enough.
            let _ = self.output.flush();
            return Err(failure);
        }
        let run = match result {
            Ok(run) => run,
            // The input ended too early for a reason of its own.
            Err(backends::Error::ShorterInput { .. }) if self.reading.has_problem() => {
                let problem = self.reading.take_problem().unwrap_or_default();
                return Err(Failure::failed(&problem));
            }
            Err(error) => {
                // What came out so far is worth something; an older file is left alone if nothing
                // did.
                self.output.flush()?;
                let is_task = matches!(error, backends::Error::Task(_));
                let failure = Failure::from(error);
                return Err(if is_task && !self.has_input {
                    failure.with_hint(NO_INPUT)
                } else {
                    failure
                });
            }
        };
        self.output.finish()?;
        reported?;
        let left_out = self.failed.as_ref().map_or(0, FailedFile::left_out);
        if left_out > 0 {
            let results = output::count(left_out, "result");
            self.display.note(&format!(
                "{results} left out: other parts of the tasks that they were made of failed, and \
                 these come again whole"
            ));
        }
        if let Some(problem) = self.reading.take_problem() {
            return Err(Failure::failed(&problem));
        }
        self.display.summary(&run);
        if let Some(code) = self.interrupt.code() {
            return Ok(ExitCode::from(code));
        }
        let has_failed =
            !run.failed.is_empty() || self.reading.malformed.load(Ordering::Relaxed) > 0;
        Ok(ExitCode::from(u8::from(has_failed)))
    }
}
