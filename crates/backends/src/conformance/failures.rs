//! Failures in a stage.

use envspec::RuntimeEnv;
use serde_json::{Value, json};
use stage::Pipeline;

use super::setting::{Setting, data, numbers};
use super::stages::python;
use crate::run::{Cause, Error, FailurePolicy};

fn failing(raises: &[u64], dies: &[u64]) -> Pipeline {
    let fail = python("Fail", json!({ "raises": raises, "dies": dies })).with_batch_size(4);
    Pipeline::new("conformance").with_stage(fail).with_stage(python("Increment", Value::Null))
}

/// Tasks that raise or kill their worker are recorded with their cause, and the others continue.
pub(super) fn recorded(setting: &Setting<'_>) {
    let result = setting.run(FailurePolicy::Record, &failing(&[3, 5], &[10]), numbers(16));
    let report = result.unwrap_or_else(|error| panic!("{}", error.report()));
    let mut seen: Vec<u64> = data(&report).iter().filter_map(|data| data["n"].as_u64()).collect();
    seen.sort_unstable();
    let expected: Vec<u64> =
        (0..16).filter(|number| ![3, 5, 10].contains(number)).map(|number| number + 1).collect();
    assert_eq!(seen, expected);
    let mut failed: Vec<(String, &Cause)> = report
        .failed
        .iter()
        .map(|failed| {
            assert_eq!((failed.stage.as_str(), failed.tasks.len()), ("Fail", 1), "{failed}");
            (failed.tasks[0].to_string(), &failed.cause)
        })
        .collect();
    failed.sort_by(|left, right| left.0.cmp(&right.0));
    let [died, third, fifth] = &failed[..] else { panic!("three failures: {failed:?}") };
    assert!(died.0 == "0_10" && matches!(died.1, Cause::Died(_)), "{died:?}");
    for (failed, number) in [(third, 3), (fifth, 5)] {
        assert_eq!(failed.0, format!("0_{number}"));
        let Cause::Raised(error) = failed.1 else { panic!("{failed:?}") };
        assert_eq!(error.message, format!("no luck with {number}"));
        assert!(error.traceback.contains("raise ValueError"), "{}", error.traceback);
    }
    let fail = &report.stages[0];
    assert_eq!((fail.failed, fail.outputs), (3, 13), "{fail:?}");
}

/// By default, the first failed task is the run's error, with the traceback of the stage's code.
pub(super) fn fail_fast(setting: &Setting<'_>) {
    let error = setting.must_fail(&failing(&[2], &[]), numbers(8));
    let report = error.report();
    let Error::Task(failed) = error else { panic!("{report}") };
    assert_eq!((failed.stage.as_str(), failed.tasks[0].to_string().as_str()), ("Fail", "0_2"));
    assert!(report.contains("ValueError: no luck with 2"), "{report}");
    assert!(report.contains("in process"), "{report}");
}

/// A `setup` that raises ends the run, and the error says so.
pub(super) fn set_up(setting: &Setting<'_>) {
    let pipeline = Pipeline::new("conformance").with_stage(python("NoSetup", Value::Null));
    let error = setting.must_fail(&pipeline, numbers(1));
    let report = error.report();
    assert!(matches!(error, Error::WorkerSetup { .. }), "{report}");
    assert!(report.contains("RuntimeError: the model is missing"), "{report}");
    assert!(report.contains("NoSetup"), "{report}");
}

/// Declarations of a stage's code are in force: its workers run in its `runtime_env`. The stage's
/// entry overrides it with one warning.
pub(super) fn declared(setting: &Setting<'_>) {
    let stage = python("Declares", Value::Null).with_num_workers(2);
    let pipeline = Pipeline::new("conformance").with_stage(stage.clone());
    for output in data(&setting.must_run(&pipeline, numbers(4))) {
        assert_eq!(output["colour"], "red", "{output}");
    }

    let overridden = stage.with_runtime_env(RuntimeEnv::new().with_env_var("COLOUR", "blue"));
    let pipeline = Pipeline::new("conformance").with_stage(overridden.with_batch_size(2));
    let warnings = setting.warnings(&pipeline, numbers(40));
    for words in ["overrides the runtime_env", "overrides the class's `batch_size` 7"] {
        let count = warnings.iter().filter(|warning| warning.contains(words)).count();
        assert_eq!(count, 1, "{words}: {warnings:?}");
    }
}

/// A stage that drops all its tasks leads to a warning at the end, with their number.
pub(super) fn dropped(setting: &Setting<'_>) {
    let pipeline = Pipeline::new("conformance").with_stage(python("Forgets", Value::Null));
    let warnings = setting.warnings(&pipeline, numbers(5));
    let told = warnings.iter().filter(|warning| warning.contains("it dropped all 5 tasks"));
    assert_eq!(told.count(), 1, "{warnings:?}");
}
