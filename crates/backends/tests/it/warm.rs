//! A template that stays after its run has the next run start without imports, and never with what has
//! changed since.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use backends::worker::warm::{Ended, KeepWarm, WarmTemplate, WarmTemplates};
use backends::{Error, ExecutorExt, LocalExecutor, RunReport};
use envspec::{RuntimeEnv, Tool};
use serde_json::{Value, json};
use stage::{Pipeline, PythonStage};

use crate::support::{Notes, assert_ends, is_alive, local, numbers, outputs, python, recording};
use crate::world::World;

/// A folder for the templates of one test, which end with it.
struct Warmth {
    dir: tempfile::TempDir,
}

impl Warmth {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn keep(&self) -> KeepWarm {
        KeepWarm::new(Duration::from_mins(5)).with_dir(self.dir.path().join("warm"))
    }

    fn templates(&self) -> WarmTemplates {
        WarmTemplates::in_dir(&self.dir.path().join("warm"))
    }

    fn list(&self) -> Vec<WarmTemplate> {
        self.templates().list().expect("a folder of templates")
    }

    fn only(&self) -> WarmTemplate {
        let list = self.list();
        assert_eq!(list.len(), 1, "{list:?}");
        list.into_iter().next().expect("one")
    }

    fn local(&self) -> LocalExecutor {
        local().with_keep_warm(self.keep())
    }

    /// Runs a stage over so many tasks.
    fn run(&self, stage: PythonStage, tasks: usize) -> RunReport {
        run_with(&self.local(), stage, tasks)
    }
}

impl Drop for Warmth {
    fn drop(&mut self) {
        for template in self.templates().list().unwrap_or_default() {
            let _ = self.templates().end(&template);
        }
    }
}

