//! `env lock`: resolves a spec.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::arguments::{Lock, LockFormat};
use crate::failure::Failure;
use crate::output;
use crate::spec::{Wanted, recorded};
use crate::whole;

pub(crate) fn run(arguments: &Lock, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let format = format(arguments)?;
    let mut provisioner = arguments.base.builder(cache_dir)?.open()?;
    let env = match arguments.spec.read(&provisioner)? {
        Wanted::Spec(env) => *env,
        Wanted::Found(environment) => {
            if arguments.base.is_default() {
                provisioner = provisioner.like(&environment)?;
            }
            recorded(&environment)?
        }
    };
    if format == LockFormat::Pylock {
        return written(arguments, &provisioner.lock_file(&env)?);
    }
    let lines = provisioner.lock(&env)?;
    if arguments.output.json {
        return output::json(&json!({ "requirements": lines }));
    }
    written(arguments, &lines.join("\n"))
}

/// Returns the requested format, by `--format` or by the file's name.
fn format(arguments: &Lock) -> Result<LockFormat, Failure> {
    let name = arguments.output_file.as_deref().and_then(Path::file_name);
    let name = name.map(OsStr::to_string_lossy).unwrap_or_default();
    let is_lock_file =
        name == "pylock.toml" || name.starts_with("pylock.") && name.ends_with(".toml");
    match arguments.format {
        None if is_lock_file => Ok(LockFormat::Pylock),
        // Other tools, and this one, recognize the file by its name.
        Some(LockFormat::Pylock) if !name.is_empty() && !is_lock_file => Err(Failure::usage(
            &format!("a lock file is named `pylock.toml` or `pylock.NAME.toml`, not `{name}`"),
        )),
        Some(LockFormat::Requirements) if is_lock_file => Err(Failure::usage(&format!(
            "a file named `{name}` is a lock file: leave --format, or use another name"
        ))),
        None if name.ends_with(".toml") || name.ends_with(".json") => {
            Err(Failure::usage(&format!(
                "nothing here writes a file such as `{name}`\n\nhint: a lock file is named \
                 `pylock.toml` or `pylock.NAME.toml`; requirements go to a `.txt`"
            )))
        }
        format => Ok(format.unwrap_or(LockFormat::Requirements)),
    }
}

fn written(arguments: &Lock, text: &str) -> Result<ExitCode, Failure> {
    let text = text.trim_end_matches('\n');
    let Some(path) = &arguments.output_file else { return output::exactly(text) };
    let end = if text.is_empty() { "" } else { "\n" };
    whole::write(path, format!("{text}{end}").as_bytes())
        .map_err(|error| Failure::io(&format!("write `{}`", path.display()), &error))?;
    Ok(ExitCode::SUCCESS)
}
