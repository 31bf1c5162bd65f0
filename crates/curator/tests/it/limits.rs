//! A machine at its limits: no threads, no room on the disk, no folder for temporary files; and
//! files that never end.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::permissions::set_mode;
use crate::pipelines::Folder;
use crate::support::{CURATOR, Run, World};

/// A command in the folder, over the shared cache.
fn command(folder: &Folder, program: &str, words: &[&str]) -> duct::Expression {
    duct::cmd(program, words)
        .dir(folder.path(""))
        .env("CURATOR_CACHE_DIR", folder.world.cache())
        .env_remove("VIRTUAL_ENV")
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
}

/// `curator` under a shell that sets limits first.
fn limited(folder: &Folder, limits: &str, arguments: &[&str]) -> Run {
    let script = format!("{limits}; exec \"$0\" \"$@\"");
    let words = [&["-c", &script, CURATOR], arguments].concat();
    Run::from(command(folder, "sh", &words).run().expect("a shell"))
}

#[test]
fn what_never_ends_is_refused() {
    let folder = Folder::numbers(1, "{}");
    let bound = "ulimit -v 3000000";
    fs::create_dir(folder.path("endless")).unwrap();
    // The file takes no room on the disk.
    fs::File::create(folder.path("endless/record.json")).unwrap().set_len(1 << 40).unwrap();
    for arguments in [
        &["plan", "/dev/zero"][..],
        &["run", "/dev/zero"],
        &["env", "create", "--requirements", "/dev/zero"],
        &["env", "create", "--spec", "/dev/zero"],
        &["env", "create", "--uv", "-r /dev/zero"],
        &["env", "create", "--uv", "-c /dev/zero"],
        &["run", "pipeline.toml", "--locked", "endless"],
    ] {
        let run = limited(&folder, bound, arguments);
        assert!(matches!(run.code, Some(1 | 2)), "{arguments:?}: {run:?}");
        assert!(run.err.contains("MiB, and no more is read"), "{arguments:?}: {}", run.err);
    }
    fs::create_dir(folder.path("linked")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path("linked/record.json")).unwrap();
    let run = limited(&folder, bound, &["run", "pipeline.toml", "--locked", "linked"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("is a link and no file of its own"), "{}", run.err);
    let run = limited(&folder, bound, &["run", "pipeline.toml", "--input", "/dev/zero"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("a line is longer than 256 MiB"), "{}", run.err);
}

#[test]
fn without_threads_a_run_ends_with_an_error() {
    let folder = Folder::numbers(3, "{}");
    let warm = ["run", "pipeline.toml", "--input", "tasks.jsonl"];
    folder.run(&warm).text();
    // The limit does not apply to root, and counts all processes of a user.
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    let mut user = Vec::new();
    if is_root {
        let (held, kept) = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override");
        user.extend(["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", held, kept]);
    }
    let mut ends = Vec::new();
    for limit in [1, 2, 3, 4, 5, 6, 8, 10] {
        let nproc = format!("--nproc={limit}:{limit}");
        let words = [&user[..], &["prlimit", &nproc, CURATOR], &warm[..]].concat();
        let run = Run::from(command(&folder, words[0], &words[1..]).run().expect("it starts"));
        assert!(!run.err.contains("panicked"), "{limit}: {}", run.err);
        assert!(run.code == Some(0) || run.err.contains("error: "), "{limit}: {run:?}");
        ends.push(run);
    }
    let told = ends.iter().filter(|run| run.err.contains("to start a thread")).count();
    assert!(told > 0, "{ends:?}");
}

#[test]
fn what_does_not_fit_on_the_disk_leaves_no_part_of_a_file() {
    let folder = Folder::numbers(4000, "{}");
    let tasks = ["run", "pipeline.toml", "--input", "tasks.jsonl"];
    // The run's own files in the cache exist already.
    folder.run(&[&tasks[..], &["-o", "/dev/null"]].concat()).text();
    // In units of 512 bytes or a kibibyte, by the shell.
    let small = "ulimit -f 8";
    let run =
        limited(&folder, small, &[&tasks[..], &["--report", "r.html", "-o", "/dev/null"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("failed to write the report `r.html`"), "{}", run.err);
    let run = limited(&folder, small, &[&tasks[..], &["-o", "o.jsonl"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("failed to write `o.jsonl`"), "{}", run.err);
    let text = folder.read("o.jsonl");
    assert!(text.ends_with("}\n") && text.len() > 1000, "{:?}", text.get(..100));
    assert!(folder.lines("o.jsonl").iter().all(|line| line["n"].is_u64()));
    // A checkpoint names itself, and not the output that it could not take.
    let kept = [&tasks[..], &["--checkpoint", "kept", "-o", "/dev/null"]].concat();
    let run = limited(&folder, small, &kept);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("error: failed to write the checkpoint `kept`"), "{}", run.err);
    let failing = Folder::numbers(4000, "{ bad = 1 }");
    let failed = [&tasks[..], &["--failed", "f.jsonl", "-o", "/dev/null"]].concat();
    let run = limited(&failing, "ulimit -f 64", &failed);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("failed to write `f.jsonl`"), "{}", run.err);
    assert!(!failing.lines("f.jsonl").is_empty());
    for folder in [&folder, &failing] {
        let names = fs::read_dir(folder.path("")).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("r.html")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // An older report stays as it is.
    folder.write("r.html", "older");
    limited(&folder, small, &[&tasks[..], &["--report", "r.html", "-o", "/dev/null"]].concat());
    assert_eq!(folder.read("r.html"), "older");
}

/// What cannot be started for want of descriptors is not taken for what is not there.
#[test]
fn without_descriptors_a_build_tells_of_them() {
    let folder = Folder::numbers(1, "{}");
    let tools = fs::read_dir(folder.world.cache().join("tools")).unwrap().flatten();
    let uv = tools.map(|it| it.path().join("bin/uv")).find(|uv| uv.is_file()).expect("a uv");
    // A cache without tools of its own.
    let create = ["--cache-dir", "bare", "env", "create", "--uv", "packaging==24.1"];
    let create = [&create[..], &["--base", folder.world.base()]].concat();
    for most in 8..16 {
        let limits = format!("export CURATOR_UV='{}'; ulimit -n {most}", uv.display());
        let run = limited(&folder, &limits, &create);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.err.contains("Too many open files"), "{}", run.err);
        assert!(!run.err.contains("was found"), "{most}: {}", run.err);
    }
}

#[test]
fn a_missing_folder_for_temporary_files_is_what_is_told() {
    let world = World::new();
    let missing = world.dir().join("missing");
    let vars = [("TMPDIR", missing.to_str().unwrap())];
    let create = ["env", "create", "--uv", "packaging==24.2", "--base", world.base()];
    // Also where the package manager would have to be fetched first.
    let bare = world.dir().join("bare");
    for more in [&[][..], &["--cache-dir", bare.to_str().unwrap()]] {
        let run = world.run_with(&[&create, more].concat(), "", &vars);
        run.fails(1, missing.to_str().unwrap());
        assert!(run.err.contains("No such file or directory"), "{}", run.err);
        assert!(run.err.contains("hint: set TMPDIR to a folder that is there"), "{}", run.err);
        assert!(!run.err.contains("found"), "{}", run.err);
    }
}

#[test]
fn a_folder_for_temporary_files_in_which_others_could_put_programs_is_refused() {
    let world = World::new();
    let open = world.dir().join("open");
    fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    let vars = [("TMPDIR", open.to_str().unwrap())];
    let create = ["env", "create", "--uv", "packaging==24.2", "--base", world.base()];
    let run = world.run_with(&create, "", &vars);
    run.fails(1, "can be replaced by everyone");
    assert!(run.err.contains("hint: take the right away"), "{}", run.err);
    set_mode(&open, 0o1777);
    world.run_with(&create, "", &vars).text();
}
