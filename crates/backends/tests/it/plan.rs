//! Plans that are read and refused before any stage runs.

use backends::{ExecutorExt, LocalExecutor, Plan};
use envspec::RuntimeEnv;
use serde_json::json;
use stage::Pipeline;

use crate::support::{local, numbers, python};

const PASS: &str = "class Stage:\n def process(self, task): return task";

/// The check alone, as `curator plan` makes it, knows what the run would refuse.
#[test]
fn what_the_local_executor_cannot_serve_is_refused_before_any_work() {
    let first = "no environment for stage `stage`\n  caused by: ";
    for (env, words) in [
        (r#"{ "conda": "some" }"#, "the field `conda` of the runtime_env of stage `stage`"),
        (r#"{ "working_dir": "/no-such" }"#, &format!("{first}`working_dir` names `/no-such`")),
        (
            r#"{ "py_modules": ["/no-such.py"] }"#,
            &format!("{first}`py_modules` names `/no-such.py`"),
        ),
    ] {
        let env = RuntimeEnv::from_json(env).unwrap();
        let pipeline = Pipeline::new("test").with_stage(python(PASS).with_runtime_env(env));
        let plan = Plan::new(&pipeline).unwrap();
        let executors = [LocalExecutor::default(), LocalExecutor::default().with_devices(["0"])];
        let checked = executors.map(|executor| executor.check(&plan).unwrap_err().report());
        let run = local().run(&pipeline, numbers(1)).unwrap_err().report();
        for report in checked.iter().chain([&run]) {
            assert!(report.contains(words), "{report}");
        }
    }
}

#[test]
fn a_missing_requirements_file_is_named_with_its_stage() {
    let env = RuntimeEnv::from_json(r#"{ "uv": "no-such-file.txt" }"#).unwrap();
    let pipeline = Pipeline::new("test").with_stage(python(PASS).with_runtime_env(env));
    let error = Plan::new(&pipeline).unwrap_err();
    let report = error.report();
    assert!(report.contains("the runtime_env of stage `stage` cannot be used"), "{report}");
    assert!(report.contains("no-such-file.txt"), "{report}");
}

#[test]
fn variables_and_folders_reach_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("own_module");
    std::fs::create_dir(&module).unwrap();
    std::fs::write(module.join("__init__.py"), "VALUE = 5").unwrap();
    std::fs::write(dir.path().join("beside.py"), "").unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let text = r#"
import importlib.util, os
import own_module
class Stage:
    def process(self, task):
        return {
            "value": own_module.VALUE,
            "var": os.environ["VAR"],
            "cwd": os.getcwd(),
            "beside": importlib.util.find_spec("beside") is not None,
            "home": os.environ.get("PYTHONHOME"),
        }
"#;
    let env = RuntimeEnv::new()
        .with_env_var("VAR", "<${HOME}>")
        .with_working_dir(work.to_str().unwrap())
        .with_py_modules([module.to_str().unwrap()]);
    let pipeline = Pipeline::new("test").with_stage(python(text).with_runtime_env(env));
    let report = local().run(&pipeline, numbers(1)).unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    let work = work.canonicalize().unwrap();
    assert_eq!(
        report.outputs[0].data.as_json().unwrap(),
        &json!({ "value": 5, "var": format!("<{home}>"), "cwd": work, "beside": false, "home": null })
    );
}

#[test]
fn a_prebuilt_interpreter_is_used_as_it_is() {
    let python3 = which::which("python3").unwrap();
    let text = "import sys\nclass Stage:\n def process(self, task): return sys.flags.optimize";
    let command = format!("'{}' -O", python3.display());
    for (env, optimize) in
        [(RuntimeEnv::python(&python3), 0), (RuntimeEnv::new().with_py_executable(command), 1)]
    {
        let pipeline = Pipeline::new("test").with_stage(python(text).with_runtime_env(env));
        let report = local().run(&pipeline, numbers(1)).unwrap();
        assert_eq!(report.outputs[0].data.as_json().unwrap(), &json!(optimize));
        assert_eq!(serde_json::to_value(report.environments[0].state).unwrap(), "prebuilt");
    }
}

#[test]
fn arguments_are_an_object_or_a_list() {
    let pipeline = Pipeline::new("test").with_stage(python(PASS).with_args(json!("text")));
    let report = Plan::new(&pipeline).unwrap_err().report();
    assert!(
        report.contains("`args` is neither a table of keyword arguments nor a list"),
        "{report}"
    );
}

#[test]
fn the_block_of_a_stages_file_is_what_it_asks_for_unless_it_names_packages() {
    let dir = tempfile::tempdir().unwrap();
    let block = "# /// script\n# dependencies = ['six==1.16.0']\n# ///\n";
    std::fs::write(dir.path().join("with.py"), format!("{block}{PASS}")).unwrap();
    std::fs::write(dir.path().join("without.py"), PASS).unwrap();
    let asked = |file: &str, own: Option<RuntimeEnv>, default: Option<RuntimeEnv>| {
        let stage = stage::PythonStage::from_file(file, "Stage");
        let stage = own.into_iter().fold(stage, stage::PythonStage::with_runtime_env);
        let pipeline = Pipeline::new("test").with_stage(stage).with_dir(dir.path());
        let pipeline = default.into_iter().fold(pipeline, Pipeline::with_runtime_env);
        let plan = Plan::new(&pipeline).unwrap();
        let install = plan.stages()[0].env().and_then(|env| env.install.as_ref());
        install.map(|it| (it.tool.to_string(), it.requirements[0].to_string()))
    };
    let pair = |tool: &str, line: &str| Some((tool.to_owned(), line.to_owned()));
    let block = pair("uv", "six==1.16");
    assert_eq!(asked("with.py", None, None), block);
    assert_eq!(asked("with.py", Some(RuntimeEnv::new().with_env_var("A", "1")), None), block);
    assert_eq!(asked("with.py", None, Some(RuntimeEnv::pip(["idna"]))), block);
    assert_eq!(asked("with.py", Some(RuntimeEnv::pip(["idna"])), None), pair("pip", "idna"));
    assert_eq!(asked("with.py", Some(RuntimeEnv::new()), None), None);
    assert_eq!(asked("without.py", None, Some(RuntimeEnv::pip(["idna"]))), pair("pip", "idna"));
    assert_eq!(asked("without.py", None, None), None);
}
