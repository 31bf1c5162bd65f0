//! Law 6, all or nothing: builders are killed at any instant, and the next run must succeed.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use curator::venv_cache::testing::Snapshot;

use crate::local_packages::Package;
use crate::support::{
    Answer, PipelineFile, base, environments, folder, fresh_cache, is_alive, listing, once,
};

/// Returns pseudo-random numbers between 0 and 1, the same in each run.
fn spread(count: u32) -> impl Iterator<Item = f64> {
    let golden = 0.618_033_988_749_895;
    (1..=count).map(move |number| (f64::from(number) * golden).fract())
}

/// Kills a process, and waits until it is dead.
fn kill(process: &duct::Handle) {
    process.kill().expect("a process to kill");
    process.wait().expect("a process that ends");
}

/// Checks that every environment with a manifest has all its files.
fn assert_only_whole_environments_are_committed(cache: &Path, whole: &[String]) {
    for key in environments(cache) {
        let dir = cache.join("envs-v1").join(key);
        if dir.join("manifest.json").exists() {
            assert_eq!(listing(&dir), whole);
        }
    }
}

/// Kills a builder at many instants; after each, a run must succeed in a whole environment. Returns
/// how often the builder died before its end.
fn kill_builders(spec: &str, version: &str, kills: u32) -> u32 {
    let file = PipelineFile::new(base(), &[("stage", spec)], &["packaging", "tqdm"]);
    let cache = fresh_cache();
    let begun = Instant::now();
    let answer = file.run(cache.path(), &[]);
    let life = begun.elapsed();
    assert_eq!(answer.states()["stage"], "built");
    let [key] = &environments(cache.path())[..] else { panic!("one environment") };
    let whole = listing(&cache.path().join("envs-v1").join(key));

    let mut died = 0;
    let mut cache = fresh_cache();
    for part in spread(kills) {
        let process = file.command(cache.path()).stdout_null().start().expect("a process");
        sleep(life.mul_f64(part));
        died += u32::from(process.try_wait().expect("a process").is_none());
        kill(&process);
        assert_only_whole_environments_are_committed(cache.path(), &whole);

        let answer = file.run(cache.path(), &[]);
        assert_eq!(answer.output()["stage"]["packaging"], once(version));
        assert_eq!(answer.output()["stage"]["tqdm"]["visible"].as_array().map(Vec::len), Some(1));
        assert_eq!(environments(cache.path()).len(), 1);
        assert_only_whole_environments_are_committed(cache.path(), &whole);
        assert_eq!(listing(&cache.path().join("trash")), [""; 0]);
        cache = fresh_cache();
    }
    died
}

#[test]
fn a_builder_with_uv_is_killed_at_many_instants() {
    let died = kill_builders("{ uv = [\"packaging==24.0\"] }", "24.0", 15);
    assert!(died >= 7, "only {died} builders died before their end");
}

#[test]
fn a_builder_with_pip_is_killed_at_many_instants() {
    let died = kill_builders("{ pip = [\"packaging==23.2\"] }", "23.2", 6);
    assert!(died >= 3, "only {died} builders died before their end");
}

/// Kills a builder while its package manager works. The package's build ignores every signal except
/// SIGKILL; it pauses, and then continues unless it was killed.
fn kill_while_the_package_manager_works(tool: &str) {
    let place = folder();
    let package = Package::new("slowpoke", "1.0").with_pause(place.path());
    let dir = package.write_to(place.path());
    let spec =
        format!("{{ {tool} = [\"packaging==24.0\", \"slowpoke @ file://{}\"] }}", dir.display());
    let file = PipelineFile::new(base(), &[("stage", &spec)], &["packaging", "slowpoke"]);
    let cache = fresh_cache();
    let process = file.command(cache.path()).stdout_null().start().expect("a process");
    let begun = Instant::now();
    while !place.path().join("paused").exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the build should have started");
        sleep(Duration::from_millis(10));
    }
    kill(&process);
    // From here on, builds do not pause, but the one under way still does, for a while.
    std::fs::write(place.path().join("go"), "").expect("a file");

    let answer = file.run(cache.path(), &[]);
    assert_eq!(answer.states()["stage"], "built");
    assert_eq!(answer.output()["stage"]["packaging"], once("24.0"));
    assert_eq!(answer.output()["stage"]["slowpoke"]["module"], "1.0");
    let [key] = &environments(cache.path())[..] else { panic!("one environment") };
    let env = cache.path().join("envs-v1").join(key);
    let before = Snapshot::of(&env).expect("a readable environment");
    // Longer than the pause of the build.
    while begun.elapsed() < Package::PAUSE + Duration::from_secs(3) {
        sleep(Duration::from_millis(50));
    }
    let changes = before.difference(&Snapshot::of(&env).expect("a readable environment"));
    assert!(changes.is_empty(), "an orphan wrote into the environment: {changes:#?}");
}

