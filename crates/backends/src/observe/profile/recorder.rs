//! Collects the events of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stage::{DeclaredSetting, Task};

use super::bins::Scale;
use super::data::{Ending, RunProfile};
use super::state::State;
use super::tallies::StageTally;
use crate::run::{EnvReport, EnvState, Error, Event, Observer, Plan, RunReport, Secrets};
use crate::sync::{Mutex, MutexGuard};

/// Collects the events of a run, in bounded memory, for a [`RunProfile`].
///
/// It is one of the run's observers. Finished tasks carry their waiting times, so the sink must
/// pass them to [`see`](Self::see).
///
/// ```
/// use std::sync::Arc;
///
/// use backends::{Executor, LocalExecutor, Plan, Recorder};
/// use serde_json::json;
/// use stage::{Context, Pipeline, RustStage, Task};
///
/// # fn main() -> Result<(), backends::Error> {
/// let pass = RustStage::from_fn("pass", |task: Task, _: &mut Context| Ok::<_, stage::Error>(task));
/// let plan = Plan::new(&Pipeline::new("demo").with_stage(pass))?;
/// let recorder = Arc::new(Recorder::from_env(&plan, "local"));
/// let mut sink = |task: Task| Ok(recorder.see(&task));
/// let mut tasks = [Task::new(json!("hello"))].into_iter();
/// let result =
///     LocalExecutor::default().execute(&plan, &mut tasks, recorder.clone(), &mut sink);
/// let profile = recorder.finish(result.as_ref());
/// assert!(profile.to_html().contains("<title>demo"));
/// # Ok(())
/// # }
/// ```
pub struct Recorder {
    pipeline: String,
    executor: String,
    begun: Instant,
    started: SystemTime,
    secrets: Secrets,
    /// The declarations of the stages' code.
    declared: Vec<DeclaredSetting>,
    /// The declarations that a client has read, in place of the plan's.
    declared_by_client: Option<Value>,
    state: Mutex<State>,
}

impl Recorder {
    /// Starts recording. The report hides values of environment variables, of the plan and of this
    /// process, that have the name of a secret.
    #[must_use]
    pub fn from_env(plan: &Plan, executor: &str) -> Self {
        let names = plan.stages().iter().map(|stage| stage.settings().name.as_str());
        let state = State {
            scale: Scale::new(),
            names: names.clone().zip(0..).map(|(name, index)| (name.to_owned(), index)).collect(),
            stages: names.map(StageTally::new).collect(),
            lanes: BTreeMap::new(),
            lanes_left_out: 0,
            makings: Vec::new(),
            reports: Vec::new(),
            failed: Vec::new(),
            failed_total: 0,
            warnings: Vec::new(),
            warnings_total: 0,
            outputs: 0,
        };
        Self {
            pipeline: plan.name().to_owned(),
            executor: executor.to_owned(),
            begun: Instant::now(),
            started: SystemTime::now(),
            secrets: Secrets::from_env(plan),
            declared: plan.declared(),
            declared_by_client: None,
            state: Mutex::new(state),
        }
    }

    /// Sets what the code of the stages declares, as JSON of a list of [`DeclaredSetting`], for a
    /// client that has read the code itself. Default: what the plan or the run's report has.
    #[must_use]
    pub fn with_declared(mut self, declared: Value) -> Self {
        self.declared_by_client = Some(declared);
        self
    }

    /// Notes the costs of an output in the stages.
    pub fn see(&self, task: &Task) {
        let mut state = self.lock();
        state.outputs += 1;
        for timing in task.timings() {
            let Some(tally) = state.stage(&timing.stage) else { continue };
            let cost = &mut tally.cost;
            cost.tasks += 1;
            cost.wait = cost.wait.saturating_add(timing.wait);
            cost.longest_wait = cost.longest_wait.max(timing.wait);
            cost.process = cost.process.saturating_add(timing.process);
            cost.longest_process = cost.longest_process.max(timing.process);
        }
    }

