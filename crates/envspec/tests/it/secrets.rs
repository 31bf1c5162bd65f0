//! Law: a secret stays secret. Credentials of URLs, and values of environment variables with the
//! name of a credential, are in no serialized install, no debug output and no error; only the package
//! manager gets them. A digest covers those of them that may name what is fetched, and no others.

use std::fmt::Debug;

use envspec::{LoadedEnv, MemorySource, RuntimeEnv, redact, strategies};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{chain, install_with, load, load_with};

const SECRET: &str = "hunter2";
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn spec(secret: &str) -> RuntimeEnv {
    RuntimeEnv::pip([
        format!("--index-url https://me:{secret}@h/simple"),
        format!("--extra-index-url https://{secret}@h/extra"),
        format!("a @ https://me:{secret}@h/a-1-py3-none-any.whl"),
        format!("c @ https://h/c-1-py3-none-any.whl?X-Amz-Date={secret}&X-Amz-Signature={secret}#sha256={HASH}"),
        format!("d @ https://h/d.tar.gz?access_token={secret}&version=2"),
        format!("e @ git+https://h/e.git?private_token={secret}#subdirectory=e"),
        format!("b @ git+https://{secret}@h/b.git@main"),
        format!("-f http://me:{secret}@h/links/"),
        format!("-f https://h/signed?sv=1&sig={secret}"),
        format!("--extra-index-url https://h/simple?token={secret}"),
    ])
    .with_tool_options([format!("--proxy=http://me:{secret}@proxy"), "--no-deps".to_owned()])
    .with_env_var("PIP_INDEX_URL", format!("https://me:{secret}@h/"))
    .with_env_var("UV_INDEX_H_PASSWORD", secret)
    .with_env_var("HF_TOKEN", secret)
}