fn run_with(executor: &LocalExecutor, stage: PythonStage, tasks: usize) -> RunReport {
    let result = executor.run(&Pipeline::new("test").with_stage(stage), numbers(tasks));
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// What the first task became.
fn first(report: &RunReport) -> Value {
    outputs(report).into_iter().next().expect("an output").1
}

/// Kills a process, which may have ended.
fn kill(pid: i32) {
    let kill = duct::cmd!("kill", "-9", pid.to_string()).stderr_null().unchecked();
    kill.run().expect("there is such a program");
}

/// `logging` remembers when it was imported.
const WHEN: &str = "
import logging
class Stage:
    def process(self, task):
        import os
        return {'when': logging._startTime, 'parent': os.getppid(), 'said': 'SAID'}
";

#[test]
fn the_next_run_has_its_worker_forked_from_the_template_of_the_last_one() {
    let warmth = Warmth::new();
    let cold = warmth.run(python(WHEN), 1);
    assert_eq!((cold.stages[0].forked, cold.stages[0].warm), (1, 0));
    let template = warmth.only();
    assert_eq!(template.imports, ["logging"]);
    assert!(template.idle.is_some() && template.ends_in.is_some() && template.bytes.is_some());
    for _ in 0..3 {
        let warm = warmth.run(python(WHEN), 1);
        assert_eq!((warm.stages[0].forked, warm.stages[0].warm), (1, 1));
        assert_eq!(first(&warm)["when"], first(&cold)["when"], "one import");
        assert_eq!(first(&warm)["parent"], template.pid);
    }
    assert_eq!(warmth.only().pid, template.pid);
    // A run that keeps nothing has nothing to do with it.
    let other = run_with(&local(), python(WHEN), 1);
    assert_eq!(other.stages[0].warm, 0);
    assert_eq!(warmth.templates().end(&template).unwrap(), Ended::Now);
    assert_ends(template.pid);
    assert_eq!(warmth.list(), []);
    assert_eq!(warmth.run(python(WHEN), 1).stages[0].warm, 0);
}

/// Whatever is edited between two runs, the second one does as a run without a template; it is forked
/// from the first one's template only where what that has imported is what it would import.
#[test]
fn what_was_edited_since_is_what_runs() {
    type Edit<'a> = &'a dyn Fn(&Path);
    const HEAD: &str =
        "import colorsys, json\nimport helper\nclass Stage:\n    def process(self, task):\n";
    let said =
        |text: &str| format!("{HEAD}        return ['{text}', helper.SAID, colorsys.__file__]\n");
    let edits: [(&str, u64, Edit<'_>); 6] = [
        ("nothing", 1, &|_| {}),
        ("the stage's file", 1, &|dir| write(dir, "stage.py", &said("second"))),
        ("a module beside it", 1, &|dir| write(dir, "helper.py", "SAID = 'two'")),
        ("its imports", 0, &|dir| {
            write(dir, "stage.py", &format!("import string\n{}", said("third")));
        }),
        ("what it named before", 0, &|dir| write(dir, "own/named.py", "SAID = 'other'")),
        ("a module of the same name", 0, &|dir| write(dir, "own/colorsys.py", "")),
    ];
    for (what, warm, edit) in edits {
        let warmth = Warmth::new();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("own")).unwrap();
        write(dir.path(), "own/named.py", "SAID = 'named'");
        write(dir.path(), "helper.py", "SAID = 'one'");
        write(dir.path(), "stage.py", &said("first"));
        let path = dir.path().join("own");
        let env = RuntimeEnv::new().with_env_var("PYTHONPATH", path.to_str().unwrap());
        let stage = || {
            PythonStage::from_file(dir.path().join("stage.py"), "Stage")
                .with_runtime_env(env.clone())
                .with_preload(["named"])
        };
        warmth.run(stage(), 1);
        assert_eq!(warmth.list().len(), 1, "{what}");
        edit(dir.path());
        let report = warmth.run(stage(), 1);
        assert_eq!(report.stages[0].warm, warm, "{what}");
        assert_eq!(report.stages[0].forked, 1, "{what}: {:?}", report.stages[0].not_forked);
        let fresh = run_with(&local().with_templates(false), stage(), 1);
        assert_eq!(outputs(&report), outputs(&fresh), "{what}");
        // What has changed is no use to anything any more.
        assert_eq!(warmth.list().len(), 1 + usize::from(what == "its imports"), "{what}");
    }
}

/// Not modules alone: what they read, list or look for in vain when they are imported may change, too.
#[test]
fn what_an_import_read_or_did_not_find_is_looked_at_again() {
    type Edit<'a> = &'a dyn Fn(&Path);
    const HERE: &str = "import os\nhere = os.path.dirname(__file__)\n";
    const OPTIONAL: &str = "try:\n    import optional\n    SAID = 'some'\nexcept ImportError:\n    \
                            SAID = 'none'\n";
    let reads = format!("{HERE}SAID = open(os.path.join(here, 'data.txt')).read()");
    let tries = format!(
        "{HERE}try:\n    SAID = open(os.path.join(here, 'more.txt')).read()\nexcept OSError:\n    \
         SAID = 'none'\n"
    );
    let lists = format!("{HERE}SAID = sorted(os.listdir(os.path.join(here, 'conf')))");
    let inner = OPTIONAL.replace("import optional", "from pack import _local");
    let sets = "import os\nSAID = os.environ.get('SET_BY_SITE', 'none')";
    let replace = |dir: &Path| {
        write(dir, "new.py", "SAID = 'new'");
        std::fs::rename(dir.join("new.py"), dir.join("named.py")).unwrap();
    };
    let cases: [(&str, &str, u64, Edit<'_>); 11] = [
        ("nothing", &reads, 1, &|_| {}),
        ("files beside it that it does not look at", &lists, 1, &|dir| {
            write(dir, "other.txt", "");
            std::fs::hard_link(dir.join("named.py"), dir.join("linked.txt")).unwrap();
        }),
        ("a file that it read", &reads, 0, &|dir| write(dir, "data.txt", "other")),
        ("a file that was not there", &tries, 0, &|dir| write(dir, "more.txt", "more")),
        ("a folder that it listed", &lists, 0, &|dir| write(dir, "conf/two", "")),
        ("a module that was not there", OPTIONAL, 0, &|dir| write(dir, "optional.py", "")),
        ("one of a package", &inner, 0, &|dir| write(dir, "pack/_local.py", "")),
        ("what Python imports by itself", sets, 0, &|dir| {
            write(dir, "sitecustomize.py", "import os; os.environ['SET_BY_SITE'] = 'set'");
        }),
        ("another file of the same name", "SAID = 'one'", 0, &replace),
        ("an archive of modules", "from zipped import SAID", 0, &|dir| zip(dir, "two")),
        ("its text, with the times and size as they were", "SAID = 'one'", 0, &|dir| {
            let file = dir.join("named.py");
            let then = std::fs::metadata(&file).unwrap().modified().unwrap();
            write(dir, "named.py", "SAID = 'two'");
            std::fs::File::open(&file).unwrap().set_modified(then).unwrap();
        }),
    ];
    for (what, named, warm, edit) in cases {
        let warmth = Warmth::new();
        let (dir, code) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = dir.path();
        for folder in ["conf", "pack"] {
            std::fs::create_dir(own.join(folder)).unwrap();
        }
        for (name, text) in [("data.txt", "data"), ("conf/one", ""), ("pack/__init__.py", "")] {
            write(own, name, text);
        }
        write(own, "named.py", named);
        zip(own, "one");
        let text = "class Stage:\n    def process(self, task):\n        import named\n        \
                    return named.SAID\n";
        write(code.path(), "stage.py", text);
        let path = format!("{0}:{0}/lib.zip", own.to_str().unwrap());
        let env = RuntimeEnv::new().with_env_var("PYTHONPATH", path);
        let stage = || {
            PythonStage::from_file(code.path().join("stage.py"), "Stage")
                .with_runtime_env(env.clone())
                .with_preload(["named"])
        };
        warmth.run(stage(), 1);
        assert_eq!(warmth.list().len(), 1, "{what}");
        edit(own);
        let report = warmth.run(stage(), 1);
        let fresh = run_with(&local().with_templates(false), stage(), 1);
        assert_eq!(first(&report), first(&fresh), "{what}");
        assert_eq!(report.stages[0].warm, warm, "{what}");
    }
}

/// Makes an archive with a module that says this.
fn zip(dir: &Path, said: &str) {
    let make =
        "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('zipped.py', sys.argv[2])";
    let text = format!("SAID = {said:?}");
    duct::cmd!("python3", "-c", make, dir.join("lib.zip"), text).run().expect("a Python");
}

/// A file that takes another one's place while the run is at work, and looks older than the run.
#[test]
fn what_was_replaced_during_the_run_is_not_taken_for_what_was_imported() {
    let warmth = Warmth::new();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "named.py", "SAID = 'first'");
    write(dir.path(), "new.py", "SAID = 'other'");
    let text = format!(
        "class Stage:\n    def process(self, task):\n        import named, os\n        \
         if os.path.exists({new:?}):\n            os.replace({new:?}, {old:?})\n        \
         return named.SAID\n",
        new = dir.path().join("new.py"),
        old = dir.path().join("named.py"),
    );
    let env = RuntimeEnv::new().with_env_var("PYTHONPATH", dir.path().to_str().unwrap());
    let stage = || python(&text).with_runtime_env(env.clone()).with_preload(["named"]);
    assert_eq!(first(&warmth.run(stage(), 1)), "first");
    let report = warmth.run(stage(), 1);
    assert_eq!((first(&report), report.stages[0].warm), (json!("other"), 0));
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    // As if it had been there for a while: what changes while a run imports it is not kept.
    let then = std::time::SystemTime::now()
        - Duration::from_secs(if text.len().is_multiple_of(2) { 60 } else { 61 });
    let file = std::fs::File::options().append(true).open(&path).expect("it is there");
    file.set_modified(then).expect("a time");
}

/// What the process would be started with decides which template is used.
#[test]
fn other_settings_have_another_template() {
    let warmth = Warmth::new();
    warmth.run(python(WHEN), 1);
    let var = RuntimeEnv::new().with_env_var("SOME", "1");
    let other = [
        python(WHEN).with_runtime_env(var.clone()),
        python(WHEN).with_runtime_env(var.with_env_var("SOME", "2")),
        python(WHEN).with_preload(["decimal"]),
    ];
    for stage in other {
        assert_eq!(warmth.run(stage.clone(), 1).stages[0].warm, 0);
        assert_eq!(warmth.run(stage, 1).stages[0].warm, 1);
    }
    assert_eq!(warmth.list().len(), 4);
    // Arguments and the text behind the imports are the worker's affair.
    let edited = python(&WHEN.replace("SAID", "edited")).with_batch_size(2);
    let report = warmth.run(edited, 1);
    assert_eq!((report.stages[0].warm, &first(&report)["said"]), (1, &json!("edited")));
}

/// An environment's template is another's, and one of a base that has changed is not used.
#[test]
fn another_environment_or_base_has_another_template() {
    let world = World::new(&[("inbase", "1.0", &[])], &[("lib", "1.0", &[]), ("lib", "2.0", &[])]);
    let warmth = Warmth::new();
    let executor = LocalExecutor::default()
        .with_base(world.base_python())
        .with_cache_dir(world.cache())
        .with_keep_warm(warmth.keep());
    let text = "
import json
class Stage:
    def process(self, task):
        from importlib.metadata import distributions
        return {'names': sorted({it.name for it in distributions()})}
";
    let versions = "
import lib
class Stage:
    def process(self, task):
        return lib.__version__
";
    let with = |version: &str| {
        let options = json!(["--no-index", "--find-links", world.wheels()]);
        let spec = json!({ Tool::Uv.as_str(): {
            "packages": [format!("lib=={version}")], "uv_pip_install_options": options } });
        python(versions).with_runtime_env(RuntimeEnv::from_json(&spec.to_string()).unwrap())
    };
    for (version, warm) in [("1.0", 0), ("2.0", 0), ("1.0", 1), ("2.0", 1)] {
        let report = run_with(&executor, with(version), 1);
        assert_eq!((first(&report), report.stages[0].warm), (json!(version), warm));
    }
    let key = |template: &WarmTemplate| template.environments.clone();
    assert_eq!(warmth.list().iter().map(key).collect::<BTreeSet<_>>().len(), 2);

    let seen = |warm: u64| {
        let report = run_with(&executor, python(text), 1);
        assert_eq!(report.stages[0].warm, warm);
        first(&report)
    };
    let before = seen(0);
    assert_eq!(seen(1), before);
    world.install_into_base(&[("lib", "1.0", &[])]);
    assert_ne!(seen(0), before);
}

/// A template ends by itself: when it has been idle for as long as it was to stay, and with the process
/// that it belongs to.
#[test]
fn a_template_that_no_run_uses_ends() {
    let warmth = Warmth::new();
    let executor = |keep| local().with_keep_warm(keep);
    let brief = KeepWarm::new(Duration::from_secs(1)).with_dir(warmth.templates().dir());
    run_with(&executor(brief), python(WHEN), 1);
    let of_brief = warmth.only().pid;

    let owner = duct::cmd!("sleep", "600").unchecked().start().unwrap();
    let owned = warmth.keep().with_owner(owner.pids()[0]);
    let other = python(WHEN).with_preload(["decimal"]);
    run_with(&executor(owned), other, 1);
    let of_owner = warmth.list().iter().map(|it| it.pid).find(|pid| *pid != of_brief).unwrap();
    assert_ends(of_brief);
    assert!(is_alive(of_owner));
    owner.kill().unwrap();
    assert_ends(of_owner);
    assert_eq!(warmth.list(), []);
    let left = std::fs::read_dir(warmth.templates().dir()).unwrap().count();
    assert_eq!(left, 0, "what does not answer is removed");
}

#[test]
fn a_template_ends_when_its_environment_or_its_socket_is_gone() {
    let world = World::new(&[], &[]);
    let warmth = Warmth::new();
    let executor =
        LocalExecutor::default().with_base(world.base_python()).with_cache_dir(world.cache());
    run_with(&executor.with_keep_warm(warmth.keep()), python(WHEN), 1);
    let of_base = warmth.only().pid;
    warmth.run(python(WHEN), 1);
    let of_socket = warmth.list().iter().map(|it| it.pid).find(|pid| *pid != of_base).unwrap();
    files::delete(&world.root.join("base")).unwrap();
    for entry in std::fs::read_dir(warmth.templates().dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with(&format!("-{of_socket}")) {
            files::delete(&path).unwrap();
        }
    }
    assert_ends(of_base);
    assert_ends(of_socket);
}

/// The one that was used last stays.
#[test]
fn no_more_stay_than_are_wanted() {
    let warmth = Warmth::new();
    let stage = |module: &str| python(WHEN).with_preload([module]);
    let two = local().with_keep_warm(warmth.keep().with_most(2));
    for module in ["decimal", "string", "decimal", "colorsys"] {
        run_with(&two, stage(module), 1);
    }
    let imports: BTreeSet<String> = warmth.list().iter().map(|it| it.imports[0].clone()).collect();
    assert_eq!(imports, BTreeSet::from(["colorsys".to_owned(), "decimal".to_owned()]));
    let small = local().with_keep_warm(warmth.keep().with_most_bytes(1));
    run_with(&small, stage("string"), 1);
    assert_eq!(warmth.list(), []);
}

#[test]
fn nothing_in_a_folder_that_others_may_enter_is_used_and_none_is_made_there() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    for way in ["mode", "link", "file"] {
        let warmth = Warmth::new();
        let dir = warmth.templates().dir().to_owned();
        warmth.run(python(WHEN), 1);
        let template = warmth.only();
        match way {
            "mode" => {
                std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711)).unwrap();
            }
            "link" => {
                std::fs::rename(&dir, dir.with_file_name("real")).unwrap();
                symlink(dir.with_file_name("real"), &dir).unwrap();
            }
            _ => {
                std::fs::rename(&dir, dir.with_file_name("real")).unwrap();
                std::fs::write(&dir, "").unwrap();
            }
        }
        let report = warmth.run(python(WHEN), 1);
        assert_eq!((report.stages[0].forked, report.stages[0].warm), (1, 0), "{way}");
        warmth.templates().list().unwrap_err();
        kill(template.pid);
    }
}

