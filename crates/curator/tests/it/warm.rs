//! What a run keeps warm: by the command, by a file and in Python; `ps` and `stop`.

use std::path::Path;

use serde_json::Value;

use crate::pipelines::Folder;
use crate::python_pipelines::program;
use crate::support::{CURATOR, Run, World};
use crate::troubleshooting::Index;

/// A folder whose runs keep templates in it, which end with the test.
struct Warm {
    folder: Folder,
}

impl Warm {
    fn new(pipeline: &str) -> Self {
        let folder = Folder::new(pipeline);
        folder.write("tasks.jsonl", "{\"n\":1}");
        std::fs::create_dir(folder.path("run")).expect("a folder");
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let command = self.folder.expression(&duct::cmd(CURATOR, arguments));
        let command = command.env("XDG_RUNTIME_DIR", self.folder.path("run")).stdin_null();
        command.stdout_capture().stderr_capture().run().expect("the command starts").into()
    }

    /// Runs the pipeline, and returns how many workers were forked from what was kept.
    #[track_caller]
    fn warm_workers(&self, more: &[&str]) -> u64 {
        let run = ["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "out.jsonl", "-q"];
        self.run(&[&run, more, &["--report", "report.json"]].concat()).text();
        let report: Value = serde_json::from_str(&self.folder.read("report.json")).expect("JSON");
        let stages = report["stages"].as_array().expect("stages");
        stages.iter().map(|stage| stage["warm"].as_u64().expect("a number")).sum()
    }

    #[track_caller]
    fn kept(&self) -> Vec<Value> {
        self.run(&["ps", "--json"]).json().as_array().expect("a list").clone()
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        self.run(&["stop", "--all"]);
    }
}

const STAGE: &str = "[[stage]]\npython = \"stages.py:Picky\"\nnum_workers = 1\n";

#[test]
fn a_run_keeps_its_imports_and_stop_ends_them() {
    let warm = Warm::new(STAGE);
    assert_eq!(warm.warm_workers(&[]), 0);
    assert!(warm.run(&["ps"]).err.contains("no process is kept warm"));
    let keep = ["--keep-warm", "5m"];
    assert_eq!(warm.warm_workers(&keep), 0);
    let [kept] = &warm.kept()[..] else { panic!("one is kept") };
    assert_eq!(warm.warm_workers(&keep), 1);
    assert_eq!(warm.kept()[0]["pid"], kept["pid"]);
    assert_eq!(warm.warm_workers(&[]), 0, "only where it is wanted");
    let pid = kept["pid"].to_string();
    let shown = warm.run(&["ps"]).text();
    assert!(shown.contains(&pid) && shown.contains("base"), "{shown}");
    warm.run(&["stop", &pid, "none"]).fails(1, "`curator ps` lists them");
    assert_eq!(warm.kept().len(), 1, "a misspelt one ends nothing");
    assert!(warm.run(&["stop", &pid]).text().contains(&format!("ended   {pid}")));
    assert!(!Path::new("/proc").join(&pid).exists() || is_zombie(&pid));
    assert_eq!(warm.kept(), Vec::<Value>::new());
}

fn is_zombie(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z'))
}

/// A process that stays holds nothing open that the run was given, or the reader of a pipe would wait.
#[test]
fn what_a_run_was_given_ends_with_it() {
    let warm = Warm::new(STAGE);
    let script =
        "exec 3>&1; exec \"$0\" run pipeline.toml -i tasks.jsonl -o out.jsonl -q --keep-warm 20s";
    let command = warm.folder.expression(&duct::cmd!("bash", "-c", script, CURATOR));
    let command = command.env("XDG_RUNTIME_DIR", warm.folder.path("run")).stdin_null();
    // It reads to the end.
    command.stdout_capture().run().expect("bash starts");
    assert_eq!(warm.kept().len(), 1, "it came before that process ended");
}

/// The file says so for each run, and the command line has the last word.
#[test]
fn a_file_has_its_runs_keep_their_imports() {
    let warm = Warm::new(&format!("{STAGE}\n[engine]\nkeep_warm = \"5m\"\n"));
    assert_eq!(warm.warm_workers(&["--keep-warm", "0s"]), 0);
    assert_eq!(warm.kept(), Vec::<Value>::new());
    assert_eq!([warm.warm_workers(&[]), warm.warm_workers(&[])], [0, 1]);
    let wrong = warm.folder.read("pipeline.toml").replace("5m", "5 minutes");
    warm.folder.write("pipeline.toml", &wrong);
    warm.run(&["run", "pipeline.toml"]).fails(2, "is none of s, m, h, d, w");
}

/// An environment that only a template is in, which waits, makes way.
#[test]
fn what_is_kept_keeps_no_environment_from_being_removed() {
    let spec = "runtime_env = { uv = [\"packaging==23.1\"] }\n";
    let warm = Warm::new(&format!("{STAGE}{spec}"));
    let keep = ["--keep-warm", "5m"];
    for _ in 0..2 {
        assert_eq!(warm.warm_workers(&keep), 0);
        let kept = warm.kept();
        let key = kept[0]["environments"][0].as_str().expect("a key").to_owned();
        let listed = warm.run(&["env", "list", "--json"]).json();
        let is_used = |it: &&Value| it["key"] == key.as_str() && it["in_use"] == true;
        assert!(listed.as_array().expect("a list").iter().any(|it| is_used(&it)), "{listed}");
        // What the cache is pruned to leaves it alone.
        warm.run(&["env", "prune", "--older-than", "0s", "--dry-run"]).text();
        warm.run(&["env", "remove", &key]).text();
        assert_eq!(warm.kept(), Vec::<Value>::new());
    }
}

/// An answer that has changed is built in the place of the old one, and a cache is emptied, although
/// templates wait in what has to go; the next run has the new package.
#[test]
fn what_is_kept_keeps_no_environment_from_being_refreshed_or_pruned() {
    let (warm, world) = (Warm::new(""), World::new());
    let index = Index::new(world.base());
    index.add("1.0");
    let env = format!(
        "{{ uv = {{ packages = [\"alpha\"], uv_pip_install_options = [\"--index-url\", \"{}\"] }} }}",
        index.url
    );
    warm.folder.write(
        "pipeline.toml",
        &format!("name = \"test\"\nbase = \"{}\"\n{STAGE}runtime_env = {env}\n", world.base()),
    );
    let code = "from importlib.metadata import version\nclass Picky:\n    def process(self, task):\n        return {'alpha': version('alpha')}\n";
    warm.folder.write("stages.py", code);
    let cache = world.cache();
    let cache = ["--cache-dir", cache.to_str().expect("text")];
    let run = || {
        let forked = warm.warm_workers(&[&cache[..], &["--keep-warm", "5m"]].concat());
        (forked, warm.folder.lines("out.jsonl")[0]["alpha"].as_str().expect("text").to_owned())
    };
    assert_eq!([run(), run()], [(0, "1.0".to_owned()), (1, "1.0".to_owned())]);
    let key = warm.kept()[0]["environments"][0].as_str().expect("a key").to_owned();
    let refresh = || {
        let words = ["env", "refresh", "--spec", &key, "--json"];
        warm.run(&[&cache[..], &words].concat()).json()["state"].clone()
    };
    // An answer that stands leaves all as it is.
    assert_eq!((refresh(), warm.kept().len()), ("hit".into(), 1));
    index.add("2.0");
    assert_eq!((refresh(), warm.kept()), ("built".into(), Vec::new()));
    assert_eq!([run(), run()], [(0, "2.0".to_owned()), (1, "2.0".to_owned())]);

    let listed = |words: &[&str]| warm.run(&[&cache[..], words, &["--json"]].concat()).json();
    let dry = listed(&["env", "prune", "--all", "--dry-run"]);
    assert_eq!((&dry["in_use"], warm.kept().len()), (&serde_json::json!([]), 1), "{dry}");
    assert!(dry["kept_warm"].to_string().contains(&key), "{dry}");
    let pruned = listed(&["env", "prune", "--all"]);
    assert!(pruned["removed"].to_string().contains(&key), "{pruned}");
    assert_eq!((&pruned["in_use"], warm.kept()), (&serde_json::json!([]), Vec::new()));
}

/// In Python a block keeps what its pipeline's stages import, and so does a setting of the executor.
#[test]
fn a_block_in_python_keeps_what_its_pipeline_imports() {
    let warm = Warm::new("");
    let text = r#"
import json, os, subprocess
import curator
import packaging.version
from curator import LocalExecutor, Pipeline

class Version:
    workers = 1
    def process(self, task):
        import sys
        return str(packaging.version.Version("1.0")), os.getppid()

def kept():
    told = subprocess.run([os.environ["CURATOR_PROGRAM"], "ps", "--json"], stdout=subprocess.PIPE)
    return json.loads(told.stdout)

def warm_workers(pipeline, **options):
    return [stage["warm"] for stage in pipeline.run([1], **options).stages]

pipeline = Pipeline([Version])
assert warm_workers(pipeline) == [0] and kept() == []
with curator.warm(pipeline) as same:
    assert same is pipeline
    assert warm_workers(pipeline) == [0]
    [template] = kept()
    assert "packaging.version" in template["imports"], template
    assert warm_workers(pipeline) == [1]
    # Others are none of its affair.
    assert warm_workers(Pipeline([Version])) == [0]
    assert warm_workers(pipeline, executor=LocalExecutor(keep_warm=0)) == [0]
assert kept() == []
brief = LocalExecutor(keep_warm=300)
assert warm_workers(pipeline, executor=brief) == [0]
assert warm_workers(pipeline, executor=brief) == [1]
assert len(kept()) == 1
with curator.warm(pipeline):
    warm_workers(pipeline)
    os._exit(0)
"#;
    let run = program(&warm.folder, text).env("XDG_RUNTIME_DIR", warm.folder.path("run"));
    let run = run.run().expect("Python starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    // What belonged to the program ends with it: the last run says how long a template stays.
    let is_over = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        warm.kept().is_empty()
    });
    assert!(is_over, "{:?}", warm.kept());
}
