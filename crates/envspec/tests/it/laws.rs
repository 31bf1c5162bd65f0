//! The laws of the normal form and its digest.
//!
//! 1. **Spelling.** Requirements that differ only in case, separators, blanks, order, repetition,
//!    quotes, comments or insignificant zeros are equal, and so are the digests of their specs.
//! 2. **Order and repetition.** The order of lines and their repetition change nothing.
//! 3. **Form.** A list, a table with only the list, a requirements file with the same lines and a
//!    `-r` line that names the file give the same digest.
//! 4. **Idempotence.** The written normal form reads back as the same normal form; so does an
//!    `Install` through JSON.
//! 5. **Injectivity.** Specs whose normal forms differ have different canonical bytes.
//! 6. **Round trips.** A spec survives JSON and TOML unchanged.
//! 7. **Files.** A requirements file counts as the lines in it, wherever it is included; a file
//!    that includes itself is refused.

use envspec::{Error, Install, MemorySource, Requirement, RuntimeEnv, Tool, strategies};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::{DIR, chain, install_with, load, load_with};

/// Returns two specs of the same meaning: the same requirements in other spellings and another
/// order.
fn twins() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    vec(strategies::spellings(2), 1..5).prop_flat_map(|pairs| {
        let first: Vec<_> = pairs.iter().map(|pair| pair[0].clone()).collect();
        let mut second: Vec<_> = pairs.iter().map(|pair| pair[1].clone()).collect();
        second.push(pairs[0][0].clone());
        (Just(first), Just(second).prop_shuffle())
    })
}

fn digest(spec: &RuntimeEnv) -> String {
    install_with(spec, &MemorySource::new()).digest().to_string()
}

