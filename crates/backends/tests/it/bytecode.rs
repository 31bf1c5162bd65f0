//! Law: a base without bytecode is compiled once, outside of the base, beside a run that takes long
//! enough. Every worker finds the bytecode, whether or not Python may write any, and it always
//! matches the current source.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backends::{EnvState, ExecutorExt, LocalExecutor, Provisioner};
use envspec::{RuntimeEnv, Tool};
use serde_json::{Value, json};
use stage::{Isolation, Pipeline, PythonStage, Task};
use venv_cache::{Budget, Strategy};
use walkdir::WalkDir;

use crate::world::{World, run};

/// Imports a module of the base, and returns where Python found its bytecode.
const STAGE: &str = "
import sys

compiled = []
sys.addaudithook(lambda event, args: event == 'compile' and compiled.append(str(args[1])))
import alpha

class Stage:
    def process(self, task):
        ours = [path for path in compiled if path.endswith('alpha.py')]
        return {'compiled': ours, 'value': alpha.__version__, 'file': alpha.f.__code__.co_filename}
";

/// A base with a package without bytecode, and one more package for environments over it.
fn world() -> World {
    let world = World::new(&[], &[("beta", "1.0", &[])]);
    let text = "__version__ = '1.0'\ndef f(): pass\n";
    world.write_wheels(&json!([
        { "name": "alpha", "version": "1.0", "files": { "alpha.py": text } },
    ]));
    world.install_into_base(&[("alpha", "1.0", &[])]);
    world
}

/// Returns all files of a base, with their contents and times.
fn state(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>, std::time::SystemTime)> {
    let files = WalkDir::new(root).sort_by_file_name().into_iter();
    let files = files.map(|it| it.expect("a file"));
    let file = |it: walkdir::DirEntry| {
        let time = it.metadata().expect("its state").modified().expect("its time");
        (it.path().to_owned(), fs::read(it.path()).ok(), time)
    };
    files.map(file).collect()
}

/// Waits for a file of this name in a folder that is still being filled.
fn wait_for(folder: &Path, name: &str) -> PathBuf {
    for _ in 0..2400 {
        let files = WalkDir::new(folder).into_iter().flatten();
        if let Some(found) = files.map(walkdir::DirEntry::into_path).find(|it| it.ends_with(name)) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("there is no {name} in {}", folder.display());
}

/// Compiles the base while an environment is built, until a file of this name exists.
fn compiled(world: &World, name: &str) -> PathBuf {
    let provisioner = world.provisioner();
    let made = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared);
    let _made = made.expect("an environment");
    wait_for(&world.cache().join("bytecode"), name)
}

fn spec(world: &World) -> RuntimeEnv {
    let options = ["--no-index", "--find-links"].map(Value::from).into_iter();
    let options: Vec<Value> =
        options.chain([world.wheels().to_string_lossy().into_owned().into()]).collect();
    let spec = json!({ "uv": { "packages": ["beta"], "uv_pip_install_options": options } });
    RuntimeEnv::from_json(&spec.to_string()).expect("a spec")
}

fn base_stage() -> PythonStage {
    stage("base").with_runtime_env(unwritten(RuntimeEnv::new()))
}

fn stage(name: &str) -> PythonStage {
    PythonStage::from_source(STAGE, "Stage").with_name(name)
}

fn unwritten(env: RuntimeEnv) -> RuntimeEnv {
    env.with_env_var("PYTHONDONTWRITEBYTECODE", "1")
}

/// Returns the output of a stage.
fn output(world: &World, stage: PythonStage) -> Value {
    let executor =
        LocalExecutor::default().with_base(world.base_python()).with_cache_dir(world.cache());
    let pipeline = Pipeline::new("test").with_stage(stage);
    let report = executor.run(&pipeline, [Task::new(json!({}))]).expect("a run");
    report.outputs[0].data.as_json().expect("its answer").clone()
}

/// Returns the outputs of a stage in the base, in an environment, and in a copied environment.
fn outputs(world: &World) -> [Value; 3] {
    let shared = stage("shared").with_runtime_env(unwritten(spec(world)));
    let full = shared.clone().with_name("full").with_isolation(Isolation::Full);
    [base_stage(), shared, full].map(|stage| output(world, stage))
}

#[test]
fn bytecode_of_a_base_is_found_by_all_its_environments_and_by_itself() {
    let world = world();
    let before = state(&world.root.join("base"));
    compiled(&world, "complete.json");
    let module = wait_for(&world.cache().join("bytecode"), "alpha.pyc");
    let made = fs::metadata(&module).unwrap().modified().unwrap();
    for output in outputs(&world) {
        assert_eq!(output["compiled"], json!([]), "{output}");
        assert_eq!(output["value"], "1.0");
        // Tracebacks name the file of the environment.
        let file = PathBuf::from(output["file"].as_str().unwrap());
        assert!(file.is_file() && file.ends_with("site-packages/alpha.py"), "{file:?}");
    }
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        is_found_under(strategy, &world, &module);
    }
    assert_eq!(fs::metadata(&module).unwrap().modified().unwrap(), made, "once");
    assert!(before == state(&world.root.join("base")), "the base has changed");
    let env = world.prepare(&world.spec(Tool::Uv, &["beta"])).unwrap();
    assert_eq!(env.damage().unwrap(), []);

    // Files that a crash or a disk has damaged are skipped.
    let whole = fs::read(&module).unwrap();
    let flipped = whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 60)).collect();
    for damaged in [whole[..whole.len() - 9].to_vec(), vec![0; whole.len()], vec![], flipped] {
        fs::write(&module, damaged).unwrap();
        let output = output(&world, base_stage());
        assert_eq!(output["value"], "1.0");
        assert_eq!(output["compiled"].as_array().unwrap().len(), 1, "{output}");
    }
}

