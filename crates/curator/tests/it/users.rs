//! Several users of one cache: real users by their numbers, with a real group and their umasks.
//!
//! Only root may become other users; where that is refused, a test says so by its name and passes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::permissions::set_mode;
use crate::support::{CURATOR, Run};

const GROUP: u32 = 54_321;
const ANN: u32 = 10_001;
const BOB: u32 = 10_002;
const STRANGER: u32 = 10_003;

const STAGES: &str = "import packaging\n\n\ndef version(task):\n    return packaging.__version__\n";
const PIPELINE: &str = r#"
name = "versions"
base = "/usr/bin/python3"

[[stage]]
name = "version"
python = "stages.py:version"
runtime_env = { uv = ["packaging==24.0"] }
"#;

const RUN: [&str; 6] = ["run", "pipeline.toml", "--input", "tasks.jsonl", "--output", "-"];
const CREATE: [&str; 6] =
    ["env", "create", "--uv", "packaging==24.0", "--base", "/usr/bin/python3"];

/// A folder that every user may enter, with a pipeline, a cache, and the command.
struct Place {
    dir: tempfile::TempDir,
}

/// The user that runs the command.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
    umask: u32,
}

impl Place {
    /// Returns none, and prints a line, where this user may not become others.
    fn new(test: &str) -> Option<Self> {
        let tried = duct::cmd!("setpriv", "--reuid=1", "--regid=1", "--clear-groups", "true");
        if tried.stderr_null().run().is_err() {
            let line = format!("{test}: NOT TESTED, `setpriv` is refused here\n");
            std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        set_mode(dir.path(), 0o755);
        let place = Self { dir };
        fs::create_dir(place.path("tmp")).expect("a folder");
        set_mode(&place.path("tmp"), 0o1777);
        // The build folder may be closed to other users.
        fs::copy(CURATOR, place.path("curator")).expect("a copy of the command");
        for (name, text) in
            [("stages.py", STAGES), ("pipeline.toml", PIPELINE), ("tasks.jsonl", "{\"n\": 1}\n")]
        {
            fs::write(place.path(name), text).expect("a file");
            set_mode(&place.path(name), 0o644);
        }
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a cache with this owner, group and mode.
    fn make_cache(&self, owner: u32, group: u32, mode: u32) -> PathBuf {
        let cache = self.path("cache");
        fs::create_dir(&cache).expect("a fresh folder");
        chown(&cache, Some(owner), Some(group)).expect("root may");
        set_mode(&cache, mode);
        cache
    }

    fn shell(&self, who: User, words: &[&str]) -> Run {
        let User { id: user, group, umask } = who;
        let home = self.path(&user.to_string());
        if !home.exists() {
            fs::create_dir(&home).expect("a home");
            chown(&home, Some(user), Some(user)).expect("root may");
        }
        let identity = [format!("--reuid={user}"), format!("--regid={user}")];
        let groups = format!("--groups={group}");
        let script = format!("umask {umask:03o} && exec \"$@\"");
        let mut argv = vec![&*identity[0], &identity[1], &groups, "sh", "-c", &script, "sh"];
        argv.extend(words);
        let mut command = duct::cmd("setpriv", argv)
            .dir(self.dir.path())
            .env("HOME", home)
            .env("CURATOR_CACHE_DIR", self.path("cache"))
            .env("TMPDIR", self.path("tmp"))
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked();
        for name in ["VIRTUAL_ENV", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command = command.env_remove(name);
        }
        Run::from(command.run().expect("setpriv starts"))
    }

    fn run(&self, who: User, arguments: &[&str]) -> Run {
        let program = self.path("curator").display().to_string();
        self.shell(who, &[&[&*program], arguments].concat())
    }

    /// Runs the pipeline, which returns one version.
    #[track_caller]
    fn run_pipeline(&self, who: User) {
        assert_eq!(self.run(who, &RUN).text().trim(), "\"24.0\"");
    }

    /// Returns the only environment's folder of packages.
    fn site(&self) -> PathBuf {
        let env = fs::read_dir(self.path("cache/envs-v1")).expect("a folder").next();
        let lib = env.expect("an environment").expect("an entry").path().join("lib");
        let lib = fs::read_dir(lib).expect("a folder").flatten().next().expect("pythonX.Y");
        lib.path().join("site-packages")
    }
}

/// Every file that a run needs belongs to the group: the environment, the fetched tool, the
/// workers' files, the locks. Either user may begin, with any umask, and the other one continues.
#[test]
fn every_member_of_a_group_runs_what_another_one_built() {
    let Some(place) = Place::new("every_member_of_a_group_runs_what_another_one_built") else {
        return;
    };
    let cache = place.make_cache(ANN, GROUP, 0o2770);
    for (first, second, umask) in [(ANN, BOB, 0o077), (BOB, ANN, 0o022)] {
        let [first, second] = [first, second].map(|user| User { id: user, group: GROUP, umask });
        place.run_pipeline(first);
        place.run_pipeline(second);
        assert!(place.run(second, &["plan", "pipeline.toml"]).text().contains("in the cache"));
        assert!(place.run(second, &["env", "verify"]).text().contains("whole"));
        let unshared = duct::cmd!("find", &cache, "!", "-type", "l", "!", "-perm", "-g+r");
        assert_eq!(unshared.read().expect("find"), "", "after {umask:o}");
        let outsider = User { id: STRANGER, group: STRANGER, umask };
        let refused = place.run(outsider, &RUN);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("hint:"), "{}", refused.err);
        assert!(place.run(second, &["env", "prune", "--all"]).text().contains("removed"));
    }
}

/// A stage of one user wrote into its environment, with a umask that keeps the group from deleting.
#[test]
fn prune_tells_what_it_could_not_delete_and_fails() {
    let Some(place) = Place::new("prune_tells_what_it_could_not_delete_and_fails") else { return };
    place.make_cache(ANN, GROUP, 0o2770);
    let [ann, bob] = [ANN, BOB].map(|user| User { id: user, group: GROUP, umask: 0o022 });
    for is_json in [false, true] {
        place.run(ann, &CREATE).text();
        let folder = place.site().join("packaging/written/later");
        let script = "mkdir -p \"$0\" && head -c 5000000 /dev/zero > \"$0/data\"";
        place.shell(ann, &["sh", "-c", script, folder.to_str().expect("text")]).text();
        assert_eq!(place.run(bob, &CREATE).code, Some(0), "it is used all the same");
        let mut prune = vec!["env", "prune", "--all"];
        if is_json {
            prune.push("--json");
        }
        let pruned = place.run(bob, &prune);
        assert_eq!(pruned.code, Some(1), "{pruned:?}");
        if is_json {
            let report: Value = serde_json::from_str(&pruned.out).expect("JSON");
            assert_eq!(report["left"][0]["owner"], ANN);
            assert!(report["left"][0]["bytes"].as_u64().expect("bytes") > 5_000_000, "{report}");
            assert_eq!(report["freed_bytes"], 0, "{report}");
        } else {
            assert!(pruned.out.contains(&format!("left    {}", key_of(&folder))), "{}", pruned.out);
            assert!(pruned.out.contains(&format!("of user {ANN} in")), "{}", pruned.out);
            assert!(pruned.out.contains("removed 1 environment (0 B)"), "{}", pruned.out);
        }
        // It is told as long as it is there.
        let again = place.run(bob, &prune);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.out.contains("cache/trash/"), "{}", again.out);
        assert_eq!(again.out.contains("removed 0 environments (0 B)"), !is_json, "{}", again.out);
        let usage = place.run(bob, &["env", "du", "--json"]).text();
        let usage: Value = serde_json::from_str(&usage).expect("JSON");
        assert!(usage["trash_bytes"].as_u64().expect("bytes") > 5_000_000, "{usage}");
        assert_eq!(place.run(ann, &["env", "list", "--json"]).text().trim(), "[]");
        let trash = fs::read_dir(place.path("cache/trash")).expect("a folder");
        assert_eq!(trash.count(), 0, "its owner's next call clears it away");
    }
}

