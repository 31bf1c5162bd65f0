//! The state of a run so far: the sums of its events.

use std::collections::BTreeMap;

use super::bins::Scale;
use super::tallies::{Lane, Life, Making, StageTally};
use crate::run::{EnvReport, EnvState, Event, FailedTask, Spent, StartStep};

/// Maximum number of lanes of workers; the first ones are kept.
const LANES: usize = 256;
/// Maximum number of workers in one lane.
const LIVES: usize = 32;
/// Maximum number of failed tasks and warnings that are kept in full. All are counted.
const KEPT: usize = 200;
/// Maximum number of environments.
const MAKINGS: usize = 256;

/// The state so far.
pub(super) struct State {
    pub(super) scale: Scale,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) stages: Vec<StageTally>,
    /// Lanes by stage and number of the worker.
    pub(super) lanes: BTreeMap<(usize, usize), Lane>,
    pub(super) lanes_left_out: usize,
    pub(super) makings: Vec<Making>,
    pub(super) reports: Vec<EnvReport>,
    pub(super) failed: Vec<(f64, FailedTask)>,
    pub(super) failed_total: u64,
    pub(super) warnings: Vec<(f64, Option<String>, String)>,
    pub(super) warnings_total: u64,
    pub(super) outputs: u64,
}

impl State {
    pub(super) fn stage(&mut self, name: &str) -> Option<&mut StageTally> {
        self.names.get(name).and_then(|index| self.stages.get_mut(*index))
    }

    pub(super) fn lane(&mut self, stage: &str, worker: usize) -> Option<&mut Lane> {
        let key = (*self.names.get(stage)?, worker);
        if self.lanes.len() >= LANES && !self.lanes.contains_key(&key) {
            return None;
        }
        Some(self.lanes.entry(key).or_default())
    }

    pub(super) fn event(&mut self, now: f64, event: &Event) {
        let folds = self.scale.reach(now);
        if folds > 0 {
            self.stages.iter_mut().for_each(|stage| stage.fold(folds));
            self.lanes.values_mut().for_each(|lane| lane.busy.fold(folds));
        }
        match event {
            Event::EnvironmentPreparing { stages } => {
                let making = Making { stages: stages.clone(), begin: now, ..Making::default() };
                self.making(making);
            }
            Event::EnvironmentKeyed { stages, key } => {
                let wanted = self.makings.iter_mut();
                let mut wanted = wanted.filter(|it| it.end.is_none() && it.stages == *stages);
                if let Some(making) = wanted.next() {
                    making.is_base = key.is_none();
                    making.key.clone_from(key);
                }
            }
            Event::EnvironmentBuilding { key, phase, .. } => {
                let phases = &mut self.making_of_key(now, key).phases;
                if phases.last().is_none_or(|(_, last)| last != phase) {
                    phases.push((now, *phase));
                }
            }
            Event::EnvironmentBuilt { key, .. } => {
                let making = self.making_of_key(now, key);
                (making.end, making.is_built) = (Some(now), true);
            }
            Event::EnvironmentReady { stages, key, state, .. } => {
                self.environment_ready(now, stages, key.as_ref(), *state);
            }
            Event::Warning { stage, message } => {
                self.warnings_total += 1;
                if self.warnings.len() < KEPT {
                    self.warnings.push((now, stage.clone(), message.clone()));
                }
            }
            Event::WorkerStarting { stage, worker, step } => {
                if let Some(tally) = self.stage(stage) {
                    tally.report.forked += u64::from(*step == StartStep::Forked);
                    tally.starting.entry(*worker).or_default().push((now, *step));
                }
            }
            Event::WorkerReady { stage, worker, pid, duration } => {
                let begin = (now - duration.as_secs_f64()).max(0.0);
                self.worker_ready(now, stage, *worker, (begin, *pid));
            }
            Event::WorkerEnded { stage, worker, exit, in_order } => {
                if let Some(tally) = self.stage(stage) {
                    tally.worker_ended(*worker, now);
                }
                let life = self.lane(stage, *worker).and_then(|lane| lane.lives.last_mut());
                if let Some(life) = life.filter(|life| life.end.is_none()) {
                    life.end = Some(now);
                    let trouble = || match exit {
                        Some(exit) => exit.to_string(),
                        None => "ended early".to_owned(),
                    };
                    life.trouble = (!in_order).then(trouble);
                }
            }
            Event::BatchDone { stage, worker, tasks, outputs, duration, transfer } => {
                let scale = self.scale;
                let spent = Spent { process: *duration, transfer: *transfer };
                if let Some(tally) = self.stage(stage) {
                    tally.batch(scale, now, *worker, (*tasks, *outputs, spent));
                }
                if let Some(lane) = self.lane(stage, *worker) {
                    let begin = (now - duration.as_secs_f64()).max(0.0);
                    lane.busy.add_span(scale, begin, now);
                    lane.tasks += *tasks as u64;
                }
            }
            Event::Retried { stage, .. } => {
                if let Some(tally) = self.stage(stage) {
                    tally.retries += 1;
                }
            }
            Event::TaskFailed(failed) => self.task_failed(now, failed),
            // A worker's lines are for logs: they may be of any kind and number.
            Event::Log { .. }
            | Event::Dropped { .. }
            | Event::Stopping
            | Event::StageFinished { .. } => {}
        }
    }