/// Only what a dead template has left goes away.
#[test]
fn a_look_at_the_templates_removes_nothing_of_other_programs() {
    use std::os::unix::net::UnixListener;

    let warmth = Warmth::new();
    let dir = warmth.templates().dir().to_owned();
    files::Folder::private(&dir).unwrap();
    let name = |end: &str| format!("{}{end}", "0123456789abcdef".repeat(2));
    let (left, left_new) = (name("-1"), name("-1.new"));
    let sockets = [
        left.clone(),
        left_new.clone(),
        name(""),
        name("-"),
        name("-one"),
        name("0-1"),
        name("-1.old"),
        name("-1").to_uppercase(),
        "another-program.sock".to_owned(),
        "another-program.new".to_owned(),
    ];
    for name in &sockets {
        // Closed at once, so that nothing listens.
        UnixListener::bind(dir.join(name)).unwrap();
    }
    let pipes = [name("-2"), name("-2.new"), "queue".to_owned(), "queue.new".to_owned()];
    let named = |names: &[String]| -> BTreeSet<String> { names.iter().cloned().collect() };
    duct::cmd("mkfifo", pipes.iter().map(|it| dir.join(it))).run().unwrap();
    let all: BTreeSet<String> = &named(&sockets) | &named(&pipes);
    let paths = all.iter().map(|it| dir.join(it).into_os_string());
    duct::cmd("touch", ["-t".into(), "200001010000".into()].into_iter().chain(paths))
        .run()
        .unwrap();
    assert_eq!(warmth.list(), []);
    let entries = std::fs::read_dir(&dir).unwrap().flatten();
    let there = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(&all - &there, named(&[left, left_new]));
    assert!(there.is_subset(&all), "{there:?}");
}

