//! The command `curator`: pipelines from files; environments at the prompt, in scripts, and as
//! Ray's launcher.
//!
//! Here are arguments and output only; what they stand for is in the libraries.

mod arguments;
mod completions;
mod display;
mod doctor;
mod engine;
mod env;
mod failure;
mod init;
mod logging;
mod observers;
mod output;
mod pipeline;
mod plan;
mod progress;
mod run;
mod schema;
mod spec;
mod values;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    // On the nodes of a cluster it serves programs that name it as their worker.
    curator::worker::serve_if_asked(&curator::worker::Registry::new());
    // Wrong usage ends the program here, with exit code 2.
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(arguments) => run::run(&arguments, cli.cache_dir.as_deref()),
        Command::Plan(arguments) => plan::run(&arguments, cli.cache_dir.as_deref()),
        Command::Init(arguments) => init::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Schema => schema::run(),
        Command::Env(command) => env::run(command, cli.cache_dir.as_deref()),
        Command::Doctor(arguments) => doctor::run(&arguments, cli.cache_dir.as_deref()),
    };
    done.unwrap_or_else(|failure: Failure| failure.show())
}
