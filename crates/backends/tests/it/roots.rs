//! Stages that begin with the same imports share them: their templates are forked from one root.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use backends::{ExecutorExt, LocalExecutor, RunReport};
use serde_json::json;
use stage::{Pipeline, PythonStage};

use crate::support::{
    Notes, as_killed_engine, assert_all_end_with, assert_ends, local, numbers, outputs, python,
};

/// A base with packages that know the process that imported them.
static BASE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let host = which::which("python3").expect("python3 on PATH");
    let words = ["-m".as_ref(), "venv".as_ref(), "--without-pip".as_ref(), dir.path().as_os_str()];
    duct::cmd(host, words).run().expect("a virtualenv");
    let lib = std::fs::read_dir(dir.path().join("lib")).expect("its lib");
    let site = lib.flatten().next().expect("its Python").path().join("site-packages");
    let write = |name: &str, text: &str| {
        let file = site.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(file, text).expect("a file of a package");
    };
    for name in ["common.py", "first.py", "second.py", "large/__init__.py", "large/part.py"] {
        write(name, "import os\nWHO = os.getpid()\n");
    }
    write("owned/__init__.py", "import common, os\nWHO = os.getpid()\n");
    write("owned/stages.py", &format!("import common\nimport owned\n{}", saying("", "owned")));
    (dir, site)
});

fn based() -> LocalExecutor {
    local().with_base(BASE.0.path().join("bin/python"))
}

/// The text of a stage that begins in this way, and says which process imported this module.
fn saying(head: &str, module: &str) -> String {
    format!(
        "{head}
import importlib, os, sys, time
class Stage:
    def setup(self):
        import common
        module = importlib.import_module('{module}')
        self.said = {{'module': module.WHO, 'common': common.WHO}}
        self.said.update(own=os.getpid(), parent=os.getppid())
    def process(self, task):
        time.sleep(0.05)
        task.data['{module}'] = self.said
        return task
"
    )
}

/// A stage of so many workers, named by what it asks after.
fn asking(head: &str, module: &str, workers: usize) -> PythonStage {
    python(&saying(head, module)).with_name(module).with_num_workers(workers)
}

