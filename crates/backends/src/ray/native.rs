//! A stage's spec as the `runtime_env` that Ray itself builds.

use envspec::{IndexOptions, Install, LoadedEnv, Tool};
use serde_json::{Map, Value, json};

use crate::run::Error;

/// Returns the `runtime_env` for Ray, with credentials; empty if Ray has nothing to do.
///
/// The packages come from the spec's files as they were read. Folders and modules on the path are
/// left out: Ray takes local ones only for a whole job, so the host handles them.
pub(crate) fn runtime_env(stage: &str, env: &LoadedEnv) -> Result<Map<String, Value>, Error> {
    let mut fields: Map<String, Value> =
        env.engine_fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if !env.env_vars.is_empty() {
        fields.insert("env_vars".to_owned(), json!(env.env_vars));
    }
    if let Some(install) = &env.install {
        fields.insert(install.tool.as_str().to_owned(), packages(stage, install)?);
        let seconds = env
            .setup_timeout
            .map_or(-1, |limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX).max(1));
        fields.insert("config".to_owned(), json!({ "setup_timeout_seconds": seconds }));
    }
    Ok(fields)
}

fn packages(stage: &str, install: &Install) -> Result<Value, Error> {
    // No `..`: a new field is given to Ray here, or refused here.
    let Install {
        tool,
        tool_version,
        requirements,
        constraints,
        overrides,
        keep,
        index,
        tool_options,
        check,
        build_env,
        contents: _,
        ..
    } = install;
    // Ray keeps `ray` by itself.
    let keeps_more = keep.iter().any(|name| name != "ray");
    let sets_more =
        build_env.keys().any(|name| !name.starts_with("PIP_") && !name.starts_with("UV_"));
    let refused = [
        ("constraints", !constraints.is_empty()),
        ("overrides", !overrides.is_empty()),
        ("keep", keeps_more),
        ("config.build_env", sets_more),
    ];
    if let Some((field, _)) = refused.into_iter().find(|(_, is_refused)| *is_refused) {
        return Err(Error::NotNative { stage: stage.to_owned(), field });
    }
    let options = [&tool_options[..], &index_options(*tool, index)[..]].concat();
    let lines: Vec<String> = requirements.iter().map(envspec::Requirement::expose).collect();
    let name = tool.as_str();
    let mut table = Map::new();
    table.insert("packages".to_owned(), json!(lines));
    table.insert(format!("{name}_check"), json!(check));
    if let Some(version) = tool_version {
        table.insert(format!("{name}_version"), json!(version));
    }
    if !options.is_empty() {
        // A list replaces Ray's own, which turns the caches off.
        let own = match tool {
            Tool::Pip => ["--disable-pip-version-check", "--no-cache-dir"].as_slice(),
            Tool::Uv => &["--no-cache"],
        };
        let options: Vec<&str> =
            own.iter().copied().chain(options.iter().map(String::as_str)).collect();
        let field = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        table.insert(field.to_owned(), json!(options));
    }
    Ok(Value::Object(table))
}

/// Returns where a tool looks for packages, as its options.
fn index_options(tool: Tool, index: &IndexOptions) -> Vec<String> {
    let mut options = Vec::new();
    let mut add = |option: &str, value: &str| options.push(format!("{option}={value}"));
    if let Some(url) = &index.index_url {
        add("--index-url", url.expose());
    }
    for url in &index.extra_index_urls {
        add("--extra-index-url", url.expose());
    }
    for url in &index.find_links {
        add("--find-links", url.expose());
    }
    for (option, name) in index.binary_options() {
        add(option, name);
    }
    if index.no_index {
        options.push("--no-index".to_owned());
    }
    if index.pre {
        options.push(match tool {
            Tool::Pip => "--pre".to_owned(),
            Tool::Uv => "--prerelease=allow".to_owned(),
        });
    }
    if index.require_hashes {
        options.push("--require-hashes".to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use envspec::{MemorySource, RuntimeEnv};

    use super::*;

    fn native(text: &str, files: &[(&str, &str)]) -> Result<Value, Error> {
        let source = files.iter().fold(MemorySource::new(), |source, (path, text)| {
            source.with_file(path, text.as_bytes())
        });
        let env = RuntimeEnv::from_json(text).unwrap().load(&source, Path::new("/job")).unwrap();
        runtime_env("s", &env).map(Value::Object)
    }

    #[test]
    fn a_spec_becomes_what_ray_takes() {
        let env = native(r#"{"pip": ["B==1", "a>=2"], "env_vars": {"X": "1"}}"#, &[]).unwrap();
        assert_eq!(
            env,
            json!({
                "pip": { "packages": ["a>=2.0", "b==1.0"], "pip_check": false },
                "env_vars": { "X": "1" },
                "config": { "setup_timeout_seconds": 600 },
            })
        );
    }

    #[test]
    fn files_are_inlined_and_index_options_become_options() {
        let env = native(
            r#"{"uv": "requirements.txt"}"#,
            &[("/job/requirements.txt", "--pre\n--extra-index-url http://u:p@host/simple\na==1")],
        );
        assert_eq!(
            env.unwrap()["uv"],
            json!({
                "packages": ["a==1.0"], "uv_check": false,
                "uv_pip_install_options":
                    ["--no-cache", "--extra-index-url=http://u:p@host/simple", "--prerelease=allow"],
            })
        );
    }

    #[test]
    fn what_ray_has_nothing_for_is_refused() {
        for (field, text) in [
            ("constraints", r#"{"uv": ["a"], "constraints": ["b<2"]}"#),
            ("overrides", r#"{"uv": ["a"], "overrides": ["b==2"]}"#),
            ("keep", r#"{"uv": ["a"], "keep": ["b"]}"#),
        ] {
            let error = native(text, &[]).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("Cached")));
        }
    }
}
