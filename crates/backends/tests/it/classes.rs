//! A stage runs with the declarations of its class, read from its text or from an instance; a
//! worker has the last word. A stage never runs in the base if its class asks for another
//! environment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use backends::worker::write_shim;
use backends::{Error, Event, ExecutorExt, Plan};
use envspec::RuntimeEnv;
use serde_json::{Value, json};
use stage::{Declared, Isolation, Pipeline, Preload, PythonStage, Resources, Workers};

use crate::support::{Notes, local, numbers, outputs, python, watched};

const ENV: &str = r#"{"env_vars": {"COLOUR": "red"}}"#;
const PROCESS: &str = "    def process(self, task):\n        import os\n        \
                       return os.environ.get('COLOUR', 'none')\n";

/// Returns the module of a class `Stage` with these lines before its `process`.
fn text(lines: &str) -> String {
    format!("class Stage:\n{lines}{PROCESS}")
}

/// Returns the value of `COLOUR` that a stage saw, and the warnings of the run.
fn colour(pipeline: &Pipeline) -> Result<(Value, Vec<String>), Error> {
    let (result, events) = watched(&local(), pipeline, numbers(1));
    let warnings = events.into_iter().filter_map(|event| match event {
        Event::Warning { message, .. } => Some(message),
        _ => None,
    });
    let warnings = warnings.collect();
    result.map(|report| (outputs(&report)[0].1.clone(), warnings))
}

fn one(stage: PythonStage) -> Pipeline {
    Pipeline::new("test").with_stage(stage)
}

fn coloured(colour: &str) -> RuntimeEnv {
    RuntimeEnv::new().with_env_var("COLOUR", colour)
}

/// Returns the plan of a pipeline, with its classes' declarations.
fn read(pipeline: &Pipeline) -> Result<Plan, Error> {
    let plan = Plan::new(pipeline)?;
    local().provisioner(&plan)?.read_declared(&plan)
}

#[test]
fn a_class_runs_in_the_environment_that_it_declares_in_any_form() {
    let own = format!("    runtime_env = {ENV}\n");
    let forms = [
        own.clone(),
        format!("    runtime_env: dict = {ENV}\n"),
        format!("    @property\n    def runtime_env(self): return {ENV}\n"),
        format!("    @classmethod\n    def runtime_env(cls): return {ENV}\n"),
        format!("    def runtime_env(self): return {ENV}\n"),
        format!("    def __init__(self): self.runtime_env = {ENV}\n"),
        format!("    def __init__(self): setattr(self, 'runtime' + '_env', {ENV})\n"),
        "    runtime_env = dict(env_vars=dict(COLOUR='r' + 'ed'))\n".to_owned(),
        format!(
            "    __slots__ = ('runtime_env',)\n    def __init__(self): self.runtime_env = {ENV}\n"
        ),
        format!(
            "    def __getattr__(self, name):\n        if name == 'runtime_env': return {ENV}\n        \
             raise AttributeError(name)\n"
        ),
        format!(
            "    def __getattribute__(self, name):\n        if name == 'runtime_env': return {ENV}\n        \
             return object.__getattribute__(self, name)\n"
        ),
        format!("    runtime_env = lambda self: {ENV}\n"),
        format!("    other = (runtime_env := {ENV})\n"),
        format!("    def other(self, it=(runtime_env := {ENV})): pass\n"),
    ];
    let mut texts: Vec<String> = forms.iter().map(|lines| text(lines)).collect();
    texts.push(text(&own).replace("Stage:", "Base:") + "class Stage(Base): pass\n");
    texts.push(format!(
        "import dataclasses\n@dataclasses.dataclass\nclass Stage:\n    runtime_env: dict = \
         dataclasses.field(default_factory=lambda: {ENV})\n{PROCESS}"
    ));
    texts.push(format!(
        "import os\ndef Stage(task): return os.environ.get('COLOUR')\nStage.runtime_env = {ENV}\n"
    ));
    texts.push(format!(
        "def declares(kind):\n    kind.runtime_env = {ENV}\n    return kind\n@declares\n{}",
        text("")
    ));
    texts.push(format!(
        "class Kind(type):\n    @property\n    def runtime_env(cls): return {ENV}\n{}",
        text("").replace("Stage:", "Stage(metaclass=Kind):")
    ));
    // What a function calls, or is a method of, declares for it.
    let work = "import functools, os\nclass Own:\n";
    let env = format!("    runtime_env = {ENV}\n");
    let go = "(it, task): return os.environ.get('COLOUR')\n";
    texts.push(format!("{work}{env}    def go{go}Stage = Own().go\n"));
    texts.push(format!("{work}{env}    @classmethod\n    def go{go}Stage = Own.go\n"));
    texts.push(format!(
        "{work}    pass\ndef go{go}go.runtime_env = {ENV}\nStage = functools.partial(go, 1)\n"
    ));
    for text in &texts {
        let (seen, warnings) =
            colour(&one(python(text))).unwrap_or_else(|error| panic!("{text}: {}", error.report()));
        assert_eq!(seen, "red", "{text}");
        assert_eq!(warnings, [""; 0], "{text}");
    }
    // Arguments may determine the environment, too.
    let class = text(
        "    def __init__(self, colour): self.runtime_env = {'env_vars': {'COLOUR': colour}}\n",
    );
    for colour_asked in ["green", "blue"] {
        let stage = python(&class).with_args(json!({ "colour": colour_asked }));
        assert_eq!(colour(&one(stage)).unwrap().0, colour_asked);
    }
}

