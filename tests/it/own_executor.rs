//! The example of an executor, a starting point for other ones, must do what every executor does.

use curator::LocalExecutor;
use curator::backends::conformance::{Setting, cases};
use curator::backends::{Executor, FailurePolicy};

use crate::support::{base, fresh_cache};

#[path = "../../crates/curator/examples/own_executor.rs"]
#[expect(dead_code, reason = "its `main` is the example's")]
mod example;

/// Cases about the example's own work; the others are about the work that `LocalExecutor` does for
/// it.
const OWN: [&str; 6] = [
    "what_code_declares_holds_unless_its_entry_sets_it",
    "an_aggregate",
    "fan_out_drop_and_ids_across_languages",
    "failed_tasks_are_recorded",
    "the_first_failure_ends_the_run",
    "a_stage_that_drops_all_is_told",
];

#[test]
fn an_executor_of_a_strangers_own_does_what_every_executor_does() {
    let cache = fresh_cache();
    let executor = |policy: FailurePolicy| -> Box<dyn Executor> {
        let local = LocalExecutor::default().with_base(base().to_owned());
        let local = local.with_cache_dir(cache.path()).with_failure_policy(policy);
        Box::new(example::StageByStage(local))
    };
    let setting = Setting::new(&executor, "idna");
    let is_whole = std::env::var_os("CURATOR_TEST_ALL").is_some();
    let wanted = cases().into_iter().filter(|case| is_whole || OWN.contains(&case.name));
    for case in wanted {
        case.run(&setting);
    }
}

/// The examples are short enough to start from.
#[test]
fn the_examples_for_strangers_are_short() {
    for (name, text) in [
        ("environments", include_str!("../../crates/curator/examples/environments.rs")),
        ("own_build", include_str!("../../crates/curator/examples/own_build.rs")),
        ("own_executor", include_str!("../../crates/curator/examples/own_executor.rs")),
    ] {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).count();
        assert!(lines < 60, "{name}: {lines} lines");
    }
}
