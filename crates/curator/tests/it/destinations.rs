//! A run tests its destinations before any work, and writes in the format that a name promises.

use std::fs;

use serde_json::{Value, json};

use crate::permissions::set_mode;
use crate::pipelines::Folder;
use crate::support::{CURATOR, Run};

/// A folder with a stage that notes its work, and with packages that would have to be built.
fn folder() -> Folder {
    let folder = Folder::new(
        "[[stage]]\npython = \"touch.py:touch\"\n\
         runtime_env = { uv = [\"packaging==24.0\"], working_dir = \".\" }\n",
    );
    folder.write(
        "touch.py",
        "def touch(task):\n    open('begun.txt', 'w').close()\n    return task\n",
    );
    folder.write("tasks.jsonl", "{\"n\":0}\n");
    folder
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path(".")).expect("a folder of ours");
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Runs the command as a user whom file modes restrict, over a cache of its own.
fn run_bound(folder: &Folder, arguments: &[&str]) -> Run {
    let mut words = vec!["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"];
    words.push(CURATOR);
    words.extend(arguments);
    let command = folder.expression(&duct::cmd(words[0], &words[1..]));
    let command = command.env("CURATOR_CACHE_DIR", folder.path("cache")).stdin_null();
    command.stdout_capture().stderr_capture().run().expect("the command starts").into()
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_built_or_made() {
    let folder = folder();
    fs::create_dir(folder.path("cache")).unwrap();
    fs::create_dir(folder.path("closed")).unwrap();
    fs::create_dir(folder.path("open")).unwrap();
    set_mode(&folder.path("open"), 0o777);
    folder.write("closed/older.jsonl", "older\n");
    folder.write("kept.jsonl", "kept\n");
    fs::set_permissions(
        folder.path("closed/older.jsonl"),
        std::os::unix::fs::PermissionsExt::from_mode(0o444),
    )
    .unwrap();
    std::os::unix::fs::symlink("nosuch/file.jsonl", folder.path("dangling.jsonl")).unwrap();
    set_mode(&folder.path("closed"), 0o555);
    let before = names(&folder);
    let run = ["run", "pipeline.toml", "-i", "tasks.jsonl"];
    for (option, path, words) in [
        ("--output", "nosuch/o.jsonl", "No such file"),
        ("--output", "closed", "directory"),
        ("--output", "new.jsonl/", "directory"),
        ("--output", "tasks.jsonl/o.jsonl", "ot a directory"),
        ("--output", "closed/o.jsonl", "Permission denied"),
        ("--output", "closed/older.jsonl", "Permission denied"),
        ("--output", "dangling.jsonl", "No such file"),
        #[cfg(feature = "arrow")]
        ("--output", "nosuch/o.arrow", "No such file"),
        ("--failed", "nosuch/f.jsonl", "No such file"),
        ("--failed", "closed/f.jsonl", "Permission denied"),
        ("--report", "nosuch/r.html", "No such file"),
        ("--report", "closed/r.json", "Permission denied"),
        ("--record", "tasks.jsonl", "ot a directory"),
        ("--record", "closed/record", "Permission denied"),
        ("--checkpoint", "tasks.jsonl/kept", "ot a directory"),
        ("--checkpoint", "closed/kept", "Permission denied"),
        ("--record", "open/record", "can be replaced by everyone"),
        ("--checkpoint", "open/kept", "hint: take the right away from the folder above"),
        ("--checkpoint", "open/sub/kept", "can be replaced by everyone"),
    ] {
        // Beside other destinations that are writable.
        let others = [("--output", "kept.jsonl"), ("--record", "made"), ("--checkpoint", "made2")];
        let others = others.into_iter().filter(|(other, _)| *other != option);
        let more: Vec<&str> = others.flat_map(|(option, path)| [option, path]).collect();
        let run = run_bound(&folder, &[&run[..], &[option, path], &more].concat());
        run.fails(2, words);
        run.fails(2, &format!("{option} `{path}`"));
        assert_eq!(names(&folder), before, "{option} {path}");
        assert_eq!(fs::read_dir(folder.path("open")).unwrap().count(), 0, "{option} {path}");
        assert_eq!(folder.read("kept.jsonl"), "kept\n");
        assert!(!folder.path("cache/envs-v1").exists(), "nothing was built");
    }
    // The input, too, is tested before anything is made.
    let run = ["run", "pipeline.toml", "-i", "none.jsonl", "--checkpoint", "made"];
    run_bound(&folder, &run).fails(2, "none.jsonl");
    assert_eq!(names(&folder), before);
    set_mode(&folder.path("closed"), 0o755);
}

/// What may be written before a run can be written after it, and stays what it was but for its text.
#[test]
fn a_report_is_written_over_the_file_that_is_there() {
    use std::os::unix::fs::MetadataExt;

    let folder = Folder::new("[[stage]]\npython = \"stages.py:give_back\"\n");
    folder.write("tasks.jsonl", "{\"n\":0}\n");
    fs::create_dir(folder.path("closed")).unwrap();
    fs::create_dir(folder.path("cache")).unwrap();
    for (link, target) in [("link.json", "closed/r.json"), ("dangling.json", "new.json")] {
        std::os::unix::fs::symlink(target, folder.path(link)).unwrap();
    }
    // Longer than a report is.
    let older = "older\n".repeat(10_000);
    for name in ["closed/r.json", "private.json", "mounted.json", "mount.json"] {
        folder.write(name, &older);
        set_mode(&folder.path(name), 0o600);
    }
    set_mode(&folder.path("closed"), 0o555);
    let run = ["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "o", "--report"];
    let inode = |name| fs::metadata(folder.path(name)).unwrap().ino();
    for (report, written) in [
        ("closed/r.json", "closed/r.json"),
        ("link.json", "closed/r.json"),
        ("private.json", "private.json"),
        ("dangling.json", "new.json"),
    ] {
        let before = (report == written).then(|| inode(report));
        let run = run_bound(&folder, &[&run[..], &[report]].concat());
        assert_eq!(run.code, Some(0), "{report}: {}", run.err);
        assert!(serde_json::from_str::<Value>(&folder.read(written)).is_ok(), "{report}");
        let mode = fs::metadata(folder.path(written)).unwrap().mode() & 0o777;
        assert_eq!(mode == 0o600, written != "new.json", "{report}: {mode:o}");
        // Where it can, another file takes its place in one step.
        assert_eq!(before == Some(inode(report)), report == "closed/r.json", "{report}");
    }
    for link in ["link.json", "dangling.json"] {
        assert!(folder.path(link).is_symlink(), "{link}");
    }
    set_mode(&folder.path("closed"), 0o755);
    let mount = "mount --bind mounted.json mount.json && exec \"$@\"";
    let words = ["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", CURATOR];
    let words = [&words[..], &run, &["mount.json"]].concat();
    let run = folder.expression(&duct::cmd("unshare", words)).stdin_null();
    let run = Run::from(run.stdout_capture().stderr_capture().run().expect("util-linux has it"));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(serde_json::from_str::<Value>(&folder.read("mounted.json")).is_ok());
    assert_eq!(folder.read("mount.json"), older);
}

/// However two paths are written, one file is one file, before it is there too.
#[test]
fn what_a_run_reads_and_writes_is_kept_apart() {
    let folder = folder();
    let json = json!({ "name": "t", "stage": [{ "python": "touch.py:touch" }] }).to_string();
    folder.write("p.json", &json);
    fs::create_dir(folder.path("sub")).unwrap();
    for (link, target) in [("dangling", "new"), ("sub/up", "..")] {
        std::os::unix::fs::symlink(target, folder.path(link)).unwrap();
    }
    fs::hard_link(folder.path("tasks.jsonl"), folder.path("hard.jsonl")).unwrap();
    let run = |more: &[&str]| folder.run(&[&["run", "p.json", "-i", "tasks.jsonl"], more].concat());
    // A checkpoint and a record that are there.
    let kept = run(&["-o", "o", "--checkpoint", "kept", "--record", "recorded"]);
    assert_eq!(kept.code, Some(0), "{}", kept.err);
    let before = names(&folder);
    for (more, words) in [
        (&["-o", "p.json"][..], "the pipeline and --output are both"),
        (&["--failed", "./sub/../p.json"], "the pipeline and --failed are both"),
        (&["--report", "p.json"], "the pipeline and --report are both"),
        (&["-o", "hard.jsonl"], "--input and --output are both"),
        (&["-o", "new", "--failed", "./new"], "--output and --failed are both"),
        (&["-o", "new", "--failed", "sub/up/new"], "--output and --failed are both"),
        (&["-o", "new", "--failed", "dangling"], "--output and --failed are both"),
        (&["-o", "r.json", "--report", "sub/../r.json"], "--output and --report are both"),
        (&["--failed", "-"], "--output and --failed are both the standard output"),
        (&["--checkpoint", "kept", "-o", "kept/journal.jsonl"], "in the folder of --checkpoint"),
        (&["--checkpoint", "kept", "--report", "kept/new.json"], "in the folder of --checkpoint"),
        (&["--record", "recorded", "-o", "recorded/record.json"], "in the folder of --record"),
        (
            &["--locked", "recorded", "--report", "recorded/record.json"],
            "in the folder of --locked",
        ),
    ] {
        run(more).fails(2, words);
        assert_eq!(names(&folder), before, "{more:?}");
        assert_eq!(folder.read("p.json"), json);
        assert_eq!(folder.read("tasks.jsonl"), "{\"n\":0}\n");
    }
    let apart = run(&["-o", "new", "--failed", "sub/new", "--checkpoint", "kept"]);
    assert_eq!(apart.code, Some(0), "{}", apart.err);
    assert_eq!(folder.lines("new"), [json!({ "n": 0 })]);
}

/// What a pipeline names is read by every run of it, so no run may write there.
#[test]
fn no_result_takes_the_place_of_a_file_that_the_pipeline_names() {
    let (folder, shell) = with_shell();
    let project = "[dependency-groups]\ndev = [\"packaging==24.0\"]\n";
    for (name, text) in [
        ("reqs", "-r more\n-c bounds\n"),
        ("more", "packaging==24.0\n"),
        ("bounds", "packaging<25\n"),
        ("base", "packaging==26.0\n"),
        ("pyproject.toml", project),
    ] {
        folder.write(name, text);
    }
    std::os::unix::fs::symlink("stages.py", folder.path("link")).unwrap();
    std::os::unix::fs::symlink("pyproject.toml", folder.path("project")).unwrap();
    let pipeline = folder.read("pipeline.toml");
    folder.write("pipeline.toml", &format!("{pipeline}runtime_env = {{ uv = \"reqs\" }}\n"));
    let project = format!("{pipeline}runtime_env = {{ uv = \"pyproject.toml#dev\" }}\n");
    folder.write("project.toml", &project);
    let managed = pipeline.replace(&format!("\"{}\"", folder.world.base()), "{ uv = \"base\" }");
    assert_ne!(managed, pipeline);
    folder.write("managed.toml", &managed);
    for (command, words) in [
        ("pipeline.toml -o reqs", "a file of the pipeline and --output are both `reqs`"),
        ("pipeline.toml -o ./more", "a file of the pipeline and --output are both `./more`"),
        ("pipeline.toml --failed bounds", "a file of the pipeline and --failed are both `bounds`"),
        ("pipeline.toml -o link", "a file of the pipeline and --output are both `link`"),
        ("pipeline.toml >>stages.py", "a file of the pipeline and the standard output are both"),
        ("project.toml -o project", "a file of the pipeline and --output are both `project`"),
        ("managed.toml -o base", "a file of the pipeline and --output are both `base`"),
    ] {
        let read =
            || ["reqs", "more", "bounds", "base", "project", "link"].map(|it| folder.read(it));
        let before = read();
        shell(&folder, &format!("curator run -i tasks.jsonl {command}")).fails(2, words);
        assert_eq!(read(), before, "{command}");
    }
}

/// A folder with a stage that gives back what it got, with tasks, and with what runs a script that
/// has `curator` as a command.
fn with_shell() -> (Folder, impl Fn(&Folder, &str) -> Run) {
    let folder = Folder::new("[[stage]]\npython = \"stages.py:give_back\"\n");
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":1}\n");
    let shell = |folder: &Folder, script: &str| {
        let script = format!("curator() {{ \"$0\" \"$@\"; }}; {script}");
        let run = folder.expression(&duct::cmd("sh", ["-c", &script, CURATOR]));
        Run::from(run.stdin_null().stdout_capture().stderr_capture().run().expect("a shell"))
    };
    (folder, shell)
}

/// A redirection by the shell names a file as well as an option does.
#[test]
fn a_standard_stream_is_the_file_that_the_shell_put_there() {
    let (folder, shell) = with_shell();
    let tasks = folder.read("tasks.jsonl");
    folder.write("other.jsonl", "");
    for (command, words) in [
        ("-o tasks.jsonl <tasks.jsonl", "the standard input and --output are both `tasks.jsonl`"),
        ("-i - -o tasks.jsonl <tasks.jsonl", "the standard input and --output are both"),
        ("-i /dev/stdin -o tasks.jsonl <tasks.jsonl", "the standard input and --output are both"),
        ("--failed tasks.jsonl <tasks.jsonl", "the standard input and --failed are both"),
        ("-i tasks.jsonl >>tasks.jsonl", "--input and the standard output are both `tasks.jsonl`"),
        ("-i tasks.jsonl -o /dev/stdout >>tasks.jsonl", "--input and the standard output are both"),
        ("-i tasks.jsonl -o /dev/fd/3 3>>tasks.jsonl", "--input and --output are both"),
        ("<tasks.jsonl >>tasks.jsonl", "the standard input and the standard output are both one"),
        ("-i tasks.jsonl -o new --failed - >>tasks.jsonl", "--input and --failed are both"),
        ("-i tasks.jsonl --failed other.jsonl >other.jsonl", "--failed are both `other.jsonl`"),
        ("-i tasks.jsonl -o other.jsonl --failed - >other.jsonl", "--output and --failed are both"),
        ("-i tasks.jsonl -o - --failed /dev/stdout", "are both the standard output"),
        ("-i tasks.jsonl >>pipeline.toml", "the pipeline and the standard output are both"),
    ] {
        shell(&folder, &format!("curator run pipeline.toml {command}")).fails(2, words);
        assert_eq!(folder.read("tasks.jsonl"), tasks, "{command}");
    }
    // A stream that the run does not use may be anything.
    for command in ["-i tasks.jsonl -o new <tasks.jsonl", "-i tasks.jsonl -o new >>tasks.jsonl"] {
        let run = shell(&folder, &format!("curator run pipeline.toml {command}"));
        assert_eq!(run.code, Some(0), "{command}: {}", run.err);
        assert_eq!(folder.read("new"), tasks, "{command}");
    }
}

/// Law: a redirection that keeps what a file holds keeps it by whatever path the run names it.
#[test]
fn what_stands_behind_a_descriptor_is_written_after_what_it_holds() {
    let (folder, shell) = with_shell();
    let tasks = folder.read("tasks.jsonl");
    std::os::unix::fs::symlink("/dev/stdout", folder.path("link")).unwrap();
    std::os::unix::fs::symlink("/dev/stdout", folder.path("link.json")).unwrap();
    for command in [
        "-o - >>kept",
        "-o /dev/stdout >>kept",
        "-o /dev/./stdout >>kept",
        "-o /dev/fd/1 >>kept",
        "-o /proc/self/fd/1 >>kept",
        "-o link >>kept",
        "-o /dev/stderr -q 2>>kept",
        "-o /dev/fd/3 3>>kept",
    ] {
        folder.write("kept", "older\n");
        let run = shell(&folder, &format!("curator run pipeline.toml -i tasks.jsonl {command}"));
        assert_eq!(run.code, Some(0), "{command}: {}", run.err);
        assert_eq!(folder.read("kept"), format!("older\n{tasks}"), "{command}");
    }
    folder.write("kept", "older\n");
    let command = "curator run pipeline.toml -i tasks.jsonl -o o --report link.json >>kept";
    assert_eq!(shell(&folder, command).code, Some(0));
    assert!(folder.read("kept").starts_with("older\n{"));
    // The input is read from where the shell left it.
    let rest = "{ read -r first; curator run pipeline.toml -i /dev/stdin; } <tasks.jsonl";
    assert_eq!(shell(&folder, rest).text(), "{\"n\":1}\n");
}

/// Law: what was asked for and cannot be written is a failure, told, whatever stands in its way.
#[test]
fn a_stream_that_takes_nothing_is_a_failure() {
    let folder = Folder::new("[[stage]]\npython = \"stages.py:give_back\"\n");
    folder.write("touch.py", "def touch(task):\n    open('begun.txt', 'w').close()\n");
    folder.write(
        "touch.toml",
        &folder.read("pipeline.toml").replace("stages.py:give_back", "touch.py:touch"),
    );
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":1}\n");
    folder.write(
        "fails.toml",
        &(folder.read("pipeline.toml").replace("give_back", "Picky") + "args = { bad = 2 }\n"),
    );
    std::os::unix::fs::symlink("/dev/full", folder.path("full.json")).unwrap();
    // A pipe whose reader has left.
    let left = "mkfifo pipe; exec 3<>pipe; exec 4>pipe; exec 3<&-; rm pipe";
    let shell = |command: &str| {
        let script = format!("{left}; curator() {{ \"$0\" \"$@\"; }}; {command}");
        let run = folder.expression(&duct::cmd("sh", ["-c", &script, CURATOR]));
        Run::from(run.stdout_capture().stderr_capture().unchecked().run().unwrap())
    };
    let (closed, full) = ("the standard output is closed", "No space left");
    for (command, code, words) in [
        // Before the first task.
        ("curator run touch.toml -i tasks.jsonl >&-", 2, closed),
        ("curator run touch.toml -i tasks.jsonl -o - >&-", 2, closed),
        ("curator run touch.toml -i tasks.jsonl -o o --failed - >&-", 2, closed),
        ("curator run touch.toml -i tasks.jsonl -o /dev/stdout >&-", 2, closed),
        ("curator run touch.toml -i tasks.jsonl -o /dev/fd/1 >&-", 2, closed),
        ("curator run touch.toml -i - -o o <&-", 2, "the standard input is closed"),
        ("curator run pipeline.toml -i tasks.jsonl >/dev/full", 1, full),
        ("curator run pipeline.toml -i tasks.jsonl -o /dev/full", 1, full),
        ("curator run pipeline.toml -i tasks.jsonl -o o --report full.json", 1, full),
        ("curator run fails.toml -i tasks.jsonl -o o --failed /dev/full", 1, full),
        ("curator run fails.toml -i tasks.jsonl -o o --failed - >/dev/full", 1, full),
        ("curator run pipeline.toml -i tasks.jsonl >&4", 141, ""),
    ] {
        shell(command).fails(code, words);
    }
    assert!(!folder.path("begun.txt").exists(), "no stage has begun");
    for command in [
        "schema",
        "plan pipeline.toml",
        "plan pipeline.toml --json",
        "env list --json",
        "ps --json",
        "completions bash",
        "--help",
        "run --help",
        "--version",
        "env du --json",
    ] {
        shell(&format!("curator {command} >&-")).fails(1, closed);
        shell(&format!("curator {command} >/dev/full")).fails(1, full);
        let run = shell(&format!("curator {command} >&4"));
        assert_eq!((run.code, &*run.err), (Some(141), ""), "{command}");
    }
    // Results elsewhere need no standard output, and none of them needs an ear for its news.
    for command in ["-o kept >&-", ">kept 2>&-", "-o kept <&- >&- 2>&-", ">kept 2>/dev/full"] {
        let run = shell(&format!("curator run pipeline.toml -i tasks.jsonl {command}"));
        assert_eq!(run.code, Some(0), "{command}: {}", run.err);
        assert_eq!(folder.lines("kept").len(), 2, "{command}");
        std::fs::remove_file(folder.path("kept")).unwrap();
    }
    // Nothing is wrong with a device that takes all.
    assert_eq!(
        shell("curator run pipeline.toml -i tasks.jsonl </dev/null >/dev/null").code,
        Some(0)
    );
    assert_eq!(shell("curator run pipeline.toml -i tasks.jsonl <>/dev/null 1>&0").code, Some(0));
}

