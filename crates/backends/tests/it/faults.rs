//! Faults below the provisioner: disks, files, processes, clocks. Each ends in a clear error or a
//! silent recovery, and never in half an environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backends::{EnvState, Error, ExecutorExt, LocalExecutor};
use envspec::{RuntimeEnv, Tool};
use serde_json::json;
use stage::{Isolation, Pipeline};
use venv_cache::Budget;

use crate::support::{assert_ends, numbers, python};
use crate::world::{World, run};

const WHEELS: [(&str, &str, &[&str]); 1] = [("alpha", "1.0", &[])];

/// Returns the folder of the environment for a spec.
fn env_dir(world: &World, env: &envspec::LoadedEnv) -> PathBuf {
    let provisioner = world.provisioner();
    let key = provisioner.key(env, Isolation::Shared).expect("a key").expect("a key");
    provisioner.cache().env_dir(&key)
}

#[test]
fn a_corrupted_manifest_is_built_anew() {
    let world = World::new(&[], &WHEELS);
    let env = world.spec(Tool::Uv, &["alpha"]);
    assert_eq!(world.state(&env), EnvState::Built);
    let manifest = env_dir(&world, &env).join("manifest.json");
    let whole = fs::read(&manifest).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"{}", b"\xff\xfe"] {
        fs::write(&manifest, damaged).unwrap();
        assert_eq!(world.state(&env), EnvState::Built);
    }
    // Unreadable details do no harm to an environment.
    let mut value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    value["details"] = json!({ "from": "elsewhere" });
    fs::write(&manifest, value.to_string()).unwrap();
    let environment = world.prepare(&env).unwrap();
    assert_eq!(environment.state(), EnvState::Hit);
    assert!(environment.details().is_none());
    drop(environment);
    let refreshed = world.provisioner().refresh(&env, Isolation::Shared).unwrap();
    assert_eq!(refreshed.state(), EnvState::Built);
}

#[test]
fn damage_by_hand_is_found_or_built_anew() {
    let world = World::new(&[], &WHEELS);
    let env = world.spec(Tool::Uv, &["alpha"]);
    assert_eq!(world.state(&env), EnvState::Built);
    let dir = env_dir(&world, &env);
    fs::remove_file(dir.join("bin/python")).unwrap();
    assert_eq!(world.state(&env), EnvState::Built);

    let site = fs::read_dir(dir.join("lib")).unwrap().flatten().next().unwrap().path();
    fs::remove_file(site.join("site-packages/alpha.py")).unwrap();
    let environment = world.prepare(&env).unwrap();
    assert_eq!(environment.state(), EnvState::Hit);
    let differences = environment.cached().unwrap().differences().unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].path.ends_with("alpha.py") && differences[0].found.is_none());
    drop(environment);

    // A worker notices that a requested package is missing.
    let site = site.join("site-packages");
    fs::remove_dir_all(site.join("alpha-1.0.dist-info")).unwrap();
    let text = "class Stage:\n def process(self, task): return task";
    let spec = json!({ "uv": {
        "packages": ["alpha"],
        "uv_pip_install_options": ["--no-index", "--find-links", world.wheels()],
    }});
    let stage = python(text).with_runtime_env(RuntimeEnv::from_json(&spec.to_string()).unwrap());
    let executor =
        LocalExecutor::default().with_base(world.base_python()).with_cache_dir(world.cache());
    let error = executor.run(&Pipeline::new("damaged").with_stage(stage), numbers(1)).unwrap_err();
    assert!(matches!(error, Error::WrongEnvironment { .. }), "{}", error.report());
}

#[test]
fn folders_may_be_deep_and_have_any_name() {
    let deep = "d".repeat(60) + "/" + &["e".repeat(80), "f".repeat(80), "g".repeat(80)].join("/");
    for name in ["two words & more", "Ünïcödé 日本", "quo'te \"double\" $HOME", &deep] {
        let world = World::named(name, &[("kept", "1.0", &[])], &WHEELS);
        for tool in [Tool::Uv, Tool::Pip] {
            let environment = world
                .prepare(&world.spec(tool, &["alpha"]))
                .unwrap_or_else(|error| panic!("{name}, {tool}: {}", error.report()));
            let program = "import alpha, kept, sys; print(alpha.__version__, kept.__version__)";
            assert_eq!(run(environment.python(), program), "1.0 1.0", "{name}");
        }
    }
}