    pub(super) fn worker_ready(
        &mut self,
        now: f64,
        stage: &str,
        worker: usize,
        (begin, pid): (f64, Option<i32>),
    ) {
        let mut steps = Vec::new();
        if let Some(tally) = self.stage(stage) {
            tally.worker_ready(worker, now);
            steps = tally.starting.remove(&worker).unwrap_or_default();
        }
        // One that died before may have left some.
        steps.retain(|(moment, _)| *moment >= begin);
        let Some(lane) = self.lane(stage, worker) else {
            self.lanes_left_out += 1;
            return;
        };
        if lane.lives.len() < LIVES {
            lane.lives.push(Life { begin, ready: now, steps, end: None, pid, trouble: None });
        }
    }

    pub(super) fn task_failed(&mut self, now: f64, failed: &FailedTask) {
        let (scale, count) = (self.scale, failed.tasks.len());
        if let Some(tally) = self.stage(&failed.stage) {
            tally.report.failed += count as u64;
            tally.failed.add(scale, now, count as f64);
        }
        self.failed_total += count as u64;
        if self.failed.len() < KEPT {
            self.failed.push((now, failed.clone()));
        }
    }

    /// Notes one more environment; above the maximum, it replaces the last one.
    pub(super) fn making(&mut self, making: Making) -> &mut Making {
        if self.makings.len() >= MAKINGS {
            self.makings.pop();
        }
        self.makings.push(making);
        let last = self.makings.len() - 1;
        &mut self.makings[last]
    }

    /// Returns the environment with this key. Its stages are known only at the end of its
    /// preparation; until then, it stands apart from the requested ones.
    pub(super) fn making_of_key(&mut self, now: f64, key: &str) -> &mut Making {
        let place = self.makings.iter().position(|it| it.key.as_deref() == Some(key));
        match place {
            Some(place) => &mut self.makings[place],
            None => {
                self.making(Making { key: Some(key.to_owned()), begin: now, ..Making::default() })
            }
        }
    }

    pub(super) fn environment_ready(
        &mut self,
        now: f64,
        stages: &[String],
        key: Option<&String>,
        state: EnvState,
    ) {
        let wanted = self.makings.iter().position(|it| it.end.is_none() && it.stages == stages);
        let wanted = wanted.map(|place| self.makings.remove(place));
        let begin = wanted.as_ref().map_or(now, |wanted| wanted.begin);
        let mut built = None;
        if let Some(key) = key {
            built = self.makings.iter().position(|it| it.key.as_ref() == Some(key));
        }
        let built = built.map(|place| self.makings.remove(place));
        let wanted = wanted.filter(|wanted| !wanted.phases.is_empty());
        let mut making = wanted.or(built).unwrap_or_default();
        making.stages = stages.to_vec();
        making.key = key.cloned();
        making.is_base = key.is_none();
        making.begin = begin;
        making.end = Some(now);
        making.is_built |= state == EnvState::Built;
        self.making(making);
    }
}
