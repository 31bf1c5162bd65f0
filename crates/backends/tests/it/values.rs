//! Python values on their way into JSON: one meaning, or a refusal that names the place and the way
//! out. Those of numpy and pandas have a test with real packages, in `tests`.

use backends::{Cause, ExecutorExt, RunReport};
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::{Task, TaskId};

use crate::support::{local, numbers, one, recording};

/// A stage that evaluates an expression.
const EVALUATE: &str = r#"
import array, collections, dataclasses, datetime, decimal, enum, fractions, ipaddress, pathlib
import types, typing, uuid
from curator_stage import Aggregate, Task
class Colour(enum.Enum):
    RED = "red"
    ONE = 1
    PAIR = (1, "two")
    BYTES = b"no"
    KEYED = {1: 2}
class Number(enum.IntEnum):
    THREE = 3
class Word(str, enum.Enum):
    YES = "yes"
class Bits(enum.Flag):
    A = 1
    B = 2
@dataclasses.dataclass
class Point:
    x: int
    y: object = None
@dataclasses.dataclass
class Line(Point):
    ends: list = dataclasses.field(default_factory=list)
class Pair(typing.NamedTuple):
    left: int
    right: int
class Text(str): pass
class Whole(int): pass
class Real(float): pass
class Items(list): pass
class Mapping(dict): pass
class Plain:
    def __init__(self): self.a = 1
class Slots:
    __slots__ = ()
class Model:
    def model_dump(self): return {}
class Attrs:
    __attrs_attrs__ = ()
class Awaitable:
    def __await__(self): yield
class BytesPath:
    def __fspath__(self): return b"x"
class Nowhere:
    def __fspath__(self): raise KeyError("nowhere")
class Empty:
    __dataclass_fields__ = Point.__dataclass_fields__
class Loud:
    def __repr__(self): raise RuntimeError("no text")
def circle():
    found = {}
    found["in"] = [found]
    return found
def round_point():
    point = Point(1)
    point.y = [point]
    return point
def deep(levels):
    found = 1
    for _ in range(levels):
        found = [found]
    return found
utc = datetime.timezone.utc
class Stage:
    def process(self, task):
        found = eval(task.data)
        return Task({"in": [found]})
"#
.trim_ascii();

/// Returns the number of an input task.
fn place(id: &TaskId) -> usize {
    let text = id.to_string();
    text.split('_').nth(1).and_then(|number| number.parse().ok()).expect("the number of a task")
}

/// Returns each result as text: its JSON, or the refusal.
fn results(report: &RunReport, count: usize) -> Vec<String> {
    let mut texts = vec![String::new(); count];
    for task in &report.outputs {
        let place = self::place(task.id());
        texts[place] = task.data.as_json().expect("JSON")["in"][0].to_string();
    }
    for failed in &report.failed {
        let place = self::place(&failed.tasks[0]);
        let Cause::Raised(error) = &failed.cause else { panic!("{failed}") };
        texts[place] = error.to_string();
    }
    texts
}

fn evaluated(expressions: &[&str]) -> Vec<String> {
    let tasks = expressions.iter().map(|text| Task::new(json!(text)));
    results(&recording().run(&one(EVALUATE), tasks).expect("a run"), expressions.len())
}

