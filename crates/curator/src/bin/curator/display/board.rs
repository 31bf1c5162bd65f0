//! The state of a run under way, and its wording.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use curator::RunReport;
use curator::backends::{Event, PlannedStage};

use crate::output;
use crate::progress;
use crate::run::Reading;

/// The period over which a rate is computed.
const WINDOW: Duration = Duration::from_secs(5);

/// The state of a run under way.
pub(super) struct Board {
    stages: Vec<Stage>,
    builds: BTreeMap<String, Build>,
    reading: Arc<Reading>,
    length: Option<u64>,
    begun: Instant,
    failures: usize,
    /// The progress shown last; it does not go back.
    share: f64,
    /// Tasks that were submitted but not started before the run was stopped.
    dropped: u64,
}

struct Stage {
    name: String,
    batch_size: u64,
    /// Finished tasks.
    done: u64,
    outputs: u64,
    failed: u64,
    workers: u64,
    is_finished: bool,
    /// The number of finished tasks over time.
    samples: VecDeque<(Instant, u64)>,
}

struct Build {
    text: String,
    begun: Instant,
}

/// A stage, as a row of the display.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: RowState,
    pub(super) queue: u64,
    pub(super) active: u64,
    pub(super) workers: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) rate: Option<f64>,
    pub(super) left: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowState {
    Waiting,
    Working,
    Finished,
}