/// The start of the key in a path below an environment.
fn key_of(path: &Path) -> String {
    let mut names = path.iter().skip_while(|name| *name != "envs-v1");
    names.nth(1).expect("a key").to_string_lossy()[..12].to_owned()
}

/// Folders, links and sockets of strangers where a user's templates are kept are not used, and a
/// template has nothing to do with other users, also with root.
#[test]
fn what_is_kept_warm_is_one_users_alone() {
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    let Some(place) = Place::new("what_is_kept_warm_is_one_users_alone") else { return };
    let cache = place.make_cache(ANN, ANN, 0o700);
    let ann = User { id: ANN, group: ANN, umask: 0o022 };
    let stranger = User { id: STRANGER, group: STRANGER, umask: 0 };
    let kept = place.path("tmp").join(format!("curator-{ANN}"));
    let kept_text = kept.to_str().expect("text");
    let keep = [&RUN[..], &["--keep-warm", "5m", "--set", "stage.version.num_workers=1"]].concat();
    let ps = || place.run(ann, &["ps", "--json"]);

    for script in ["mkdir \"$0\"", "mkdir \"$0-real\" && ln -s \"$0-real\" \"$0\""] {
        place.shell(stranger, &["sh", "-c", script, kept_text]).text();
        assert_eq!(place.run(ann, &keep).text().trim(), "\"24.0\"");
        assert_eq!(ps().code, Some(1), "{:?}", ps());
        assert_eq!(fs::read_dir(&kept).expect("a folder").count(), 0, "{script}");
        duct::cmd!("rm", "-r", "--", &kept).run().expect("root may");
    }

    place.run(ann, &keep).text();
    let own = ps().json();
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{own}");
    let socket = fs::read_dir(&kept).expect("a folder").next().expect("one").expect("one").path();
    let mut connection = UnixStream::connect(&socket).expect("root may enter");
    assert_eq!(connection.read(&mut [0; 64]).expect("it is closed"), 0);
    // What another user listens on there, under the name of the template, is not asked.
    fs::rename(&socket, place.path("aside")).expect("root may");
    let planted = UnixListener::bind(&socket).expect("a socket");
    set_mode(&socket, 0o777);
    assert_eq!(ps().text().trim(), "[]");
    assert_eq!(place.run(ann, &keep).text().trim(), "\"24.0\"");
    drop(planted);
    assert_eq!(place.run(ann, &["stop", "--all"]).code, Some(0));
    assert!(cache.is_dir());
}

