//! The environments of a run, each made once for the stages that share it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

use envspec::{Digest, Install, LoadedEnv};
use stage::Isolation;

use super::executor::{LocalExecutor, guarded};
use super::run::Run;
use super::turns::Turns;
use crate::provision::{Environment, Provisioner};
use crate::run::{EnvReport, Error, Event, Plan, PlannedStage};

impl LocalExecutor {
    /// Prepares the environments, distinct ones side by side and those of earlier stages first, and
    /// lets each stage begin as soon as its own is ready.
    pub(crate) fn provide(&self, plan: &Plan, run: &Run) -> (Option<Provisioner>, Vec<EnvReport>) {
        if !plan.stages().iter().any(PlannedStage::needs_python) {
            return (None, Vec::new());
        }
        let builder = self
            .provisioner_builder(plan)
            .observer(run.observer.clone())
            .stop(run.builds_over.clone())
            .for_stages_of(plan);
        let provisioner = match builder.open() {
            Ok(provisioner) => provisioner,
            Err(error) => {
                run.fail(error);
                return (None, Vec::new());
            }
        };
        // Before anything is built for any of them.
        if let Err(error) = check_pythons(plan, &provisioner) {
            run.fail(error);
            return (None, Vec::new());
        }
        let groups = EnvGroup::of(plan);
        // A build waits for a package index or a disk for as long as it computes.
        let turns = Turns::new(2 * self.cpus());
        turns.expect(0..groups.len());
        let environments = std::thread::scope(|scope| {
            let threads: Vec<_> = groups
                .iter()
                .enumerate()
                .map(|(place, group)| {
                    let (turns, provisioner) = (&turns, &provisioner);
                    let provide = move || {
                        let is_over = || run.builds_over.load(Ordering::Relaxed);
                        let _turn = turns.wait(place, is_over)?;
                        group.provide(plan, provisioner, run)
                    };
                    let provide = move || guarded(run, provide);
                    Builder::new().name("curator-provide".to_owned()).spawn_scoped(scope, provide)
                })
                .collect();
            let joined = threads.into_iter().map(|thread| match thread {
                Ok(thread) => thread.join(),
                Err(source) => {
                    run.fail(Error::no_thread(source));
                    Ok(None)
                }
            });
            joined
                .filter_map(|joined| {
                    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        (Some(provisioner), environments)
    }
}

/// Fails if a file that a stage's spec names is for other Pythons than the base's.
fn check_pythons(plan: &Plan, provisioner: &Provisioner) -> Result<(), Error> {
    plan.stages().iter().try_for_each(|stage| {
        let Some(env) = &stage.env else { return Ok(()) };
        let of_stage = |error: Error| error.of_stages(vec![stage.settings.name.clone()]);
        provisioner.check_python(env).map_err(of_stage)
    })
}

/// Stages that share an environment.
struct EnvGroup {
    /// The places of the stages in the pipeline, at least one.
    stages: Vec<usize>,
    isolation: Isolation,
}

impl EnvGroup {
    fn of(plan: &Plan) -> Vec<Self> {
        type Sameness = (Option<Digest>, Option<PathBuf>, Option<String>, bool);
        let mut groups: BTreeMap<Sameness, Self> = BTreeMap::new();
        for (index, stage) in plan.stages().iter().enumerate() {
            if !stage.needs_python() {
                continue;
            }
            let isolation = stage.settings.isolation.unwrap_or(Isolation::Shared);
            let env = stage.env.as_ref();
            let key = (
                env.and_then(|env| env.install.as_ref()).map(Install::digest),
                env.and_then(|env| env.python.clone()),
                env.and_then(|env| env.py_executable.clone()),
                isolation == Isolation::Full,
            );
            let group = groups.entry(key).or_insert_with(|| Self { stages: Vec::new(), isolation });
            group.stages.push(index);
        }
        // What the first task meets first begins first.
        let mut groups: Vec<Self> = groups.into_values().collect();
        groups.sort_by_key(|group| group.stages.first().copied());
        groups
    }

    fn names(&self, plan: &Plan) -> Vec<String> {
        let names = self.stages.iter().map(|index| plan.stages()[*index].settings.name.clone());
        names.collect()
    }

    /// Prepares the environment and opens the stages' gates; a failure ends the run.
    fn provide(&self, plan: &Plan, provisioner: &Provisioner, run: &Run) -> Option<EnvReport> {
        let names = self.names(plan);
        let result =
            self.prepare(plan, provisioner, run).map_err(|error| error.of_stages(names.clone()));
        match result {
            Ok(report) => {
                for message in &report.warnings {
                    let (stage, message) = (names.first().cloned(), message.clone());
                    run.emit(&Event::Warning { stage, message });
                }
                run.emit(&Event::EnvironmentReady {
                    stages: names,
                    key: report.key.clone(),
                    state: report.state,
                    duration: report.duration,
                });
                Some(report)
            }
            // It was given up, as it should be.
            Err(_) if run.is_stopped() => None,
            Err(error) => {
                run.fail(error);
                None
            }
        }
    }

    fn prepare(
        &self,
        plan: &Plan,
        provisioner: &Provisioner,
        run: &Run,
    ) -> Result<EnvReport, Error> {
        let names = self.names(plan);
        run.emit(&Event::EnvironmentPreparing { stages: names.clone() });
        let bare = LoadedEnv::default();
        let envs =
            self.stages.iter().map(|index| plan.stages()[*index].env.as_ref().unwrap_or(&bare));
        // The longest patience of the stages that share it.
        let longest = envs.clone().max_by_key(|env| env.setup_timeout.unwrap_or(Duration::MAX));
        let longest = longest.unwrap_or(&bare);
        let key = provisioner.key(longest, self.isolation)?.map(|key| key.to_string());
        run.emit(&Event::EnvironmentKeyed { stages: names.clone(), key });
        let core = provisioner.prepare_core(longest, self.isolation)?;
        // Before any of their threads wakes.
        let is_process = |index: &usize| plan.stages()[*index].behaviour.as_python().is_some();
        run.turns.expect(self.stages.iter().copied().filter(is_process));
        for (index, env) in self.stages.iter().zip(envs) {
            let environment = Environment::new(core.clone(), env, provisioner.shims())?;
            run.environments[*index].open(environment);
        }
        Ok(core.report(names))
    }
}

#[cfg(test)]
mod tests {
    use envspec::RuntimeEnv;
    use stage::{Pipeline, PythonStage};

    use super::*;

    #[test]
    fn the_environment_of_the_first_stage_begins_first() {
        let mut pipeline = Pipeline::new("test");
        for at in 0..16 {
            let env = RuntimeEnv::uv([format!("package{}", at % 8)]);
            let stage = PythonStage::from_source("", "Stage").with_name(format!("stage{at}"));
            pipeline = pipeline.with_stage(stage.with_runtime_env(env));
        }
        let plan = Plan::new(&pipeline).unwrap();
        let groups: Vec<Vec<usize>> =
            EnvGroup::of(&plan).into_iter().map(|group| group.stages).collect();
        let expected: Vec<Vec<usize>> = (0..8).map(|at| vec![at, at + 8]).collect();
        assert_eq!(groups, expected);
    }
}