impl Board {
    pub(super) fn new(stages: &[PlannedStage], reading: Arc<Reading>, length: Option<u64>) -> Self {
        let stage = |planned: &PlannedStage| Stage {
            name: planned.settings().name.clone(),
            batch_size: planned.settings().batch_size.unwrap_or(1) as u64,
            done: 0,
            outputs: 0,
            failed: 0,
            workers: 0,
            is_finished: false,
            samples: VecDeque::new(),
        };
        Self {
            stages: stages.iter().map(stage).collect(),
            builds: BTreeMap::new(),
            reading,
            length,
            begun: Instant::now(),
            failures: 0,
            share: 0.0,
            dropped: 0,
        }
    }

    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    pub(super) fn is_new_build(&self, key: &str) -> bool {
        !self.builds.contains_key(key)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn note(&mut self, event: &Event) {
        if let Some((key, _, text)) = progress::at(event) {
            let new = || Build { text: String::new(), begun: Instant::now() };
            self.builds.entry(key.to_owned()).or_insert_with(new).text = text;
        }
        match event {
            Event::EnvironmentBuilt { key, .. } => {
                self.builds.remove(key);
            }
            Event::WorkerReady { stage, .. } => self.stage(stage, |stage| stage.workers += 1),
            Event::WorkerEnded { stage, .. } => {
                self.stage(stage, |stage| stage.workers = stage.workers.saturating_sub(1));
            }
            Event::BatchDone { stage, tasks, outputs, .. } => self.stage(stage, |stage| {
                stage.done += *tasks as u64;
                stage.outputs += *outputs as u64;
            }),
            Event::TaskFailed(failed) => {
                self.failures += failed.tasks.len();
                self.stage(&failed.stage, |stage| stage.failed += failed.tasks.len() as u64);
            }
            Event::Dropped { stage, tasks, .. }
                if self.stages.first().is_some_and(|first| first.name == *stage) =>
            {
                self.dropped += *tasks as u64;
            }
            Event::StageFinished { stage } => self.stage(stage, |stage| stage.is_finished = true),
            _ => {}
        }
    }

    fn stage(&mut self, name: &str, change: impl FnOnce(&mut Stage)) {
        if let Some(stage) = self.stages.iter_mut().find(|stage| stage.name == name) {
            change(stage);
        }
    }

    /// Tasks submitted so far.
    fn handed_in(&self) -> u64 {
        self.reading.tasks.load(Ordering::Relaxed).saturating_sub(self.dropped)
    }

    /// Returns an estimate of all tasks that will be submitted, if there is one.
    fn expected(&self) -> Option<f64> {
        let tasks = as_number(self.handed_in());
        if self.reading.is_over.load(Ordering::Relaxed) {
            return Some(tasks);
        }
        let read = self.reading.bytes.load(Ordering::Relaxed);
        let length = self.length.filter(|_| read > 0)?;
        Some((tasks * as_number(length) / as_number(read)).max(tasks))
    }

    /// Returns the current state of the stages.
    pub(super) fn rows(&mut self) -> Vec<Row> {
        let mut given = self.handed_in();
        let mut expected = self.expected();
        let now = Instant::now();
        let rows = self.stages.iter_mut().map(|stage| {
            let rate = stage.rate(now);
            let pending = if stage.is_finished { 0 } else { given.saturating_sub(stage.done) };
            let active = stage.workers.min(pending.div_ceil(stage.batch_size));
            let left = expected.zip(rate).and_then(|(expected, rate)| {
                let left = (expected - as_number(stage.done)).max(0.0);
                (!stage.is_finished).then_some(left / rate)
            });
            let row = Row {
                name: stage.name.clone(),
                state: if stage.is_finished {
                    RowState::Finished
                } else if stage.workers > 0 {
                    RowState::Working
                } else {
                    RowState::Waiting
                },
                queue: pending.saturating_sub(active * stage.batch_size),
                active,
                workers: stage.workers,
                done: stage.done,
                failed: stage.failed,
                rate,
                left: left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            };
            // Estimate a stage's remaining output by its ratio so far.
            let ratio = as_number(stage.outputs) / as_number(stage.done.max(1));
            expected = expected.filter(|_| stage.done > 0).map(|expected| expected * ratio);
            given = stage.outputs;
            row
        });
        rows.collect()
    }

    /// Returns a line for each build under way: its key and its phase.
    pub(super) fn building(&self) -> Vec<(String, String)> {
        let line = |(key, build): (&String, &Build)| {
            let seconds = build.begun.elapsed().as_secs_f64();
            (output::short(key), format!("{}  {seconds:.1} s", build.text))
        };
        self.builds.iter().map(line).collect()
    }

    /// Returns a line of progress for a log.
    pub(super) fn news(&mut self) -> String {
        let rows = self.rows();
        let stages = rows.iter().map(|row| format!("{} {}", row.name, thousands(row.done)));
        let malformed = self.reading.malformed.load(Ordering::Relaxed);
        let failed = match self.failures as u64 + malformed {
            0 => String::new(),
            failures => format!("; {failures} failed"),
        };
        let left = rows.iter().filter_map(|row| row.left).max();
        let left = left.map(|left| format!("; {} left", clock(left))).unwrap_or_default();
        format!(
            "{}: {} tasks in; done: {}{failed}{left}",
            clock(self.elapsed()),
            thousands(self.handed_in()),
            stages.collect::<Vec<_>>().join(", ")
        )
    }

    /// Returns a summary of the run.
    pub(super) fn summary(&self, run: &RunReport) -> Vec<String> {
        let stage = |stage: &curator::backends::StageReport| {
            let env = run.environment_of(&stage.name);
            let env = env.and_then(|env| Some((env.key.as_ref()?, env.state)));
            let environment = env.map_or_else(
                || "base".to_owned(),
                |(key, state)| {
                    format!("{} {}", output::short(key), format!("{state:?}").to_lowercase())
                },
            );
            [
                stage.name.clone(),
                environment,
                stage.workers.to_string(),
                thousands(stage.tasks),
                thousands(stage.outputs),
                thousands(stage.failed),
                format!("{:.2} s", stage.process.as_secs_f64()),
            ]
        };
        let rows: Vec<_> = run.stages.iter().map(stage).collect();
        let head = ["stage", "environment", "workers", "in", "out", "failed", "in its code"];
        let mut lines = vec![output::plain_table(head, &rows)];
        let outputs = run.stages.last().map_or(0, |stage| stage.outputs);
        let failed = match self.failed_in(run) {
            0 => String::new(),
            failed => format!(", {} failed", thousands(failed)),
        };
        lines.push(format!(
            "{} {} in, {} out{failed}, in {:.2} s{}",
            thousands(self.handed_in()),
            if self.handed_in() == 1 { "task" } else { "tasks" },
            thousands(outputs),
            run.wall.as_secs_f64(),
            if run.is_stopped { ", stopped before its end" } else { "" }
        ));
        lines
    }

    /// Returns the number of failed tasks and malformed lines.
    pub(super) fn failed_in(&self, run: &RunReport) -> u64 {
        run.failed.len() as u64 + self.reading.malformed.load(Ordering::Relaxed)
    }

    /// Estimates the progress of the run, from 0 to 1: the mean over the stages, whose remaining
    /// input is estimated from the tasks so far.
    pub(super) fn share(&mut self) -> Option<f64> {
        let mut expected = self.expected()?;
        let (mut sum, mut before) = (0.0, 0.0);
        for stage in &self.stages {
            let done = as_number(stage.done.max(stage.failed));
            let share = if stage.is_finished {
                1.0
            } else if expected < 1.0 {
                before
            } else {
                (done / expected).min(1.0)
            };
            sum += share;
            before = share;
            if stage.done > 0 {
                expected *= as_number(stage.outputs) / as_number(stage.done);
            }
        }
        self.share = self.share.max(sum / as_number(self.stages.len().max(1) as u64));
        Some(self.share)
    }
}

impl Stage {
    /// Returns tasks per second over the last seconds; call it regularly.
    fn rate(&mut self, now: Instant) -> Option<f64> {
        if self.samples.back().is_none_or(|(_, done)| *done != self.done || !self.is_finished) {
            self.samples.push_back((now, self.done));
        }
        // Exclude the set-up, before the first task.
        while self.samples.get(1).is_some_and(|(_, done)| *done == 0) {
            self.samples.pop_front();
        }
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(then, _)| now - *then > WINDOW)
        {
            self.samples.pop_front();
        }
        let ((then, before), (at, done)) = (self.samples.front()?, self.samples.back()?);
        let seconds = (*at - *then).as_secs_f64();
        (done > before && seconds > 0.0).then(|| as_number(done - before) / seconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
fn as_number(count: u64) -> f64 {
    count as f64
}

/// Returns a number with commas: `1,234,567`.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a time as a clock shows it: `4:05`, `1:02:03`.
pub(super) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let clocks = [5, 65, 3723].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(clocks, ["0:05", "1:05", "1:02:03"]);
    }

