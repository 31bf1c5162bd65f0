//! The JSON of numpy's and pandas' values, in environments with either major version of numpy, and
//! with pandas.

use curator::backends::{Cause, FailurePolicy};
use curator::{ExecutorExt, Pipeline, PythonStage, RuntimeEnv, Task};
use serde_json::{Value, json};

use crate::support::local;

/// Returns the value of an expression, and beside it the value of numpy's own `item()`.
const EVALUATE: &str = r#"
import collections
import numpy as np
try:
    import pandas as pd
except ImportError:
    pd = None
class Unit(np.ndarray):
    pass
class Stage:
    def process(self, task):
        found = eval(task.data)
        is_one = isinstance(found, (np.generic, np.ndarray)) and found.shape == ()
        plain = found.item() if is_one else None
        # Of a date `item()` gives a number, if it is a fine one.
        if type(plain) in (bool, int, float, str) and found.dtype.kind != "M":
            return {"in": [found], "item": [plain]}
        return {"in": [found]}
"#;

const NUMPY: [(&str, &str); 22] = [
    ("np.int8(-128)", "-128"),
    ("np.int64(-9223372036854775808)", "-9223372036854775808"),
    ("np.uint64(18446744073709551615)", "18446744073709551615"),
    ("np.uint8(255)", "255"),
    ("np.intc(5)", "5"),
    ("np.float16(0.5)", "0.5"),
    ("np.float32(0.25)", "0.25"),
    ("np.float64(1.5)", "1.5"),
    ("np.float64('-0.0')", "-0.0"),
    ("np.bool_(True)", "true"),
    ("np.str_('ö')", "\"ö\""),
    ("np.array(3)", "3"),
    ("np.array(2.5, dtype='f4')", "2.5"),
    ("np.array(True)", "true"),
    ("np.array('a')", "\"a\""),
    ("np.array({'a': np.int8(1)}, dtype=object)", "{\"a\":1}"),
    ("{'a': [np.int32(1), (np.float32(0.5),)]}", "{\"a\":[1,[0.5]]}"),
    ("{np.str_('a'): 1}", "{\"a\":1}"),
    ("np.datetime64('2024-02-29')", "\"2024-02-29\""),
    ("np.datetime64('2024-02-29T01:02:03.000000004')", "\"2024-02-29T01:02:03.000000004\""),
    ("np.array('2024-02-29', dtype='M8[D]')", "\"2024-02-29\""),
    ("np.arange(3).sum()", "3"),
];

const NUMPY_REFUSED: [(&str, &str); 18] = [
    ("np.arange(3)", "is a numpy.ndarray, not JSON or bytes: use `value.tolist()`"),
    ("np.array([1])", "is a numpy.ndarray"),
    ("np.zeros((0, 2))", "is a numpy.ndarray"),
    ("np.float32('nan')", "is nan, which JSON cannot hold (use None)"),
    ("np.float64('inf')", "is inf, which JSON cannot hold"),
    ("np.array(np.nan)", "is nan, which JSON cannot hold"),
    ("np.complex64(1j)", "use `[value.real, value.imag]`"),
    ("np.longdouble(1) / 3", "use `float(value)`, which has fewer digits"),
    ("np.bytes_(b'a')", "is a numpy.bytes_, not JSON or bytes: bytes are the whole"),
    ("np.void(b'a')", "is a numpy.void"),
    ("np.timedelta64(1, 's')", "use `value / numpy.timedelta64(1, 's')`"),
    ("np.datetime64('NaT')", "where a value is missing, use None"),
    ("np.ma.masked", "MaskedConstant, not JSON"),
    ("np.array(3).view(Unit)", "Unit, not JSON"),
    ("{np.int64(1): 1}", "has the key np.int64(1), |has the key 1, "),
    ("{'a': np.array([{1}], dtype=object)[0]}", "['a'] is a builtins.set"),
    ("np.array({1: 2}, dtype=object)", "has the key 1, "),
    ("np.int64", "is the class numpy.int64"),
];

const PANDAS: [(&str, &str); 4] = [
    ("pd.Timestamp('2024-02-29 01:02:03')", "\"2024-02-29T01:02:03\""),
    ("pd.Timestamp('2024-02-29', tz='UTC')", "\"2024-02-29T00:00:00+00:00\""),
    ("pd.Timestamp(1)", "\"1970-01-01T00:00:00.000000001\""),
    ("pd.Series([1, 2]).sum()", "3"),
];

const PANDAS_REFUSED: [(&str, &str); 8] = [
    ("pd.NA", "NAType, not JSON or bytes: where a value is missing, use None"),
    ("pd.NaT", "NaTType, not JSON or bytes: where a value is missing, use None"),
    ("pd.Timedelta(1)", "use `value.total_seconds()`"),
    ("pd.Series([1])", "use `value.tolist()`|use `value.to_list()`"),
    ("pd.Index([1])", "use `value.tolist()`|use `value.to_list()`"),
    ("pd.DataFrame({'a': [1]})", "use `value.to_dict()`"),
    ("pd.Interval(0, 1)", "Interval, not JSON"),
    ("pd.Period('2024-01')", "Period, not JSON"),
];

/// Returns the texts of the values, or of their refusals, in order.
fn evaluated(packages: &[&str], expressions: &[&str]) -> Vec<Result<Value, String>> {
    let stage = PythonStage::from_source(EVALUATE, "Stage")
        .with_runtime_env(RuntimeEnv::uv(packages.iter().copied()));
    let tasks = expressions.iter().map(|text| Task::new(json!(text)));
    let executor = local().with_failure_policy(FailurePolicy::Record);
    let report = executor.run(&Pipeline::new("values").with_stage(stage), tasks);
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    let mut found = vec![Err(String::new()); expressions.len()];
    let place = |id: String| id.split('_').nth(1).and_then(|place| place.parse::<usize>().ok());
    for task in &report.outputs {
        let data = task.data.as_json().expect("JSON").clone();
        if let Some(item) = data.get("item") {
            assert_eq!(&data["in"], item, "as `item()` has it");
        }
        found[place(task.id().to_string()).expect("a place")] = Ok(data["in"][0].clone());
    }
    for failed in &report.failed {
        let Cause::Raised(error) = &failed.cause else { panic!("{failed}") };
        found[place(failed.tasks[0].to_string()).expect("a place")] = Err(error.to_string());
    }
    found
}

fn check(packages: &[&str], sent: &[(&str, &str)], refused: &[(&str, &str)]) {
    let all: Vec<&str> = sent.iter().chain(refused).map(|(expression, _)| *expression).collect();
    let mut found = evaluated(packages, &all).into_iter();
    for ((expression, expected), found) in sent.iter().zip(found.by_ref()) {
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(found, Ok(expected), "{packages:?}: {expression}");
    }
    for ((expression, expected), found) in refused.iter().zip(found) {
        let error = found.expect_err(expression);
        assert!(error.contains("what cannot be sent: data['in'][0]"), "{expression}: {error}");
        let is_told = expected.split('|').any(|words| error.contains(words));
        assert!(is_told, "{packages:?}: {expression}: {error}");
    }
}

#[test]
fn scalars_of_numpy_1_are_what_item_gives() {
    check(&["numpy<2"], &NUMPY, &NUMPY_REFUSED);
}

#[test]
fn scalars_of_numpy_2_are_what_item_gives() {
    check(&["numpy>=2"], &NUMPY, &NUMPY_REFUSED);
}

#[test]
fn values_of_pandas_have_one_meaning_or_none() {
    check(&["pandas", "tzdata"], &PANDAS, &PANDAS_REFUSED);
}