/// As in a container image: made by one user, with or without its workers' files, and no user may
/// write there later.
#[test]
fn a_cache_that_may_only_be_read_serves_runs() {
    let Some(place) = Place::new("a_cache_that_may_only_be_read_serves_runs") else { return };
    let cache = place.make_cache(ANN, ANN, 0o755);
    let ann = User { id: ANN, group: ANN, umask: 0o022 };
    place.run(ann, &CREATE).text();
    let chmod = |mode: &str| duct::cmd!("chmod", "-R", mode, &cache).run().expect("chmod");
    let temporary = || {
        let names = fs::read_dir(place.path("tmp")).expect("a folder").flatten();
        names.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let before = temporary();
    for (owner, user) in [(ANN, ANN), (0, BOB)] {
        chmod("u+w");
        duct::cmd!("chown", "-R", owner.to_string(), &cache).run().expect("root may");
        for folder in fs::read_dir(cache.join("shims")).expect("a folder").flatten() {
            fs::remove_dir_all(folder.path()).expect("root may");
        }
        chmod("a+rX,a-w");
        let user = User { id: user, group: user, umask: 0o077 };
        place.run_pipeline(user);
        assert!(place.run(user, &["plan", "pipeline.toml"]).text().contains("in the cache"));
        for command in ["list", "du", "verify"] {
            assert_ne!(place.run(user, &["env", command]).text(), "", "{command}");
        }
        let key = place.run(user, &["env", "list", "--json"]).json()[0]["key"].clone();
        let key = key.as_str().expect("a key");
        assert!(place.run(user, &["env", "show", key]).text().contains("24.0"));
        let code = "import packaging; print(packaging.__version__)";
        let exec = ["env", "exec", "--spec", key, "--", "python", "-c", code];
        assert_eq!(place.run(user, &exec).text(), "24.0\n");
        assert_eq!(temporary(), before, "what a run wrote for its workers is gone");
    }
    chmod("u+w");
}

/// A user makes a world-writable cache, with good or bad intentions.
#[test]
fn a_program_that_a_stranger_planted_is_never_run() {
    let Some(place) = Place::new("a_program_that_a_stranger_planted_is_never_run") else { return };
    let cache = place.make_cache(STRANGER, STRANGER, 0o700);
    let stranger = User { id: STRANGER, group: STRANGER, umask: 0 };
    place.run(stranger, &CREATE).text();
    let (site, proof) = (place.site(), place.path("proof"));
    let plant = format!("import os; os.system('id > {}')\n", proof.display());
    fs::write(site.join("planted.pth"), plant).expect("a file");
    duct::cmd!("chmod", "-R", "a+rwX", &cache).run().expect("chmod");
    let [ann, root] = [ANN, 0].map(|user| User { id: user, group: user, umask: 0o022 });
    for mode in [0o777, 0o1777, 0o755, 0o2777, 0o2775] {
        set_mode(&cache, mode);
        for who in [ann, root] {
            for arguments in [&RUN[..], &CREATE, &["plan", "pipeline.toml"], &["env", "list"]] {
                let refused = place.run(who, arguments);
                assert_ne!(refused.code, Some(0), "{mode:o} {arguments:?}");
                assert!(refused.err.contains("hint:"), "{}", refused.err);
            }
        }
    }
    // Also in a cache of one's own, if other users could have planted the file.
    duct::cmd!("chown", "-R", ANN.to_string(), &cache).run().expect("root may");
    set_mode(&cache, 0o755);
    let refused = place.run(ann, &RUN);
    assert!(refused.err.contains("can be written by everyone"), "{}", refused.err);
    assert!(!proof.exists(), "the planted program was run");
}

/// A checkpoint and a record decide results and packages. A file or folder of another user may not.
#[test]
fn a_checkpoint_or_record_of_a_stranger_is_not_read() {
    let Some(place) = Place::new("a_checkpoint_or_record_of_a_stranger_is_not_read") else {
        return;
    };
    place.make_cache(ANN, ANN, 0o700);
    let ann = User { id: ANN, group: ANN, umask: 0o022 };
    for folder in ["kept", "record"] {
        fs::create_dir(place.path(folder)).expect("a fresh folder");
        chown(place.path(folder), Some(ANN), Some(ANN)).expect("root may");
    }
    place.run(ann, &[&RUN[..], &["--checkpoint", "kept", "--record", "record"]].concat()).text();
    let files = ["kept", "kept/checkpoint.json", "kept/journal.jsonl", "kept/lock"];
    for name in files.into_iter().chain(["record", "record/record.json"]) {
        let (path, aside) = (place.path(name), place.path("aside"));
        let option = if name.starts_with("kept") { "--checkpoint" } else { "--locked" };
        let folder = name.split('/').next().expect("a folder");
        let run = || place.run(ann, &[&RUN[..], &[option, folder]].concat());
        let refused = |words: &str| {
            let refused = run();
            assert_eq!((refused.code, &*refused.out), (Some(1), ""), "{name} {words}: {refused:?}");
            assert!(refused.err.contains(words), "{name}: {}", refused.err);
            let named = format!("{name}`");
            assert!(refused.err.contains(&named), "{name}: {}", refused.err);
            assert!(refused.err.contains("hint:"), "{name}: {}", refused.err);
        };
        let mode = fs::metadata(&path).expect("it is there").permissions();
        // Ann may write the file, as an attacker would have it.
        chown(&path, Some(STRANGER), Some(ANN)).expect("root may");
        set_mode(&path, 0o775);
        refused("belongs to user 10003");
        chown(&path, Some(ANN), Some(ANN)).expect("root may");
        set_mode(&path, 0o777);
        refused("can be written by everyone");
        fs::set_permissions(&path, mode).expect("root may");
        if path.is_file() {
            fs::rename(&path, &aside).expect("root may");
            std::os::unix::fs::symlink(&aside, &path).expect("root may");
            refused("is a link");
            fs::remove_file(&path).expect("root may");
            duct::cmd!("mkfifo", &path).run().expect("a pipe");
            chown(&path, Some(ANN), Some(ANN)).expect("root may");
            refused("pipe");
            fs::remove_file(&path).expect("root may");
            fs::rename(&aside, &path).expect("root may");
        }
        assert_eq!(run().text().trim(), "\"24.0\"", "{name}");
    }
}
