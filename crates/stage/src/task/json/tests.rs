use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::strategies::json;

/// Generates JSON texts with white space, numbers of any size and every escape.
fn text() -> impl Strategy<Value = String> {
    let space = || "[ \n\r\t]{0,2}";
    let word = r#""([a-zé\u{10348}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,6}""#;
    let number = r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,4})?";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        word
    ];
    let spaced = (space(), leaf, space()).prop_map(|(a, leaf, b)| a + &leaf + &b);
    spaced.prop_recursive(4, 24, 5, move |inner| {
        let entry = (space(), word, space(), inner.clone());
        let entry = entry.prop_map(|(a, key, b, value)| a + &key + &b + ":" + &value);
        prop_oneof![
            vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            vec(entry, 1..5).prop_map(|entries| format!(" {{{}}}\n", entries.join(","))),
        ]
    })
}

proptest! {
    /// A text is JSON here exactly if `serde_json` accepts it, and only insignificant white space
    /// is removed: other parsers see the same.
    #[test]
    fn texts_are_checked_and_compact(text in prop_oneof![4 => text(), 1 => "[\\[\\]{}\",:0-9a-z\\\\ .+-]{0,12}"]) {
        let known = serde_json::from_str::<&RawValue>(&text);
        prop_assert_eq!(Json::from_text(text.as_str()).is_ok(), known.is_ok());
        if let Ok(json) = Json::from_text(text.as_str()) {
            let again = Json::from_text(json.text()).unwrap();
            prop_assert_eq!(again.text(), json.text());
            let kept = |text: &str| text.chars().filter(|it| !it.is_whitespace()).collect::<String>();
            prop_assert_eq!(kept(json.text()), kept(&text));
            prop_assert_eq!(json.text().to_owned(), serde_json::to_string(&json).unwrap());
        }
    }

    /// A value is the one that `serde_json` reads, with an error only where it has one.
    #[test]
    fn values_are_those_that_others_read(text in text()) {
        let json = Json::from_text(text.as_str()).unwrap();
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(json.value(), Ok(&value));
            for key in ["", "a", "é"] {
                let unread = Json::from_text(text.as_str()).unwrap();
                prop_assert_eq!(unread.has(key), value.get(key).is_some());
            }
        } else {
            let is_half = matches!(json.value(), Err(JsonError::Surrogate { .. }));
            prop_assert!(is_half);
        }
    }

    /// The text of a value reads back as that value, and equal values hash alike.
    #[test]
    fn values_survive_their_text(value in json()) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let (made, read) = (Json::from(value.clone()), Json::from_text(value.to_string()).unwrap());
        prop_assert_eq!(&made, &read);
        let hash = |json: &Json| {
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            hasher.finish()
        };
        prop_assert_eq!(hash(&made), hash(&read));
        prop_assert_eq!(read.into_value(), Ok(value));
    }

    /// No text makes the reader panic.
    #[test]
    fn garbage_is_an_error(text in "\\PC{0,40}") {
        drop(Json::from_text(text));
    }
}

#[test]
fn two_are_equal_if_they_hold_the_same_value() {
    let of = |text: &str| Json::from_text(text).unwrap();
    assert_eq!(of(r#"{"a":1,"b":"\u00e9"}"#), of(r#"{ "b": "é", "a": 1 }"#));
    assert_eq!(of("[1.5]"), json!([1.5]).into());
    assert_ne!(of("1"), of("1.0"));
    assert_eq!(of(r#""\ud800""#), of(r#" "\ud800""#));
    assert_ne!(of(r#""\ud800""#), of(r#""\ud801""#));
}

#[test]
fn what_rust_cannot_hold_is_an_error_with_its_place() {
    let wrong = |text: &str| Json::from_text(text).unwrap().value().unwrap_err().to_string();
    assert_eq!(
        wrong(r#"{"a":[1,{"b":"x\ud800"}]}"#),
        r#"data["a"][1]["b"] holds half of a surrogate pair, which no text of Rust can"#
    );
    assert!(wrong(r#"{"\udc00":1}"#).starts_with(r#"the key "\udc00" of data holds half"#));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Json::from_text(deep(1024)).unwrap().value().is_ok());
    assert!(wrong(&deep(1025)).contains("deeper than 1024 levels"));
    // The value is never requested.
    assert_eq!(Json::from_text(deep(1 << 20)).unwrap().text().len(), 2 << 20);
}

#[test]
fn a_deep_value_needs_no_deep_stack() {
    let deep = format!("{}{}", r#"{"a":["#.repeat(512), "]}".repeat(512));
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let json = Json::from_text(deep.as_str()).unwrap();
        let value = json.value().unwrap().clone();
        assert_eq!(Json::from(value), json);
        assert!(json.read::<Value>().unwrap_err().to_string().starts_with("recursion limit"));
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn numbers_that_json_has_not_are_named() {
    for (text, name) in [("[NaN]", "NaN"), ("[1, Infinity]", "Infinity"), ("-Infinity", "Infinity")]
    {
        let error = Json::from_text(text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name} is no JSON (use null) at line 1 column")),
            "{error}"
        );
    }
}

#[test]
fn numbers_are_given_to_types_that_look_twice() {
    #[derive(serde::Deserialize)]
    struct Row {
        id: u64,
        #[serde(flatten)]
        rest: Rest,
    }
    #[derive(serde::Deserialize)]
    struct Rest {
        score: f64,
        count: i64,
    }
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Open {
        id: u64,
        #[serde(flatten)]
        rest: serde_json::Map<String, Value>,
    }
    for score in ["1e-05", "0.36995516654807925", "1.50", "1E5", "-0.0", "5e-324"] {
        let text = format!(r#"{{"id":7,"score":{score},"count":-3}}"#);
        let row: Row = Json::from_text(text).unwrap().read().unwrap();
        assert_eq!((row.id, row.rest.count), (7, -3));
        assert_eq!(row.rest.score.to_bits(), score.parse::<f64>().unwrap().to_bits());
    }
    // A reader of a value gets every digit.
    let text = r#"{"id":7,"b":0.10,"a":123456789012345678901234567890,"c":1e-05}"#;
    let open: Open = Json::from_text(text).unwrap().read().unwrap();
    assert_eq!(serde_json::to_string(&open).unwrap(), text);
}
