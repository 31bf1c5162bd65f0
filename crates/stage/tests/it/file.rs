//! The pipeline file.
//!
//! - A pipeline of Python stages, written and read again in the same folder, is the same.
//! - No text makes the reader panic, and its errors show no value of the text.

use std::path::{Path, PathBuf};

use envspec::RuntimeEnv;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use stage::strategies::{pipeline, python_pipeline};
use stage::{
    BaseSpec, Error, Isolation, Pipeline, PipelineFile, PythonSource, Resources, RustStage, Task,
    Workers,
};

proptest! {
    #[test]
    fn a_pipeline_survives_its_file(pipeline in python_pipeline()) {
        let text = pipeline.to_toml().unwrap();
        // The empty folder leaves relative paths as they are.
        let again = Pipeline::from_toml(&text, "").unwrap();
        prop_assert_eq!(again, pipeline.with_dir(""), "{}", text);
    }

    #[test]
    fn writing_any_pipeline_ends_well_or_with_an_error(pipeline in pipeline()) {
        if let Err(error) = pipeline.to_toml() {
            prop_assert!(matches!(error, Error::RustCode { .. }), "{}", error);
        }
    }

    #[test]
    fn any_text_is_a_pipeline_or_refused(text in any::<String>()) {
        drop(Pipeline::from_toml(&text, "/dir"));
    }

    #[test]
    fn a_damaged_file_is_a_pipeline_or_refused(
        pipeline in python_pipeline(),
        cut in any::<(Index, Index)>(),
        patch in select(&["", "\"", "[", "]]", "=", "x = 1\n", "{", "nan", "1979-05-27", "\0", "é"][..]),
    ) {
        let text = pipeline.to_toml().unwrap();
        let boundaries: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
        let boundary = |cut: Index| *cut.get(&boundaries);
        let (from, to) = (boundary(cut.0), boundary(cut.1));
        let damaged = format!("{}{patch}{}", &text[..from], &text[to..]);
        if let Err(error) = Pipeline::from_toml(&damaged, "/dir") {
            let Error::File { line, column, .. } = error else { panic!("{error}") };
            prop_assert!(line >= 1 && line <= damaged.matches('\n').count() + 1);
            prop_assert!(column >= 1 && column <= damaged.chars().count() + 1);
        }
    }
}

fn refused(text: &str) -> Error {
    Pipeline::from_toml(text, "/dir").expect_err("the text is no pipeline")
}

