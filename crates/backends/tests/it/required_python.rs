//! Files that say which Pythons they are for: what the base is not is refused before anything is built.

use std::fs;

use backends::{Error, Event, Plan, Provisioner};
use envspec::{RuntimeEnv, Tool};
use serde_json::json;
use stage::{Base, Isolation, Pipeline, PythonStage};

use crate::support::{local, numbers, python, watched};
use crate::world::World;

/// The cause below the names of the stages.
fn cause(error: Error) -> Error {
    match error {
        Error::Environment { source, .. } => cause(*source),
        error => error,
    }
}

/// Files whose field holds this, as they are named in a spec; the last names no packages.
fn files(world: &World, versions: &str) -> [&'static str; 3] {
    let field = format!("requires-python = {versions:?}\n");
    let wheel = "packages = [{ name = 'alpha', version = '1.0' }]\n";
    let script = |more: &str| format!("# /// script\n# {field}{more}# ///\n");
    let files = [
        ("pylock.toml", format!("lock-version = '1.0'\n{field}{wheel}")),
        ("needs.py", script("# dependencies = ['alpha']\n")),
        ("only.py", script("")),
    ];
    for (name, text) in &files {
        fs::write(world.root.join(name), text).expect("a file");
    }
    files.map(|(name, _)| name)
}

fn spec(world: &World, tool: Tool, file: &str) -> serde_json::Value {
    let option = match tool {
        Tool::Pip => "pip_install_options",
        Tool::Uv => "uv_pip_install_options",
    };
    let options = ["--no-index".to_owned(), format!("--find-links={}", world.wheels().display())];
    json!({ tool.as_str(): { "packages": file, option: options } })
}

#[test]
fn another_python_is_refused_and_nothing_is_built() {
    let world = World::new(&[], &[("alpha", "1.0", &[])]);
    for (versions, is_met) in [("<3.9", false), (">=3.9", true), (">=3.9,!=3.99.*", true)] {
        for file in files(&world, versions) {
            for tool in [Tool::Uv, Tool::Pip] {
                let env = world.load(&spec(&world, tool, file));
                let provisioner = world.provisioner();
                if is_met {
                    // Those with packages are the same environment, whatever the field says.
                    let prepared = provisioner.prepare(&env, Isolation::Shared);
                    prepared.unwrap_or_else(|error| panic!("{file}: {}", error.report()));
                    continue;
                }
                let of_all = [
                    provisioner.prepare(&env, Isolation::Shared).map(drop),
                    provisioner.refresh(&env, Isolation::Shared).map(drop),
                    provisioner.lock(&env).map(drop),
                ];
                for refused in of_all {
                    let error = refused.expect_err(file);
                    assert!(matches!(error, Error::RequiresPython { .. }), "{}", error.report());
                    let text = error.report();
                    let path = world.root.join(file).display().to_string();
                    for word in ["`requires-python`", "`<3.9`", &*path, "use a base with"] {
                        assert!(text.contains(word), "{text}");
                    }
                }
                let built = fs::read_dir(world.cache().join("envs-v1")).map_or(0, Iterator::count);
                assert_eq!(built, 0, "{tool} {file}");
            }
        }
    }
}

/// Of all stages, also for a base that is yet to be built, and of the stage's own file.
#[test]
fn a_run_of_which_one_stage_is_for_another_python_builds_nothing() {
    const PASS: &str = "class Stage:\n    def process(self, task):\n        return task\n";
    let world = World::new(&[], &[("alpha", "1.0", &[])]);
    let script = format!("# /// script\n# requires-python = '<3.9'\n# ///\n{PASS}");
    fs::write(world.root.join("stage.py"), script).unwrap();
    let env = |value: &serde_json::Value| RuntimeEnv::from_json(&value.to_string()).unwrap();
    let lines = ["alpha"];
    let option = ["--no-index".to_owned(), format!("--find-links={}", world.wheels().display())];
    let fine = json!({ "uv": { "packages": lines, "uv_pip_install_options": option } });
    for base in [Base::Python(world.base_python()), Base::Managed(Box::new(env(&fine)))] {
        let pipeline = Pipeline::new("test")
            .with_base(base)
            .with_dir(&world.root)
            .with_stage(python(PASS).with_name("fine").with_runtime_env(env(&fine)))
            .with_stage(PythonStage::from_file("stage.py", "Stage").with_name("other"));
        let executor = backends::LocalExecutor::default().with_cache_dir(world.cache());
        let (result, events) = watched(&executor, &pipeline, numbers(1));
        let error = result.expect_err("another Python");
        assert!(error.report().contains("`other`"), "{}", error.report());
        assert!(matches!(cause(error), Error::RequiresPython { .. }));
        let is_building = |event: &Event| matches!(event, Event::EnvironmentBuilding { .. });
        assert!(!events.iter().any(is_building), "{events:?}");
        let plan = Plan::new(&pipeline).unwrap();
        let provisioner =
            Provisioner::builder().base_of(&plan).cache_dir(&*world.cache()).open().unwrap();
        let error = provisioner.preview(&plan).unwrap_err();
        assert!(matches!(cause(error), Error::RequiresPython { .. }));
    }
    let wrong = "# /// script\n# requires-python = '3.9'\n# ///\n";
    fs::write(world.root.join("stage.py"), format!("{wrong}{PASS}")).unwrap();
    let stage = PythonStage::from_file("stage.py", "Stage");
    let pipeline = Pipeline::new("test").with_dir(&world.root).with_stage(stage);
    let (result, _) = watched(&local(), &pipeline, numbers(1));
    let text = result.expect_err("no specifiers").report();
    assert!(text.contains("its `requires-python`, `3.9`, is no list of specifiers"), "{text}");
}