fn hides(value: &impl Debug) {
    let text = format!("{value:?}\n{value:#?}");
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn nothing_that_is_kept_or_shown_holds_a_credential() {
    let spec = spec(SECRET);
    hides(&spec);
    let loaded = load(&spec).unwrap();
    hides(&loaded);
    let json = serde_json::to_string(&loaded).unwrap();
    assert!(!json.contains(SECRET), "{json}");
    let install = loaded.install.clone().unwrap();
    for requirement in &install.requirements {
        assert!(!requirement.to_string().contains(SECRET));
    }
    assert!(!String::from_utf8_lossy(&install.canonical_bytes()).contains(SECRET));
    // The credentials are left out; the rest is read back, with the same digest.
    let again: LoadedEnv = serde_json::from_str(&json).unwrap();
    assert_eq!(again.install.unwrap().requirements.len(), install.requirements.len());
}

#[test]
fn the_package_manager_gets_them() {
    let install = load(&spec(SECRET)).unwrap().install.unwrap();
    assert!(install.index.index_url.as_ref().unwrap().expose().contains(SECRET));
    assert!(install.requirements.iter().all(|requirement| requirement.expose().contains(SECRET)));
    let spec = RuntimeEnv::uv(["a"]).with_env_var("UV_INDEX_H_PASSWORD", SECRET);
    assert_eq!(load(&spec).unwrap().install.unwrap().build_env["UV_INDEX_H_PASSWORD"], SECRET);
}

/// Returns a digest for a credential at one place of a spec.
fn digest_of(place: usize, secret: &str, query: &str) -> envspec::Digest {
    let user = format!("{secret}@");
    let user = if query.is_empty() { user.as_str() } else { "" };
    let index = format!("https://{user}h/simple{query}");
    let spec = match place {
        0 => RuntimeEnv::pip([format!("a @ https://{user}h/a-1-py3-none-any.whl{query}")]),
        1 => RuntimeEnv::uv([format!("git+https://{user}h/e.git{query}#subdirectory=e")]),
        2 => RuntimeEnv::pip(["a".to_owned(), format!("-i {index}")]),
        3 => RuntimeEnv::uv(["a".to_owned(), format!("--extra-index-url {index}")]),
        4 => RuntimeEnv::pip(["a".to_owned(), format!("-f {index}")]),
        5 => RuntimeEnv::uv(["a"]).with_tool_options([format!("--index={index}")]),
        6 => RuntimeEnv::uv(["a"]).with_env_var("UV_INDEX", index),
        7 => RuntimeEnv::pip(["a"]).with_env_var("SOURCE", index).with_build_env(["SOURCE"]),
        _ => RuntimeEnv::pip(["a"]).with_constraints([format!("b @ {index}/b.zip{query}")]),
    };
    install_with(&spec, &MemorySource::new()).digest()
}

#[test]
fn a_credential_that_may_name_the_object_is_another_environment() {
    for place in 0..9 {
        let digest = |secret: &str| digest_of(place, secret, "");
        assert_eq!(digest("one"), digest("two"), "{place}");
        for name in ["sig", "X-Amz-Signature"] {
            let digest =
                |secret: &str| digest_of(place, "", &format!("?version=1&{name}={secret}"));
            assert_eq!(digest("one"), digest("two"), "{place}: {name}");
        }
        for name in ["key", "code", "verify", "pass", "token", "version"] {
            let digest = |secret: &str| digest_of(place, "", &format!("?{name}={secret}"));
            assert_ne!(digest("one"), digest("two"), "{place}: {name}");
        }
    }
    // The parts of a query that name the object or its contents do count.
    let of = |query: &str| {
        let line = format!("a @ https://h/a-1-py3-none-any.whl{query}");
        install_with(&RuntimeEnv::pip([line]), &MemorySource::new()).digest()
    };
    let queries = ["", "?version=1", "?version=2", "?version=1#egg=a"];
    let digests: std::collections::BTreeSet<_> = queries.iter().map(|query| of(query)).collect();
    assert_eq!(digests.len(), queries.len());
    assert_eq!(of("?version=1&sig=x"), of("?version=1"));
}

#[test]
fn all_of_what_such_credentials_name_is_asked_for() {
    let address = |name: &str| format!("https://h/get?key={name}");
    let install = install_with(
        &RuntimeEnv::pip([
            format!("a @ {}", address("one")),
            format!("a @ {}", address("two")),
            format!("-f {}", address("three")),
            format!("-f {}", address("four")),
        ]),
        &MemorySource::new(),
    );
    assert_eq!((install.requirements.len(), install.index.find_links.len()), (2, 2));
}

#[test]
fn errors_hold_none() {
    let url = format!("https://me:{SECRET}@h/x");
    for line in [
        format!("a b {url}"),
        format!("a ; os_name == 'x' {url}"),
        format!("-x{url}"),
        format!("--unknown={url}"),
        format!("-r {url}"),
        format!("-i '{url}"),
        format!("a==1 --hash={url}"),
        format!("a==1 --x{url}"),
        format!("a=={url}"),
        format!("a @ {url} {url}"),
        format!("{url}/${{A}}"),
        format!("-r https://h/x?sig={SECRET}"),
        format!("a @ https://h/x?sig={SECRET}/${{A}} b"),
        format!("--no-binary={url}"),
    ] {
        let error = load(&RuntimeEnv::pip([line.clone()])).unwrap_err();
        let text = format!("{} {:?} {error:?}", chain(&error), error.hint());
        assert!(!text.contains(SECRET), "{line}: {text}");
    }
    for json in [
        format!(r#"{{"pip": {{"packages": ["a"], "{url}": 1}}}}"#),
        format!(r#"{{"config": "{url}"}}"#),
        format!(r#"{{"env_vars": {{"A": ["{SECRET}"]}}}}"#),
        format!(r#"{{"pip": ["{url}"#),
    ] {
        let error = RuntimeEnv::from_json(&json).unwrap_err();
        let text = format!("{} {:?} {error:?}", chain(&error), error.hint());
        assert!(!text.contains(SECRET), "{text}");
    }
    let error = RuntimeEnv::from_toml(&format!("pip = ['{url}' 1]")).unwrap_err();
    assert!(!format!("{} {error:?}", chain(&error)).contains(SECRET), "{error:?}");
}

#[test]
fn a_variable_is_expanded_among_credentials_only() {
    let spec = RuntimeEnv::uv(["a", "-i https://${USER_NAME}:${OTHER}@h/simple"])
        .with_env_var("USER_NAME", "me");
    let install = load(&spec).unwrap().install.unwrap();
    assert_eq!(install.index.index_url.unwrap().expose(), "https://me:${OTHER}@h/simple");
    let error = load(&RuntimeEnv::uv(["a==${VERSION}"]).with_env_var("VERSION", "1")).unwrap_err();
    assert!(chain(&error).contains("uses the variable `VERSION`"));
    let source = MemorySource::new().with_file("/project/src/r.txt", "a");
    let spec = RuntimeEnv::pip(["-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/r.txt"]);
    assert!(load_with(&spec.clone().with_working_dir("src"), &source).is_ok());
    assert!(load_with(&spec, &source).is_err());
}

proptest! {
    #[test]
    fn redacting_leaves_no_password_and_nothing_to_redact(
        before in "[a-z =,]{0,8}",
        user in "[a-z0-9.%-]{0,6}",
        password in "[A-Z][A-Z0-9/?#:$]{7}[A-Z0-9]",
        after in "[a-z/]{0,8}",
    ) {
        let text = format!("{before}https://{user}:{password}@host{after} and more");
        let cut = redact(&text);
        prop_assert!(!cut.contains(&password), "{}", cut);
        prop_assert_eq!(redact(&cut), cut.as_ref());
    }
}

/// Returns the lines of a package list with credentials in them.
fn secret_lines() -> [String; 3] {
    [
        format!("--index-url https://me:{SECRET}@h/simple"),
        format!("--find-links https://{SECRET}@h/links"),
        format!("zz-own @ https://me:{SECRET}@h/zz_own-1-py3-none-any.whl"),
    ]
}

/// Puts credentials into every place of the spec that takes some; a file gets them in its text.
fn with_credentials(mut spec: Value) -> Value {
    for field in ["pip", "uv"] {
        let lines = match &mut spec[field] {
            Value::Array(lines) => Some(lines),
            Value::Object(table) => table.get_mut("packages").and_then(Value::as_array_mut),
            _ => None,
        };
        if let Some(lines) = lines {
            lines.extend(secret_lines().map(Value::from));
        } else if spec[field].is_null() {
            spec.as_object_mut().expect("a table").remove(field);
        }
    }
    if spec["env_vars"].is_null() {
        spec["env_vars"] = json!({});
    }
    spec["env_vars"]["HF_TOKEN"] = SECRET.into();
    spec["env_vars"]["UV_INDEX_H_PASSWORD"] = SECRET.into();
    spec
}

proptest! {
    /// The exposed form is the whole spec, and the serialized form has no credential in it.
    #[test]
    fn an_exposed_spec_is_read_back_whole(spec in strategies::spec_json()) {
        let source = MemorySource::new()
            .with_file("/project/requirements.txt", secret_lines().join("\n"));
        let spec = RuntimeEnv::from_value(with_credentials(spec)).unwrap();
        let loaded = load_with(&spec, &source).unwrap();
        let again: LoadedEnv = serde_json::from_value(loaded.expose()).unwrap();
        prop_assert_eq!(&again, &loaded);
        // Equality does not compare credentials everywhere, but the package manager's input does.
        prop_assert_eq!(again.expose(), loaded.expose());
        prop_assert!(loaded.expose().to_string().contains(SECRET));
        let plain = serde_json::to_string(&loaded).unwrap();
        prop_assert!(!plain.contains(SECRET), "{}", plain);
    }
}
