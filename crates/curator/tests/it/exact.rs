//! Data that no stage changes leaves the command as it went in; a pipeline that changes nothing is
//! `cat`.

use std::sync::LazyLock;

use curator::stage::Json;

use crate::corpus::corpus;
use crate::pipelines::Folder;

/// Lines of JSON that Python wrote.
static CORPUS: LazyLock<String> = LazyLock::new(|| corpus(["5000", "200", "200"]));

/// Returns the text without insignificant white space.
fn compact(lines: &str) -> String {
    let line = |line| Json::from_text(line).expect("JSON").text().to_owned() + "\n";
    lines.lines().map(line).collect()
}

fn pipeline(stage: &str) -> String {
    format!("[[stage]]\npython = \"stages.py:{stage}\"\nnum_workers = 1\n")
}

#[test]
fn a_pipeline_that_changes_nothing_is_cat() {
    for stage in ["give_back", "look_at"] {
        let folder = Folder::new(&pipeline(stage));
        let out = folder.run_with(&["run", "pipeline.toml"], &CORPUS).text();
        assert!(out == compact(&CORPUS), "another text came out of {stage}");
    }
}

/// With `--failed` and `--checkpoint`: half of the tasks fail, and a second run takes them.
#[test]
fn what_failed_is_written_and_run_again_as_it_was_handed_in() {
    let folder = Folder::new(&format!(
        "{}runtime_env = {{ working_dir = \".\" }}\n",
        pipeline("second_time")
    ));
    folder.write(
        "stages.py",
        "import os\nseen = [0]\ndef second_time(task):\n    seen[0] += 1\n    \
         task.data\n    if not os.path.exists('again') and seen[0] % 2:\n        raise ValueError('not yet')\n    \
         return task\n",
    );
    folder.write("in.jsonl", &CORPUS);
    let file = |input, failed| {
        ["run", "pipeline.toml", "--input", input, "--failed", failed, "-o", "out.jsonl"]
    };
    let first =
        folder.run(&[&file("in.jsonl", "failed.jsonl")[..], &["--checkpoint", "kept"]].concat());
    assert_eq!(first.code, Some(1), "{}", first.err);
    let half = |from: usize| {
        compact(&CORPUS).split_inclusive('\n').skip(from).step_by(2).collect::<String>()
    };
    assert!(folder.read("out.jsonl") == half(1), "another text came out");
    folder.write("again", "");
    let again = folder.run(&file("failed.jsonl", "left.jsonl"));
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(folder.read("out.jsonl") == half(0), "another text came out of the rerun");
    let resumed =
        folder.run(&[&file("in.jsonl", "left.jsonl")[..], &["--checkpoint", "kept"]].concat());
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert!(
        folder.read("out.jsonl") == compact(&CORPUS),
        "another text came out of the checkpoint"
    );
}

#[test]
fn arguments_come_as_they_are_written() {
    let args = "{ z = 9223372036854775807, b = 0.36995516654807925, a = { y = 1e-5, x = -0.0 } }";
    let folder = Folder::new(&format!("{}args = {args}\n", pipeline("Args")));
    folder.write(
        "stages.py",
        "class Args:\n    def __init__(self, **args): self.args = args\n    \
         def process(self, task): return self.args\n",
    );
    let run = |set: &[&str]| {
        let set: Vec<&str> = set.iter().flat_map(|it| ["--set", it]).collect();
        folder.run_with(&[&["run", "pipeline.toml"][..], &set].concat(), "1\n")
    };
    assert_eq!(
        run(&[]).text(),
        "{\"z\":9223372036854775807,\"b\":0.36995516654807925,\"a\":{\"y\":1e-05,\"x\":-0.0}}\n"
    );
    let big = "stage.Args.args.n=123456789012345678901234567890";
    assert!(run(&[big]).text().ends_with(",\"n\":123456789012345678901234567890}\n"));
    let huge = "1".repeat(60);
    let set = format!("stage.Args.args.n={huge}");
    assert!(run(&[&set]).text().ends_with(&format!(",\"n\":{huge}}}\n")));
    // A value that TOML lacks is an error with the number in it and the way out.
    let toml = folder.read("pipeline.toml").replace("{ z =", &format!("{{ n = {huge}, z ="));
    folder.write("huge.toml", &toml);
    let refused = folder.run(&["run", "huge.toml"]);
    refused.fails(2, &format!("`stage[0].args.n`: {huge} is too large an integer for TOML"));
    let json = format!(
        r#"{{"name":"p","base":{:?},"stage":[{{"python":"stages.py:Args","args":{{"n":{huge},"c":1.50,"a":1}}}}]}}"#,
        folder.world.base()
    );
    // With or without the mark that some editors begin a file with.
    folder.write("p.json", &format!("\u{feff}{json}"));
    let out = folder.run_with(&["run", "p.json"], "1\n").text();
    assert_eq!(out, format!("{{\"n\":{huge},\"c\":1.5,\"a\":1}}\n"));
}

#[test]
fn numbers_that_are_no_json_are_refused_with_their_place() {
    let folder = Folder::new(&pipeline("give_back"));
    let run = folder.run_with(&["run", "pipeline.toml"], "{\"a\": [1, NaN]}\n");
    assert!(
        run.err.contains("<stdin>, line 1: no task: NaN is no JSON (use null), column 11"),
        "{}",
        run.err
    );
}