#[test]
fn every_field_of_a_file_is_read() {
    let text = r#"
name = "demo"
description = "shows all"
base = { uv = ["packaging==26.0"] }
runtime_env = { pip = ["a==1"] }

[[stage]]
name = "first"
python = "stages.py:Clean"
args = { language = "en", depth = 2 }
runtime_env = { uv = ["packaging==24.0"] }
resources = { cpus = 0.5, gpu_memory_gb = 8 }
batch_size = 4
num_workers = 2
inputs = ["text"]
outputs = ["text"]
task_timeout_seconds = 1.5
isolation = "full"
max_attempts = 3
recycle_after_tasks = 1000
preload = ["numpy"]
ray_stage_spec = { is_actor_stage = true }
xenna_stage_spec = { slots_per_actor = 2 }

[[stage]]
python = "package.module:Outer.Name"
num_workers_per_node = 1.5

[[stage]]
name = "inline"
python = "Inline"
source = "class Inline: ..."
args = ["positional"]
"#;
    let pipeline = Pipeline::from_toml(text, "/dir").unwrap();
    assert_eq!(pipeline.description(), Some("shows all"));
    assert_eq!(pipeline.dir(), Some(Path::new("/dir")));
    assert_eq!(pipeline.base(), Some(&BaseSpec::from(RuntimeEnv::uv(["packaging==26.0"]))));
    assert_eq!(pipeline.runtime_env(), Some(&RuntimeEnv::pip(["a==1"])));
    let built = pipeline.build().unwrap();
    let [first, named, inline] = built.stages() else { panic!("three stages") };

    let settings = first.settings();
    assert_eq!(settings.runtime_env, Some(RuntimeEnv::uv(["packaging==24.0"])));
    assert_eq!(settings.resources, Resources::cpus(0.5).with_gpu_memory_gb(8.0));
    assert_eq!((settings.batch_size, settings.workers), (Some(4), Workers::Fixed(2)));
    assert_eq!(settings.task_timeout, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(settings.isolation, Some(Isolation::Full));
    assert_eq!((settings.max_attempts, settings.recycle_after), (Some(3), Some(1000)));
    assert_eq!(settings.preload, Some(["numpy"].into()));
    assert_eq!(settings.ray_options["is_actor_stage"], true);
    assert_eq!(settings.xenna_options["slots_per_actor"], 2);
    let code = first.behaviour().as_python().unwrap();
    assert_eq!(code.source(), &PythonSource::File(PathBuf::from("/dir/stages.py")));
    assert_eq!(code.args(), &json!({ "language": "en", "depth": 2 }));

    assert_eq!((named.name(), named.settings().workers), ("Name", Workers::PerNode(1.5)));
    let code = inline.behaviour().as_python().unwrap();
    assert_eq!(code.source(), &PythonSource::Inline("class Inline: ...".to_owned()));
    assert_eq!(code.args(), &json!(["positional"]));
}

#[test]
fn the_path_of_a_base_is_relative_to_the_file() {
    let base = |text: &str| {
        let text = format!("name = \"p\"\nbase = {text}");
        Pipeline::from_toml(&text, "/dir").map(|pipeline| pipeline.base().cloned())
    };
    assert_eq!(base("'venv'").unwrap(), Some(BaseSpec::Python("/dir/venv".into())));
    assert_eq!(
        base("'/usr/bin/python3'").unwrap(),
        Some(BaseSpec::Python("/usr/bin/python3".into()))
    );
    assert!(base("''").is_err());
    assert!(base("1").is_err());
}

#[test]
fn an_unknown_field_is_refused_where_it_stands_with_the_nearest() {
    let error = refused("name = \"p\"\n\n[[stage]]\npython = \"a.py:B\"\nbacth_size = 1\n");
    assert!(matches!(error, Error::File { line: 5, column: 1, .. }), "{error}");
    assert!(error.to_string().contains("unknown field `bacth_size`"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("did you mean `batch_size`?"));
    for (text, nearest) in [
        ("nmae = \"p\"", "name"),
        ("name = \"p\"\n[[stages]]\npython = \"a:B\"", "stage"),
        ("name = \"p\"\n[[stage]]\npython = \"a:B\"\nresources = { cpu = 1 }", "cpus"),
        ("name = \"p\"\n[[stage]]\npython = \"a:B\"\nruntime-env = {}", "runtime_env"),
    ] {
        let error = refused(text);
        assert_eq!(error.hint().unwrap(), format!("did you mean `{nearest}`?"), "{text}");
    }
}

#[test]
fn wrong_values_are_refused_where_they_stand() {
    for (line, word) in [
        ("batch_size = \"4\"", "a whole number"),
        ("batch_size = -1", "a whole number"),
        ("batch_size = true", "a whole number"),
        ("num_workers = 1\nnum_workers_per_node = 1.0", "exclude each other"),
        ("isolation = \"none\"", "shared"),
        ("task_timeout_seconds = -1", "negative"),
        ("args = { when = 1979-05-27 }", "dates"),
        ("args = { what = nan }", "number"),
        ("ray_stage_spec = [1]", "table"),
        ("python = \"c.py:D\"", "duplicate"),
        ("source = 1", "string"),
    ] {
        let error = refused(&format!("name = \"p\"\n[[stage]]\npython = \"a.py:B\"\n{line}"));
        assert!(matches!(error, Error::File { line: 2.., .. }), "{line}: {error}");
        assert!(error.to_string().contains(word), "{line}: {error}");
    }
    assert!(refused("name = \"p\"\n[[stage]]\nname = \"a\"").to_string().contains("`python`"));
    let error = refused("name = \"p\"\n[[stage]]\npython = \"a.py\"").to_string();
    assert!(error.contains("file.py:Name"), "{error}");
}

/// TOML has dates, and numbers that are not finite; JSON has neither. Wherever a file takes values that
/// pass on as JSON, they are refused where they stand, and never become something else in silence.
#[test]
fn what_json_lacks_is_refused_wherever_json_goes_on() {
    let stage = "[[stage]]\npython = \"a.py:B\"\n";
    for (value, word) in [("1979-05-27", "dates"), ("nan", "number"), ("[{ a = -inf }]", "number")]
    {
        for place in [
            format!("{stage}args = {{ a = VALUE }}"),
            format!("{stage}ray_stage_spec = {{ a = VALUE }}"),
            format!("{stage}xenna_stage_spec = {{ a = VALUE }}"),
            format!("{stage}runtime_env = {{ conda = {{ a = VALUE }} }}"),
            format!("{stage}runtime_env = {{ working_dir = VALUE }}"),
            "runtime_env = { nsight = VALUE }".to_owned(),
            "base = { uv = [\"a\"], conda = VALUE }".to_owned(),
            "[engine.init]\na = VALUE".to_owned(),
            "[engine.options]\na = VALUE".to_owned(),
        ] {
            let text = format!("name = \"p\"\n{}", place.replace("VALUE", value));
            let error = refused(&text);
            assert!(matches!(error, Error::File { line: 2.., .. }), "{text}: {error}");
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_overflows_no_stack() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let value = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        refused(&format!("name = \"p\"\n[[stage]]\npython = \"a:B\"\nargs = {value}"));
        refused(&format!("name = \"p\"\nbase = {value}"));
    }
}

#[test]
fn an_error_quotes_no_line_and_no_text() {
    for text in [
        "name = \"p\"\nruntime_env = { env_vars = { TOKEN = \"hush\" }, pipp = [] }",
        "name = \"p\"\nruntime_env = { env_vars = { TOKEN = [\"hush\"] } }",
        "name = \"p\"\nruntime_env = { env_vars = { TOKEN = \"hush\" }",
        "name = \"p\"\n[[stage]]\npython = \"a:B\"\nbatch_size = \"hush\\\", expected x\"",
        "name = \"p\"\n[[stage]]\npython = \"a:B\"\nargs = { token = \"hush\", token = 1 }",
    ] {
        let error = refused(text);
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn what_a_file_cannot_hold_is_not_written() {
    let pass =
        RustStage::from_fn("pass", |task: Task, _: &mut stage::Context| Ok::<_, Error>(task));
    let error = Pipeline::new("p").with_stage(pass).to_toml().unwrap_err();
    assert!(matches!(error, Error::RustCode { stage } if stage == "pass"));
    let submodule = stage::PythonStage::from_module("package.py", "B");
    let error = Pipeline::new("p").with_stage(submodule).to_toml().unwrap_err();
    assert!(matches!(error, Error::Setting { setting: "python", .. }));
    let null = stage::PythonStage::from_module("a", "B").with_args(json!({ "a": null }));
    let error = Pipeline::new("p").with_stage(null).to_toml().unwrap_err();
    assert!(matches!(error, Error::ToFile { .. }));
}

/// The cost of a file grows linearly: if each field searched all fields before it, this would take
/// many minutes. Nothing here measures time.
#[test]
fn a_file_of_very_many_stages_is_read_in_one_go() {
    const MANY: usize = 6000;
    let stage = |index: usize, inputs: &str| {
        let keys = format!("inputs = [{inputs}], outputs = [\"k{index}\"]");
        format!("{{ name = \"é{index}\", python = \"a.py:B\", {keys} }}")
    };
    let text = |inputs: &str, between: &str| {
        let mut stages: Vec<_> = (0..MANY).map(|index| stage(index, "")).collect();
        stages.push(stage(MANY, inputs));
        format!("name = \"many\"\nstage = [{}]", stages.join(between))
    };
    for between in [",", ",\n"] {
        let file = PipelineFile::from_toml(&text("\"k0\", \"k7\"", between), "/dir").unwrap();
        assert_eq!(file.build().unwrap().stages().len(), MANY + 1);
        let text = text("\"missing\"", between);
        let error = PipelineFile::from_toml(&text, "/dir").unwrap().build().unwrap_err();
        let Error::At { line, column, source } = error else { panic!("{error}") };
        assert!(matches!(*source, Error::MissingInput { .. }), "{source}");
        let last = text.lines().nth(line - 1).unwrap();
        let rest: String = last.chars().skip(column - 1).collect();
        assert!(rest.starts_with("inputs = [\"missing\"]"), "{line}:{column}");
    }
}

/// Law: a value of a pipeline comes as it is written, or is refused by its field.
#[test]
fn what_a_reader_would_alter_is_refused_by_its_field() {
    let json = |args: &str| {
        let text =
            format!("{{\"name\": \"p\",\n\"stage\": [{{\"python\": \"a:B\", \"args\": {args}}}]}}");
        PipelineFile::from_json(&text, "/dir").map(|file| args_of(&file))
    };
    for (args, words) in [
        (r#"{"n": [0, 1e400]}"#, "`stage[0].args.n[1]`: 1e400 is too large"),
        (r#"{"n": {"m": -2.5E+999}}"#, "`stage[0].args.n.m`: -2.5E+999 is too large"),
        (r#"{"n": 1, "m": {}, "n": 1}"#, "`stage[0].args`: the key `n` stands twice"),
        (r#"{"\u006e": 1, "n": 1}"#, "the key `n` stands twice"),
        (r#"{"$serde_json::private::Number": "1"}"#, "the key `$serde_json::private::Number` has"),
        (r#"[{"\u0024serde_json::private::RawValue": "1"}]"#, "private::RawValue` has a meaning"),
        (r#"{"$__toml_private_datetime": "1979-05-27"}"#, "`$__toml_private_datetime` has a mean"),
        (r#"{"n": ["\ud800"]}"#, "`stage[0].args.n[0]`: half of a surrogate pair"),
        (r#"{"n": NaN}"#, "expected value"),
        (r#"{"n": Infinity}"#, "expected value"),
    ] {
        let error = json(args).expect_err(args);
        assert!(matches!(error, Error::File { line: 2, .. }), "{args}: {error:?}");
        assert!(error.to_string().contains(words), "{args}: {error}");
    }
    let text = r#"{"name": "p", "name": "q", "stage": []}"#;
    let error = PipelineFile::from_json(text, "/dir").unwrap_err().to_string();
    assert!(error.contains("the key `name` stands twice"), "{error}");
    // What is no fault comes exactly.
    let huge = "9".repeat(400);
    let args = format!(
        r#"{{"b":{huge},"a":-0.0,"c":[1e-400,{{"b":1}},{{"b":1}}],"d":"$serde_json::private::Number"}}"#
    );
    assert_eq!(json(&args).unwrap(), args);

    let toml = |args: &str| {
        let text = format!("name = \"p\"\n[[stage]]\npython = \"a:B\"\nargs = {args}");
        PipelineFile::from_toml(&text, "/dir").map(|file| args_of(&file))
    };
    for (args, words) in [
        ("{ n = nan }", "`stage[0].args.n`: JSON has no number NaN: write it in quotes"),
        ("{ n = [-inf] }", "`stage[0].args.n[0]`: JSON has no number -inf"),
        ("{ n = 1e400 }", "1e400"),
        ("{ n = 1979-05-27T07:32:00Z }", "JSON has no dates: write it in quotes"),
        ("{ n = 07:32:00 }", "JSON has no dates: write it in quotes"),
        ("{ \"$serde_json::private::Number\" = \"1\" }", "private::Number` has a meaning"),
        ("[{ \"\\u0024serde_json::private::RawValue\" = \"1\" }]", "RawValue` has a meaning"),
    ] {
        let error = toml(args).expect_err(args);
        assert!(matches!(error, Error::File { line: 4, .. }), "{args}: {error:?}");
        assert!(error.to_string().contains(words), "{args}: {error}");
    }

    let file =
        PipelineFile::from_toml("name = \"p\"\n[[stage]]\npython = \"a:B\"", "/dir").unwrap();
    for (value, words) in [
        ("1e400", "1e400 is too large"),
        ("nan", "JSON has no number NaN"),
        ("1979-05-27", "JSON has no dates"),
        ("{ \"$serde_json::private::Number\" = \"1\" }", "private::Number` has a meaning"),
    ] {
        let error = format!("stage.B.args.n={value}").parse::<stage::Assignment>().unwrap_err();
        assert!(error.to_string().contains(words), "{value}: {error}");
    }
    let set = format!("stage.B.args.n={huge}").parse().unwrap();
    assert_eq!(args_of(&file.with_assignments(&[set]).unwrap()), format!(r#"{{"n":{huge}}}"#));
}

fn args_of(file: &PipelineFile) -> String {
    let built = file.build().expect("a pipeline");
    built.stages()[0].behaviour().as_python().expect("Python").args().to_string()
}
