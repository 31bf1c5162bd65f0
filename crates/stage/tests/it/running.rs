//! The pipeline file in JSON, its settings for a run, and changes from outside.

use stage::{Backend, Error, FailurePolicy, PipelineFile, RayEnvironments, Workers};

const TEXT: &str = r#"
name = "demo"
failure_policy = "record"
engine = { cpus = 3 }

[[stage]]
python = "stages.py:Clean"
num_workers = 2

[[stage]]
name = "v2.0"
python = "stages.py:Tag"
batch_size = 0
"#;

fn file() -> PipelineFile {
    PipelineFile::from_toml(TEXT, "/dir").expect("the text is a pipeline")
}

fn changed(assignments: &[&str]) -> Result<PipelineFile, Error> {
    let assignments: Vec<_> =
        assignments.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    file().with_assignments(&assignments)
}

#[test]
fn how_it_is_to_be_run_is_read() {
    assert_eq!(file().failure_policy(), Some(FailurePolicy::Record));
    assert_eq!((file().engine().backend, file().engine().cpus), (Backend::Local, Some(3)));
    let least = PipelineFile::from_toml("name = 'p'", "/dir").unwrap();
    assert_eq!(least.failure_policy(), None);
    assert_eq!(least.engine(), &stage::Engine::default());
}

#[test]
fn an_engine_on_ray_has_its_settings() {
    let text = "name = 'p'\n[engine]\nbackend = 'xenna'\naddress = 'head:6379'\n\
                ray_env = 'native'\ninit = { _redis_password = 'hunter2' }\n\
                options = { execution_mode = 'batch' }";
    let file = PipelineFile::from_toml(text, "/dir").unwrap();
    let engine = file.engine();
    assert_eq!(engine.backend, Backend::Xenna);
    assert_eq!(engine.address.as_deref(), Some("head:6379"));
    assert_eq!(engine.ray_env, Some(RayEnvironments::Native));
    assert_eq!(engine.options["execution_mode"], "batch");
    assert!(!format!("{file:?}").contains("hunter2"));
    let changed = file.with_assignments(&["engine.num_cpus=8".parse().unwrap()]).unwrap();
    assert_eq!(changed.engine().num_cpus, Some(8.0));
    for backend in Backend::ALL {
        assert_eq!(backend.to_string().parse::<Backend>().unwrap(), backend);
    }
}

#[test]
fn json_is_read_as_toml_is() {
    let json = r#"{"name": "p", "base": "venv", "stage": [{"python": "a.py:B", "batch_size": 2}]}"#;
    let toml = "name = 'p'\nbase = 'venv'\n[[stage]]\npython = 'a.py:B'\nbatch_size = 2";
    let read = PipelineFile::from_json(json, "/dir").unwrap().pipeline();
    assert_eq!(read, PipelineFile::from_toml(toml, "/dir").unwrap().pipeline());
}

#[test]
fn an_error_tells_line_and_field() {
    let json = "{\n \"name\": \"p\",\n \"stage\": [{\"python\": \"a:B\"},\n  {\"python\": \"a:B\",\n   \
                \"bacth_size\": 2}]\n}";
    let error = PipelineFile::from_json(json, "/dir").unwrap_err();
    assert!(matches!(error, Error::File { line: 5, .. }), "{error}");
    assert!(error.to_string().contains("`stage[1].bacth_size`"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("did you mean `batch_size`?"));

    for (json, line) in [("{\n\"name\": \"p\"", 2), ("", 1), ("{\"name\": \"p\"} 1", 1), ("[]", 1)]
    {
        let error = PipelineFile::from_json(json, "/dir").unwrap_err();
        assert!(matches!(error, Error::File { line: at, .. } if at == line), "{json}: {error}");
    }

    let toml = "name = \"p\"\n[[stage]]\npython = \"a:B\"\n[stage.resources]\ncpu = 1";
    let error = PipelineFile::from_toml(toml, "/dir").unwrap_err().to_string();
    assert!(error.starts_with("line 5, column 1: `stage[0].resources.cpu`: unknown"), "{error}");
    let toml = "name = \"p\"\nruntime_env = { pipp = [] }";
    let error = PipelineFile::from_toml(toml, "/dir").unwrap_err().to_string();
    assert!(error.starts_with("line 2, ") && error.contains("`runtime_env`"), "{error}");
}

#[test]
fn what_is_found_wrong_later_is_told_with_its_line() {
    let error = file().build().unwrap_err();
    assert!(matches!(error, Error::At { line: 13, column: 1, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "line 13, column 1: stage `v2.0`: `batch_size` is 0, and a batch holds at least one task"
    );
    let twice = "name = 'p'\n[[stage]]\npython = 'a:B'\n\n[[stage]]\npython = 'a:B'";
    let error = PipelineFile::from_toml(twice, "/dir").unwrap().build().unwrap_err();
    assert!(matches!(error, Error::At { line: 5, .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("B_2")));
}

#[test]
fn fields_are_changed_from_outside() {
    let built = changed(&[
        "stage.\"v2.0\".batch_size=8",
        "stage.Clean.num_workers_per_node = 1.5",
        "stage.Clean.args.depth=3",
        "stage.Clean.args.path = \"a=b\"",
        "stage.Clean.resources={ cpus = 0.5 }",
        "stage.Clean.runtime_env.uv=['packaging==24.0']",
        "failure_policy=\"fail-fast\"",
        "engine.cpus=1",
        "engine.cpus=2",
    ])
    .unwrap();
    assert_eq!(
        (built.failure_policy(), built.engine().cpus),
        (Some(FailurePolicy::FailFast), Some(2))
    );
    let built = built.build().unwrap();
    assert_eq!(built.stages()[1].settings().batch_size, Some(8));
    let clean = &built.stages()[0];
    assert_eq!(clean.settings().workers, Workers::PerNode(1.5));
    assert!((clean.settings().resources.cpus - 0.5).abs() < 1e-9);
    let args = clean.behaviour().as_python().unwrap().args();
    assert_eq!(args, &serde_json::json!({ "depth": 3, "path": "a=b" }));
    assert!(clean.settings().runtime_env.is_some());
}

#[test]
fn a_wrong_change_is_told_by_its_key() {
    for (text, words) in [
        ("stage.Claen.batch_size=8", "no stage named `Claen`"),
        ("stage.Clean.bacth_size=8", "`stage.Clean.bacth_size`: unknown field"),
        ("stage.Clean.batch_size=\"hush\"", "`stage.Clean.batch_size`: invalid type"),
        ("stage.Clean", "no `=`"),
        ("stage.Clean=1", "a field of the stage"),
        ("stage=1", "name and field"),
        ("name.a=1", "no table"),
        ("stage.Clean.isolation=full", "in quotes"),
        ("stage.Clean.args.when=1979-05-27", "JSON has no dates"),
        ("stage..a=1", "no key"),
        ("failure_policy=\"never\"", "`failure_policy`: unknown variant"),
        (
            "engine.cpus=0",
            "`engine.cpus`: invalid value: integer `0`, expected a whole number from 1 on",
        ),
    ] {
        let error = changed(&[text]).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
    let error = changed(&["stage.Claen.batch_size=8"]).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean `Clean`?"));
    // Of several changes, the error names the wrong one.
    let error = changed(&["engine.cpus=1", "stage.\"v2.0\".batch_size=-1"]).unwrap_err();
    assert!(error.to_string().contains("stage.v2.0.batch_size"), "{error}");
}
