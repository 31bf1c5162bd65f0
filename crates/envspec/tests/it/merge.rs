//! The laws of merging.
//!
//! 1. **Identity.** An empty default changes nothing.
//! 2. **Opt-out.** An empty spec over any default is empty.
//! 3. **Itself.** A spec over itself is itself.
//! 4. **Associativity**, among specs that are not empty. An empty one in the middle opts out of the
//!    specs below it, which a merge from the other end cannot know.
//! 5. **Pointwise.** In `env_vars`, the upper value wins and the other values stay. Every other
//!    field is the upper one, if set; `pip`, `uv`, `conda`, `python` and `py_executable` count as
//!    one field.

use envspec::{RuntimeEnv, strategies};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn fields(spec: &RuntimeEnv) -> Map<String, Value> {
    serde_json::to_value(spec).expect("a valid spec").as_object().expect("a table").clone()
}

/// Returns the expected result of `over`, field by field over the serialized form.
fn model(upper: &RuntimeEnv, lower: &RuntimeEnv) -> Map<String, Value> {
    const SLOT: [&str; 5] = ["pip", "uv", "conda", "python", "py_executable"];
    let mut merged = fields(upper);
    if merged.is_empty() {
        return merged;
    }
    let sets_slot = SLOT.iter().any(|name| merged.contains_key(*name));
    for (name, value) in fields(lower) {
        if name == "env_vars" {
            let variables = merged.entry(name).or_insert_with(|| json!({}));
            for (variable, value) in value.as_object().expect("a table") {
                let variables = variables.as_object_mut().expect("a table");
                variables.entry(variable.clone()).or_insert_with(|| value.clone());
            }
        } else if !(sets_slot && SLOT.contains(&name.as_str())) {
            merged.entry(name).or_insert(value);
        }
    }
    merged
}

proptest! {
    #[test]
    fn an_empty_default_changes_nothing(spec in strategies::runtime_env()) {
        prop_assert_eq!(spec.over(&RuntimeEnv::new()), spec);
    }

    #[test]
    fn an_empty_spec_opts_out(default in strategies::runtime_env()) {
        prop_assert!(RuntimeEnv::new().over(&default).is_empty());
    }

    #[test]
    fn a_spec_over_itself_is_itself(spec in strategies::runtime_env()) {
        prop_assert_eq!(spec.over(&spec), spec);
    }

    #[test]
    fn merging_is_associative(
        one in strategies::runtime_env(),
        two in strategies::runtime_env(),
        three in strategies::runtime_env(),
    ) {
        prop_assume!(!two.is_empty());
        prop_assert_eq!(one.over(&two).over(&three), one.over(&two.over(&three)));
    }

    #[test]
    fn merging_is_pointwise(upper in strategies::runtime_env(), lower in strategies::runtime_env()) {
        prop_assert_eq!(fields(&upper.over(&lower)), model(&upper, &lower));
    }
}

#[test]
fn an_empty_list_opts_out() {
    let default = RuntimeEnv::pip(["a"]);
    let stage = RuntimeEnv::from_json(r#"{"pip": [], "env_vars": {}, "uv": null}"#).unwrap();
    assert!(stage.over(&default).is_empty());
}

#[test]
fn the_stage_takes_the_slot() {
    let merged = RuntimeEnv::uv(["b"]).over(&RuntimeEnv::new().with_engine_field("conda", "env"));
    assert_eq!(merged, RuntimeEnv::uv(["b"]));
    let merged = RuntimeEnv::python("p").over(&RuntimeEnv::pip(["a"]).with_keep(["ray"]));
    assert_eq!(merged, RuntimeEnv::python("p").with_keep(["ray"]));
}
