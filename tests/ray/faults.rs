//! Faults on the engines: how the run ends, and what it leaves.

use std::collections::BTreeSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::run::{ENGINES, Job, wait_for};
use crate::world::{self, Cluster};

/// Returns stages that hold their tasks until they may continue.
fn hold(dir: &Path) -> String {
    format!(
        "[[stage]]\nname = \"Hold\"\npython = \"{}:Hold\"\nargs = {{ folder = {:?} }}\nbatch_size = \
         1\nnum_workers = 2\nresources = {{ cpus = 0.5 }}\n",
        world::script("faults.py").display(),
        dir.display().to_string(),
    )
}

/// Returns a run of eight tasks, two of which are held.
fn holding(cluster: &Cluster, name: &str, engine: &str, address: Option<&str>) -> Job {
    let dir = cluster.dir().join(format!("{name}-{engine}"));
    Job::new(&dir, engine, &hold(&dir), 8).with("address", address)
}

fn signal(process: i32, signal: &str) {
    duct::cmd("kill", [signal, &process.to_string()]).run().expect("a process to signal");
}

/// Returns the command line of a process; empty if the process has ended.
fn command_of(process: i32) -> String {
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()
}

/// Returns the actors of the stage; Xenna's actors all have one name.
fn actors(cluster: &Cluster) -> Vec<i32> {
    let mut found = cluster.processes();
    found.retain(|process| {
        let command = command_of(*process);
        command.starts_with("ray::")
            && (command.contains("Hold") || command.contains("StageWorker"))
    });
    found
}

/// Returns the folders of runs that exist.
fn run_dirs(cluster: &Cluster) -> Vec<PathBuf> {
    let parents = fs::read_dir(cluster.dir()).expect("a folder of ours").flatten();
    parents
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("curator-"))
        .flat_map(|entry| fs::read_dir(entry.path()).expect("a folder of ours").flatten())
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with("program-"))
        .map(|entry| entry.path())
        // A file has the runs that ended.
        .filter(|path| path.is_dir())
        .collect()
}

/// Words in the command lines of a run's processes.
const OF_A_RUN: [&str; 8] = [
    "curator_ray",
    "curator-worker",
    "curator_worker",
    "run-on-ray",
    "Hold",
    "Reporter",
    "NodeMonitor",
    "StageWorker",
];

/// Waits until no driver, actor, host, worker or folder of any run is left.
#[track_caller]
fn assert_nothing_is_left(cluster: &Cluster, of: &str) {
    let left = || {
        let mut left: Vec<String> = cluster.processes().into_iter().map(command_of).collect();
        left.retain(|command| {
            OF_A_RUN.iter().any(|mark| command.contains(mark)) && !command.contains("start.py")
        });
        left.extend(run_dirs(cluster).iter().map(|dir| dir.display().to_string()));
        left
    };
    wait_for(&format!("the end of all of {of}, with {:?} there", left()), || {
        left().is_empty().then_some(())
    });
}

/// Kills the program in the middle of its work: while its tasks are held, and while the nodes have
/// ever more to tell it.
fn program_is_killed(cluster: &Cluster, engine: &str, address: &str) {
    let way = match engine {
        "ray-data" => "-TERM",
        "xenna" => "-INT",
        _ => "-KILL",
    };
    let name = |kind: &str| cluster.dir().join(format!("{kind}{way}-{engine}"));
    let (held, told) = (name("killed"), name("killed-busy"));
    let busy = hold(&told).replace(":Hold\"", ":Busy\"");
    for (dir, stages, tasks, way) in [(&held, hold(&held), 8, way), (&told, busy, 2_000, "-KILL")] {
        let running = Job::new(dir, engine, &stages, tasks).with("address", address).start(cluster);
        running.held(2);
        signal(running.process(), way);
        running.wait();
        assert_nothing_is_left(cluster, &format!("a program that got {way} on {engine}"));
    }
}

/// The driver is killed; the program survives and cleans up for it.
fn driver_is_killed(cluster: &Cluster, engine: &str, address: &str) {
    let running = holding(cluster, "driver", engine, Some(address)).start(cluster);
    running.held(2);
    signal(driver(cluster), "-KILL");
    let answer = running.answer();
    let error = answer.error();
    assert!(error.contains("was killed by signal 9"), "{engine}: {error}");
    assert_nothing_is_left(cluster, &format!("a run whose driver died on {engine}"));
}

/// A worker that dies is replaced, and its task runs again.
fn worker_dies(cluster: &Cluster, engine: &str, address: &str) {
    let running = holding(cluster, "worker", engine, Some(address)).start(cluster);
    let (worker, _, _) = running.held(2)[0];
    signal(worker, "-KILL");
    running.held(3);
    running.go_on();
    running.answer().assert_complete(8);
    assert_nothing_is_left(cluster, &format!("a run whose worker died on {engine}"));
}

