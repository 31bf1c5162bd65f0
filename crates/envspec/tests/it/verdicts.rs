//! Law: a requirements file means what it means to the package manager of the spec. `verdicts.py`
//! gave the files in `tests/requirements` to two versions of pip and to uv, and recorded their
//! readings; where two versions of pip differ, either is correct.

use std::collections::BTreeSet;
use std::path::Path;

use envspec::{MemorySource, Requirement, RuntimeEnv, Tool};
use serde_json::{Map, Value};

use crate::load_with;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requirements");

fn verdicts() -> Map<String, Value> {
    serde_json::from_str(include_str!("../verdicts.json")).expect("verdicts")
}

fn source() -> MemorySource {
    let mut source = MemorySource::new().with_file("/build/idna-3.7-py3-none-any.whl", "wheel");
    for dir in [Path::new(FILES), &Path::new(FILES).join("nested")] {
        for entry in std::fs::read_dir(dir).expect("the files").flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                let below = entry.path();
                let below = below.strip_prefix(FILES).expect("one of them");
                source = source.with_file(Path::new("/project").join(below), bytes);
            }
        }
    }
    source
}

/// Returns our reading of a file, in the format of `verdicts.py`; null if the file is refused.
fn ours(tool: Tool, file: &str, source: &MemorySource) -> Value {
    let spec = RuntimeEnv::requirements_file(tool, file);
    let Ok(loaded) = load_with(&spec, source) else { return Value::Null };
    let install = loaded.install.expect("a requirement");
    let requirements = install.requirements.iter().map(|it| (it, false));
    let constraints = install.constraints.iter().map(|it| (it, true));
    requirements.chain(constraints).map(|(it, is_constraint)| row(it, is_constraint)).collect()
}

fn row(it: &Requirement, is_constraint: bool) -> Value {
    let specifiers: Vec<_> = it.specifiers().iter().map(ToString::to_string).collect();
    let link = it.path().map(|path| format!("file://{}", path.display()));
    serde_json::json!({
        "constraint": is_constraint,
        "editable": it.is_editable(),
        "extras": it.extras().collect::<Vec<_>>(),
        "hashes": it.hashes().len(),
        "link": link.or_else(|| it.url().map(Into::into)),
        "marker": it.marker(),
        "name": it.name(),
        "specifier": specifiers.join(","),
    })
}

/// Returns a verdict of pip in our spelling; null if only an old version accepts the file.
fn normal(verdict: &Value) -> Value {
    let Some(rows) = verdict.as_array() else { return Value::Null };
    let rows = rows.iter().map(|given| {
        let mut row = given.clone();
        let text = |field: &str| given[field].as_str().unwrap_or_default();
        let line = format!("x{}", text("specifier"));
        let marker = if given["marker"].is_null() {
            String::new()
        } else {
            format!(" ; {}", text("marker"))
        };
        let read: Requirement = format!("{line}{marker}").parse().ok()?;
        let specifiers: Vec<_> = read.specifiers().iter().map(ToString::to_string).collect();
        // The link tells the version of a wheel.
        row["specifier"] =
            if given["link"].is_null() { specifiers.join(",") } else { String::new() }.into();
        row["marker"] = read.marker().into();
        row["name"] = given["name"].as_str().map(envspec::normal_name).into();
        row["extras"] = given["extras"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(envspec::normal_name)
            .collect();
        // An empty port is no port.
        row["link"] =
            given["link"].as_str().map(|link| link.replace("example:/", "example/")).into();
        Some(row)
    });
    rows.collect::<Option<Value>>().unwrap_or_default()
}

fn sorted(rows: &Value) -> Option<BTreeSet<String>> {
    Some(rows.as_array()?.iter().map(ToString::to_string).collect())
}

#[test]
fn each_file_is_read_as_pip_reads_it() {
    let (verdicts, source) = (verdicts(), source());
    let pips: Vec<_> = verdicts.iter().filter(|(tool, _)| tool.starts_with("pip ")).collect();
    assert!(pips.len() >= 2 && pips[0].1.as_object().unwrap().len() >= 60);
    for file in pips[0].1.as_object().unwrap().keys() {
        let ours = ours(Tool::Pip, file, &source);
        let theirs: Vec<_> = pips.iter().map(|(_, files)| normal(&files[file])).collect();
        let is_right = theirs.iter().any(|verdict| sorted(verdict) == sorted(&ours));
        assert!(is_right, "{file}\n  ours:   {ours}\n  theirs: {theirs:#?}");
    }
}

#[test]
fn each_file_is_read_as_uv_reads_it() {
    let (verdicts, source) = (verdicts(), source());
    let (_, uv) = verdicts.iter().find(|(tool, _)| tool.starts_with("uv ")).expect("a uv");
    for (file, verdict) in uv.as_object().unwrap() {
        let ours = ours(Tool::Uv, file, &source);
        if let Some(names) = verdict.as_array() {
            let names: BTreeSet<_> = names.iter().filter_map(Value::as_str).collect();
            let rows = ours.as_array().unwrap_or_else(|| panic!("{file} is refused"));
            // uv leaves out requirements that no Python that it supports needs.
            let wanted = rows.iter().filter(|row| {
                let is_named = row["name"].as_str().is_some_and(|name| names.contains(name));
                row["constraint"] == false && (is_named || row["marker"].is_null())
            });
            let found: BTreeSet<_> = wanted.filter_map(|row| row["name"].as_str()).collect();
            assert_eq!(found, names, "{file}");
        } else if file.starts_with("wrong_") || file.starts_with("latin") {
            assert!(ours.is_null(), "{file}: {ours}");
        }
    }
}

#[test]
fn every_file_has_its_verdict() {
    let files = std::fs::read_dir(FILES).unwrap().flatten().map(|entry| entry.file_name());
    let files: BTreeSet<_> = files.filter_map(|name| name.into_string().ok()).collect();
    let files: BTreeSet<_> = files
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "txt"))
        .collect();
    for (tool, verdicts) in verdicts() {
        let known: BTreeSet<_> = verdicts.as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, files, "{tool}");
    }
}