/// Sleeps as long as a file is there, and notes its processes.
const WAITS: &str = r#"
import logging
class Stage:
    def __init__(self, path):
        self.path = path
    def process(self, task):
        import os, time
        with open(self.path, "a") as file:
            file.write(f"worker {os.getpid()}\ntemplate {os.getppid()}\n")
        until = time.monotonic() + 60
        while not os.path.exists(self.path + ".go") and time.monotonic() < until:
            time.sleep(0.01)
        return {"parent": os.getppid()}
"#;

fn waits(notes: &Notes) -> PythonStage {
    python(WAITS).with_args(json!({ "path": notes.path })).with_num_workers(1)
}

fn let_go(notes: &Notes) {
    std::fs::write(format!("{}.go", notes.path.display()), "").expect("a file");
}

#[test]
fn two_runs_share_a_template_at_once() {
    let warmth = Warmth::new();
    let notes = Notes::new();
    let_go(&notes);
    warmth.run(waits(&notes), 1);
    let template = warmth.only();
    let both = [Notes::new(), Notes::new()];
    let reports = std::thread::scope(|scope| {
        let runs = both.each_ref().map(|notes| scope.spawn(|| warmth.run(waits(notes), 3)));
        for notes in &both {
            notes.wait_for_number("worker ");
        }
        assert_eq!(warmth.only().idle, None);
        assert_eq!(warmth.templates().end(&warmth.only()).unwrap(), Ended::AfterItsRuns);
        both.iter().for_each(let_go);
        runs.map(|run| run.join().unwrap())
    });
    for report in reports {
        assert_eq!((report.stages[0].warm, report.outputs.len()), (1, 3));
        assert_eq!(first(&report)["parent"], template.pid);
    }
    assert_ends(template.pid);
}

