//! `completions`: a script for a shell.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::failure::Failure;
use crate::output;

pub(crate) const HELP: &str = "Examples:\n  \
    curator completions bash > ~/.local/share/bash-completion/completions/curator\n  \
    curator completions zsh > ~/.zfunc/_curator\n  \
    curator completions fish > ~/.config/fish/completions/curator.fish";

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the script that completes a command line of `command`.
pub(crate) fn run(arguments: &Completions, command: &mut Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, command, "curator", &mut script);
    output::exactly(&String::from_utf8_lossy(&script))
}
