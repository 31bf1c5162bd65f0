//! The executor under test, and what all cases do with it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use stage::{Pipeline, Task};
use tempfile::TempDir;

use crate::run::{Error, Event, Executor, ExecutorExt, FailurePolicy, RunReport};
use crate::sync::Mutex;

/// The executor under test and its base.
pub struct Setting<'a> {
    executor: &'a dyn Fn(FailurePolicy) -> Box<dyn Executor>,
    pub(super) base_module: &'a str,
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

    pub(super) fn run(
        &self,
        policy: FailurePolicy,
        pipeline: &Pipeline,
        tasks: Vec<Task>,
    ) -> Result<RunReport, Error> {
        (self.executor)(policy).run(pipeline, tasks)
    }

    /// Runs a pipeline that must succeed, and returns its warnings.
    pub(super) fn warnings(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> Vec<String> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let seen = warnings.clone();
        let observer = move |event: &Event| {
            if let Event::Warning { message, .. } = event {
                seen.lock().push(message.clone());
            }
        };
        let executor = (self.executor)(FailurePolicy::FailFast);
        let result = executor.run_observed(pipeline, tasks, Arc::new(observer));
        result.unwrap_or_else(|error| panic!("{}", error.report()));
        std::mem::take(&mut *warnings.lock())
    }

    /// Runs a pipeline that must succeed.
    pub(super) fn must_run(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> RunReport {
        self.run(FailurePolicy::FailFast, pipeline, tasks)
            .unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// Runs a pipeline that must fail.
    pub(super) fn must_fail(&self, pipeline: &Pipeline, tasks: Vec<Task>) -> Error {
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
pub(super) struct Notes(TempDir);

impl Notes {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|noted| *noted == line).count()
    }
}

/// Returns the data of all outputs.
pub(super) fn data(report: &RunReport) -> Vec<Value> {
    report.outputs.iter().filter_map(|task| task.data.as_json().cloned()).collect()
}

/// Returns tasks that hold the numbers from 0.
pub(super) fn numbers(count: u64) -> Vec<Task> {
    (0..count).map(|number| Task::new(serde_json::json!({ "n": number }))).collect()
}