#[test]
fn a_killed_template_loses_no_task() {
    let warmth = Warmth::new();
    let notes = Notes::new();
    let_go(&notes);
    warmth.run(waits(&notes), 1);
    // While it is idle.
    kill(warmth.only().pid);
    let report = warmth.run(waits(&notes), 2);
    assert_eq!((report.stages[0].warm, report.outputs.len()), (0, 2));
    // While it is in use.
    let template = warmth.only();
    let notes = Notes::new();
    let report = std::thread::scope(|scope| {
        let stage = waits(&notes).with_recycle_after(1);
        let run = scope.spawn(|| run_with(&recording().with_keep_warm(warmth.keep()), stage, 3));
        notes.wait_for_number("worker ");
        kill(template.pid);
        let_go(&notes);
        run.join().unwrap()
    });
    assert_eq!((report.outputs.len(), report.failed.len()), (3, 0));
    assert_eq!((report.stages[0].warm, report.stages[0].workers), (1, 3));
    let why = report.stages[0].not_forked.as_deref().unwrap();
    assert!(why.contains("its template is gone"), "{why}");
    for pid in notes.lines().iter().filter_map(|line| line.strip_prefix("worker ")) {
        assert_ends(pid.parse().unwrap());
    }
}

/// The folder of an engine that is to be killed.
const KILLED: &str = "CURATOR_TEST_KILLED_WARM";