proptest! {
    #[test]
    fn spellings_of_one_requirement_are_equal(spellings in strategies::spellings(3)) {
        let first: Requirement = spellings[0].parse().unwrap();
        for spelling in &spellings[1..] {
            prop_assert_eq!(&first, &spelling.parse().unwrap());
        }
    }

    #[test]
    fn order_spelling_and_doubles_do_not_count((first, second) in twins()) {
        prop_assert_eq!(digest(&RuntimeEnv::pip(first)), digest(&RuntimeEnv::pip(second)));
    }

    #[test]
    fn the_form_does_not_count(lines in vec(strategies::requirement(), 1..4), is_uv: bool) {
        let tool = if is_uv { Tool::Uv } else { Tool::Pip };
        let source = MemorySource::new().with_file("/project/sub/r.txt", lines.join("\n"));
        let field = tool.as_str();
        let forms = [
            json!({ field: lines.clone() }),
            json!({ field: { "packages": lines.clone() } }),
            json!({ field: { "packages": "sub/r.txt", format!("{field}_check"): false } }),
            json!({ field: "sub/r.txt" }),
            json!({ field: ["-r sub/r.txt"], "env_vars": { "A": "1" } }),
            json!({ field: ["-r sub/../sub/r.txt", "-r /project/sub/r.txt"], "conda": null }),
        ];
        let digests: Vec<_> = forms
            .into_iter()
            .map(|form| install_with(&RuntimeEnv::from_value(form).unwrap(), &source).digest())
            .collect();
        prop_assert!(digests.iter().all(|digest| *digest == digests[0]), "{:?}", digests);
    }

    #[test]
    fn the_normal_form_is_its_own(line in strategies::requirement()) {
        let requirement: Requirement = line.parse().unwrap();
        let written = requirement.to_string();
        let again: Requirement = written.parse().unwrap();
        prop_assert_eq!(&again, &requirement);
        prop_assert_eq!(again.to_string(), written);
    }

    #[test]
    fn an_install_survives_json(spec in strategies::runtime_env()) {
        let source = MemorySource::new().with_file("/project/requirements.txt", "a\n-i https://h/\n");
        let Some(install) = load_with(&spec, &source).unwrap().install else { return Ok(()) };
        let again: Install = serde_json::from_str(&serde_json::to_string(&install).unwrap()).unwrap();
        prop_assert_eq!(&again, &install);
        prop_assert_eq!(again.canonical_bytes(), install.canonical_bytes());
    }

    #[test]
    fn other_meaning_other_bytes(
        one in vec(strategies::requirement(), 1..4),
        other in vec(strategies::requirement(), 1..4),
    ) {
        let load = |lines: Vec<String>| install_with(&RuntimeEnv::pip(lines), &MemorySource::new());
        let (one, other) = (load(one), load(other));
        prop_assert_eq!(one == other, one.canonical_bytes() == other.canonical_bytes());
        prop_assert_eq!(one == other, one.digest() == other.digest());
    }

    #[test]
    fn a_spec_survives_json_and_toml(spec in strategies::runtime_env()) {
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(&RuntimeEnv::from_json(&json).unwrap(), &spec);
        prop_assert_eq!(&serde_json::from_str::<RuntimeEnv>(&json).unwrap(), &spec);
        let toml = toml::to_string(&spec).unwrap();
        prop_assert_eq!(&RuntimeEnv::from_toml(&toml).unwrap(), &spec);
        prop_assert_eq!(&toml::from_str::<RuntimeEnv>(&toml).unwrap(), &spec);
    }

    #[test]
    fn valid_specs_are_read(value in strategies::spec_json()) {
        prop_assert!(RuntimeEnv::from_value(value).is_ok());
    }

    #[test]
    fn files_add_up_to_their_lines(tree in strategies::requirements_tree()) {
        let spec = RuntimeEnv::requirements_file(Tool::Pip, tree.root);
        let from_file = load_with(&spec, &tree.source).unwrap();
        let flat = RuntimeEnv::pip(tree.requirements).with_constraints(tree.constraints);
        prop_assert_eq!(from_file.install, load(&flat).unwrap().install);
    }

    #[test]
    fn a_file_that_includes_itself_is_refused(tree in strategies::cyclic_requirements_tree()) {
        let spec = RuntimeEnv::requirements_file(Tool::Uv, tree.root);
        let error = load_with(&spec, &tree.source).unwrap_err();
        prop_assert!(chain(&error).ends_with("includes itself"), "{}", chain(&error));
    }
}

/// Every pair here differs in meaning, although the two look alike.
#[test]
fn near_misses_differ() {
    let a = || RuntimeEnv::pip(["a==1.0"]);
    let wheel =
        |text: &str| MemorySource::new().with_file(format!("{DIR}/a-1-py3-none-any.whl"), text);
    let empty = MemorySource::new();
    let local = RuntimeEnv::pip(["./a-1-py3-none-any.whl"]);
    let specs = [
        (a(), &empty),
        (RuntimeEnv::uv(["a==1.0"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "b"]), &empty),
        (RuntimeEnv::pip(["a[b]==1.0"]), &empty),
        (RuntimeEnv::pip(["a~=1.0"]), &empty),
        (RuntimeEnv::pip(["a~=1.0.0"]), &empty),
        (RuntimeEnv::pip(["a===1.0"]), &empty),
        (RuntimeEnv::pip(["a===1.0.0"]), &empty),
        (RuntimeEnv::pip(["a==1.*"]), &empty),
        (RuntimeEnv::pip(["a==1.0.*"]), &empty),
        (RuntimeEnv::pip(["a==1.0 ; python_full_version < '3.13'"]), &empty),
        (RuntimeEnv::pip(["a==1.0 ; python_full_version < '3.13rc1'"]), &empty),
        (RuntimeEnv::pip(["a @ git+https://h/a@main"]), &empty),
        (RuntimeEnv::pip(["a @ git+https://h/a@dev"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "--pre"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "--no-index"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "-i https://h/x"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "-i https://h/y"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "--extra-index-url https://h/x"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "-f https://h/x"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "--no-binary a"]), &empty),
        (RuntimeEnv::pip(["a==1.0", "--only-binary a"]), &empty),
        (a().with_constraints(["b==1"]), &empty),
        (a().with_overrides(["b==1"]), &empty),
        (a().with_keep(["b"]), &empty),
        (a().with_check(true), &empty),
        (a().with_tool_version("==24"), &empty),
        (a().with_tool_options(["--no-deps"]), &empty),
        (a().with_tool_options(["--no-build-isolation"]), &empty),
        (a().with_env_var("PIP_PRE", "1"), &empty),
        (a().with_env_var("X", "1").with_build_env(["X"]), &empty),
        (a().with_env_var("USE_AUTH", "0").with_build_env(["USE_AUTH"]), &empty),
        (a().with_env_var("USE_AUTH", "1").with_build_env(["USE_AUTH"]), &empty),
        (a().with_tool_options(["--config-settings", "-v"]), &empty),
        (a().with_tool_options(["--config-settings", "-q"]), &empty),
        (local.clone(), &wheel("one")),
        (local, &wheel("two")),
    ];
    let mut seen = std::collections::BTreeMap::new();
    for (spec, source) in &specs {
        let previous = seen.insert(install_with(spec, source).canonical_bytes(), spec);
        assert!(previous.is_none(), "{spec:?} and {previous:?}");
    }
}