/// Whatever an environment is made of, the base's modules lie where a worker looks for their
/// bytecode.
fn is_found_under(strategy: Strategy, world: &World, module: &Path) {
    let provisioner = world.builder().strategy(strategy).open().expect("a provisioner");
    let env = match provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared) {
        Ok(env) => env,
        // Not every file system has hard links.
        Err(_) if strategy == Strategy::Hardlink => return,
        Err(error) => panic!("{}", error.report()),
    };
    let shim = wait_for(&world.cache().join("shims"), "curator_bytecode.py");
    let site = run(env.python(), "import sysconfig; print(sysconfig.get_path('purelib'))");
    let program = format!(
        "import sys; sys.path.insert(0, '{}'); sys.dont_write_bytecode = True\n\
         import curator_bytecode as it\n\
         it.offer([['{site}', '{}']], '/nowhere')\n\
         seen = []\n\
         sys.addaudithook(lambda event, args: event == 'compile' and seen.append(args[1]))\n\
         import alpha; print(seen, alpha.__version__)",
        shim.parent().expect("a folder").display(),
        module.parent().expect("a folder").display(),
    );
    assert_eq!(run(env.python(), &program), "[] 1.0", "{strategy}");
}

/// An edit in place that keeps the file's size and time: only the contents differ.
#[test]
fn an_edited_file_of_the_base_is_never_taken_for_what_it_was() {
    let world = world();
    compiled(&world, "alpha.pyc");
    let file = world.base_site().join("alpha.py");
    let metadata = fs::metadata(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("1.0", "2.0")).unwrap();
    let times = FileTimes::new().set_modified(metadata.modified().unwrap());
    File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), metadata.len());
    let [base, _, full] = outputs(&world);
    assert_eq!(base["value"], "2.0");
    // This bytecode was made after the edit.
    assert_eq!(full["value"], "2.0");
}

#[test]
fn a_run_without_environments_compiles_nothing() {
    let world = world();
    let executor =
        LocalExecutor::default().with_base(world.base_python()).with_cache_dir(world.cache());
    let stage = PythonStage::from_source(STAGE, "Stage").with_name("stage");
    executor.run(&Pipeline::new("test").with_stage(stage), [Task::new(json!({}))]).unwrap();
    assert!(!world.cache().join("bytecode").exists());
}

/// A very short run would gain nothing, so it pays nothing, whatever bytecode the base lacks.
#[test]
fn a_short_run_compiles_nothing() {
    let world = world();
    let kept = world.cache().join("bytecode");
    let spec = world.spec(Tool::Uv, &["beta"]);
    for state in [EnvState::Built, EnvState::Hit] {
        let (was_there, begun) = (kept.exists(), Instant::now());
        assert_eq!(world.prepare(&spec).expect("an environment").state(), state);
        // On a busy machine, the run may not be short, and then proves nothing.
        let is_short = begun.elapsed() < Duration::from_millis(450);
        assert!(was_there || !is_short || !kept.exists(), "{state:?}");
    }
}

/// Unused bytecode is pruned with all other unused files, before any environment.
#[test]
fn kept_bytecode_is_pruned_first_and_not_while_it_is_used() {
    let world = world();
    let module = compiled(&world, "alpha.pyc");
    let provisioner: Provisioner = world.provisioner();
    let cache = provisioner.cache().clone();
    let environments = cache.list().unwrap();
    let own: u64 = environments.iter().map(|it| it.manifest.own_bytes).sum();
    let budget = Budget::default().with_max_bytes(own);
    let env = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared).unwrap();
    assert_eq!(cache.prune(&budget).unwrap().bytecode_bytes, 0, "in use");
    assert!(module.exists());
    drop((env, provisioner));
    // The process that compiles it holds a lease until it ends.
    let preview = budget.clone().with_dry_run();
    let is_free = |_: &i32| cache.prune(&preview).unwrap().bytecode_bytes > 0;
    (0..2400)
        .inspect(|_| std::thread::sleep(Duration::from_millis(25)))
        .find(is_free)
        .expect("it is unused");
    let report = cache.prune(&budget).unwrap();
    assert!(report.bytecode_bytes > 0 && !module.exists());
    assert_eq!(report.kept, environments.len());
    assert_eq!(fs::read_dir(world.cache().join("bytecode")).unwrap().count(), 0);
    assert_eq!(output(&world, base_stage())["value"], "1.0");
}