    /// Returns the keys of ready environments with unknown contents: all of them, before a run has
    /// succeeded.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let state = self.lock();
        let keys = state.makings.iter().filter(|making| making.end.is_some());
        keys.filter_map(|making| making.key.clone()).collect()
    }

    /// Returns whether the base itself was ready for a stage.
    #[must_use]
    pub fn has_base(&self) -> bool {
        self.lock().makings.iter().any(|making| making.is_base && making.end.is_some())
    }

    /// Notes the contents of an environment, or of the base. A run that succeeds does so itself.
    pub fn describe(&self, mut report: EnvReport) {
        let mut state = self.lock();
        let mut makings = state.makings.iter().filter(|making| making.end.is_some());
        if let Some(making) = makings.find(|making| making.key == report.key) {
            report.stages.clone_from(&making.stages);
            let begin = making.phases.first().map_or(making.begin, |(begin, _)| *begin);
            let seconds = making.end.map_or(0.0, |end| (end - begin).max(0.0));
            report.duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            if making.is_built {
                report.state = EnvState::Built;
            }
        }
        state.reports.push(report);
    }

    /// Returns the course of a run with this result. Its outputs are left out.
    #[must_use]
    pub fn finish(&self, result: Result<&RunReport, &Error>) -> RunProfile {
        let now = self.now();
        let mut state = self.lock();
        if let Ok(report) = result {
            state.outputs = state.outputs.max(report.outputs.len() as u64);
            state.reports.clone_from(&report.environments);
            for (tally, stage) in state.stages.iter_mut().zip(&report.stages) {
                tally.report = stage.clone();
            }
        }
        // An executor may have read what the plan did not have yet.
        let declared = result.map_or(&self.declared, |report| &report.declared);
        let declared = self.declared_by_client.clone().unwrap_or_else(|| json!(declared));
        let ending = Ending {
            pipeline: &self.pipeline,
            executor: &self.executor,
            started: self.started.duration_since(UNIX_EPOCH).unwrap_or_default(),
            seconds: now,
            error: result.err(),
            declared: &declared,
        };
        RunProfile::new(&ending, &state, &self.secrets)
    }

    fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event) {
        // Under the lock, so that times are ascending.
        let mut state = self.lock();
        state.event(self.now(), event);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use stage::{Context, Pipeline, RustStage};

    use super::*;
    use crate::run::{Cause, FailedTask, PythonError, StartStep};

    /// Returns a recorder of a run with this many stages.
    fn recorder(stages: usize) -> Recorder {
        let stage = |index: usize| {
            let pass = |task: Task, _: &mut Context| Ok::<_, stage::Error>(task);
            RustStage::from_fn(format!("stage_{index}"), pass)
        };
        let pipeline = Pipeline::new("p").with_stages((0..stages).map(stage));
        Recorder::from_env(&Plan::new(&pipeline).unwrap(), "local")
    }

    fn value(recorder: &Recorder) -> Value {
        serde_json::to_value(recorder.finish(Err(&Error::Stopped))).unwrap()
    }

    fn failure(stage: &str) -> Event {
        let error = PythonError {
            kind: "ValueError".to_owned(),
            message: "</script>".to_owned(),
            traceback: "<&>".repeat(20_000),
            pickled: None,
        };
        Event::TaskFailed(FailedTask {
            tasks: vec!["0_1".parse().unwrap()],
            sources: Vec::new(),
            stage: stage.to_owned(),
            cause: Cause::Raised(error),
            environment: None,
            tries: 1,
            log: Vec::new(),
        })
    }

    fn batch(stage: &str, worker: usize, duration: Duration) -> Event {
        Event::BatchDone {
            stage: stage.to_owned(),
            worker,
            tasks: 1,
            outputs: 1,
            duration,
            transfer: Duration::ZERO,
        }
    }

    /// Twenty stages, ten thousand tasks, more failures and workers than are kept.
    #[test]
    fn a_page_stays_small_however_much_happens() {
        let recorder = recorder(20);
        let mut state = recorder.lock();
        for index in 0..20 {
            let stage = format!("stage_{index}");
            for worker in 0..40 {
                let duration = Duration::from_millis(3);
                let ready =
                    Event::WorkerReady { stage: stage.clone(), worker, pid: Some(1), duration };
                state.event(0.5, &ready);
            }
            for task in 0..10_000_usize {
                let now = 1.0 + task as f64 * 0.37;
                state.event(now, &batch(&stage, task % 40, Duration::from_millis(200)));
                if task % 500 == 0 {
                    state.event(now, &failure(&stage));
                }
            }
        }
        drop(state);
        let profile = recorder.finish(Err(&Error::Stopped));
        let page = profile.to_html();
        assert!(page.len() < 2 * 1024 * 1024, "{}", page.len());
        let profile = serde_json::to_value(profile).unwrap();
        assert_eq!(
            (&profile["failed_total"], &profile["workers_left_out"]),
            (&400.into(), &544.into())
        );
        for stage in profile["stages"].as_array().unwrap() {
            let sum = |series: &str| -> f64 {
                stage["series"][series].as_array().unwrap().iter().filter_map(Value::as_f64).sum()
            };
            assert_eq!((sum("done"), sum("failed")), (10_000.0, 20.0));
            assert!((sum("busy") - 2000.0).abs() < 1.0, "{}", sum("busy"));
        }
    }

    /// Two stages share an environment; events of its build come under its key alone.
    #[test]
    fn a_build_is_told_of_from_the_wish_to_the_end() {
        let recorder = recorder(2);
        let mut state = recorder.lock();
        let stages = vec!["stage_0".to_owned(), "stage_1".to_owned()];
        state.event(0.1, &Event::EnvironmentPreparing { stages: stages.clone() });
        for (now, phase) in [(0.2, "creating"), (0.3, "installing"), (0.4, "installing")] {
            let building =
                serde_json::json!({ "event": "environment_building", "key": "k", "phase": phase });
            state.event(now, &serde_json::from_value(building).unwrap());
        }
        drop(state);
        let unfinished = value(&recorder);
        assert_eq!(unfinished["preparations"][1]["end"], Value::Null);
        let mut state = recorder.lock();
        let duration = Duration::from_secs(1);
        state.event(0.5, &Event::EnvironmentBuilt { key: "k".to_owned(), own_bytes: 1, duration });
        let key = Some("k".to_owned());
        state
            .event(0.6, &Event::EnvironmentReady { stages, key, state: EnvState::Built, duration });
        drop(state);
        assert_eq!(recorder.keys(), ["k"]);
        let made = value(&recorder)["preparations"].clone();
        let whole = serde_json::json!([{
            "stages": ["stage_0", "stage_1"], "key": "k", "begin": 0.1, "end": 0.6, "built": true,
            "base": false, "failed": false, "phases": [[0.2, "creating"], [0.3, "installing"]],
        }]);
        assert_eq!(made, whole);
    }

    /// The environment that a run failed for belongs to its stage, and differs from the base.
    #[test]
    fn what_a_run_failed_for_is_told_from_the_base() {
        let recorder = recorder(2);
        let mut state = recorder.lock();
        let [base, own] = ["stage_0", "stage_1"].map(|name| vec![name.to_owned()]);
        for stages in [&base, &own] {
            state.event(0.1, &Event::EnvironmentPreparing { stages: stages.clone() });
        }
        let key = Some("k".to_owned());
        state.event(0.2, &Event::EnvironmentKeyed { stages: base.clone(), key: None });
        state.event(0.2, &Event::EnvironmentKeyed { stages: own.clone(), key });
        state.event(
            0.3,
            &Event::EnvironmentBuilding {
                key: "k".to_owned(),
                phase: crate::BuildPhase::Resolving,
                packages: None,
                done: None,
                bytes: None,
                total_bytes: None,
            },
        );
        let duration = Duration::ZERO;
        let ready =
            Event::EnvironmentReady { stages: base, key: None, state: EnvState::Base, duration };
        state.event(0.4, &ready);
        drop(state);
        assert!(recorder.has_base());
        let error = Error::Environment { stages: own, source: Box::new(Error::Stopped) };
        let value = serde_json::to_value(recorder.finish(Err(&error))).unwrap();
        let whole = serde_json::json!([
            {
                "stages": ["stage_1"], "key": "k", "begin": 0.1, "end": null, "built": false,
                "base": false, "failed": true, "phases": [[0.3, "resolving"]],
            },
            {
                "stages": ["stage_0"], "key": null, "begin": 0.1, "end": 0.4, "built": false,
                "base": true, "failed": false, "phases": [],
            },
        ]);
        assert_eq!(value["preparations"], whole);
    }

    /// Returns the steps until a stage's first output, with what they took.
    fn steps(stage: &Value) -> Vec<(String, f64)> {
        let steps = stage["waterfall"]["steps"].as_array().unwrap().iter();
        let step = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["seconds"].as_f64());
        steps.map(step).map(|(name, seconds)| (name, seconds.unwrap())).collect()
    }

    #[test]
    fn the_way_to_the_first_output_is_told_in_steps_that_add_up() {
        let recorder = recorder(2);
        let mut state = recorder.lock();
        let [first, rust] = ["stage_0", "stage_1"].map(str::to_owned);
        let (stages, key) = (vec![first.clone()], Some("k".to_owned()));
        state.event(0.5, &Event::EnvironmentPreparing { stages: stages.clone() });
        let phases = [(1.0, "creating"), (2.0, "resolving"), (4.0, "compiling")];
        for (now, phase) in phases {
            let building =
                serde_json::json!({ "event": "environment_building", "key": "k", "phase": phase });
            state.event(now, &serde_json::from_value(building).unwrap());
        }
        let ready = Event::EnvironmentReady {
            stages,
            key,
            state: EnvState::Built,
            duration: Duration::from_secs(5),
        };
        state.event(6.0, &ready);
        let starting = |step| Event::WorkerStarting { stage: first.clone(), worker: 0, step };
        // One that dies on the way, and the one that works.
        state.event(6.5, &starting(StartStep::Proven));
        state.event(8.0, &starting(StartStep::Proven));
        state.event(10.0, &starting(StartStep::Loaded));
        let worker_ready = |stage: &String, seconds| Event::WorkerReady {
            stage: stage.clone(),
            worker: 0,
            pid: None,
            duration: Duration::from_secs(seconds),
        };
        state.event(11.0, &worker_ready(&first, 4));
        state.event(14.0, &batch(&first, 0, Duration::from_secs(2)));
        state.event(15.0, &worker_ready(&rust, 1));
        state.event(20.0, &batch(&first, 0, Duration::from_secs(5)));
        drop(state);
        let value = value(&recorder);
        let expected = [
            ("lookup", 1.0),
            ("creating", 1.0),
            ("resolving", 2.0),
            ("compiling", 2.0),
            ("waiting for a worker", 1.0),
            ("start", 1.0),
            ("import", 2.0),
            ("setup", 1.0),
            ("waiting for a task", 1.0),
            ("process", 2.0),
        ];
        let expected = expected.map(|(name, seconds)| (name.to_owned(), seconds));
        let told = &value["stages"][0];
        assert_eq!(steps(told), expected);
        assert_eq!(told["waterfall"]["first_task_seconds"], 12.0);
        assert_eq!(told["waterfall"]["first_output_seconds"], 14.0);
        // Nothing has come of it.
        assert_eq!(value["stages"][1]["waterfall"], Value::Null);
    }

    /// The imports of a forked worker are made before there is one, and its devices come after.
    #[test]
    fn the_way_of_a_forked_worker_has_its_imports_and_its_wait_for_devices() {
        let recorder = recorder(1);
        let mut state = recorder.lock();
        let stage = "stage_0".to_owned();
        for (now, step) in [
            (1.0, StartStep::Template),
            (4.0, StartStep::Imported),
            (4.5, StartStep::Forked),
            (5.0, StartStep::Proven),
            (7.0, StartStep::Devices),
            (9.0, StartStep::Loaded),
        ] {
            state.event(now, &Event::WorkerStarting { stage: stage.clone(), worker: 0, step });
        }
        let duration = Duration::from_secs(10);
        let ready = Event::WorkerReady { stage: stage.clone(), worker: 0, pid: Some(7), duration };
        state.event(10.0, &ready);
        state.event(12.0, &batch(&stage, 0, Duration::from_secs(2)));
        drop(state);
        let expected = [
            ("start", 2.0),
            ("import", 5.0),
            ("waiting for a device", 2.0),
            ("setup", 1.0),
            ("process", 2.0),
        ];
        let told = value(&recorder)["stages"][0].clone();
        assert_eq!(steps(&told), expected.map(|(name, seconds)| (name.to_owned(), seconds)));
        assert_eq!(
            (&told["forked"], &told["lanes"][0]["lives"][0]["forked"]),
            (&1.into(), &true.into())
        );
    }

    #[test]
    fn the_time_of_a_worker_that_dies_counts_until_then() {
        let recorder = recorder(1);
        let mut state = recorder.lock();
        let stage = "stage_0".to_owned();
        let duration = Duration::from_millis(500);
        state.event(
            1.0,
            &Event::WorkerReady { stage: stage.clone(), worker: 0, pid: Some(7), duration },
        );
        state.event(2.0, &batch(&stage, 0, Duration::from_secs(1)));
        let exit = Some(crate::worker::Exit::Signal(9));
        state.event(3.0, &Event::WorkerEnded { stage, worker: 0, exit, in_order: false });
        drop(state);
        let stage = value(&recorder)["stages"][0].clone();
        assert_eq!((&stage["up_seconds"], &stage["utilisation"]), (&2.0.into(), &0.5.into()));
        let life = &stage["lanes"][0]["lives"][0];
        assert_eq!(
            (&life["begin"], &life["ready"], &life["end"]),
            (&0.5.into(), &1.0.into(), &3.0.into())
        );
        assert!(life["trouble"].as_str().unwrap().contains("SIGKILL"));
    }
}
