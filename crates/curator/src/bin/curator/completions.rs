//! `completions`: a script for a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::arguments::Cli;
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

pub(crate) fn run(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "curator", &mut script);
    output::exactly(&String::from_utf8_lossy(&script))
}