#[test]
fn a_format_that_a_name_promises_is_written_or_refused() {
    let folder = folder();
    let run = |more: &[&str]| folder.run(&[&["run", "pipeline.toml"], more].concat());
    let before = names(&folder);
    for (name, hint) in [
        ("o.parquet", "`.arrow`"),
        ("O.PARQUET", "`.arrow`"),
        ("o.csv", "`.arrow`"),
        ("o.feather", "`.arrow`"),
        ("o.jsonl.gz", "| gzip > o.jsonl.gz"),
        ("o.csv.zst", "| gzip >"),
        ("o.html", "`.jsonl`"),
        ("o.pkl", "`.jsonl`"),
    ] {
        let end = name.rsplit('.').next().unwrap().to_lowercase();
        for option in ["--output", "--failed"] {
            let run = run(&["-i", "tasks.jsonl", option, name]);
            run.fails(2, &format!("{option} `{name}` is to be written as `.{end}`"));
            run.fails(2, hint);
        }
    }
    run(&["-i", "tasks.parquet"]).fails(2, "--input `tasks.parquet` is to be read as `.parquet`");
    run(&["-i", "tasks.jsonl.gz"]).fails(2, "zcat tasks.jsonl.gz | curator run");
    run(&["-i", "tasks.jsonl", "--failed", "f.arrow"]).fails(2, "`.arrow`");
    run(&["-i", "tasks.jsonl", "--report", "r.pdf"]).fails(2, "neither `.html` nor `.json`");
    assert_eq!(names(&folder), before);

    // A suffix without a meaning, or none, stands for lines of JSON.
    for name in ["o.txt", "o.ndjson", "o", "o.2024"] {
        let run = run(&["-i", "tasks.jsonl", "-o", name]);
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert_eq!(folder.lines(name), [json!({ "n": 0 })]);
    }
    let report = run(&["-i", "tasks.jsonl", "-o", "o", "--report", "R.JSON"]);
    assert_eq!(report.code, Some(0), "{}", report.err);
    assert!(serde_json::from_str::<Value>(&folder.read("R.JSON")).is_ok());
}
