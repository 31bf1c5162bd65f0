//! `init`, `plan`, `schema` and `completions`.

use std::fs;

use serde_json::{Value, json};

use crate::pipelines::{Folder, lines};

#[test]
fn what_init_writes_runs_and_is_never_written_over() {
    let folder = Folder::new("");
    let said = folder.run(&["init", "a demo"]).text();
    assert!(said.contains("cd 'a demo' && curator run pipeline.toml"), "{said}");
    let pipeline = folder.text("a demo/pipeline.toml");
    let tasks = folder.text("a demo/tasks.jsonl");
    let base = format!("base={:?}", folder.world.base());
    let run = folder.run(&["run", &pipeline, "--input", &tasks, "--set", &base]);
    let mut out = lines(&run.text());
    out.sort_by_key(|line| line["slug"].to_string());
    let slugs: Vec<&Value> = out.iter().map(|line| &line["slug"]).collect();
    assert_eq!(slugs, ["athena", "lodz", "reykjavik"]);
    assert_eq!(out[1]["plain_greeting"], "dzien dobry");

    fs::write(&pipeline, "mine").unwrap();
    fs::remove_file(folder.path("a demo/stages.py")).unwrap();
    folder.run(&["init", "a demo"]).fails(2, "has tasks.jsonl, pipeline.toml, README.md already");
    assert_eq!(fs::read_to_string(&pipeline).unwrap(), "mine");
    assert!(!folder.path("a demo/stages.py").exists(), "it writes all or nothing");
}

#[test]
fn a_plan_tells_what_a_run_would_do_and_does_none_of_it() {
    let folder = Folder::new(
        "[[stage]]\nname = \"base\"\npython = \"stages.py:Version\"\n\n\
         [[stage]]\nname = \"pinned\"\npython = \"stages.py:Version\"\n\
         runtime_env = { uv = [\"packaging==23.0\"] }\n",
    );
    let plan = || folder.run(&["plan", "pipeline.toml", "--json"]).json();
    let before = plan();
    assert_eq!(before["stages"][0]["state"], "base");
    let pinned = &before["stages"][1];
    assert_eq!(pinned["state"], "to_build");
    assert_eq!(pinned["added"], json!(["packaging==23.0"]));
    assert_eq!(pinned["replaced"], json!(["packaging==26.0"]));
    assert_eq!(plan(), before, "nothing was built");
    let text = folder.run(&["plan", "pipeline.toml"]).text();
    assert!(text.contains("to be built") && text.contains("packaging==23.0 (for 26.0)"), "{text}");

    folder.run_with(&["run", "pipeline.toml"], "{}").text();
    let after = plan();
    assert_eq!(after["stages"][1]["state"], "hit");
    assert_eq!(after["stages"][1]["key"], pinned["key"]);
    assert!(after["stages"][1]["own_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_plan_tells_all_conflicts() {
    let folder = Folder::new(
        "[[stage]]\nname = \"one\"\npython = \"a:B\"\nruntime_env = { uv = [\"packaging==9998\"] }\n\
         [[stage]]\nname = \"two\"\npython = \"a:B\"\nruntime_env = { uv = [\"packaging==9999\"] }\n",
    );
    let run = folder.run(&["plan", "pipeline.toml"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    for words in ["conflict", "stage `one`", "9998", "stage `two`", "9999"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    let json = folder.run(&["plan", "pipeline.toml", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["stages"][1]["state"], "conflict");
}

#[test]
fn completions_and_the_schema_are_printed() {
    let folder = Folder::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.run(&["completions", shell]).text();
        assert!(
            script.contains("--failure-policy") || script.contains("failure-policy"),
            "{script}"
        );
    }
    let script = folder.run(&["completions", "bash"]).text();
    folder.write("complete.sh", &script);
    let complete = "source complete.sh; COMP_WORDS=(curator pl); COMP_CWORD=1; \
        _curator curator pl curator; echo ${COMPREPLY[@]}";
    let said = folder.expression(&duct::cmd("bash", ["-c", complete])).read().unwrap();
    assert_eq!(said, "plan");
    let schema = folder.run(&["schema"]).json();
    let kept = include_str!("../../../../docs/pipeline.schema.json");
    assert_eq!(schema, serde_json::from_str::<Value>(kept).unwrap());
}
