//! `run`: from files and pipes to files and pipes.

use serde_json::{Value, json};

use crate::pipelines::{Folder, lines, sorted};
use crate::support::CURATOR;

const VERSIONS: &str = r#"
[[stage]]
name = "base"
python = "stages.py:Version"
args = { key = "base" }

[[stage]]
name = "pinned"
python = "stages.py:Version"
args = { key = "pinned" }
runtime_env = { uv = ["packaging==24.0"] }
"#;

#[test]
fn tasks_go_from_a_file_to_a_file_through_stages_with_packages_of_their_own() {
    let folder = Folder::new(VERSIONS);
    folder.write("tasks.jsonl", "{\"n\": 0}\n\n{\"n\": 1}");
    let run = folder.run(&[
        "run",
        "pipeline.toml",
        "--input",
        "tasks.jsonl",
        "-o",
        "out.jsonl",
        "--report",
        "r.json",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(run.out, "");
    assert!(run.err.contains("2 tasks in, 2 out"), "{}", run.err);
    let out = folder.lines("out.jsonl");
    assert_eq!(out[0], json!({ "n": out[0]["n"], "base": "26.0", "pinned": "24.0" }));
    assert_eq!(sorted(&out, "n"), [0, 1]);
    let report: Value = serde_json::from_str(&folder.read("r.json")).unwrap();
    assert_eq!(report["stages"][1]["outputs"], 2);
    assert_eq!(report["environments"].as_array().unwrap().len(), 2);
}

#[test]
fn paths_are_relative_to_the_file_and_the_format_may_be_json() {
    let folder = Folder::new("");
    let pipeline = json!({
        "name": "p", "base": folder.world.base(),
        "stage": [{ "python": "stages.py:Version", "runtime_env": { "uv": "req.txt" } }],
    });
    folder.write("p.json", &pipeline.to_string());
    folder.write("req.txt", "packaging==24.0\n");
    let run = folder.world.run_with(&["run", &folder.text("p.json")], "{}\n", &[]);
    assert_eq!(lines(&run.text()), [json!({ "version": "24.0" })]);
}

#[test]
fn fields_can_be_changed_from_the_command_line() {
    let folder = Folder::new(VERSIONS);
    let set = ["--set", "stage.pinned.runtime_env={}", "--set", "stage.base.args.key='other'"];
    let run = folder.run_with(&[&["run", "pipeline.toml"][..], &set].concat(), "{}\n");
    assert_eq!(lines(&run.text()), [json!({ "other": "26.0", "pinned": "26.0" })]);
}

#[test]
fn bytes_and_metadata_go_in_and_out() {
    let folder = Folder::new("[[stage]]\npython = \"stages.py:size\"\n");
    let task = r#"{"data": {"base64": "AP8A"}, "metadata": {"a": 1}, "dataset_name": "d"}"#;
    let out = lines(&folder.run_with(&["run", "pipeline.toml"], task).text());
    let data = json!({ "size": 3, "meta": { "a": 1 }, "set": "d" });
    assert_eq!(out[0]["data"]["json"], data);
    assert_eq!(out[0]["dataset_name"], "d");

    let folder = Folder::new("[[stage]]\npython = \"stages.py:give_back\"\n");
    let back = folder.run_with(&["run", "pipeline.toml"], task).text();
    let expected: Value = serde_json::from_str(task).unwrap();
    assert_eq!(lines(&back), [expected]);
    let again = folder.run_with(&["run", "pipeline.toml", "--whole-tasks"], &back).text();
    let whole = &lines(&again)[0];
    assert_eq!(
        (&whole["id"], &whole["timings"][0]["stage"]),
        (&json!("0_0_0"), &json!("give_back"))
    );
}

#[test]
fn a_pipeline_without_input_starts_with_one_empty_task() {
    let folder = Folder::new("[[stage]]\npython = \"stages.py:make\"\n");
    let run = folder.expression(&duct::cmd(CURATOR, ["run", "pipeline.toml"])).stdin_null();
    let out = run.stdout_capture().stderr_capture().run().unwrap();
    let out = lines(&String::from_utf8(out.stdout).unwrap());
    assert_eq!(sorted(&out, "made"), [0, 1, 2]);
    assert_eq!(out[0]["from"], Value::Null);
    // An empty pipe is no task.
    assert_eq!(folder.run(&["run", "pipeline.toml"]).text(), "");
}

#[test]
fn failed_tasks_are_written_and_can_be_run_again() {
    let folder = Folder::numbers(12, "{ bad = 4 }");
    let files = ["--input", "tasks.jsonl", "--output", "out.jsonl", "--failed", "failed.jsonl"];
    let run = folder.run(&[&["run", "pipeline.toml"][..], &files].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("ValueError: 3 is bad"), "{}", run.err);
    assert!(run.err.contains("Picky | about to fail"), "{}", run.err);
    assert_eq!(folder.lines("out.jsonl").len(), 9);
    let failed = folder.lines("failed.jsonl");
    let numbers = |failed: &[Value]| {
        let data: Vec<Value> = failed.iter().map(|line| line["data"]["json"].clone()).collect();
        sorted(&data, "n")
    };
    assert_eq!(numbers(&failed), [3, 7, 11]);
    let failure = &failed[0]["failures"][0];
    assert_eq!(failure["stage"], "Picky");
    assert!(failure["cause"]["raised"]["traceback"].as_str().unwrap().contains("stages.py"));
    assert!(failure["message"].as_str().unwrap().contains("is bad"));

    // With the stage repaired, the failed tasks are the input.
    let again = ["--input", "failed.jsonl", "--set", "stage.Picky.args={}"];
    let run = folder.run(&[&["run", "pipeline.toml"][..], &again].concat());
    assert_eq!(sorted(&lines(&run.text()), "n"), [3, 7, 11]);

    // A file that would be read and written at once is refused, and left as it is.
    let both = ["--input", "failed.jsonl", "--failed", "failed.jsonl"];
    folder.run(&[&["run", "pipeline.toml"][..], &both].concat()).fails(2, "are both");
    assert_eq!(numbers(&folder.lines("failed.jsonl")), [3, 7, 11]);
}

#[test]
fn a_failure_ends_the_run_unless_it_is_to_be_recorded() {
    let folder = Folder::numbers(40, "{ bad = 2 }");
    folder.write("out.jsonl", "older\n");
    let run = ["run", "pipeline.toml", "--input", "tasks.jsonl"];
    let failing =
        folder.run(&[&run[..], &["--failed", "f.jsonl", "--failure-policy", "fail-fast"]].concat());
    assert_eq!(failing.code, Some(1));
    // The file has the failure that is told, and no other, however many workers fail at once.
    let failed = folder.lines("f.jsonl");
    assert_eq!(failed.len(), 1, "{failed:?}");
    let told = format!("error: task {} failed in stage `Picky`", failed[0]["id"].as_str().unwrap());
    assert!(failing.err.contains(&told), "{told}: {}", failing.err);
    let recorded = folder.run(&[&run[..], &["--set", "failure_policy='record'"]].concat());
    assert_eq!((recorded.code, lines(&recorded.out).len()), (Some(1), 20));

    // A run that fails before its first output leaves an older output alone.
    let broken =
        ["--output", "out.jsonl", "--set", "stage.Picky.runtime_env.uv=['packaging==9999']"];
    folder.run(&[&run[..], &broken].concat()).fails(1, "9999");
    assert_eq!(folder.read("out.jsonl"), "older\n");
}

#[test]
fn no_run_waits_for_a_reader_or_a_writer_that_has_gone() {
    let folder = Folder::numbers(0, "{}");
    let shell = |script: &str| {
        let script = format!("set -o pipefail; {script}");
        let run = folder.expression(&duct::cmd("bash", ["-c", &script, "bash", CURATOR]));
        run.stdout_capture().stderr_capture().run().unwrap()
    };
    // The reader stops, and the writer would continue forever.
    let out =
        shell(r#"yes '{"n": 1}' | { "$1" run pipeline.toml; echo "code $?" >&2; } | head -3"#);
    assert_eq!(lines(&String::from_utf8(out.stdout).unwrap()).len(), 3);
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.ends_with("code 141\n"), "{err}");
    // The run fails while the writer is silent and does not end.
    let out = shell(
        r#"(echo '{"n": 1}'; sleep 100 & echo $! > pid; wait) |
        { "$1" run pipeline.toml --set stage.Picky.args.bad=2; echo "code $?" >&2; kill $(cat pid); }"#,
    );
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.contains("1 is bad") && err.ends_with("code 1\n"), "{err}");
}

#[test]
fn wrong_files_are_told_by_line_and_field() {
    let folder = Folder::new("\n[[stage]]\npython = \"stages.py:Version\"\nbacth_size = 1\n");
    let run = folder.run(&["run", "pipeline.toml"]);
    run.fails(2, "error: pipeline.toml: line 6, column 1: `stage[0].bacth_size`: unknown field");
    run.fails(2, "hint: did you mean `batch_size`?");

    let folder = Folder::new(VERSIONS);
    let with = |arguments: &[&str]| folder.run(&[&["run", "pipeline.toml"], arguments].concat());
    with(&["--set", "stage.pined.batch_size=1"]).fails(2, "hint: did you mean `pinned`?");
    with(&["--set", "stage.pinned.batch_size=0"]).fails(2, "stage `pinned`: `batch_size` is 0");
    with(&["--set", "stage.pinned.isolation=full"]).fails(2, "text stands in quotes");
    with(&["--backend", "spark"]).fails(2, "`local`, `ray-data`");
    with(&["--report", "r.txt"]).fails(2, "neither `.html` nor `.json`");
    with(&["--input", "none.jsonl"]).fails(2, "none.jsonl");
    folder.run(&["run", "none.toml"]).fails(2, "hint: `curator init`");
    folder.write("twice.json", "{\"name\": \"p\",\n \"stage\": [{\"python\": \"a.py\"}]}");
    folder.run(&["run", "twice.json"]).fails(2, "twice.json: line 2, column");
}

#[test]
fn a_line_that_is_no_task_ends_the_run_once_the_others_are_done() {
    let folder = Folder::numbers(0, "{}");
    let run = folder.run_with(&["run", "pipeline.toml"], "{\"n\": 1}\n\n{\"n\": \n");
    assert_eq!(run.code, Some(1));
    assert_eq!(run.out, "{\"n\":1}\n");
    assert!(run.err.contains("error: <stdin>, line 3: no task"), "{}", run.err);
}

#[test]
fn logs_are_json_on_request() {
    let folder = Folder::numbers(3, "{ bad = 3 }");
    let run =
        ["run", "pipeline.toml", "-i", "tasks.jsonl", "--failed", "f", "--log-format", "json"];
    let run = folder.run(&run);
    assert_eq!(run.code, Some(1));
    let logged = lines(&run.err);
    let message = |text: &str| logged.iter().find(|line| line["message"] == text);
    assert_eq!(message("worker ready").unwrap()["stage"], "Picky");
    assert_eq!(message("about to fail").unwrap()["target"], "curator::worker");
    assert!(logged.iter().any(|line| line["level"] == "ERROR" && line["task"] == "0_2"));

    let quiet = folder.run(&["run", "pipeline.toml", "-i", "tasks.jsonl", "--failed", "f", "-q"]);
    assert_eq!(quiet.err.lines().count(), 2, "{}", quiet.err);
}

#[test]
fn what_an_engine_on_ray_would_refuse_is_refused_first() {
    let folder = Folder::new(VERSIONS);
    let run = |command: &str, set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = [command, "pipeline.toml"].into_iter().chain(set).collect();
        folder.run(&words)
    };
    let on_ray = "engine.backend=\"ray-actor-pool\"";
    for command in ["run", "plan"] {
        run(command, &[on_ray, "engine.address=\"ray://head:10001\""]).fails(2, "Ray Client");
        run(command, &[on_ray, "engine.address=\"h:1\"", "engine.num_cpus=2"])
            .fails(2, "`num_cpus`");
        let keep = "stage.pinned.runtime_env={ uv = [\"packaging\"], constraints = [\"a<2\"] }";
        run(command, &[on_ray, "engine.ray_env=\"native\"", keep]).fails(2, "`constraints`");
    }
    // The base of these tests has no Ray.
    run("run", &[on_ray]).fails(1, "hint: add `ray>=2.50,<3` to the base");
    run("plan", &[on_ray]).text();
}