#[test]
fn a_clock_that_jumps_harms_nothing() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    let env = world.spec(Tool::Uv, &["alpha"]);
    assert_eq!(world.state(&env), EnvState::Built);
    let provisioner = world.provisioner();
    let key = provisioner.key(&env, Isolation::Shared).unwrap().unwrap();
    let lock = world.cache().join(format!("locks/{key}.lock"));
    let year = Duration::from_hours(24 * 365);
    let set = |time: SystemTime| {
        let file = fs::File::options().write(true).open(&lock).unwrap();
        file.set_modified(time).unwrap();
    };
    // A last use in the future counts as a use now, and the next use corrects it.
    set(SystemTime::now() + year);
    let old = Budget::default().with_older_than(Duration::from_hours(1));
    assert_eq!(provisioner.cache().prune(&old).unwrap().kept, 1);
    assert_eq!(world.state(&env), EnvState::Hit);
    assert!(fs::metadata(&lock).unwrap().modified().unwrap() <= SystemTime::now());
    set(SystemTime::now() - year);
    let held = world.prepare(&env).unwrap();
    assert_eq!(provisioner.cache().prune(&old).unwrap().kept, 1, "it was used just now");
    drop(held);
    set(SystemTime::now() - year);
    assert_eq!(provisioner.cache().prune(&old).unwrap().removed.len(), 1);
}

/// A project whose build prints its process number, starts a child, and does not end.
fn endless_project(world: &World) -> PathBuf {
    let dir = world.root.join("endless");
    fs::create_dir(&dir).expect("a folder");
    fs::write(
        dir.join("pyproject.toml"),
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"endless\"\nversion = \"1.0\"\n",
    )
    .expect("it is there");
    let backend = format!(
        "import os, subprocess, time\n\
         def build_wheel(*arguments, **options):\n    \
             child = subprocess.Popen(['sleep', '600'])\n    \
             with open('{}', 'w') as file: file.write(f'{{os.getpid()}} {{child.pid}}\\n')\n    \
             time.sleep(600)\n",
        world.root.join("pids").display()
    );
    fs::write(dir.join("backend.py"), backend).expect("a file");
    dir
}

#[test]
fn a_killed_build_takes_its_children_along_and_the_next_one_works() {
    let world = World::new(&[], &WHEELS);
    let project = endless_project(&world);
    // The package manager is fetched in advance.
    world.state(&world.spec(Tool::Uv, &["alpha"]));
    let helper = job("endless build", &world.root).start().unwrap();
    let pids = world.root.join("pids");
    let mut text = String::new();
    for _ in 0..600 {
        text = fs::read_to_string(&pids).unwrap_or_default();
        if text.ends_with('\n') {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2, "the build did not start");
    helper.kill().unwrap();
    helper.wait().unwrap();
    pids.into_iter().for_each(assert_ends);

    // The project now has a build that ends. The project's contents are part of the key, so the
    // files of the old build belong to another environment, and none of them may show up.
    let env = world.spec(Tool::Uv, &[project.to_str().unwrap()]);
    let dir = env_dir(&world, &env);
    assert!(!dir.join("manifest.json").exists());
    let report = world.provisioner().cache().prune(&Budget::default()).unwrap();
    assert_eq!((report.leftovers, report.kept), (1, 1));
    assert!(!dir.exists());
}

#[test]
fn a_full_or_read_only_disk_is_an_error_that_leaves_nothing() {
    let world = World::new(&[("kept", "1.0", &[])], &WHEELS);
    world.state(&world.spec(Tool::Uv, &["alpha"]));
    let disk = world.root.join("disk");
    fs::create_dir(&disk).unwrap();
    let works = duct::cmd!("unshare", "--user", "--map-root-user", "--mount", "true");
    let works = works.stderr_null().stdout_null().unchecked().run();
    assert!(
        works.is_ok_and(|output| output.status.success()),
        "this test needs `unshare --user --mount`, which is refused here"
    );
    let output = job("full disk", &world.root).stdout_capture().stderr_capture().run().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stdout));
}

/// A job of the helper below, in a process of its own; with `disk`, on a small disk at `disk`.
fn job(name: &str, root: &Path) -> duct::Expression {
    let binary = std::env::current_exe().expect("the path of the test binary");
    let script = match name {
        "full disk" => {
            "mount -t tmpfs -o size=6m,mode=0700 tmpfs \"$1\" && shift && \
             exec \"$@\""
        }
        _ => "shift && exec \"$@\"",
    };
    let namespace = match name {
        "full disk" => &["unshare", "--user", "--map-root-user", "--mount"][..],
        _ => &["env"],
    };
    let mut words: Vec<std::ffi::OsString> = namespace.iter().skip(1).map(Into::into).collect();
    words.extend(["sh", "-c", script, "sh"].map(Into::into));
    words.extend([root.join("disk").into_os_string(), binary.into()]);
    words.extend(["--exact", "faults::helper", "--ignored", "--nocapture"].map(Into::into));
    duct::cmd(namespace[0], words).env("FAULT", name).env("FAULT_ROOT", root).unchecked()
}