    /// Law: whatever a stage makes of its tasks, the progress neither goes back nor jumps.
    #[test]
    fn the_share_grows_step_by_step() {
        let reading = Arc::new(Reading::default());
        let mut board = Board::new(&[], reading.clone(), Some(1000));
        for name in ["a", "b", "c"] {
            board.stages.push(Stage {
                name: name.to_owned(),
                batch_size: 1,
                done: 0,
                outputs: 0,
                failed: 0,
                workers: 1,
                is_finished: false,
                samples: VecDeque::new(),
            });
        }
        let done = |board: &mut Board, stage: &str, outputs: usize| {
            let duration = Duration::ZERO;
            let stage = stage.to_owned();
            let (worker, transfer) = (0, duration);
            board.note(&Event::BatchDone { stage, worker, tasks: 1, outputs, duration, transfer });
        };
        let mut last = 0.0;
        for task in 1..=100_u64 {
            reading.tasks.store(task, Ordering::Relaxed);
            reading.bytes.store(10 * task, Ordering::Relaxed);
            // Of two tasks one is dropped, and the other becomes two.
            done(&mut board, "a", usize::from(task % 2 == 0) * 2);
            if task % 2 == 0 {
                for _ in 0..2 {
                    done(&mut board, "b", 1);
                    done(&mut board, "c", 1);
                }
            }
            let share = board.share().unwrap();
            assert!(share >= last && share - last < 0.1, "{last} {share}");
            last = share;
        }
        assert!((last - 1.0).abs() < 1e-9, "{last}");
    }
}