/// Declarations of a stage's code that the pipeline overrides are reported: on the terminal, in the
/// log and in the report.
#[test]
fn what_a_stage_declares_in_vain_is_told() {
    let folder = Folder::new("[[stage]]\npython = \"own.py:Own\"\nruntime_env = {}\n");
    folder.write(
        "own.py",
        "class Own:\n    batch_size = 8\n    runtime_env = {\"env_vars\": {\"A\": \"1\"}}\n\n    def \
         process(self, task):\n        task.data[\"n\"] += 1\n",
    );
    let run = |more: &[&str]| {
        let run = ["run", "pipeline.toml", "--report", "report.json"];
        folder.run_with(&[&run[..], more].concat(), "{\"n\": 1}\n{\"n\": 2}\n")
    };
    let overridden = run(&[]);
    assert_eq!(overridden.code, Some(0), "{}", overridden.err);
    for words in [
        "warning: stage `Own`: its entry in the pipeline overrides the runtime_env",
        "warning: stage `Own`: it dropped all 2 tasks that it got",
    ] {
        assert_eq!(overridden.err.matches(words).count(), 1, "{}", overridden.err);
        let report = folder.read("report.json");
        let (_, words) = words.split_once("`Own`: ").expect("a stage");
        assert!(report.contains(words), "{words}: {report}");
    }
    let logged = run(&["--log-format", "json"]);
    assert!(logged.err.contains("it dropped all 2 tasks"), "{}", logged.err);

    let text = folder.read("pipeline.toml").replace("runtime_env = {}\n", "");
    folder.write("pipeline.toml", &text);
    let used = run(&[]);
    assert_eq!(used.code, Some(0), "{}", used.err);
    assert!(!used.err.contains("overrides"), "{}", used.err);
    let report: serde_json::Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    let declared = |setting: &str| {
        let all = report["declared"].as_array().expect("what the class declares");
        all.iter().find(|it| it["setting"] == setting).cloned().unwrap_or_default()
    };
    for (setting, value) in
        [("batch_size", json!(8)), ("runtime_env", json!({ "env_vars": { "A": "1" } }))]
    {
        let found = declared(setting);
        assert_eq!(
            (&found["declared"], &found["is_overridden"]),
            (&value, &json!(false)),
            "{found}"
        );
    }
    // A setting from the command line counts as the entry's own.
    let set = run(&["--set", "stage.Own.runtime_env={ env_vars = { A = \"1\" } }"]);
    assert_eq!(set.code, Some(0), "{}", set.err);
    assert!(!set.err.contains("overrides"), "{}", set.err);
}

