//! A worker reports its code's declarations, and they are compared with the pipeline: no difference
//! passes silently, and a stage that would run in the wrong environment does not run. (`classes.rs`
//! has the declarations before a run.)

use backends::{Error, Event};
use envspec::RuntimeEnv;
use serde_json::json;
use stage::{Overrides, Pipeline, PythonStage, Resources};

use crate::support::{local, numbers, outputs, python, watched};

/// Returns the warnings of a run of one stage, and how the run ends.
fn told(stage: PythonStage) -> (Result<usize, Error>, Vec<String>) {
    told_of(&Pipeline::new("test").with_stage(stage))
}

fn told_of(pipeline: &Pipeline) -> (Result<usize, Error>, Vec<String>) {
    let (result, events) = watched(&local(), pipeline, numbers(40));
    let warnings = events.into_iter().filter_map(|event| match event {
        Event::Warning { message, .. } => Some(message),
        _ => None,
    });
    (result.map(|report| report.outputs.len()), warnings.collect())
}

/// Returns a stage class with these lines before its `process`.
fn class(lines: &str) -> PythonStage {
    python(&text(lines))
}

fn text(lines: &str) -> String {
    format!("class Stage:\n{lines}\n    def process(self, task):\n        return task\n")
}

const ENV: &str = r#"{"env_vars": {"COLOUR": "red"}}"#;

fn env() -> RuntimeEnv {
    RuntimeEnv::new().with_env_var("COLOUR", "red")
}

