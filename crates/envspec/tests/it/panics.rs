//! Law: no input makes the crate panic. For any text or JSON, the result is a value or an error
//! whose message and hint can be printed.

use std::path::Path;

use envspec::{
    Digest, Error, IndexUrl, LoadedEnv, MemorySource, Requirement, RuntimeEnv, redact, strategies,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::{chain, load, load_with};

fn print(error: &Error) {
    let _ = (chain(error), error.hint(), format!("{error:?}"));
}

fn try_requirement(text: &str) {
    for read in [text.parse(), Requirement::parse_in(text, Path::new("/project"))] {
        match read {
            Ok(requirement) => {
                let _ = (requirement.name(), requirement.marker(), requirement.url());
                let _ = requirement.accepts(text);
                let _ = requirement.accepts("1.0");
                let _ = requirement.applies(|_| Some("1.0"));
            }
            Err(error) => print(&error),
        }
    }
}

fn try_spec(spec: &RuntimeEnv, source: &MemorySource) {
    let _ = format!("{spec:?}");
    match load_with(spec, source) {
        Ok(loaded) => {
            let _ = format!("{loaded:?}");
            let _ = loaded.install.map(|install| install.digest());
        }
        Err(error) => print(&error),
    }
}

/// Text made of parts of requirements, which reaches deeper than random text.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        proptest::sample::select(
            &[
                "a",
                "-",
                "_",
                ".",
                "[",
                "]",
                ",",
                ";",
                "@",
                " ",
                "==",
                ">=",
                "~=",
                "===",
                "1.0",
                ".*",
                "!",
                "+",
                "99999999999999999999",
                "18446744073709551615",
                "rc",
                "python_version",
                "os_name",
                "extra",
                "'",
                "\"",
                "(",
                ")",
                "and",
                "or",
                "not",
                "in",
                "https://",
                "u:p@",
                "file:",
                "git+ssh://",
                "/",
                "..",
                "#egg=",
                "%",
                "%ff",
                "${A}",
                "${",
                "}",
                "\\",
                "\n",
                "-e ",
                "-r ",
                "-c ",
                "--hash=",
                "sha256:",
                "--pre",
                "é",
                "\u{0}",
                "\u{feff}",
                ".whl",
            ][..]
        )
        .prop_map(str::to_owned),
        "\\PC",
    ];
    vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn on_any_text(text in prop_oneof![any::<String>(), fragments()]) {
        try_requirement(&text);
        let _ = redact(&text);
        let _ = text.parse::<Digest>().map_err(|error| print(&error));
        let _ = text.parse::<IndexUrl>().map(|url| url.to_string());
        for read in [RuntimeEnv::from_json(&text), RuntimeEnv::from_toml(&text)] {
            match read {
                Ok(spec) => try_spec(&spec, &MemorySource::new()),
                Err(error) => print(&error),
            }
        }
        let source = MemorySource::new().with_file("/project/requirements.txt", text.as_str());
        try_spec(&RuntimeEnv::pip([format!("-r requirements.txt\n{text}")]), &source);
        try_spec(
            &RuntimeEnv::uv(["a"])
                .with_tool_options([text.as_str(), text.as_str()])
                .with_tool_version(text.as_str())
                .with_constraints([text.as_str()])
                .with_overrides([text.as_str()])
                .with_keep([text.as_str()])
                .with_engine_field(text.as_str(), 1)
                .with_env_var("PIP_CONSTRAINT", text.as_str()),
            &source,
        );
    }

    #[test]
    fn on_nearly_valid_requirements(text in strategies::nearly_valid_requirement()) {
        try_requirement(&text);
    }

    #[test]
    fn on_any_bytes_of_a_file(bytes in vec(any::<u8>(), 0..64)) {
        let source = MemorySource::new().with_file("/project/requirements.txt", bytes);
        try_spec(&RuntimeEnv::pip(["-r requirements.txt"]), &source);
    }

    #[test]
    fn on_any_json(value in prop_oneof![strategies::json(), strategies::nearly_valid_spec_json()]) {
        let _ = serde_json::from_value::<LoadedEnv>(value.clone());
        let _ = serde_json::from_value::<LoadedEnv>(json!({ "install": value.clone() }));
        let _ = serde_json::from_value::<Requirement>(value.clone());
        for field in ["pip", "uv", "config", "env_vars", "constraints", "keep"] {
            if let Err(error) = RuntimeEnv::from_value(json!({ field: value.clone() })) {
                print(&error);
            }
        }
        match RuntimeEnv::from_value(value) {
            Ok(spec) => try_spec(&spec, &MemorySource::new()),
            Err(error) => print(&error),
        }
    }
}

#[test]
fn on_numbers_at_the_edge() {
    for version in ["18446744073709551615", "1.18446744073709551615.*", "18446744073709551616"] {
        for operator in ["==", "~=", "<", "!=", ">"] {
            try_requirement(&format!("a{operator}{version}"));
            try_requirement(&format!("a ; python_version {operator} '{version}'"));
        }
    }
    try_requirement(&format!("a ; {}os_name == 'x'{}", "(".repeat(10_000), ")".repeat(10_000)));
}

#[test]
fn on_a_source_that_has_every_file() {
    let endless = |path: &Path| Ok(format!("-r {}/x.txt", path.display()).into_bytes());
    let error = RuntimeEnv::pip(["-r x.txt"]).load(&endless, Path::new("/")).unwrap_err();
    assert!(chain(&error).contains("nested more than 64 files deep"));
    assert!(load(&RuntimeEnv::new()).is_ok());
}
