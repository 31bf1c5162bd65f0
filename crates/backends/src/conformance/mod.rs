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
mod setting;
mod stages;

pub use setting::Setting;
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