/// A host that dies ends the run, with an error that names its stage.
fn host_dies(cluster: &Cluster, engine: &str, address: &str) {
    let running = holding(cluster, "host", engine, Some(address)).start(cluster);
    let (_, host, _) = running.held(2)[0];
    assert!(command_of(host).contains("curator-worker stage"), "{}", command_of(host));
    signal(host, "-KILL");
    let answer = running.answer();
    let error = answer.error();
    let words = "the worker program of stage `Hold` ended by itself";
    assert!(error.contains(words), "{engine}: {error}");
    assert_nothing_is_left(cluster, &format!("a run whose host died on {engine}"));
}

/// Ray replaces an actor that dies; its tasks run again, and no output comes twice. Xenna does not
/// replace it, and ends the run.
fn actor_dies(cluster: &Cluster, engine: &str, address: &str) {
    let running = holding(cluster, "actor", engine, Some(address)).start(cluster);
    running.held(2);
    let found = actors(cluster);
    assert!(found.len() >= 2, "{engine}: {found:?}");
    signal(found[0], "-KILL");
    if engine == "xenna" {
        let answer = running.answer();
        assert!(answer.error().contains("ActorDiedError"), "{}", answer.error());
    } else {
        running.held(3);
        running.go_on();
        running.answer().assert_complete(8);
    }
    assert_nothing_is_left(cluster, &format!("a run whose actor died on {engine}"));
}

/// A package that does not exist ends the run with the resolver's words.
fn misspelt(cluster: &Cluster, engine: &str, address: &str) {
    let dir = cluster.dir().join(format!("misspelt-{engine}"));
    let stages = hold(&dir) + "runtime_env = { uv = [\"packagingg==24.0\"] }\n";
    let answer = Job::new(&dir, engine, &stages, 8).with("address", address).run(cluster);
    let error = answer.error();
    assert!(error.contains("`uv` found no package `packagingg`"), "{engine}: {error}");
    assert!(error.contains("stage `Hold`"), "{engine}: {error}");
    assert_nothing_is_left(cluster, &format!("a run without an environment on {engine}"));
}

/// Secrets of a spec are in no log, command line, event or report, neither of a run that succeeds
/// nor of a run whose package index does not answer.
fn secrets_stay_secret(cluster: &Cluster, engine: &str, address: &str) {
    let url = "--extra-index-url https://joe:pa55-in-the-url@127.0.0.1:9/simple";
    let specs = [
        (
            "t0ken-in-a-var",
            "{ uv = [\"packaging==24.0\"], env_vars = { TOKEN = \"t0ken-in-a-var\" } }",
        ),
        ("pa55-in-the-url", &format!("{{ uv = [{url:?}, \"packaging==24.0\"] }}")),
    ];
    for (at, (secret, spec)) in specs.into_iter().enumerate() {
        let dir = cluster.dir().join(format!("secrets-{at}-{engine}"));
        let stages = format!("{}runtime_env = {spec}\n", hold(&dir));
        let running = Job::new(&dir, engine, &stages, 8).with("address", address).start(cluster);
        wait_for("a worker with a task, or the end", || {
            let commands: Vec<String> = cluster.processes().into_iter().map(command_of).collect();
            let told = commands.iter().find(|command| command.contains(secret));
            assert!(told.is_none(), "{engine}: {told:?}");
            (!running.is_running() || running.notes("held").len() >= 2).then_some(())
        });
        running.go_on();
        let answer = running.answer().0;
        assert_eq!(answer["error"].is_null(), secret.ends_with("var"), "{engine}: {answer}");
        assert!(!answer.to_string().contains(secret), "{engine}: {answer}");
        let told = duct::cmd("grep", ["-rlaF", secret, "."])
            .dir(cluster.dir())
            .unchecked()
            .stderr_null()
            .read()
            .expect("grep is there");
        let told: Vec<&str> =
            told.lines().filter(|file| !file.ends_with("/pipeline.toml")).collect();
        assert_eq!(told, [""; 0], "{engine}: files with {secret}");
    }
    assert_nothing_is_left(cluster, &format!("a run with secrets on {engine}"));
}

/// A fault on an engine of a cluster at an address.
type Scenario = fn(&Cluster, &str, &str);

/// The faults, each with the engines that it is tried on in a quick round. What an engine does about
/// a fault of ours is the same on all of them; what it does about its own actors is not.
const SCENARIOS: [(&str, Scenario, &[&str]); 7] = [
    ("a program that is killed", program_is_killed, &ENGINES),
    ("a driver that is killed", driver_is_killed, &["ray-data"]),
    ("a misspelt package", misspelt, &["ray-actor-pool"]),
    ("a worker that dies", worker_dies, &["xenna"]),
    ("a host that dies", host_dies, &["ray-data"]),
    ("an actor that dies", actor_dies, &["ray-actor-pool", "xenna"]),
    ("secrets", secrets_stay_secret, &["ray-data"]),
];