/// What cannot be called as a declaration is an error, and no method for another purpose.
#[test]
fn a_declaration_that_takes_arguments_is_an_error() {
    for lines in [
        format!("    runtime_env = lambda: {ENV}\n"),
        format!("    def runtime_env(self, context): return {ENV}\n"),
        format!("    @staticmethod\n    def runtime_env(context): return {ENV}\n"),
    ] {
        let error = colour(&one(python(&text(&lines)))).unwrap_err();
        assert!(error.report().contains("called without arguments, and takes some"), "{lines}");
    }
    // Other names are much else, too.
    let other =
        "    def inputs(self, task): return []\n    def resources(self, kind): return kind\n";
    assert_eq!(colour(&one(python(&text(other)))).unwrap(), (json!("none"), vec![]));
}

#[test]
fn the_nearest_to_the_run_wins_and_what_it_overrides_is_told() {
    let red = || python(&text(&format!("    runtime_env = {ENV}\n")));
    let base = || python(&text("    runtime_env = {}\n"));
    let none = || python(&text(""));
    let green = |stage| one(stage).with_runtime_env(coloured("green"));
    for (pipeline, seen, is_told) in [
        (green(none()), "green", false),
        (green(red()), "red", false),
        (green(base()), "none", false),
        (green(red().with_runtime_env(coloured("blue"))), "blue", true),
        (green(red().with_runtime_env(RuntimeEnv::new())), "none", true),
        (green(base().with_runtime_env(coloured("blue"))), "blue", true),
        (green(red().with_runtime_env(coloured("red"))), "red", false),
        (one(red().with_declared(Declared::Ignore)), "none", false),
        (green(red().with_declared(Declared::Ignore)), "green", false),
    ] {
        let (found, warnings) = colour(&pipeline).unwrap();
        assert_eq!(found, seen, "{pipeline:?}");
        assert_eq!(warnings.len(), usize::from(is_told), "{pipeline:?}: {warnings:?}");
    }
    let plan = read(&green(red().with_runtime_env(coloured("blue")))).unwrap();
    assert!(plan.describe().contains(r#"(overrides the class's {"env_vars":{"COLOUR":"red"}})"#));
    let plan = read(&green(red())).unwrap();
    assert!(plan.describe().contains("(the class's)"), "{}", plan.describe());
}

#[test]
fn other_settings_hold_as_well() {
    let lines = "    name = 'cleaner'\n    batch_size = 7\n    num_workers = 2\n    \
                 def __init__(self): self.resources = {'cpus': 0.5}\n    def inputs(self): return \
                 [], ['n']\n    outputs = ['m']\n";
    let class = PythonStage::from_source(text(lines), "Stage");
    let plan = read(&one(class.clone())).unwrap();
    let settings = plan.stages()[0].settings();
    assert_eq!((settings.name.as_str(), settings.batch_size), ("cleaner", Some(7)));
    assert_eq!(settings.workers, Workers::Fixed(2));
    assert_eq!(settings.resources, Resources::cpus(0.5));
    assert_eq!(
        (&settings.inputs[..], &settings.outputs[..]),
        (&["n".into()][..], &["m".into()][..])
    );
    let report = local().run(&one(class.clone()), numbers(14)).unwrap();
    assert_eq!(report.stages[0].batches, 2);
    assert_eq!(report.declared.len(), 6, "{:?}", report.declared);

    let set = class.with_batch_size(3).with_resources(Resources::default()).with_name("mine");
    let (result, events) = watched(&local(), &one(set), numbers(14));
    let report = result.unwrap();
    assert_eq!((report.stages[0].batches, report.stages[0].name.as_str()), (5, "mine"));
    let told = report.declared.iter().filter(|setting| setting.is_overridden);
    assert_eq!(told.map(|it| it.setting).collect::<Vec<_>>(), ["resources", "batch_size"]);
    let warned = events.iter().filter(|event| {
        matches!(event, Event::Warning { message, .. } if message.contains("overrides the class's"))
    });
    assert_eq!(warned.count(), 2);
    // Two stages of one name keep their own classes' declarations.
    let two = text("    name = 'same'\n") + "class Other(Stage): pass\n";
    let stages = ["Stage", "Other"].map(|name| PythonStage::from_source(&two, name));
    let plan = read(&Pipeline::new("test").with_stages(stages)).unwrap();
    let names: Vec<&str> = plan.stages().iter().map(|it| it.settings().name.as_str()).collect();
    assert_eq!(names, ["Stage", "Other"]);
}

/// What workers and environments are made by is declared in every form, too.
#[test]
fn attempts_isolation_and_preload_hold_in_every_form() {
    let lines = "    isolation = 'full'\n    max_attempts = 3\n    preload = ('json', 'csv')\n";
    let computed = "    @property\n    def isolation(self): return 'full'\n    max_attempts = 1 + 2\n    \
                    def __init__(self): self.preload = 'json csv'.split()\n";
    // The third try succeeds.
    let notes = Notes::new();
    let tries = format!(
        "    def process(self, task):\n        with open({:?}, 'a+') as f:\n            \
         f.write('x')\n            f.flush()\n            f.seek(0)\n            \
         assert len(f.read()) % 3 == 0, 'not yet'\n        return task\n",
        notes.path.display().to_string()
    );
    for text in [
        format!("class Stage:\n{lines}{tries}"),
        format!("class Stage:\n{computed}{tries}"),
        format!("class Own:\n{lines}    pass\nclass Stage(Own):\n{tries}"),
        format!(
            "class Stage:\n{tries}def set(it):\n{}set(Stage)\n",
            lines.replace("    ", "    it.")
        ),
    ] {
        let plan = read(&one(python(&text))).unwrap();
        let settings = plan.stages()[0].settings();
        assert_eq!(settings.isolation, Some(Isolation::Full), "{text}");
        assert_eq!(settings.max_attempts, Some(3), "{text}");
        assert_eq!(settings.preload, Some(Preload::from(["json", "csv"])), "{text}");
        assert!(plan.describe().contains("full (the class's)"), "{}", plan.describe());
        let (result, events) = watched(&local(), &one(python(&text)), numbers(1));
        let report = result.unwrap_or_else(|error| panic!("{text}: {}", error.report()));
        assert_eq!((report.outputs.len(), report.declared.len()), (1, 3), "{text}");
        let is_warning = |event: &Event| matches!(event, Event::Warning { .. });
        assert!(!events.iter().any(is_warning), "{text}: {events:?}");
        // The entry has the last word, which is told.
        let set = python(&text)
            .with_isolation(Isolation::Shared)
            .with_max_attempts(4)
            .with_preload(false);
        let (result, events) = watched(&local(), &one(set), numbers(1));
        assert!(result.unwrap().declared.iter().all(|it| it.is_overridden), "{text}");
        assert_eq!(events.iter().filter(|event| is_warning(event)).count(), 3, "{text}");
    }
}

/// Many stages have something of their own under the name `preload`, which stays theirs; what may be
/// meant for a setting, and is no value of it, is told.
#[test]
fn what_a_stage_preloads_itself_is_its_own() {
    let notes = Notes::new();
    let call = format!("open({:?}, 'a').write('called')", notes.path.display().to_string());
    for lines in [
        format!("    def preload(self): {call}\n"),
        format!("    @classmethod\n    def preload(kind): {call}\n"),
        format!("    def __init__(self): self.preload = lambda: {call}\n"),
        "    preload = {'texts': 1}\n".to_owned(),
        "    def __init__(self): self.preload = open('/dev/null')\n".to_owned(),
    ] {
        let (_, warnings) = colour(&one(python(&text(&lines)))).unwrap();
        assert_eq!(warnings, [""; 0], "{lines}");
    }
    assert_eq!(notes.lines(), [""; 0]);
    for (lines, words) in [
        ("    preload = 'torch'\n", "declares `preload` \"torch\", and the pipeline has none"),
        ("    preload = [print]\n", "is no list of names of modules"),
        ("    isolation = 'strong'\n", "declares `isolation` \"strong\", and the pipeline"),
        ("    isolatoin = 'full'\n", "`isolation` is the nearest"),
        ("    max_attempt = 3\n", "`max_attempts` is the nearest"),
    ] {
        let (_, warnings) = colour(&one(python(&text(lines)))).unwrap();
        assert!(matches!(&warnings[..], [warning] if warning.contains(words)), "{warnings:?}");
    }
}

/// Law: the text, an instance and a worker give the same declarations.
#[test]
fn text_instance_and_worker_say_the_same_of_every_class() {
    let dir = tempfile::tempdir().unwrap();
    let shims = write_shim(dir.path()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/classes.py");
    let folder = shims.parent().unwrap().display().to_string();
    let made = duct::cmd!("python3", script, folder, "1500", "40").read().unwrap();
    let made: Vec<(String, BTreeMap<String, Value>)> = serde_json::from_str(&made).unwrap();
    let stages = made.iter().enumerate().map(|(number, (text, _))| {
        PythonStage::from_source(text, "Stage").with_name(format!("stage{number}"))
    });
    let pipeline = Pipeline::new("test").with_stages(stages);
    let plan = Plan::new(&pipeline).unwrap();
    // Once asked, and once from the kept answer.
    for _ in 0..2 {
        let read = match local().provisioner(&plan).unwrap().read_declared(&plan) {
            Ok(read) => read,
            // One stage may need a resource that no stage offers, and settings may contradict each
            // other.
            Err(Error::Pipeline { .. }) => return check_one_by_one(&made),
            Err(error) => panic!("{}", error.report()),
        };
        assert!(read.is_read());
    }
    check_one_by_one(&made);
}

fn check_one_by_one(made: &[(String, BTreeMap<String, Value>)]) {
    for (text, found) in made {
        let stage = PythonStage::from_source(text, "Stage").with_name("stage");
        let Ok(plan) = read(&one(stage)) else { continue };
        let declared = plan.stages()[0].declared();
        for (setting, value) in found.iter().filter(|(_, value)| value.get("value").is_some()) {
            let is_there = declared.iter().any(|it| it.setting == setting);
            let odd = ["name", "batch_size", "inputs", "isolation", "preload"];
            let is_odd = odd.contains(&setting.as_str());
            let is_two = setting.starts_with("num_workers");
            assert!(is_there || is_odd || is_two, "{text}: {setting} {value}, {declared:?}");
        }
        assert!(declared.iter().all(|it| found.contains_key(it.setting)), "{text}: {declared:?}");
    }
}

#[test]
fn what_declares_nothing_is_not_asked_and_nothing_is_asked_twice() {
    let notes = Notes::new();
    let note = format!("open({:?}, 'a').write('loaded\\n')\n", notes.path.display().to_string());
    let plain = note.clone() + &text("");
    let plan = Plan::new(&one(python(&plain))).unwrap();
    assert!(plan.is_read(), "its text tells that it declares nothing");
    let function = "def Stage(task):\n    return task\n";
    assert!(Plan::new(&one(python(function))).unwrap().is_read());
    // A module of the base, by its text.
    let plan = Plan::new(&one(PythonStage::from_module("json", "loads"))).unwrap();
    let read_plan = local().provisioner(&plan).unwrap().read_declared(&plan).unwrap();
    assert_eq!(read_plan.declared(), []);

    let literal = note.clone() + &text("    batch_size = 4\n");
    read(&one(python(&literal))).unwrap();
    assert_eq!(notes.lines(), [""; 0], "a literal is read, and nothing is run");

    let computed = note + &text("    batch_size = 2 + 2\n");
    for _ in 0..3 {
        let plan = read(&one(python(&computed))).unwrap();
        assert_eq!(plan.stages()[0].settings().batch_size, Some(4));
    }
    assert_eq!(notes.lines(), ["loaded"], "asked once");
}

#[test]
fn what_changes_is_asked_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("asked.py");
    let neighbour = dir.path().join("asked_neighbour.py");
    fs::write(
        &file,
        "from asked_neighbour import SIZE\n".to_owned() + &text("    batch_size = SIZE\n"),
    )
    .unwrap();
    for size in [3, 5] {
        fs::write(&neighbour, format!("SIZE = {size}\n")).unwrap();
        // Python compares a file's time in whole seconds.
        let _ = fs::remove_dir_all(dir.path().join("__pycache__"));
        let plan = read(&one(PythonStage::from_file(&file, "Stage"))).unwrap();
        assert_eq!(plan.stages()[0].settings().batch_size, Some(size));
    }
    // Variables of the stage are set in its class, too.
    let class = "import os\n".to_owned() + &text("    batch_size = int(os.environ['SIZE'])\n");
    for size in [2, 6] {
        let env = RuntimeEnv::new().with_env_var("SIZE", size.to_string());
        let plan = read(&one(python(&class)).with_runtime_env(env)).unwrap();
        assert_eq!(plan.stages()[0].settings().batch_size, Some(size));
    }
}

#[test]
fn a_file_that_only_its_environment_can_import_is_read_and_else_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("only_there.py"), "class Base: pass\n").unwrap();
    let folder = dir.path().display();
    let env = format!("{{'env_vars': {{'PYTHONPATH': '{folder}', 'COLOUR': 'red'}}}}");
    let head = "import only_there\n";
    let literal = head.to_owned() + &text(&format!("    runtime_env = {env}\n"));
    let inherits = literal.replace("class Stage:", "class Stage(only_there.Base):");
    for class in [&literal, &inherits] {
        assert_eq!(colour(&one(python(class))).unwrap(), (json!("red"), vec![]), "{class}");
    }
    for lines in [
        format!("    runtime_env = dict({env})\n"),
        format!("    def __init__(self): self.runtime_env = {env}\n"),
    ] {
        let class = head.to_owned() + &text(&lines);
        let error = colour(&one(python(&class))).unwrap_err();
        let report = error.report();
        assert!(matches!(error, Error::DeclareLiterally { .. }), "{report}");
        assert!(report.contains("No module named 'only_there'"), "{report}");
        assert!(report.contains("declare it literally"), "{report}");
        // The entry has the last word.
        let set = python(&class).with_runtime_env(
            coloured("blue").with_env_var("PYTHONPATH", dir.path().display().to_string()),
        );
        let (seen, warnings) = colour(&one(set)).unwrap();
        assert_eq!((seen, warnings.len()), (json!("blue"), 1));
    }
    // A class that ends its process or raises harms no other class.
    for line in ["import os; os._exit(3)", "raise KeyError('later')"] {
        let class = text(&format!(
            "    def __init__(self):\n        self.runtime_env = {ENV}\n        {line}\n"
        ));
        let fine =
            python(&text(&format!("    batch_size = 1 + 1\n    runtime_env = dict({ENV})\n")));
        let pipeline = one(python(&class)).with_stage(fine.with_name("fine"));
        let error = read(&pipeline).unwrap_err();
        assert!(matches!(error, Error::DeclareLiterally { .. }), "{}", error.report());
    }
}

