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

#[test]
fn a_plan_sees_code_that_is_not_there() {
    let folder = Folder::new(
        "[[stage]]\nname = \"gone\"\npython = \"nosuch.py:Clean\"\n\
         [[stage]]\nname = \"other\"\npython = \"stages.py:Verison\"\n\
         [[stage]]\nname = \"fine\"\npython = \"stages.py:Version\"\n",
    );
    let run = folder.run(&["plan", "pipeline.toml"]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    for words in ["nosuch.py`, is not there", "stages.py`, defines no `Verison`", "hint:"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    assert_eq!(run.out.matches("no code").count(), 2, "{}", run.out);
    let run = folder.run(&["plan", "pipeline.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let states: Vec<&str> =
        plan["stages"].as_array().unwrap().iter().filter_map(|it| it["state"].as_str()).collect();
    assert_eq!(states, ["no-code", "no-code", "base"]);
}

#[test]
fn a_plan_names_the_interpreter_that_the_base_would_be() {
    let folder = Folder::new("");
    folder.write("p.toml", "name = \"p\"\n[[stage]]\npython = \"stages.py:give_back\"\n");
    let base = folder.world.base().to_owned();
    let prefix = std::path::Path::new(&base).ancestors().nth(2).unwrap();
    let plan = |words: &[&str]| {
        let command = duct::cmd(crate::support::CURATOR, ["plan", "p.toml"].iter().chain(words));
        let command = folder.expression(&command).env("VIRTUAL_ENV", prefix);
        command.stdout_capture().read().unwrap()
    };
    // The last setting wins: here no variable is removed.
    let line = folder.run(&["plan", "p.toml"]).text();
    let found = duct::cmd!("python3", "-c", "import sys; print(sys.executable)").read().unwrap();
    assert!(line.contains(&format!("base          {found}")), "{found}: {line}");
    assert!(!plan(&[]).contains("else python3"));
}

#[test]
fn a_device_that_is_not_there_is_refused_unless_the_run_says_so() {
    let folder =
        Folder::new("[[stage]]\npython = \"stages.py:give_back\"\nresources = { gpus = 1 }\n");
    let run = |command: &str, set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = [command, "pipeline.toml"].into_iter().chain(set).collect();
        let command = folder.expression(&duct::cmd(crate::support::CURATOR, words));
        let command = command.env("CUDA_VISIBLE_DEVICES", "").stdin_bytes("{}\n");
        crate::support::Run::from(command.stdout_capture().stderr_capture().run().unwrap())
    };
    for command in ["run", "plan"] {
        run(command, &[]).fails(2, "stage `give_back` asks for 1 GPU, and this machine has none");
        run(command, &[]).fails(2, "--set engine.devices=[]");
        run(command, &["stage.give_back.resources={ gpu_memory_gb = 12 }"])
            .fails(2, "asks for 0.5 GPUs, and this machine has none");
    }
    let told = run("run", &["engine.devices=[]"]);
    assert!(told.err.contains("it asks for 1 GPU, and the run is given none"), "{}", told.err);
    assert_eq!(told.text(), "{}\n");
    let some = run("run", &["engine.devices=['7']", "stage.give_back.resources.gpus=2"]);
    assert!(some.err.contains("it asks for 2 GPUs, and the run is given 1"), "{}", some.err);
    assert_eq!(some.code, Some(0));
}

#[test]
fn cores_beyond_the_machine_are_told_in_a_sentence() {
    let folder =
        Folder::new("[[stage]]\npython = \"stages.py:give_back\"\nresources = { cpus = 64 }\n");
    let run = folder.run_with(&["run", "pipeline.toml", "--set", "engine.cpus=2"], "{}\n");
    let words = "warning: stage `give_back`: it asks for 64 cores for each worker, and the run has 2: \
        its workers share these with the other stages";
    assert!(run.err.contains(words), "{}", run.err);
    assert_eq!(run.text(), "{}\n");
}
