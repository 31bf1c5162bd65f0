//! Fields of a `runtime_env` that only Ray serves: refused by name where there is no Ray, and no
//! hindrance where an engine on Ray has served them.

use backends::{Error, ExecutorExt, Plan, Provisioner, RunRecord};
use envspec::{LoadedEnv, RuntimeEnv};
use serde_json::json;
use stage::{BaseSpec, Isolation, Pipeline};

use crate::support::{local, numbers, python};
use crate::world::World;

#[test]
fn a_field_that_only_ray_serves_is_refused_wherever_an_environment_is_asked_for() {
    let world = World::new(&[("alpha", "1.0", &[])], &[("beta", "1.0", &[])]);
    let provisioner = world.builder().open().unwrap();
    let shared = Isolation::Shared;
    for (field, rest) in [
        ("conda", json!({})),
        ("image_uri", json!({ "uv": ["beta"] })),
        ("nsight", json!({ "python": world.base_python() })),
        ("container", json!({ "py_executable": "python" })),
    ] {
        let mut spec = rest;
        spec[field] = json!("analysis");
        let env = world.load(&spec);
        let spec = RuntimeEnv::from_json(&spec.to_string()).unwrap();
        for (way, asked) in [
            ("prepare", provisioner.prepare(&env, shared).map(drop)),
            ("environment", provisioner.environment(&spec).map(drop)),
            ("base_environment", provisioner.base_environment(&env).map(drop)),
            ("refresh", provisioner.refresh(&env, shared).map(drop)),
            ("key", provisioner.key(&env, shared).map(drop)),
            ("lock", provisioner.lock(&env).map(drop)),
            ("lock_file", provisioner.lock_file(&env).map(drop)),
        ] {
            let Err(Error::EngineField { field: told, .. }) = &asked else {
                panic!("{way} with {field}: {asked:?}")
            };
            assert_eq!(told, field, "{way}");
        }
    }
    let base = json!({ "uv": ["beta"], "nsight": "default" });
    let base = RuntimeEnv::from_json(&base.to_string()).unwrap();
    let builder = Provisioner::builder().base(BaseSpec::from(base)).cache_dir(&*world.cache());
    let made = builder.open().and_then(|over| over.prepare(&LoadedEnv::default(), shared));
    assert!(matches!(made, Err(Error::EngineField { .. })), "{made:?}");
}

#[test]
fn a_run_is_recorded_whose_engine_has_served_such_fields() {
    let world = World::new(&[("alpha", "1.0", &[])], &[("beta", "1.0", &[])]);
    let code = "class Stage:\n    def process(self, task):\n        return task\n";
    let report = local().run(&Pipeline::new("told").with_stage(python(code)), numbers(1)).unwrap();
    let packages = json!({
        "packages": ["beta"],
        "uv_pip_install_options": ["--no-index", "--find-links", world.wheels()],
    });
    let spec = json!({ "uv": packages, "nsight": "default" }).to_string();
    let stage = python(code).with_runtime_env(RuntimeEnv::from_json(&spec).unwrap());
    let base = BaseSpec::Python(world.base_python());
    let plan = Plan::new(&Pipeline::new("told").with_base(base).with_stage(stage)).unwrap();
    let record = RunRecord::new(&plan, &world.provisioner(), &report);
    let record = record.unwrap_or_else(|error| panic!("{}", error.report()));
    record.verify(&plan, &world.provisioner()).unwrap();
}