/// The body of a process that the next test kills.
#[test]
fn helper_that_is_killed() {
    let Some(dir) = std::env::var_os(KILLED) else { return };
    let dir = Path::new(&dir);
    let keep = KeepWarm::new(Duration::from_mins(5)).with_dir(dir.join("warm"));
    let stage = python(WAITS).with_args(json!({ "path": dir.join("notes") })).with_num_workers(1);
    // The workers' own files are part of what a template is.
    let executor = local().with_cache_dir(dir.join("cache")).with_keep_warm(keep);
    let _ = executor.run(&Pipeline::new("test").with_stage(stage), numbers(1));
}

/// The workers of an engine that is killed end, and the template that they came from, which is another
/// run's as well, waits for the next one.
#[test]
fn a_killed_engine_leaves_a_warm_template_and_no_worker() {
    let start = |warmth: &Warmth| {
        let program = std::env::current_exe().unwrap();
        duct::cmd(program, ["--exact", "warm::helper_that_is_killed"])
            .env(KILLED, warmth.dir.path())
            .stdout_null()
            .stderr_null()
            .unchecked()
            .start()
            .unwrap()
    };
    let processes = |warmth: &Warmth| {
        let notes = Notes::at(warmth.dir.path().join("notes"));
        ["worker ", "template "].map(|prefix| notes.wait_for_number(prefix))
    };
    // A template that was not kept yet ends with its run.
    let warmth = Warmth::new();
    let engine = start(&warmth);
    let pids = processes(&warmth);
    engine.kill().unwrap();
    pids.into_iter().for_each(assert_ends);
    assert_eq!(warmth.list(), []);

    let go = warmth.dir.path().join("notes.go");
    std::fs::write(&go, "").unwrap();
    start(&warmth).wait().unwrap();
    let template = warmth.only();
    for path in [&go, &warmth.dir.path().join("notes")] {
        files::delete(path).unwrap();
    }
    let engine = start(&warmth);
    let [worker, parent] = processes(&warmth);
    assert_eq!(parent, template.pid);
    engine.kill().unwrap();
    assert_ends(worker);
    let is_idle = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        warmth.only().idle.is_some()
    });
    assert!(is_idle && warmth.only().pid == template.pid);
}