#[test]
fn what_has_one_meaning_is_sent_as_that() {
    let table = [
        ("(1, 'a', None, True)", r#"[1,"a",null,true]"#),
        ("Pair(1, 2)", "[1,2]"),
        ("Text('a')", r#""a""#),
        ("Whole(7)", "7"),
        ("Real(0.5)", "0.5"),
        ("Items([1])", "[1]"),
        ("Mapping(b=1, a=2)['b']", "1"),
        ("Mapping(a=Point(1))", r#"{"a":{"x":1,"y":null}}"#),
        ("collections.OrderedDict(a=1)", r#"{"a":1}"#),
        ("collections.defaultdict(list, a=[1])", r#"{"a":[1]}"#),
        ("collections.Counter('a')", r#"{"a":1}"#),
        ("{Text('a'): 1}", r#"{"a":1}"#),
        ("{Word.YES: Word.YES}", r#"{"yes":"yes"}"#),
        ("Number.THREE", "3"),
        ("Colour.RED", r#""red""#),
        ("Colour.ONE", "1"),
        ("Colour.PAIR", r#"[1,"two"]"#),
        ("Bits.A | Bits.B", "3"),
        ("Point(1, Colour.RED)", r#"{"x":1,"y":"red"}"#),
        (
            "Line(1, Point(2), [Point(3)])",
            r#"{"ends":[{"x":3,"y":null}],"x":1,"y":{"x":2,"y":null}}"#,
        ),
        ("pathlib.Path('/a/b')", r#""/a/b""#),
        ("pathlib.PurePosixPath('ö')", r#""ö""#),
        ("uuid.UUID(int=1)", r#""00000000-0000-0000-0000-000000000001""#),
        ("datetime.datetime(2024, 2, 29, 1, 2, 3)", r#""2024-02-29T01:02:03""#),
        (
            "datetime.datetime(2024, 2, 29, 1, 2, 3, 4, utc)",
            r#""2024-02-29T01:02:03.000004+00:00""#,
        ),
        ("datetime.date(2024, 2, 29)", r#""2024-02-29""#),
        ("datetime.time(1, 2, 3)", r#""01:02:03""#),
        ("-0.0", "-0.0"),
    ];
    let found = evaluated(&table.map(|(expression, _)| expression));
    for ((expression, expected), found) in table.iter().zip(found) {
        let (found, expected): (Value, Value) = (
            serde_json::from_str(&found).unwrap_or(json!(found)),
            serde_json::from_str(expected).unwrap(),
        );
        assert_eq!(found, expected, "{expression}");
    }
}

#[test]
fn what_has_none_or_several_is_refused_with_its_place_and_the_way_out() {
    const PLACE: &str = "TypeError: the stage returned what cannot be sent: data['in'][0]";
    let table = [
        ("decimal.Decimal('1.10')", " is a decimal.Decimal, not JSON or bytes: use `str(value)`"),
        (
            "fractions.Fraction(1, 3)",
            " is a fractions.Fraction, not JSON or bytes: use `str(value)`",
        ),
        (
            "{1, 2}",
            " is a builtins.set, not JSON or bytes: a set has no order: use `sorted(value)`",
        ),
        ("frozenset()", " is a builtins.frozenset, not JSON"),
        ("b'abc'", " is a builtins.bytes, not JSON or bytes: bytes are the whole of a task's data"),
        ("bytearray(b'abc')", "`base64.b64encode(value).decode()`"),
        ("memoryview(b'abc')", "`base64.b64encode(value).decode()`"),
        ("Colour.BYTES", " is a builtins.bytes"),
        ("Colour.KEYED", " has the key 1, "),
        ("1j", "use `[value.real, value.imag]`"),
        ("datetime.timedelta(1)", "use `value.total_seconds()`"),
        ("float('nan')", " is nan, which JSON cannot hold (use None)"),
        ("[1, -float('inf')]", "[1] is -inf, which JSON cannot hold"),
        ("Real('inf')", " is inf, which"),
        ("Point(float('nan'))", ".x is nan, which"),
        ("Point({1})", ".x is a builtins.set"),
        ("{1: 'a'}", " has the key 1, and keys must be text: JSON would have made it another one"),
        ("{'1': 'a', 1: 'b'}", " has the key 1, "),
        ("[{'a': [{None: 1}]}]", "[0]['a'][0] has the key None, "),
        ("{True: 1}", " has the key True, "),
        ("{1.5: 1}", " has the key 1.5, "),
        ("Mapping({2: 1})", " has the key 2, "),
        ("collections.Counter([1])", " has the key 1, "),
        ("{Number.THREE: 1}", " has the key "),
        ("{Colour.RED: 1}", " has the key <Colour.RED: 'red'>, "),
        ("{(1, 2): 1}", " has the key (1, 2), "),
        ("{b'a': 1}", " has the key b'a', "),
        ("{uuid.UUID(int=1): 1}", " has the key UUID("),
        ("Point({3: 1})", ".x has the key 3, "),
        ("[Point([{3: 1}])]", "[0].x[0] has the key 3, "),
        ("circle()", "['in'][0] contains itself"),
        ("round_point()", ".y[0] contains itself"),
        ("BytesPath()", "BytesPath, not JSON"),
        ("range(3)", " is a builtins.range, not JSON or bytes: use `list(value)`"),
        ("collections.deque([1])", "use `list(value)`"),
        ("map(str, [1])", "use `list(value)`"),
        ("(i for i in [1])", "use `list(value)`"),
        ("{}.keys()", "use `list(value)`"),
        ("array.array('b')", "use `value.tolist()`"),
        ("types.MappingProxyType({})", "use `dict(value)`"),
        ("collections.ChainMap({})", "use `dict(value)`"),
        ("Model()", "use `value.model_dump()`"),
        ("Attrs()", "use `attrs.asdict(value)`"),
        ("Awaitable()", "await it, in an `async def`"),
        ("Plain()", "Plain, not JSON or bytes: make a dict of what you need of it"),
        ("Slots()", "make text, a number or a dict of it"),
        ("Point", " is the class "),
        ("int", " is the class builtins.int, not JSON or bytes: return an instance"),
        ("len", "builtins.builtin_function_or_method"),
        ("Task(1)", "a task is an output of its own"),
        ("Aggregate([])", "`process_batch` returns it as the whole of its answer"),
        ("{Loud(): 1}", "whose text failed with RuntimeError"),
        ("ipaddress.ip_address('::1')", "IPv6Address, not JSON"),
        ("...", "builtins.ellipsis"),
        // Its own code fails.
        ("Nowhere()", "Nowhere, whose value cannot be read (KeyError: 'nowhere')"),
        ("[Empty()]", "Empty, whose value cannot be read (AttributeError: "),
    ];
    let found = evaluated(&table.map(|(expression, _)| expression));
    for ((expression, expected), found) in table.iter().zip(found) {
        let is_key = found.contains("the key '\\ud800' of");
        assert!(found.starts_with(PLACE) || is_key, "{expression}: {found}");
        assert!(found.contains(expected), "{expression}: {found}");
    }
    // However deep, it is an error and no crash.
    let found = evaluated(&["deep(100_000)", "deep(50)"]);
    assert!(found[0].contains("levels deep"), "{}", found[0]);
    assert!(found[1].starts_with("[[["), "{}", found[1]);
}

/// Metadata follows the same rule, on every way that a task may leave a stage.
#[test]
fn metadata_is_held_to_the_same() {
    let text = r#"
import datetime
from curator_stage import Task
VALUES = [datetime.date(2024, 1, 1), {1}, {1: 2}]
class Stage:
    def process(self, task):
        n = task.data["n"]
        value, way = VALUES[n % 3], n // 3
        if way == 0:
            return Task(n, {"at": value})
        if way == 1:
            return [Task(n, {"at": value})]
        task.metadata["at"] = value
        return task
"#;
    let report = recording().run(&one(text), numbers(9)).unwrap();
    assert_eq!(report.outputs.len(), 3);
    assert!(report.outputs.iter().all(|task| task.metadata["at"] == "2024-01-01"));
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    let count = |words: &str| failed.iter().filter(|failed| failed.contains(words)).count();
    assert_eq!(count("metadata['at'] is a builtins.set"), 3, "{failed:?}");
    assert_eq!(count("metadata['at'] has the key 1, and keys must be text"), 3, "{failed:?}");
}

/// Half of a surrogate pair is refused there, whatever the task's own text is written like.
#[test]
fn metadata_has_no_half_of_a_surrogate_pair() {
    let text = "from curator_stage import Task\nclass Stage:\n    def process(self, task):\n        \
                return Task(1, {task.data: 1}) if len(task.data) < 3 else Task(1, {}, task.data)\n";
    let lines = [r#""\ud800""#, r#""a\ud800""#, r#""set\ud800""#, r#""\u00e9""#, r#""é""#];
    let tasks = lines.map(|line| Task::from_json_line(line).unwrap());
    let report = recording().run(&one(text), tasks).unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (2, 3), "{:?}", report.failed);
    for failed in &report.failed {
        assert!(failed.to_string().contains("holds half of a surrogate pair"), "{failed}");
    }
}

/// Two halves are two characters to Python, and one to every reader of their escapes.
#[test]
fn two_halves_of_a_surrogate_pair_do_not_become_a_character() {
    let text = "class Stage:\n    def process(self, task):\n        high, low = '\\ud83d', '\\ude00'\n        \
                return [{'n': [high + low]}, {high + low: 1}, {'n': low + high}, {'n': chr(0x1f600)}][task.data['n']]\n";
    // Written without escapes, or with them, as their tasks are.
    for extra in ["", r#","t":"\u00e9""#] {
        let lines = (0..4).map(|n| format!("{{\"n\":{n}{extra}}}"));
        let tasks = lines.map(|line| Task::from_json_line(&line).unwrap());
        let report = recording().run(&one(text), tasks).unwrap();
        let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
        assert_eq!((report.outputs.len(), failed.len()), (2, 2), "{extra}: {failed:?}");
        assert!(
            failed[0].contains("data['n'][0] holds two halves of a surrogate pair"),
            "{failed:?}"
        );
        assert!(failed[1].contains("of data holds two halves of a surrogate pair"), "{failed:?}");
    }
}

/// What a stage goes on to return is not disturbed by what was refused.
#[test]
fn a_refused_value_takes_nothing_with_it() {
    let text = "class Stage:\n def process(self, task):\n  n = task.data['n']\n  return {n: n} if n % 2 else {'n': n}";
    let report = recording().run(&one(text), numbers(20)).unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (10, 10));
}

/// Neither does a circle of which it goes on to return a part.
#[test]
fn a_refused_circle_is_not_around_what_comes_next() {
    let text = "class Stage:\n def __init__(self):\n  self.held = []\n def process(self, task):\n  \
                if task.data['n'] % 2:\n   self.held.append([self.held])\n  else:\n   \
                self.held[:] = [1]\n  return {'n': self.held}";
    let report = recording().run(&one(text), numbers(20)).unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (10, 10));
}

fn key() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        4 => Just(("'key@'".to_owned(), true)),
        1 => prop_oneof![
            Just("None".to_owned()), Just("True".to_owned()), Just("0.5".to_owned()),
            any::<i8>().prop_map(|number| number.to_string()),
        ].prop_map(|text| (text, false)),
    ]
}

/// Returns a Python expression of nested containers, and whether all its keys are text.
fn nested() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![Just("1"), Just("'a'"), Just("None"), Just("0.5")];
    let leaf = leaf.prop_map(|text| (text.to_owned(), true));
    leaf.prop_recursive(5, 24, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        let entries = prop::collection::vec((key(), inner), 0..4);
        let join = |texts: Vec<String>| texts.join(",");
        prop_oneof![
            (items, prop::sample::select(&["[_]", "(*[_],)", "Items([_])", "Point([_])"][..]))
                .prop_map(move |(items, form)| {
                    let is_text = items.iter().all(|(_, is_text)| *is_text);
                    let items = join(items.into_iter().map(|(text, _)| text).collect());
                    (form.replace('_', &items), is_text)
                }),
            (
                entries,
                prop::sample::select(&["{_}", "Mapping({_})", "collections.OrderedDict({_})"][..])
            )
                .prop_map(move |(entries, form)| {
                    let is_text = entries.iter().all(|(key, value)| key.1 && value.1);
                    // No text key may occur twice, since the first value would be lost.
                    let texts = entries.into_iter().enumerate().map(|(at, (key, value))| {
                        format!("{}:{}", key.0.replace('@', &at.to_string()), value.0)
                    });
                    (form.replace('_', &join(texts.collect())), is_text)
                }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// A value is sent exactly if all its keys are text, at any depth and in any container. No key
    /// becomes another one. Each case is two hundred values in one run.
    #[test]
    fn keys_are_text_or_refused(values in prop::collection::vec(nested(), 200)) {
        let text = EVALUATE.replace("return Task({\"in\": [found]})", "return {\"v\": found}");
        let tasks = values.iter().map(|(text, _)| Task::new(json!(text)));
        let report = recording().run(&one(&text), tasks).unwrap();
        let sent: std::collections::BTreeSet<String> =
            report.outputs.iter().map(|task| task.id().to_string()).collect();
        for (place, (text, is_text)) in values.iter().enumerate() {
            prop_assert_eq!(sent.contains(&format!("0_{place}_0")), *is_text, "{}", text);
        }
        prop_assert!(report.failed.iter().all(|failed| failed.to_string().contains("keys must be text")));
    }
}

/// Values that JSON has a form for do not load the module for odd values, and plain stages load no
/// event loop.
#[test]
fn plain_stages_import_nothing_for_odd_values() {
    let text = r#"
import sys
class Stage:
    def process(self, task):
        return {"n": [task.data, {"a": (1, None)}]}
class Second:
    def process(self, task):
        odd = ("curator_json", "curator_loop", "curator_declared", "asyncio", "dataclasses", "inspect")
        return [name for name in odd if name in sys.modules] or ["none"]
"#;
    let both = text.replace("class Second:", "class Stage(Stage):").replace(
        "    def process(self, task):\n        odd",
        "    def process(self, task):\n        super().process(task)\n        odd",
    );
    let report = local().run(&one(&both), numbers(3)).unwrap();
    assert!(report.outputs.iter().all(|task| task.data.as_json() == Some(&json!("none"))));
}