/// The worker finds out what could not be read before, ahead of any hook.
#[test]
fn the_worker_has_the_last_word() {
    let notes = Notes::new();
    let hooks = format!(
        "    def setup(self): open({:?}, 'a').write('setup')\n",
        notes.path.display().to_string()
    );
    let dir = tempfile::tempdir().unwrap();
    let neighbour = format!("def configure(stage): stage.runtime_env = {ENV}\n");
    fs::write(dir.path().join("hidden_neighbour.py"), neighbour).unwrap();
    let file = dir.path().join("hidden.py");
    let lines = "    def __init__(self): configure(self)\n".to_owned() + &hooks;
    fs::write(&file, "from hidden_neighbour import configure\n".to_owned() + &text(&lines))
        .unwrap();
    let hidden = PythonStage::from_file(&file, "Stage");
    let changing = "import os\n".to_owned()
        + &text(&format!("    runtime_env = {{'env_vars': {{'A': str(os.getpid())}}}}\n{hooks}"));
    for stage in [hidden, python(&changing)] {
        let error = colour(&one(stage)).unwrap_err();
        assert!(matches!(error, Error::DeclaredEnv { .. }), "{}", error.report());
    }
    assert_eq!(notes.lines(), [""; 0], "no hook has run");
}

/// An answer may depend on more than the cache key can follow. A run that was planned by an
/// outdated answer ends with an error, or tells of another setting, and the next run asks again.
#[test]
fn an_answer_that_a_worker_contradicts_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("size.txt");
    let path = told.display().to_string();
    let class = "import os\n".to_owned()
        + &text(&format!(
            "    runtime_env = {{'env_vars': {{'COLOUR': str(os.path.getsize({path:?}))}}}}\n"
        ));
    fs::write(&told, "1").unwrap();
    assert_eq!(colour(&one(python(&class))).unwrap().0, "1");
    fs::write(&told, "12").unwrap();
    let error = colour(&one(python(&class))).unwrap_err();
    assert!(matches!(error, Error::DeclaredEnv { .. }), "{}", error.report());
    assert_eq!(colour(&one(python(&class))).unwrap().0, "2");

    let class =
        "import os\n".to_owned() + &text(&format!("    batch_size = os.path.getsize({path:?})\n"));
    assert_eq!(colour(&one(python(&class))).unwrap().1, [""; 0]);
    fs::write(&told, "123").unwrap();
    let (_, warnings) = colour(&one(python(&class))).unwrap();
    let warning = "its code declares `batch_size` 3, and said 2 when the run was planned, which is \
                   what it runs with: the next run asks it again";
    assert_eq!(warnings, [warning]);
    assert_eq!(colour(&one(python(&class))).unwrap().1, [""; 0]);
}

