//! Files that name their Python versions: another version of the base is refused before any build.

use std::fs;

use backends::{Error, Event, Plan, Provisioner};
use envspec::{RuntimeEnv, Tool};
use serde_json::json;
use stage::{BaseSpec, Isolation, Pipeline, PythonStage};

use crate::support::{local, numbers, python, watched};
use crate::world::World;

/// Returns the cause below the names of the stages.
fn cause(error: Error) -> Error {
    match error {
        Error::Environment { source, .. } => cause(*source),
        error => error,
    }
}

/// Writes files whose field has this value, as a spec names them; the last file has no packages.
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
                    // With packages, the environment is the same, whatever the field says.
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

/// Checks all stages first, also for a base that is yet to be built, and a stage's own file.
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
    for base in [BaseSpec::Python(world.base_python()), BaseSpec::Managed(Box::new(env(&fine)))] {
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

/// Of single packages, and of the environments that a lock file is for, as uv judges them.
#[test]
fn a_lock_file_for_others_is_refused_where_its_package_manager_does() {
    let world = World::new(&[], &[("alpha", "1.0", &[])]);
    let hash = envspec::Digest::of(&fs::read(world.wheel("alpha", "1.0")).unwrap());
    let place = world.wheel("alpha", "1.0").display().to_string();
    let cases = [
        ("", "requires-python = '>=3.99'", Some("`requires-python` of `alpha` in `")),
        ("", "requires-python = '>=3.8'", None),
        ("", "requires-python = '>=3.99'\nmarker = \"python_version < '3'\"", None),
        (
            "environments = [\"sys_platform == 'win32'\"]",
            "",
            Some("with `sys_platform == 'win32'`"),
        ),
        ("environments = [\"sys_platform == 'win32'\", \"python_version > '3'\"]", "", None),
        ("environments = []", "", Some("for environments with no marker at all")),
        ("environments = ['x y']", "", Some("its `environments` are no markers")),
    ];
    for (head, of_package, refused) in cases {
        let wheel = format!(
            "{{ name = 'alpha-1.0-py3-none-any.whl', path = {place:?}, hashes = {{ sha256 = '{hash}' }} }}"
        );
        let text = format!(
            "lock-version = '1.0'\ncreated-by = 't'\n{head}\n[[packages]]\nname = 'alpha'\n\
             version = '1.0'\n{of_package}\nwheels = [{wheel}]\n"
        );
        fs::write(world.root.join("pylock.toml"), text).unwrap();
        for tool in [Tool::Uv, Tool::Pip] {
            let spec =
                RuntimeEnv::from_json(&spec(&world, tool, "pylock.toml").to_string()).unwrap();
            let told = match spec.load(&backends::DiskSource, &world.root) {
                Err(error) => Some(envspec::report(&error, None, None)),
                Ok(env) => world.prepare(&env).err().map(|error| error.report()),
            };
            match (refused, told) {
                (Some(words), Some(text)) => assert!(text.contains(words), "{text}"),
                (None, None) => {}
                (_, told) => panic!("{tool} {head} {of_package}: {told:?}"),
            }
        }
        // uv's own verdict.
        let uv = world.cache().join("tools").read_dir().unwrap().flatten().map(|it| it.path());
        let uv = uv.map(|it| it.join("bin/uv")).find(|it| it.exists()).expect("it was fetched");
        let words = ["pip", "install", "--dry-run", "--no-config", "-r", "pylock.toml", "--python"];
        let words = words.map(Into::into).into_iter().chain([world.base_python()]);
        let verdict = duct::cmd(uv, words).dir(&world.root).stderr_capture().unchecked().run();
        let verdict = verdict.unwrap();
        let is_refused = !verdict.status.success();
        let words = String::from_utf8_lossy(&verdict.stderr).into_owned();
        assert_eq!(is_refused, refused.is_some(), "{head} {of_package}: {words}");
    }
}