fn run_of<const N: usize>(stages: [PythonStage; N], tasks: usize) -> RunReport {
    let pipeline = stages.into_iter().fold(Pipeline::new("test"), Pipeline::with_stage);
    let result = based().run(&pipeline, numbers(tasks));
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The values that the workers of a stage said of something.
fn said(report: &RunReport, stage: &str, of: &str) -> BTreeSet<i64> {
    let outputs = outputs(report);
    let values: BTreeSet<i64> =
        outputs.iter().filter_map(|(_, value)| value[stage][of].as_i64()).collect();
    assert!(!values.is_empty(), "{stage} says nothing of {of}");
    values
}

fn forked(report: &RunReport) -> Vec<u64> {
    report.stages.iter().map(|stage| stage.forked).collect()
}

#[test]
fn templates_share_the_imports_that_they_begin_with() {
    let report = run_of(
        [
            asking("import json\nimport common\nimport first", "first", 2),
            asking("import common as c, second", "second", 2),
        ],
        20,
    );
    assert_eq!(forked(&report), [2, 2], "{:?}", report.stages);
    let common = said(&report, "first", "common");
    assert_eq!(common, said(&report, "second", "common"));
    assert_eq!(common.len(), 1, "one process has imported it");
    let mut templates = BTreeSet::new();
    for stage in ["first", "second"] {
        // What is one stage's alone has been imported by its own template.
        assert_eq!(said(&report, stage, "module"), said(&report, stage, "parent"));
        assert_eq!(said(&report, stage, "own").len(), 2);
        templates.extend(said(&report, stage, "parent"));
    }
    assert_eq!((templates.len(), templates.is_disjoint(&common)), (2, true));
}

#[test]
fn stages_of_one_worker_come_from_the_root_alone() {
    let report = run_of(
        [
            asking("from large import part", "large", 1),
            asking("import large.part, first", "first", 1),
            asking("import second", "second", 1),
        ],
        2,
    );
    assert_eq!(forked(&report), [1, 1, 0]);
    assert_eq!(said(&report, "large", "module"), said(&report, "first", "parent"));
    assert_eq!(said(&report, "large", "parent"), said(&report, "first", "parent"));
    assert_eq!(said(&report, "first", "module"), said(&report, "first", "own"));
    let why = report.stages[2].not_forked.as_deref();
    assert_eq!(why, Some("one worker is all that it has"));
}

/// The order of imports has a meaning, but for Python's own modules; and so has how a worker is started.
#[test]
fn there_is_no_root_without_a_common_beginning() {
    let other = envspec::RuntimeEnv::new().with_env_var("OTHER", "1");
    let cases = [
        ["import first\nimport common", "import common\nimport first"],
        ["import os\nos.environ['A'] = '1'\nimport common", "import common"],
        ["import json", "import json"],
    ];
    for [one, two] in cases {
        let report = run_of([asking(one, "first", 1), asking(two, "second", 1)], 1);
        assert_eq!(forked(&report), [0, 0], "{one:?} {two:?}");
    }
    let report = run_of(
        [
            asking("import common, first", "first", 1),
            asking("import common", "second", 1).with_runtime_env(other),
            asking("import common", "large", 1).with_preload(false),
        ],
        1,
    );
    assert_eq!(forked(&report), [0, 0, 0]);
}

/// The text may promise what Python does not find: then the stages are as they are without a root.
#[test]
fn a_root_that_finds_nothing_in_common_costs_nothing_but_a_try() {
    let (_dir, env) = modules(&[("mine.py", String::new())]);
    let pipeline = Pipeline::new("test")
        .with_runtime_env(env)
        .with_stage(asking("import mine, common", "first", 1))
        .with_stage(asking("import mine, first", "second", 2));
    let report = based().run(&pipeline, numbers(4)).unwrap();
    assert_eq!(forked(&report), [0, 2]);
    let why = report.stages[0].not_forked.as_deref();
    assert_eq!(why, Some("the stages begin with other imports"));
}

/// Kills what the task names, and says who is there.
const KILLS: &str = "
import os, signal, time
class Stage:
    def __init__(self, victim):
        self.victim = victim
    def process(self, task):
        middle = os.getppid()
        with open(f'/proc/{middle}/stat') as file:
            root = int(file.read().rpartition(')')[2].split()[1])
        victim = {'middle': middle, 'root': root}.get(self.victim)
        if task.data['n'] == 3 and victim:
            os.kill(victim, signal.SIGKILL)
        return task
";

/// No death of a root or of a template loses a task; the report tells where workers are not forked.
#[test]
fn a_root_or_a_template_that_is_killed_loses_no_task() {
    for (victim, is_forked) in [("middle", false), ("root", true)] {
        let stage = |name, victim| {
            let stage = python(KILLS).with_name(name).with_args(json!({ "victim": victim }));
            stage.with_num_workers(1).with_recycle_after(2)
        };
        let pipeline = Pipeline::new("test")
            .with_stage(stage("killing", victim).with_preload(["json"]))
            .with_stage(stage("other", "").with_preload(["json", "ast"]));
        let report = local().run(&pipeline, numbers(10)).unwrap();
        assert_eq!((report.outputs.len(), report.failed.len()), (10, 0), "{victim}");
        let [killing, other] = &report.stages[..] else { panic!("two stages") };
        assert_eq!(other.forked, other.workers, "{victim}");
        assert!(killing.forked >= 2 && killing.workers >= 5, "{victim}: {killing:?}");
        // Templates outlive their root.
        assert_eq!(killing.forked == killing.workers, is_forked, "{victim}: {killing:?}");
        assert_eq!(killing.not_forked.is_none(), is_forked, "{victim}");
    }
}

/// A module that ends the first process that imports it.
#[test]
fn a_root_that_dies_of_an_import_is_done_without() {
    for (then, why) in
        [("os.kill(os.getpid(), 9)", "was killed by signal 9"), ("1 / 0", "ZeroDivisionError")]
    {
        let notes = Notes::new();
        let text = format!(
            "import os\npath = {:?}\nif not os.path.exists(path):\n    open(path, 'w').close()\n    {then}\n",
            notes.path
        );
        let (_dir, env) = modules(&[("deadly.py", text)]);
        let pipeline = Pipeline::new("test")
            .with_runtime_env(env)
            .with_stage(asking("", "first", 1).with_preload(["deadly"]))
            .with_stage(asking("import ast", "second", 2).with_preload(["deadly"]));
        let report = based().run(&pipeline, numbers(4)).unwrap();
        assert_eq!(report.outputs.len(), 4, "{then}");
        assert_eq!(forked(&report), [0, 2], "{then}: a template is started by itself");
        let told = report.stages[0].not_forked.clone().unwrap();
        assert!(told.contains(why), "{told}");
    }
}

/// Notes its processes up to the root, and never ends.
const HANGS: &str = r#"
import os, subprocess, sys, time
class Stage:
    def __init__(self, path, then):
        self.path = path
    def process(self, task):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        middle = os.getppid()
        with open(f"/proc/{middle}/stat") as file:
            root = int(file.read().rpartition(")")[2].split()[1])
        with open(self.path, "a") as file:
            file.write(f"root {root}\nmiddle {middle}\nworker {os.getpid()}\nchild {child.pid}\n")
        time.sleep(600)
"#;

/// The body of a process that the next test kills.
#[test]
fn helper_that_is_killed() {
    as_killed_engine([
        python(HANGS).with_name("a").with_num_workers(2).with_preload(["json"]),
        python(HANGS).with_name("b").with_num_workers(2).with_preload(["json", "ast"]),
    ]);
}

#[test]
fn no_root_template_or_worker_outlives_an_engine_that_is_killed() {
    let processes = |notes: &Notes| {
        ["root ", "middle ", "worker ", "child "].map(|prefix| notes.wait_for_number(prefix))
    };
    assert_all_end_with("roots::helper_that_is_killed", processes);
}

/// Nothing is left of a root once its run is over.
#[test]
fn a_root_ends_with_its_run() {
    let report = run_of(
        [asking("import common", "first", 1), asking("import common, first", "second", 1)],
        1,
    );
    let roots = said(&report, "first", "parent");
    assert_eq!(roots, said(&report, "second", "parent"));
    for root in roots {
        assert_ends(i32::try_from(root).unwrap());
    }
}

/// The user's modules, for `PYTHONPATH`.
fn modules(files: &[(&str, String)]) -> (tempfile::TempDir, envspec::RuntimeEnv) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(file, text).expect("a module");
    }
    let path = dir.path().to_str().expect("a path that is text").to_owned();
    (dir, envspec::RuntimeEnv::new().with_env_var("PYTHONPATH", path))
}

