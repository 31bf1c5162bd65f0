//! `init`: writes a pipeline to start from.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};

use crate::failure::Failure;
use crate::output;

/// The files; the one to look at first comes last.
const FILES: [(&str, &str); 4] = [
    ("tasks.jsonl", include_str!("init/tasks.jsonl")),
    ("stages.py", include_str!("init/stages.py")),
    ("pipeline.toml", include_str!("init/pipeline.toml")),
    ("README.md", include_str!("init/README.md")),
];

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder, created if needed.
    #[arg(default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Init) -> Result<ExitCode, Failure> {
    let dir = &arguments.dir;
    let there: Vec<&str> =
        FILES.iter().map(|(name, _)| *name).filter(|name| is_there(&dir.join(name))).collect();
    if !there.is_empty() {
        return Err(Failure::usage(&format!(
            "`{}` has {} already\n\nhint: name another folder: curator init DIR",
            dir.display(),
            there.join(", ")
        )));
    }
    let failed = |path: &Path, error| Failure::io(&format!("write `{}`", path.display()), &error);
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        // Overwrite nothing, not even a file created just now.
        let written = File::create_new(&path).and_then(|mut it| it.write_all(text.as_bytes()));
        written.map_err(|error| failed(&path, error))?;
    }
    let enter =
        if dir == Path::new(".") { String::new() } else { format!("cd {} && ", quoted(dir)) };
    output::text(&format!(
        "wrote {}\n\n{enter}curator run pipeline.toml --input tasks.jsonl",
        FILES.map(|(name, _)| name).join(", ")
    ))
}

fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound
        || error.kind() == ErrorKind::NotADirectory)
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