/// A class may read what it declares, and look for what is not there.
#[test]
fn what_a_class_reads_is_asked_anew_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let size = |code: &str| {
        let head =
            format!("import os, sys\nFOLDER = {folder:?}\nsys.path.append(FOLDER)\n{code}\n");
        let class = head + &text("    batch_size = SIZE\n");
        read(&one(python(&class))).unwrap().stages()[0].settings().batch_size
    };
    let reads = "SIZE = int(open(FOLDER + '/n.txt').read())";
    let tries = "try: SIZE = int(open(FOLDER + '/more.txt').read())\nexcept OSError: SIZE = 1";
    let lists = "SIZE = len([n for n in os.listdir(FOLDER) if n.startswith('part')])";
    let finds = "try: from looked_for import SIZE\nexcept ImportError: SIZE = 1";
    let inner = "import package_of_it\ntry: from package_of_it.more import SIZE\n\
                 except ImportError: SIZE = 1";
    fs::create_dir(dir.path().join("package_of_it")).unwrap();
    for (name, text) in [("n.txt", "1"), ("part1", ""), ("package_of_it/__init__.py", "")] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let cases = [
        (reads, "n.txt", "2"),
        (tries, "more.txt", "2"),
        (lists, "part2", ""),
        (finds, "looked_for.py", "SIZE = 2"),
        (inner, "package_of_it/more.py", "SIZE = 2"),
    ];
    for (code, name, text) in cases {
        assert_eq!(size(code), Some(1), "{name}");
        fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(size(code), Some(2), "{name}");
    }
    // A name that is no text is listed, too.
    let odd = std::ffi::OsStr::from_bytes(b"part\xff");
    fs::write(dir.path().join(odd), "").unwrap();
    assert_eq!(size(lists), Some(3));
    fs::remove_file(dir.path().join(odd)).unwrap();
    assert_eq!(size(lists), Some(2));
}

#[test]
fn a_pipeline_may_forbid_declarations() {
    let forbidden = |lines: &str| python(&text(lines)).with_declared(Declared::Forbid);
    for (lines, setting) in [
        (format!("    runtime_env = {ENV}\n"), "runtime_env"),
        ("    batch_size = 1 + 1\n".to_owned(), "batch_size"),
    ] {
        let error = read(&one(forbidden(&lines))).unwrap_err();
        assert!(
            matches!(&error, Error::ForbiddenDeclaration { setting: found, .. } if found == setting),
            "{}",
            error.report()
        );
    }
    assert_eq!(colour(&one(forbidden("    name = 'x'\n"))).unwrap().0, "none");
}
