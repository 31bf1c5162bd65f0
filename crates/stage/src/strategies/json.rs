//! JSON values.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Generates any JSON value, a few levels deep.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<u64>().prop_map(Value::from), toml_leaf()];
    nested(leaf.boxed())
}

/// Generates any JSON object.
pub fn json_object() -> impl Strategy<Value = Map<String, Value>> {
    object(json().boxed())
}

/// Generates a JSON object of values that TOML has, too: no `null`, no integer above `i64::MAX`.
pub fn toml_object() -> impl Strategy<Value = Map<String, Value>> {
    object(nested(toml_leaf().boxed()).boxed())
}

/// Generates a number that decimal digits represent exactly.
pub(super) fn dyadic() -> impl Strategy<Value = f64> {
    any::<i32>().prop_map(|eighths| f64::from(eighths) / 8.0)
}

fn toml_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        dyadic().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn nested(leaf: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner.boxed()).prop_map(Value::Object),
        ]
    })
}

fn object(value: BoxedStrategy<Value>) -> impl Strategy<Value = Map<String, Value>> {
    btree_map(any::<String>(), value, 0..4).prop_map(|entries| entries.into_iter().collect())
}
