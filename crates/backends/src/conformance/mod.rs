//! The duties of every executor, as a list of cases that run on any of them.
//!
//! A case makes pipelines, runs them on the executor under test with real packages and real
//! processes, and panics at a violation. The executors of this crate all pass. The author of
//! another executor runs the list over it:
//!
//! ```no_run
//! use backends::conformance::{Setting, cases};
//! use backends::{Executor, FailurePolicy, LocalExecutor};
//!
//! let executor = |policy: FailurePolicy| -> Box<dyn Executor> {
//!     Box::new(LocalExecutor::default().with_failure_policy(policy))
//! };
//! let setting = Setting::new(&executor, "tqdm");
//! for case in cases() {
//!     println!("{}", case.name);
//!     case.run(&setting);
//! }
//! ```
//!
//! The base must have `packaging` in a version other than 23.2 and 24.0, and one more module that
//! no stage installs. A program that is the worker of such an executor serves [`registry`].

mod environments;
mod failures;
mod flow;
mod stages;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use stage::{Pipeline, Task};
use tempfile::TempDir;

use crate::run::{Error, Event, Executor, ExecutorExt, FailurePolicy, RunReport};

pub use stages::registry;

/// One duty of every executor.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// Whether its stages have packages of their own, so that the maker of environments matters.
    pub has_environments: bool,
    run: fn(&Setting<'_>),
}

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the executor violates its duty.
    pub fn run(&self, setting: &Setting<'_>) {
        (self.run)(setting);
    }
}

/// Returns all cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |name, has_environments, run| Case { name, has_environments, run };
    vec![
        case("three_versions_in_one_pipeline", true, environments::three_versions),
        case("overrides_and_opting_out", true, environments::overrides),
        case("a_misspelt_requirement", true, environments::misspelt),
        case("hooks_run_once_each", false, flow::hooks),
        case("fan_out_drop_and_ids_across_languages", false, flow::fan_out),
        case("an_aggregate", false, flow::aggregate),
        case("a_thousand_tasks", false, flow::thousand),
        case("data_is_exact", false, flow::exact),
        case("fifty_megabytes", false, flow::large),
        #[cfg(feature = "arrow")]
        case("arrow_tables", false, flow::tables),
        #[cfg(feature = "arrow")]
        case("columns_in_python", false, flow::columns),
        case("nothing_to_do", false, flow::nothing),
        case("failed_tasks_are_recorded", false, failures::recorded),
        case("the_first_failure_ends_the_run", false, failures::fail_fast),
        case("a_set_up_that_fails", false, failures::set_up),
        case("what_code_declares_holds_unless_its_entry_sets_it", false, failures::declared),
        case("a_stage_that_drops_all_is_told", false, failures::dropped),
    ]
}

/// The executor under test and its base.
pub struct Setting<'a> {
    executor: &'a dyn Fn(FailurePolicy) -> Box<dyn Executor>,
    base_module: &'a str,
}

impl<'a> Setting<'a> {
    /// Creates a setting of the executor under test, for either policy, and a module that only the
    /// base has.
    #[must_use]
    pub fn new(
        executor: &'a dyn Fn(FailurePolicy) -> Box<dyn Executor>,
        base_module: &'a str,
    ) -> Self {
        Self { executor, base_module }
    }

    fn run(
        &self,
        policy: FailurePolicy,
        pipeline: &Pipeline,
        tasks: Vec<Task>,
    ) -> Result<RunReport, Error> {
        (self.executor)(policy).run(pipeline, tasks)
    }

    /// Runs a pipeline that must succeed, and returns its warnings.
    fn warnings(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> Vec<String> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let seen = warnings.clone();
        let observer = move |event: &Event| {
            if let Event::Warning { message, .. } = event {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
            }
        };
        let executor = (self.executor)(FailurePolicy::FailFast);
        let result = executor.run_observed(pipeline, tasks, Arc::new(observer));
        result.unwrap_or_else(|error| panic!("{}", error.report()));
        std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a pipeline that must succeed.
    fn must_run(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> RunReport {
        self.run(FailurePolicy::FailFast, pipeline, tasks)
            .unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// Runs a pipeline that must fail.
    fn must_fail(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> Error {
        match self.run(FailurePolicy::FailFast, pipeline, tasks) {
            Ok(report) => panic!("it did not fail: {:?}", report.outputs),
            Err(error) => error,
        }
    }
}

impl fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("base_module", &self.base_module).finish_non_exhaustive()
    }
}

/// A file that stages add lines to, from any process.
struct Notes(TempDir);

impl Notes {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|noted| *noted == line).count()
    }
}

/// Returns the data of all outputs.
fn data(report: &RunReport) -> Vec<Value> {
    report.outputs.iter().filter_map(|task| task.data.as_json().cloned()).collect()
}

/// Returns tasks that hold the numbers from 0.
fn numbers(count: u64) -> Vec<Task> {
    (0..count).map(|number| Task::new(serde_json::json!({ "n": number }))).collect()
}