/// What may have changed between its import and the look at it is in doubt.
#[test]
fn a_module_that_changes_while_a_run_is_at_work_is_not_kept() {
    let warmth = Warmth::new();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "named.py", "SAID = 'named'");
    let env = RuntimeEnv::new().with_env_var("PYTHONPATH", dir.path().to_str().unwrap());
    let text = format!(
        "class Stage:\n    def process(self, task):\n        open({:?}, 'a').close()\n        \
         import os; os.utime({:?})\n        return 1\n",
        dir.path().join("named.py"),
        dir.path().join("named.py"),
    );
    warmth.run(python(&text).with_runtime_env(env).with_preload(["named"]), 1);
    assert_eq!(warmth.list(), []);
}

/// A run that fails is the one that is edited and run again.
#[test]
fn a_run_that_fails_leaves_its_template() {
    let warmth = Warmth::new();
    let broken = "import logging\nclass Stage:\n    def process(self, task): 1 / 0\n";
    for warm in [0, 1] {
        let pipeline = Pipeline::new("test").with_stage(python(broken));
        let error = warmth.local().run(&pipeline, numbers(1)).unwrap_err();
        assert!(matches!(error, Error::Task(_)), "{error}");
        assert_eq!(warmth.list().len(), 1, "{warm}");
    }
    let report = warmth.run(python(WHEN), 1);
    assert_eq!(report.stages[0].warm, 1);
}

/// The cases of every executor hold where workers come from templates that earlier runs have left.
#[test]
#[cfg(feature = "conformance")]
fn what_every_executor_must_do_holds_with_warm_templates() {
    let warmth = Warmth::new();
    let executor = |policy| -> Box<dyn backends::Executor> {
        Box::new(warmth.local().with_failure_policy(policy))
    };
    let setting = backends::conformance::Setting::new(&executor, "json");
    // The first run leaves what all others fork their workers from: their stages are in one file.
    let cut = [
        "nothing_to_do",
        "hooks_run_once_each",
        "fan_out_drop_and_ids_across_languages",
        "data_is_exact",
        "failed_tasks_are_recorded",
        "a_set_up_that_fails",
    ];
    let mut seen = BTreeSet::new();
    for name in cut {
        for case in backends::conformance::cases().iter().filter(|case| case.name == name) {
            case.run(&setting);
        }
        seen.extend(warmth.list().iter().map(|it| it.pid));
        assert_eq!(seen.len(), 1, "after {name}: {seen:?}");
    }
}