#[test]
#[ignore = "the process that other tests start"]
fn helper() {
    let Some(root) = std::env::var_os("FAULT_ROOT").map(PathBuf::from) else { return };
    let world = World::again(&root);
    match std::env::var("FAULT").as_deref() {
        Ok("endless build") => {
            let project = root.join("endless");
            let env = world.spec(Tool::Uv, &[project.to_str().unwrap()]);
            let _ = world.prepare(&env);
        }
        Ok("full disk") => on_a_small_disk(&world),
        other => panic!("{other:?}"),
    }
}

fn on_a_small_disk(world: &World) {
    let disk = world.root.join("disk");
    let cache = disk.join("cache");
    fs::create_dir(&cache).expect("a folder");
    std::os::unix::fs::symlink(world.cache().join("tools"), cache.join("tools")).expect("a link");
    let base = stage::BaseSpec::Python(world.base_python());
    let provisioner = || {
        backends::Provisioner::builder()
            .base(base.clone())
            .cache_dir(&*cache)
            .open()
            .expect("a provisioner")
    };
    let env = world.spec(Tool::Uv, &["alpha"]);
    let key = provisioner().key(&env, Isolation::Shared).expect("a key").expect("a key");
    // Pages of the disk that a build takes.
    let free = |path: &Path| rustix::fs::statvfs(path).expect("the disk's state").f_bavail;
    let before = free(&disk);
    drop(provisioner().prepare(&env, Isolation::Shared).expect("an environment"));
    let pages = usize::try_from(before - free(&disk)).expect("a number of pages");
    assert!(provisioner().cache().remove(&key).expect("to remove it"));
    let (mut built, mut failed) = (0, 0);
    let all = usize::try_from(free(&disk)).expect("a number of pages");
    // From no room at all to enough: the disk runs full at create, install, compile and commit.
    for room in (0..=pages + 4).step_by((pages / 24).max(1)) {
        let filler = disk.join("filler");
        fs::write(&filler, vec![1; (all - room) * 4096]).expect("a file");
        match provisioner().prepare(&env, Isolation::Shared) {
            Ok(environment) => {
                assert_eq!(
                    environment.cached().expect("its sizes").differences().expect("its sizes"),
                    []
                );
                built += 1;
            }
            Err(error) => {
                let report = error.report();
                let is_told = ["space", "full", "No space left"].iter().any(|w| report.contains(w));
                assert!(is_told, "room for {room}: {report}");
                failed += 1;
            }
        }
        fs::remove_file(&filler).expect("to remove it");
        let environment = provisioner().prepare(&env, Isolation::Shared).expect("an environment");
        assert_eq!(run(environment.python(), "import alpha, kept; print(1)"), "1");
        drop(environment);
        assert!(provisioner().cache().remove(&key).expect("to remove it"));
        let trash = fs::read_dir(cache.join("trash")).expect("a folder's list").count();
        assert_eq!(trash, 0);
    }
    assert!(built > 0 && failed > 10, "built {built}, failed {failed} of {pages} pages");

    drop(provisioner().prepare(&env, Isolation::Shared).expect("an environment"));
    // The base's bytecode may still be compiled: that ends soon after the provisioner is gone.
    let remount = duct::cmd!("mount", "-o", "remount,ro", &disk).stderr_null().unchecked();
    let mut attempts = 0;
    while !remount.run().expect("to start").status.success() {
        attempts += 1;
        assert!(attempts < 600, "the disk is still written to");
        std::thread::sleep(Duration::from_millis(100));
    }
    let environment = provisioner().prepare(&env, Isolation::Shared).expect("an environment");
    assert_eq!(environment.state(), EnvState::Hit);
    let other = world.spec(Tool::Uv, &["alpha==1.0"]);
    let error = provisioner().prepare(&other, Isolation::Shared).expect_err("it should be refused");
    assert!(
        error.to_string().contains("read-only") && error.hint().is_some(),
        "{}",
        error.report()
    );
}