/// One cluster for all, so that the leftovers of one run would show in the next. A whole run tries
/// every fault on every engine.
#[test]
fn faults_end_in_results_or_one_error() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    let mut failed = Vec::new();
    for engine in ENGINES {
        for (name, scenario, quick) in SCENARIOS {
            if !quick.contains(&engine) && !world::tests_all() {
                continue;
            }
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                scenario(&cluster, engine, ray.first_line());
            }));
            if result.is_err() {
                failed.push(format!("{name} on {engine}"));
            }
        }
    }
    assert_eq!(failed, [""; 0]);
}

/// Returns the contents of Ray's folder, two levels deep, under names that sessions share.
fn left_by_ray(cluster: &Cluster) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let entries = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    for path in entries(&cluster.dir().join("ray")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_session = name.starts_with("session_2");
        let name = if is_session { "session" } else { &name };
        found.insert(name.to_owned());
        if is_session {
            found.extend(entries(&path).iter().map(|below| {
                let below = below.file_name().expect("a name").to_string_lossy();
                // Some names end with the node's id, and some begin so until Ray renames the file,
                // which it writes anew every few seconds.
                let below = below.split("_port_").next().unwrap_or_default();
                format!("{name}/{}", below.trim_start_matches("tmp_"))
            }));
        }
    }
    found
}

/// Waits until all processes of a private Ray have ended, checks its folder, and empties it.
#[track_caller]
fn assert_ray_is_gone(cluster: &Cluster, clean: &BTreeSet<String>, of: &str) {
    let left = || cluster.processes().into_iter().map(command_of).collect::<Vec<_>>();
    wait_for(&format!("the end of the Ray of {of}: {:?}", left()), || {
        left().is_empty().then_some(())
    });
    assert!(run_dirs(cluster).is_empty(), "{of}: {:?}", run_dirs(cluster));
    let left = left_by_ray(cluster);
    assert!(left.is_subset(clean), "{of}: {left:?} beside {clean:?}");
    let _ = fs::remove_dir_all(cluster.dir().join("ray"));
}

/// Returns the process that drives the engine.
fn driver(cluster: &Cluster) -> i32 {
    let mut found = cluster.processes();
    found.retain(|process| command_of(*process).contains("curator_ray.py"));
    let [driver] = found[..] else { panic!("one driver: {found:?}") };
    driver
}

#[test]
fn a_ray_of_its_own_ends_with_the_run() {
    let cluster = world::cluster();
    cluster.python(&world::script("clean.py"), &[]);
    let clean = left_by_ray(&cluster);
    assert!(clean.contains("session/logs"), "{clean:?}");
    fs::remove_dir_all(cluster.dir().join("ray")).expect("a folder of ours");
    // Xenna leaves the most: it has the dashboard, and threads in its actors.
    let engine = "xenna";
    let start = |name: &str| {
        let init = json!({ "object_store_memory": 100_000_000 });
        holding(&cluster, name, engine, None).with("init", init).start(&cluster)
    };

    let running = start("well");
    running.held(2);
    running.go_on();
    running.answer().assert_complete(8);
    assert_ray_is_gone(&cluster, &clean, "a run that succeeds");

    let running = start("killed");
    running.held(2);
    signal(running.process(), "-KILL");
    running.wait();
    assert_ray_is_gone(&cluster, &clean, "a program that is killed");

    let running = start("lost");
    running.held(2);
    signal(driver(&cluster), "-KILL");
    let answer = running.answer();
    let error = answer.error();
    assert!(error.contains("the driver of xenna was killed by signal 9"), "{error}");
    assert_ray_is_gone(&cluster, &clean, "a driver that is killed");

    // A failure before Ray is up leaves less, and nothing that Ray itself would not leave.
    let engines = if world::tests_all() { &ENGINES[..] } else { &ENGINES[..1] };
    for engine in engines {
        let dir = cluster.dir().join(format!("early-{engine}"));
        let stages = hold(&dir) + "runtime_env = { uv = [\"packagingg==24.0\"] }\n";
        let answer = Job::new(&dir, engine, &stages, 8).run(&cluster);
        let error = answer.error();
        assert!(error.contains("`uv` found no package `packagingg`"), "{engine}: {error}");
        assert!(error.contains("stage `Hold`"), "{engine}: {error}");
        assert_ray_is_gone(&cluster, &clean, "a run without an environment");
    }
}

/// Runs a script over the code of a node, and returns what it prints.
fn printed(script: &str) -> String {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/backends/python");
    world::cluster().python(&world::script(script), &[python.as_ref()])
}

#[test]
fn leftovers_that_were_not_used_for_long_go_away() {
    assert_eq!(printed("sweep.py"), "new-node program-new used-node\n");
}

/// Ray may start or repeat an actor until its job is gone: what comes after the end of a run on a
/// machine leaves nothing there.
#[test]
fn what_comes_after_the_end_of_a_run_leaves_nothing() {
    assert_eq!(printed("ended.py"), "ended\n41 ['run0', 'last']\n");
}
