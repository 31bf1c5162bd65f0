//! Runs that an engine refuses, at once or as soon as Ray answers.

use std::path::Path;

use curator::backends::conformance::registry;
use curator::backends::ray::{RayActorPool, RayData, RayEngine, RayExecutor, Xenna};
use curator::backends::{Connection, Error};
use curator::stage::Context;
use curator::{ExecutorExt, Pipeline, PythonStage, RayDataExecutor, RuntimeEnv, RustStage, Task};
use serde_json::json;

use crate::run::{ENGINES, Job};
use crate::world;

/// Not an interpreter: any attempt to start it would fail in another way.
const NOWHERE: &str = "/no/such/python";
const WORKER: &str = env!("CARGO_BIN_EXE_run-on-ray");

fn plain() -> PythonStage {
    PythonStage::from_source(
        "class Same:\n    def process(self, task):\n        return task\n",
        "Same",
    )
}

fn executor<E: RayEngine>(base: &Path) -> RayExecutor<E> {
    let executor = RayExecutor::<E>::connect(Connection::local()).expect("a connection");
    executor.with_base(base.to_owned()).with_cache_dir(world::cache())
}

fn refused<E: RayEngine>(executor: &RayExecutor<E>, stage: impl Into<Pipeline>) -> Error {
    match executor.run(&stage.into(), [Task::new(json!(1))]) {
        Ok(report) => panic!("it ran: {report:?}"),
        Err(error) => error,
    }
}

/// This program is no worker: as one, it would run these tests on every node.
#[test]
fn a_program_that_is_no_worker_is_refused_before_anything_starts() {
    let pipeline = || Pipeline::new("refused").with_stage(plain());
    for error in [
        refused(&executor::<RayData>(Path::new(NOWHERE)), pipeline()),
        refused(&executor::<RayActorPool>(Path::new(NOWHERE)), pipeline()),
        refused(&executor::<Xenna>(Path::new(NOWHERE)), pipeline()),
    ] {
        assert!(matches!(error, Error::NoWorkerProgram), "{}", error.report());
        assert!(error.hint().is_some_and(|hint| hint.contains("serve_if_asked")));
    }
}

#[test]
fn a_rust_stage_that_no_other_process_can_make_is_refused() {
    let executor = executor::<RayData>(Path::new(NOWHERE)).with_worker_program(WORKER);
    let pipeline = Pipeline::new("refused")
        .with_stage(RustStage::from_fn("same", |task: Task, _: &mut Context| Ok::<_, Error>(task)));
    let error = refused(&executor, pipeline);
    let Error::UnregisteredStage { stage } = &error else { panic!("{}", error.report()) };
    assert_eq!(stage, "same");

    let known = registry().stage("multiply", json!({ "factor": 2 })).expect("it is registered");
    let error = refused(&executor, Pipeline::new("refused").with_stage(known.with_name("double")));
    let Error::UnknownRustStage { stage, name } = &error else { panic!("{}", error.report()) };
    assert_eq!((stage.as_str(), name.as_str()), ("double", "multiply"));
}

#[test]
fn a_base_without_what_the_engine_needs_is_told_what_to_add() {
    let none = world::managed(RuntimeEnv::uv(["idna==3.10"]));
    let only_ray = world::managed(RuntimeEnv::uv(["ray==2.60.0"]));
    let pipeline = || Pipeline::new("refused").with_stage(plain());
    for (error, wanted) in [
        (
            refused(&executor::<RayData>(none.python()).with_worker_program(WORKER), pipeline()),
            "ray[data]>=2.50,<3",
        ),
        (
            refused(
                &executor::<RayActorPool>(none.python()).with_worker_program(WORKER),
                pipeline(),
            ),
            "ray>=2.50,<3",
        ),
        (
            refused(&executor::<Xenna>(none.python()).with_worker_program(WORKER), pipeline()),
            "ray[default]>=2.50,<3",
        ),
        (
            refused(
                &executor::<RayData>(only_ray.python()).with_worker_program(WORKER),
                pipeline(),
            ),
            "pyarrow>=10",
        ),
        (
            refused(&executor::<Xenna>(only_ray.python()).with_worker_program(WORKER), pipeline()),
            "cosmos-xenna>=0.2,<0.4",
        ),
    ] {
        let Error::EngineMissing { requirement, found, .. } = &error else {
            panic!("{}", error.report())
        };
        assert_eq!((requirement.as_str(), found.as_str()), (wanted, "none"));
    }
}

#[test]
fn an_address_without_an_answer_is_reported() {
    let executor = RayDataExecutor::connect("127.0.0.1:1")
        .expect("an address")
        .with_base(world::base().to_owned())
        .with_worker_program(WORKER);
    let error = refused(&executor, Pipeline::new("refused").with_stage(plain()));
    let report = error.report();
    let Error::EngineSetting { setting, .. } = error else { panic!("{report}") };
    assert_eq!(setting, "address");
    assert!(report.contains("`127.0.0.1:1`, where no Ray answers"), "{report}");
}

/// Packages of a whole job would reach stages that have others, and stages that have none.
#[test]
fn packages_of_a_whole_job_are_refused() {
    let connection = Connection::local().with_runtime_env(RuntimeEnv::pip(["six"]));
    let error = RayDataExecutor::connect(connection).expect_err("an installer");
    assert!(matches!(&error, Error::JobInstaller { field } if field == "pip"), "{error}");

    // The variable that `ray job submit` sets for the program.
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    let surrounding = json!({ "runtime_env": { "pip": ["six"] } }).to_string();
    for engine in ENGINES {
        let dir = cluster.dir().join(engine);
        let stages = "[[stage]]\nname = \"same\"\npython = \"same:Same\"\n";
        let answer = Job::new(&dir, engine, stages, 1)
            .with("address", ray.first_line())
            .with_var("RAY_JOB_CONFIG_JSON_ENV_VAR", &surrounding)
            .run(&cluster);
        let error = answer.error();
        assert!(error.contains("`pip` in the runtime env of the job"), "{engine}: {error}");
    }
}