#[test]
fn a_builder_is_killed_while_pip_works() {
    kill_while_the_package_manager_works("pip");
}

#[test]
fn a_builder_is_killed_while_uv_works() {
    kill_while_the_package_manager_works("uv");
}

/// A stopped process; it continues when this is dropped.
struct Stopped(String);

impl Stopped {
    fn stop(process: &str) -> Self {
        signal("STOP", process);
        Self(process.to_owned())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, process: &str) {
    // The process may have ended.
    drop(duct::cmd!("kill", "-s", name, "--", process).stderr_null().unchecked().run());
}

/// Returns the processes that compile bytecode in this cache's environments, and their groups.
fn compilers_of(cache: &Path) -> Vec<(String, String)> {
    let environments = cache.join("envs-v1").display().to_string();
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let of = |process: std::fs::DirEntry| {
        let command = std::fs::read(process.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command);
        // The package manager runs interpreters there as well.
        if !command.starts_with(&environments) || !command.contains("Compile the Python files") {
            return None;
        }
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        // After the name: state, parent, group.
        let group = stat.rsplit(')').next()?.split_whitespace().nth(2)?.to_owned();
        Some((process.file_name().into_string().ok()?, group))
    };
    processes.flatten().filter_map(of).collect()
}

/// The bytecode compiler writes into the environment as much as the package manager does. So no
/// build may start while a dead builder's compiler still runs there.
#[test]
fn a_builder_is_killed_while_bytecode_is_compiled() {
    let place = folder();
    let long = "x = [1, 2, {3: 4}]\n".repeat(40_000);
    let wheel = Package::new("slowpoke", "1.0").with_line(&long).wheel(place.path());
    let spec = format!("{{ uv = [\"{}\"] }}", wheel.display());
    let file = PipelineFile::new(base(), &[("stage", &spec)], &["slowpoke"]);
    let cache = fresh_cache();
    let is_left = |(process, _): &(String, String)| process.parse().is_ok_and(is_alive);
    let process = file.command(cache.path()).stdout_null().start().expect("a process");
    let begun = Instant::now();
    let compiling = loop {
        assert!(begun.elapsed() < Duration::from_mins(1), "bytecode should be compiled");
        let found = compilers_of(cache.path());
        if !found.is_empty() {
            break found;
        }
        sleep(Duration::from_millis(2));
    };
    // As on a machine that is slow to end them, the compilers remain, stopped for a while. They are
    // stopped after the builder is gone, since its death would wake the stopped processes of its
    // group.
    for (_, group) in &compiling {
        signal("KILL", group);
    }
    kill(&process);
    let stopped: Vec<Stopped> =
        compiling.iter().map(|(process, _)| Stopped::stop(process)).collect();
    assert!(compiling.iter().any(is_left), "bytecode was compiled too soon");
    let next = file.command(cache.path()).stdout_capture().start().expect("a process");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let done = next.try_wait().expect("a process");
        assert!(done.is_none(), "it was built while a process of the dead builder could write");
        sleep(Duration::from_millis(20));
    }
    drop(stopped);
    let answer = Answer::read(&next.wait().expect("a process").stdout);
    assert_eq!(answer.output()["stage"]["slowpoke"]["module"], "1.0");
    assert_eq!(answer.states()["stage"], "built");
}
