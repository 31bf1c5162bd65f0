//! Declarations of code, below the settings of the stage's entry: the one nearest to the run wins,
//! and the origin of each setting is kept.

use envspec::RuntimeEnv;
use serde_json::{Value, json};
use stage::{
    AnyStage, Declared, Error, Isolation, Overrides, Pipeline, PipelineFile, PythonCode,
    PythonStage, Resources, Source, Workers,
};

fn stage() -> PythonStage {
    PythonStage::from_file("stages.py", "Clean")
}

/// Returns the stage with these declarations.
fn with(stage: PythonStage, declared: &Value) -> AnyStage {
    let declared = declared.as_object().expect("an object");
    AnyStage::from(stage).with_declared_settings(declared).expect("settings")
}

fn all() -> Value {
    json!({
        "name": "cleaner",
        "runtime_env": { "uv": ["six==1.16.0"] },
        "batch_size": 8,
        "resources": { "cpus": 2.0, "nvdecs": 1 },
        "num_workers": 4,
        "inputs": ["a"],
        "outputs": ["b"],
        "task_timeout_seconds": 1.5,
        "isolation": "full",
        "max_attempts": 3,
        "recycle_after_tasks": 9,
        "preload": ["json"],
        "ray_stage_spec": { "is_actor_stage": true },
        "xenna_stage_spec": { "slots_per_actor": 2 },
    })
}

#[test]
fn what_is_declared_holds_where_the_entry_sets_nothing() {
    let taken = with(stage(), &all());
    let by_hand = stage()
        .with_name("cleaner")
        .with_runtime_env(RuntimeEnv::uv(["six==1.16.0"]))
        .with_batch_size(8)
        .with_resources(Resources::cpus(2.0))
        .with_num_workers(4)
        .with_inputs(["a"])
        .with_outputs(["b"])
        .with_task_timeout(std::time::Duration::from_millis(1500))
        .with_isolation(Isolation::Full)
        .with_max_attempts(3)
        .with_recycle_after(9)
        .with_preload(["json"])
        .with_ray_option("is_actor_stage", true)
        .with_xenna_option("slots_per_actor", 2);
    assert_eq!(taken.settings(), by_hand.settings());
    for setting in all().as_object().unwrap().keys() {
        assert_eq!(taken.source(setting), Source::Code, "{setting}");
        let set = AnyStage::from(by_hand.clone());
        assert_eq!(set.source(setting), Source::Entry, "{setting}");
        assert_eq!(AnyStage::from(stage()).source(setting), Source::Default, "{setting}");
    }
    assert_eq!(taken.declared_settings().len(), all().as_object().unwrap().len());
}

#[test]
fn what_the_entry_sets_stays_be_it_the_default_and_the_rest_is_told() {
    let set = stage()
        .with_runtime_env(RuntimeEnv::new())
        .with_resources(Resources::default())
        .with_workers(Workers::Auto)
        .with_inputs([""; 0]);
    let before = set.settings().clone();
    let mut declared = all();
    let overridden = ["runtime_env", "resources", "num_workers", "inputs"];
    for (setting, value) in declared.as_object_mut().unwrap() {
        if !overridden.contains(&setting.as_str()) {
            *value = Value::Null;
        }
    }
    let kept = with(set, &declared);
    assert_eq!(*kept.settings(), before);
    for setting in overridden {
        assert_eq!(kept.source(setting), Source::Entry);
        assert_eq!(kept.overridden(setting), Some(&declared[setting]), "{setting}");
    }
    let text = Pipeline::new("p").with_stage(kept).describe();
    assert!(text.contains("the base environment (overrides the class's {\"uv\":["), "{text}");
    // A setting that is removed falls back to the code's, however it was set.
    let back = stage().with_batch_size(3).without_batch_size();
    assert_eq!(with(back, &all()).settings().batch_size, Some(8));
    let back = stage().with_(Overrides::default().with_batch_size(3));
    assert_eq!(with(back, &all()).settings().batch_size, Some(3));
}

/// A file, its changes, and writing it keep a setting that was set to its default.
#[test]
fn a_file_keeps_what_is_set_to_its_default() {
    let text = "name = 'p'\n[[stage]]\npython = 'a.py:A'\nresources = {}\ninputs = []\n\
                [[stage]]\npython = 'a.py:B'\ndeclared = 'ignore'\n";
    let file = PipelineFile::from_toml(text, "/dir").unwrap();
    let changed = file.with_assignments(&["stage.B.batch_size=2".parse().unwrap()]).unwrap();
    let written = changed.pipeline().to_toml().unwrap();
    let read = PipelineFile::from_toml(&written, "/dir").unwrap();
    for (file, is_written) in [(file, false), (changed, false), (read, true)] {
        let built = file.build().unwrap();
        let [a, b] = built.stages() else { panic!() };
        for (setting, source) in [
            ("resources", Source::Entry),
            ("inputs", Source::Entry),
            ("outputs", Source::Default),
            ("name", if is_written { Source::Entry } else { Source::Default }),
        ] {
            assert_eq!(a.source(setting), source, "{setting}");
        }
        assert_eq!(b.behaviour().as_python().map(PythonCode::declared), Some(Declared::Ignore));
    }
}

#[test]
fn what_is_no_value_is_left_but_for_a_runtime_env() {
    let odd = json!({ "batch_size": "x", "resources": 3, "inputs": 3, "num_workers": -1 });
    let kept = with(stage(), &odd);
    assert_eq!(kept, AnyStage::from(stage()));
    let odd = json!({ "runtime_env": { "vu": ["six"] } });
    let error =
        AnyStage::from(stage()).with_declared_settings(odd.as_object().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Setting { setting: "runtime_env", .. }), "{error}");
    // A declaration is not read if it would have no effect.
    let other = AnyStage::from(stage().with_runtime_env(RuntimeEnv::new()));
    assert!(other.with_declared_settings(odd.as_object().unwrap()).is_ok());
}
