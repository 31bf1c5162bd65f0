//! `run --report`: the report of a run, also of one that fails, as JSON and as a page.

use serde_json::{Value, json};

use crate::pipelines::Folder;

const PIPELINE: &str = r#"
[[stage]]
name = "version"
python = "stages.py:Version"
runtime_env = { uv = ["packaging==24.0"], env_vars = { API_TOKEN = "hush-hush-token" } }

[[stage]]
name = "picky"
python = "stages.py:Teller"
"#;

/// A stage that fails with texts that must not appear.
const TELLER: &str = r#"
class Teller:
    def process(self, task):
        if task.data["n"] == 3:
            print("hush-hush-token")
            raise ValueError("</script><script>alert(1)</script> hush-hush-token https://me:hush@h/x")
        return task
"#;

fn folder() -> Folder {
    let folder = Folder::new(PIPELINE);
    folder.write("stages.py", &(folder.read("stages.py") + TELLER));
    let lines: Vec<String> = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect();
    folder.write("tasks.jsonl", &lines.join("\n"));
    folder
}

/// Returns the data in a page.
#[track_caller]
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("the data's element");
    let (data, _) = rest.split_once("</script").expect("its end");
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn a_page_tells_of_stages_environments_and_failed_tasks_and_of_no_secret() {
    let folder = folder();
    let run = ["run", "pipeline.toml", "--input", "tasks.jsonl", "--report", "r.html"];
    let run = folder.run(&[&run[..], &["--failure-policy", "record"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    let page = folder.read("r.html");
    assert!(!page.contains("hush"), "a secret is on the page");
    assert!(!page.contains("<script>alert"));
    let data = data(&page);
    assert_eq!((&data["pipeline"], &data["executor"]), (&json!("test"), &json!("local")));
    assert_eq!(data["error"], Value::Null);
    let stages = &data["stages"];
    assert_eq!((&stages[0]["tasks"], &stages[1]["outputs"]), (&json!(5), &json!(4)));
    assert_eq!((&stages[1]["failed"], &data["outputs_total"]), (&json!(1), &json!(4)));
    for stage in [&stages[0], &stages[1]] {
        assert!(stage["utilisation"].as_f64().expect("a number") <= 1.0);
        assert!(stage["wait_seconds"]["mean"].as_f64().expect("a number") >= 0.0);
        let done: f64 = stage["series"]["done"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it.as_f64().expect("a number"))
            .sum();
        assert!(done >= 4.0, "{stage}");
        assert!(!stage["lanes"][0]["lives"][0]["end"].is_null(), "{stage}");
    }
    // Each stage's way to its first output is told whole, in order. What is built has more steps.
    let expected = ["lookup", "start", "import", "setup", "process"];
    for stage in [&stages[0], &stages[1]] {
        let (way, wall) = (&stage["waterfall"], data["wall_seconds"].as_f64().expect("a number"));
        let steps = way["steps"].as_array().expect("a list").iter();
        let names: Vec<_> = steps.clone().filter_map(|step| step["name"].as_str()).collect();
        let mut rest = names.iter();
        assert!(expected.iter().all(|name| rest.any(|it| it == name)), "{names:?}");
        let sum: f64 = steps.filter_map(|step| step["seconds"].as_f64()).sum();
        let end = way["first_output_seconds"].as_f64().expect("a number");
        assert!((sum - end).abs() < 0.05 && end <= wall && end > 0.0, "{sum} {end} {wall}");
    }
    let place =
        usize::try_from(stages[0]["environment"].as_u64().expect("a place")).expect("small");
    let environment = &data["environments"][place];
    let package = json!({ "name": "packaging", "version": "24.0", "replaces": "26.0" });
    assert_eq!(environment["packages"], json!([package]));
    let failed = &data["failed"][0];
    assert_eq!((&failed["tasks"], &failed["stage"]), (&json!(["0_3_0"]), &json!("picky")));
    let traceback = failed["traceback"].as_str().expect("a traceback");
    assert!(traceback.contains("stages.py") && traceback.contains("<hidden> https://h/x"));
    assert_eq!(failed["log"], "<hidden>");
}

#[test]
fn a_run_that_fails_leaves_a_report_too() {
    let folder = folder();
    let run = ["run", "pipeline.toml", "--input", "tasks.jsonl", "--report"];
    for name in ["r.html", "r.json"] {
        let failing = folder.run(&[&run[..], &[name]].concat());
        assert_eq!(failing.code, Some(1));
        assert!(failing.err.contains("ValueError"), "{}", failing.err);
        let text = folder.read(name);
        let data =
            if name == "r.html" { data(&text) } else { serde_json::from_str(&text).unwrap() };
        let message = data["error"]["message"].as_str().expect("why");
        assert!(message.contains("failed in stage `picky`"), "{message}");
        assert_eq!(data["failed_total"], 1);
        assert!(data["stages"][0]["tasks"].as_u64() > Some(0));
        let environments = data["environments"].as_array().expect("a list");
        let built =
            environments.iter().find(|it| it["key"].is_string()).expect("the one of `version`");
        assert_eq!(built["packages"][0]["replaces"], "26.0");
        assert!(!text.contains("hush"));
    }

    // Built environments and stages' environments are in the report.
    let text = folder.read("r.json");
    let data: Value = serde_json::from_str(&text).unwrap();
    let of = |stage: usize| {
        let place = data["stages"][stage]["environment"].as_u64().expect("a place");
        data["environments"][usize::try_from(place).unwrap()].clone()
    };
    assert_eq!((&of(0)["stages"], &of(0)["state"]), (&json!(["version"]), &json!("hit")));
    assert_eq!((&of(1)["stages"], &of(1)["state"]), (&json!(["picky"]), &json!("base")));

    // Before any environment exists.
    let impossible = ["r.html", "--set", "stage.version.runtime_env.uv=['packaging==9999']"];
    folder.run(&[&run[..], &impossible].concat()).fails(1, "9999");
    let page = folder.read("r.html");
    assert!(!page.contains("unfinished"), "it failed, or was given up");
    let data = crate::reporting::data(&page);
    assert!(data["error"]["message"].as_str().expect("why").contains("9999"));
    let preparations = data["preparations"].as_array().expect("a list");
    let failed: Vec<&Value> = preparations.iter().filter(|it| it["failed"] == true).collect();
    assert_eq!(failed.len(), 1, "{preparations:?}");
    assert_eq!((&failed[0]["stages"], &failed[0]["base"]), (&json!(["version"]), &json!(false)));
    assert!(failed[0]["key"].is_string());
    // None without a stage: each build belongs to one.
    assert!(preparations.iter().all(|it| it["stages"] != json!([])), "{preparations:?}");
    assert_eq!(data["outputs_total"], 0);
}