/// A stage that is given as a module has a template that imports what the module's files begin with,
/// in their order, and none of the user's modules.
#[test]
fn what_a_module_imports_first_is_imported_before_the_fork() {
    let notes = Notes::new();
    let noting = format!(
        "import os\nwith open({:?}, 'a') as file:\n    file.write(f'loaded {{os.getpid()}}\\n')\n",
        notes.path
    );
    let stage = format!("{}\n{noting}", saying("import common", "first"));
    let ours = |init: &str| {
        modules(&[
            ("mine/__init__.py", init.to_owned()),
            ("mine/inner/stages.py", stage.clone()),
            ("mine/helper.py", noting.clone()),
        ])
    };
    for (init, is_shared) in [
        ("", true),
        ("'''A text.'''\n__version__ = '1'\nimport json\n", true),
        ("import os\nos.environ['A'] = '1'\n", false),
        ("from . import helper\n", false),
        ("import mine.helper\n", false),
    ] {
        let (_dir, env) = ours(init);
        let stage = PythonStage::from_module("mine.inner.stages", "Stage")
            .with_name("stage")
            .with_runtime_env(env)
            .with_num_workers(2);
        std::fs::write(&notes.path, "").unwrap();
        let report = run_of([stage], 12);
        assert_eq!(forked(&report), [2], "{init:?}: {:?}", report.stages[0].not_forked);
        let [parent, common, own] =
            ["parent", "common", "own"].map(|of| said(&report, "first", of));
        assert_eq!((parent.len(), own.len()), (1, 2), "{init:?}");
        assert_eq!(common, if is_shared { parent } else { own.clone() }, "{init:?}");
        let loaded: BTreeSet<i64> = notes
            .lines()
            .iter()
            .filter_map(|line| line.strip_prefix("loaded ")?.parse().ok())
            .collect();
        assert_eq!(loaded, own, "{init:?}: the workers alone run the modules");
    }
}

/// A module that is installed is the stage's code, too, with the package that it is in.
#[test]
fn the_package_of_a_stages_module_runs_in_its_workers_alone() {
    let stage = PythonStage::from_module("owned.stages", "Stage").with_name("stage");
    let report = run_of([stage.with_num_workers(2)], 12);
    assert_eq!(forked(&report), [2]);
    let of = |of: &str| said(&report, "owned", of);
    assert_eq!((of("module"), of("common")), (of("own"), of("parent")));
}

/// Modules and files that begin alike share a root.
#[test]
fn a_module_and_a_file_share_what_they_begin_with() {
    let (_dir, env) = modules(&[("mine/stages.py", saying("import common", "first"))]);
    let module = PythonStage::from_module("mine.stages", "Stage").with_name("module");
    let pipeline = Pipeline::new("test")
        .with_runtime_env(env)
        .with_stage(module.with_num_workers(1))
        .with_stage(asking("import common, second", "second", 1));
    let report = based().run(&pipeline, numbers(2)).unwrap();
    assert_eq!(forked(&report), [1, 1], "{:?}", report.stages);
    assert_eq!(said(&report, "first", "common"), said(&report, "second", "parent"));
}