/// A file beside the stage's is what `python FILE` would import. A worker never takes another module of
/// that name for it, of Python's own or of a package.
#[test]
fn a_file_beside_the_stages_is_never_another_module() {
    let folder = Folder::new("[[stage]]\npython = \"uses.py:look\"\n");
    folder.write("tasks.jsonl", "{}\n");
    let arguments = ["run", "pipeline.toml", "-i", "tasks.jsonl"];
    for (import, name) in [
        ("import statistics", "statistics"),
        ("from statistics import mean", "statistics"),
        ("import packaging.version as v", "packaging"),
        ("from packaging.version import Version", "packaging"),
        ("import time", "time"),
    ] {
        let beside = format!("{name}.py");
        folder.write("uses.py", &format!("{import}\n\ndef look(task):\n    return task\n"));
        let run = folder.run(&arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(0), "{}\n"), "{import}: {}", run.err);
        folder.write(&beside, "def mean(numbers):\n    return 'mine'\n");
        let run = folder.run(&arguments);
        let told = format!("gets the module '{name}' from");
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{import}: {}", run.err);
        assert!(run.err.contains(&told) && run.err.contains("rename that, or"), "{}", run.err);
        std::fs::remove_file(folder.path(&beside)).unwrap();
    }
    // A package of that name, and a copy of what is installed.
    folder.write("uses.py", "import packaging.version\n\ndef look(task):\n    return task\n");
    std::fs::create_dir(folder.path("packaging")).unwrap();
    folder.write("packaging/__init__.py", "mine = True\n");
    let run = folder.run(&arguments);
    assert!(run.err.contains("gets the module 'packaging' from"), "{}", run.err);
    std::fs::remove_dir_all(folder.path("packaging")).unwrap();
    let code = "import os, packaging, shutil; \
                shutil.copytree(os.path.dirname(packaging.__file__), 'packaging')";
    duct::cmd!(folder.world.base(), "-I", "-c", code).dir(folder.path("")).run().unwrap();
    let run = folder.run(&arguments);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "{}\n"), "{}", run.err);
    folder.write("uses.py", "from helper import mean\n\ndef look(task):\n    return mean([])\n");
    folder.write("helper.py", "def mean(numbers):\n    return {'by': 'mine'}\n");
    let run = folder.run(&arguments);
    assert_eq!(run.out, "{\"by\":\"mine\"}\n", "{}", run.err);
}