#[test]
fn the_runtime_env_of_the_plan_may_be_declared_in_any_form() {
    let packages = RuntimeEnv::uv(["Packaging == 24.0.0"]).with_env_var("A", "1");
    let forms = [
        (env(), ENV),
        (packages.clone(), r#"{"uv": ["packaging==24.0"], "env_vars": {"A": "1"}}"#),
        (
            packages.clone(),
            r#"{"uv": {"packages": ["packaging==24.0"]}, "env_vars": {"A": "1"}, "config": {"setup_timeout_seconds": 9}}"#,
        ),
        (RuntimeEnv::new(), "{}"),
        (RuntimeEnv::new(), "None"),
        (env(), "None"),
    ];
    for (planned, declared) in forms {
        let own = class(&format!("    runtime_env = {declared}\n"));
        // As the plan would run the stage; comparing needs no build.
        let is_built = planned.packages().is_some();
        let of_entry =
            Pipeline::new("test").with_stage(own.clone().with_runtime_env(planned.clone()));
        let of_default = Pipeline::new("test").with_runtime_env(planned).with_stage(own);
        if is_built {
            continue;
        }
        for pipeline in [of_entry, of_default] {
            let (result, warnings) = told_of(&pipeline);
            assert_eq!(result.unwrap(), 40, "{declared}");
            assert_eq!(warnings, [""; 0], "{declared}");
        }
    }
    // What the class adds to the pipeline's default is what the entry would have added.
    let default = Pipeline::new("test").with_runtime_env(env().with_env_var("B", "2"));
    let pipeline = default.with_stage(class(&format!("    runtime_env = {ENV}\n")));
    assert_eq!(told_of(&pipeline).0.unwrap(), 40);
}

#[test]
fn an_entry_that_sets_a_runtime_env_overrides_the_declared_one_and_that_is_told_once() {
    let stage = class(&format!("    runtime_env = {ENV}\n")).with_num_workers(3);
    let other = RuntimeEnv::new().with_env_var("COLOUR", "blue");
    for stage in [
        stage.clone().with_runtime_env(other.clone()),
        stage.with_(Overrides::default().with_runtime_env(other.clone())),
        stage.clone().with_runtime_env(RuntimeEnv::new()),
    ] {
        let (result, warnings) = told(stage);
        assert_eq!(result.unwrap(), 40);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("overrides the runtime_env that its code declares"), "{warning}");
        assert!(warning.contains(r#"{"env_vars":{"COLOUR":"red"}}"#), "{warning}");
    }
}

#[test]
fn a_runtime_env_that_cannot_be_read_or_used_ends_the_run_as_well() {
    for (lines, words) in [
        (
            "    @property\n    def runtime_env(self): raise RuntimeError('later')\n",
            "RuntimeError: later",
        ),
        ("    @property\n    def runtime_env(self): raise SystemExit(3)\n", "SystemExit: 3"),
        ("    async def runtime_env(self): return {}\n", "coroutine"),
        ("    runtime_env = {'uv': {1, 2}}\n", "runtime_env['uv'] is a builtins.set"),
        ("    runtime_env = object()\n", "runtime_env is a builtins.object"),
        ("    runtime_env = {'env_vars': {'A': 'x' * 100_000}}\n", "characters"),
        ("    runtime_env = {'vu': ['six']}\n", "`vu`"),
        ("    runtime_env = 'requirements.txt'\n", "as its code declares it, makes no sense"),
    ] {
        let error = told(class(lines)).0.expect_err(lines);
        let is_told = matches!(error, Error::DeclaredEnv { .. } | Error::Pipeline { .. });
        assert!(is_told, "{lines}: {error:?}");
        assert!(error.report().contains(words), "{lines}: {}", error.report());
        let (result, warnings) = told(class(lines).with_runtime_env(RuntimeEnv::new()));
        assert_eq!((result.unwrap(), warnings.len()), (40, 1), "{lines}: {warnings:?}");
    }
}

#[test]
fn other_settings_that_cannot_be_used_are_told_once_and_stop_nothing() {
    for (lines, words) in [
        (
            "    resources = {'cpus': 1, 'nvdecs': 1}\n",
            r#"`resources` {"cpus":1,"nvdecs":1}, and the pipeline has cpus 1"#,
        ),
        ("    resources = object()\n", "`resources`, which cannot be read"),
        ("    resources = 3\n", "`resources`, which cannot be read"),
        ("    batch_size = 'many'\n", r#"`batch_size` "many", and the pipeline has 1"#),
        ("    num_workers = 1.5\n", "`num_workers` 1.5, and the pipeline has none"),
        (
            "    def outputs(self): raise NotImplementedError\n",
            "`outputs`, which cannot be read: NotImplementedError",
        ),
        ("    outputs = 3\n", "`outputs`, which cannot be read"),
        (
            "    runtime_envs = {}\n",
            "`runtime_envs`, which is no setting and no hook: `runtime_env` is the nearest",
        ),
        ("    runtimeenv = {}\n", "`runtime_env` is the nearest"),
        ("    batchsize = 4\n", "`batch_size` is the nearest"),
        ("    def batchsize(self): return 4\n", "`batch_size` is the nearest"),
        ("    def runtime_envs(self): return {}\n", "`runtime_env` is the nearest"),
        ("    def __init__(self): self.bacth_size = 4\n", "`batch_size` is the nearest"),
        ("    n_workers = 4\n", "`num_workers` is the nearest"),
        ("    resource = {'cpus': 2}\n", "`resources` is the nearest"),
        ("    input = ['a']\n", "`inputs` is the nearest"),
    ] {
        let (result, warnings) = told(class(lines));
        assert_eq!(result.unwrap(), 40, "{lines}");
        let [warning] = &warnings[..] else { panic!("{lines}: {warnings:?}") };
        assert!(warning.contains(words), "{lines}: {warning}");
    }
}

#[test]
fn what_agrees_with_the_plan_or_declares_nothing_is_not_told() {
    let stage = class(
        "    batch_size = 8\n    resources = {'cpus': 2, 'nvdecs': 0, 'entire_gpu': False}\n    \
         outputs = ['n', 'm']\n    def inputs(self): return [], ['n']\n    def num_workers(self): \
         return 2\n    def process_batch(self, tasks): return [{**it.data, 'm': 0} for it in tasks]\n",
    );
    let stage = stage.with_batch_size(8).with_resources(Resources::cpus(2.0)).with_num_workers(2);
    for stage in [
        stage.with_inputs(["n"]).with_outputs(["m", "n"]),
        class("    batch_size = 1\n    resources = {'cpus': 1.0}\n    num_workers = None\n"),
        class("    def inputs(self): return [], []\n    def outputs(self): return [], []\n"),
        // Names with other meanings.
        class(
            "    def __init__(self): self.input, self.output, self.inner, self.results = 'in', open('/dev/null'), 3, []\n",
        ),
        class("    def inputs(self, task): return 3\n    def outputs(self, *, of): return 3\n"),
        class("    _batch_size = 3\n    numbers = [1]\n    runtime = 'x'\n    environment = {}\n"),
        class("    runtime_env: dict\n    batch_size: int\n"),
        class(
            "    def __getattr__(self, name): return lambda *args: None\n    setup = teardown = setup_on_node = process_batch = None\n",
        ),
    ] {
        let (result, warnings) = told(stage.clone());
        assert_eq!(result.unwrap(), 40, "{stage:?}");
        assert_eq!(warnings, [""; 0], "{stage:?}");
    }
}

#[test]
fn what_is_declared_hides_its_credentials() {
    let lines = "    runtime_env = {'uv': ['--index-url', 'https://me:hunter2@host/simple'], \
                 'env_vars': {'API_TOKEN': 'hunter2'}}\n";
    let forbidden = class(lines).with_declared(stage::Declared::Forbid);
    let error = told(forbidden).0.unwrap_err();
    let shown = format!("{} {error:?}", error.report());
    assert!(shown.contains("API_TOKEN") && !shown.contains("hunter2"), "{shown}");
}

/// The conformance cases of declarations, for this executor.
#[cfg(feature = "conformance")]
#[test]
fn the_cases_of_declarations_hold_here() {
    let executor =
        |policy| -> Box<dyn backends::Executor> { Box::new(local().with_failure_policy(policy)) };
    let setting = backends::conformance::Setting::new(&executor, "json");
    let names =
        ["what_code_declares_holds_unless_its_entry_sets_it", "a_stage_that_drops_all_is_told"];
    let cases = backends::conformance::cases().into_iter();
    let cases: Vec<_> = cases.filter(|case| names.contains(&case.name)).collect();
    assert_eq!(cases.len(), names.len());
    for case in &cases {
        case.run(&setting);
    }
}

/// Law: what a hook or a task declares comes too late for the plan, and is never ignored.
#[test]
fn a_declaration_after_the_plan_was_made_is_told() {
    let stage = |name: &str, line: &str| {
        let parameters = if name.starts_with("process") { "self, task" } else { "self" };
        let mut text = format!("class Stage:\n    def {name}({parameters}):\n        {line}\n");
        if name.starts_with("process") {
            text += "        return task\n";
        } else {
            text += "    def process(self, task): return task\n";
        }
        python(&text).with_num_workers(1)
    };
    for (name, line) in [
        ("setup", format!("self.runtime_env = {ENV}")),
        ("setup_on_node", format!("type(self).runtime_env = {ENV}")),
        ("process", format!("type(self).runtime_env = {ENV}")),
        ("process", format!("if task.data['n'] == 30: self.runtime_env = {ENV}")),
        ("process_batch", format!("self.runtime_env = {ENV}")),
    ] {
        let error = told(stage(name, &line)).0.expect_err(&line);
        assert!(matches!(error, Error::DeclaredEnv { .. }), "{line}: {}", error.report());
        let words = format!(r#"{{"env_vars":{{"COLOUR":"red"}}}} in `{name}`, after the plan"#);
        assert!(error.report().contains(&words), "{line}: {}", error.report());
    }
    let sets = format!("self.runtime_env = {ENV}");
    let cases = [
        ("setup", "self.batch_size = 8", "`batch_size` 8 in `setup`, after the plan was made, and"),
        ("setup", "self.resources = {'cpus': 2}", r#"`resources` {"cpus":2} in `setup`"#),
        ("setup_on_node", "self.num_workers = 3", "`num_workers` 3 in `setup_on_node`"),
        ("setup", "self.bacth_size = 8", "`batch_size` is the nearest"),
        ("process", "self.batch_size = task.data['n'] + 2", "in `process`"),
        ("process", "self.task_timeout_seconds = 5", "in `process`"),
        ("process", "self.max_attempts = 5", "in `process`"),
        ("setup", "self.isolation = 'full'", "`isolation` \"full\" in `setup`"),
        // The entry has the last word.
        ("process", &sets, "overrides the runtime_env"),
        // What is the plan's is no news, nor are names that work itself has.
        ("setup", &sets, ""),
        ("process", "self.inputs = self.outputs = ['a', 'b']", ""),
        ("process", "self.name = 'x'; self.output = ['a']", ""),
    ];
    let stages = cases.iter().enumerate().map(|(number, (name, line, words))| {
        let stage = stage(name, line).with_name(format!("stage{number}"));
        match (*line == sets, words.is_empty()) {
            (true, true) => stage.with_runtime_env(env()),
            (true, false) => stage.with_runtime_env(RuntimeEnv::new()),
            _ => stage,
        }
    });
    let (result, events) =
        watched(&local(), &Pipeline::new("test").with_stages(stages), numbers(40));
    assert_eq!(result.unwrap().outputs.len(), 40);
    for (number, (_, line, words)) in cases.iter().enumerate() {
        let of_stage = events.iter().filter_map(|event| match event {
            Event::Warning { stage, message } if *stage == Some(format!("stage{number}")) => {
                Some(message.as_str())
            }
            _ => None,
        });
        match (&of_stage.collect::<Vec<_>>()[..], *words) {
            ([], "") => {}
            ([warning], words) if !words.is_empty() && warning.contains(words) => {}
            (warnings, _) => panic!("{line}: {warnings:?}"),
        }
    }
}

/// A function that another one calls or wraps, and a method that does the work, declare for a stage.
#[test]
fn a_declaration_holds_through_what_is_around_a_function() {
    let head = format!(
        "import functools, os\nENV = {ENV}\n\ndef go(task, *rest):\n    \
         return {{'seen': [*task.data.get('seen', []), os.environ.get('COLOUR')]}}\n\
         def deco(f):\n    @functools.wraps(f, updated=())\n    \
         def inner(task, *rest): return f(task, *rest)\n    return inner\n"
    );
    let texts = [
        "go.runtime_env = ENV\nStage = functools.partial(go)\nStage.note = 1\n",
        "go.runtime_env = ENV\nStage = functools.partial(functools.partial(go))\n",
        "go.runtime_env = ENV\nStage = deco(go)\nStage.note = 1\n",
        "go.runtime_env = ENV\nStage = functools.partial(deco(deco(go)))\n",
        "class Own:\n    runtime_env = ENV\n    def go(self, task): return go(task)\n\
         Own.go.note = 1\nStage = functools.partial(Own().go)\n",
        "class Own:\n    runtime_env = ENV\n    def __call__(self, task): return go(task)\n\
         Stage = Own()\n",
        "class Own:\n    def __call__(self, task): return go(task)\n\
         Stage = functools.partial(Own())\nStage.func.runtime_env = ENV\n",
        "class Stage:\n    def process(self, task): return go(task)\n\
         Stage.process.runtime_env = ENV\n",
        "class Stage: pass\ngo.runtime_env = ENV\nStage.process = staticmethod(deco(go))\n",
        "class Own:\n    def __init__(self, env): self.runtime_env = env\n    \
         def process(self, task): return go(task)\nStage = functools.partial(Own, ENV)\n",
    ];
    let stages = texts.iter().enumerate().map(|(number, lines)| {
        python(&format!("{head}{lines}")).with_name(format!("stage{number}"))
    });
    let (result, events) =
        watched(&local(), &Pipeline::new("test").with_stages(stages), numbers(1));
    let report = result.unwrap_or_else(|error| panic!("{}", error.report()));
    let seen = serde_json::json!({ "seen": vec!["red"; 10] });
    assert_eq!(crate::support::outputs(&report)[0].1, seen);
    let warnings: Vec<_> =
        events.iter().filter(|event| matches!(event, Event::Warning { .. })).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Where the entry overrides what a class declares, the class's code sees what holds, from the first
/// hook on, in the form that it has declared it in. What has another meaning stays.
#[test]
fn the_code_sees_the_settings_that_hold() {
    let stage = python(
        r#"
class Amounts:
    def __init__(self, cpus, gpus=0.0, gpu_memory_gb=0.0):
        self.cpus, self.gpus, self.gpu_memory_gb = cpus, gpus, gpu_memory_gb

class Stage:
    name = "own"
    batch_size = 4
    resources = Amounts(1.0)
    runtime_env = {"env_vars": {"COLOUR": "red"}}
    inputs = ("a", "b")
    outputs = "column"
    task_timeout_seconds = property(lambda self: 90.0)
    recycle_after_tasks = 50

    def setup_on_node(self):
        assert self.batch_size == 2

    def setup(self):
        self.seen = [
            self.name, self.batch_size, type(self.resources).__name__, self.resources.cpus,
            self.runtime_env, list(self.inputs), self.outputs, self.task_timeout_seconds,
            self.recycle_after_tasks,
        ]

    def process(self, task):
        return task.__class__(self.seen)
"#,
    );
    let entry = Overrides::default()
        .with_name("entry")
        .with_batch_size(2)
        .with_resources(Resources::cpus(0.5))
        .with_runtime_env(RuntimeEnv::new().with_env_var("COLOUR", "blue"))
        .with_inputs(["n"])
        .with_task_timeout(std::time::Duration::from_mins(1));
    for num_workers in [1, 2] {
        let stage = stage.with_(entry.clone()).with_num_workers(num_workers);
        let (result, _) = watched(&local(), &Pipeline::new("test").with_stage(stage), numbers(4));
        let seen = json!([
            "own", 2, "Amounts", 0.5, { "env_vars": { "COLOUR": "blue" } }, ["n"], "column", 90.0, 50
        ]);
        for (_, data) in outputs(&result.unwrap()) {
            assert_eq!(data, seen);
        }
    }
}