#[test]
fn what_means_the_same_has_one_digest() {
    let plain = digest(&RuntimeEnv::pip(["a==1.0"]));
    for same in [
        RuntimeEnv::pip(["a==1.0"]).with_env_var("ONLY_FOR_WORKERS", "1"),
        RuntimeEnv::pip(["a==1.0"]).with_build_env(["NOT_SET"]),
        RuntimeEnv::pip(["a==1.0"]).with_env_var("PIP_RETRIES", "1"),
        RuntimeEnv::pip(["a==1.0"]).with_env_var("PIP_USER", "1"),
        RuntimeEnv::pip(["a==1.0"]).with_env_var("PIP_NOT_KNOWN", "1"),
        RuntimeEnv::pip(["a==1.0"]).with_env_var("UV_PRERELEASE", "allow"),
        RuntimeEnv::pip(["a==1.0"]).with_tool_options(["--retries", "7", "--cert=/c", "-q"]),
        RuntimeEnv::pip(["a==1.0"])
            .with_tool_options(["--no-cache-dir", "--disable-pip-version-check"]),
        RuntimeEnv::pip(["a==1.0"]).with_working_dir("src").with_py_modules(["lib"]),
        RuntimeEnv::pip(["a==1.0", "", "# only a comment"]),
    ] {
        assert_eq!(digest(&same), plain, "{same:?}");
    }
}

#[test]
fn the_spelling_of_an_option_is_no_matter() {
    let of = |options: &[&str]| digest(&RuntimeEnv::pip(["a"]).with_tool_options(options.to_vec()));
    let whole = of(&["--upgrade", "--config-settings=a=b", "--no-deps"]);
    assert_eq!(of(&["-UC", "a=b", "--no-dep"]), whole);
}

#[test]
fn a_tool_option_that_is_understood_counts_as_the_line() {
    let as_line = RuntimeEnv::uv(["a", "--index-url https://h/simple/", "--pre"]);
    let as_option =
        RuntimeEnv::uv(["a"]).with_tool_options(["--pre", "--index-url", "https://h/simple"]);
    assert_eq!(digest(&as_line), digest(&as_option));
}

#[test]
fn an_error_stays_an_error_through_serde() {
    let error = serde_json::from_str::<RuntimeEnv>(r#"{"pipp": []}"#).unwrap_err();
    assert_eq!(error.to_string(), "`pipp` is no field of a runtime_env (did you mean `pip`?)");
    assert!(matches!(RuntimeEnv::from_json("{"), Err(Error::Json { .. })));
}
