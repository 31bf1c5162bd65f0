//! The command `curator`: pipelines from files; environments at the prompt, in scripts, and as
//! Ray's launcher.
//!
//! The command contains only arguments and output; the libraries do the work.

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
mod serve;
mod spec;
mod streams;
mod terminal;
mod warm;
mod whole;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use signal_hook::consts::SIGXFSZ;

use arguments::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    // On a cluster's nodes, the command serves programs that name it as their worker.
    curator::worker::serve_if_asked(&curator::worker::Registry::new());
    // A write beyond a limit of file sizes then is an ordinary error and does not end the process.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The message may repeat the arguments, which can contain anything.
        Err(error) if error.use_stderr() => return Failure::arguments(&error).show(),
        // The output of `--help` or `--version`.
        Err(error) => return output::help(&error).unwrap_or_else(|failure| failure.show()),
    };
    let done = match cli.command {
        Command::Run(arguments) => run::run(&arguments, cli.cache_dir.as_deref()),
        Command::Plan(arguments) => plan::run(&arguments, cli.cache_dir.as_deref()),
        Command::Init(arguments) => init::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut Cli::command()),
        Command::Schema => schema::run(),
        Command::Serve => serve::run(cli.cache_dir.as_deref()),
        Command::Env(command) => env::run(command, cli.cache_dir.as_deref()),
        Command::Ps(arguments) => warm::list(arguments),
        Command::Stop(arguments) => warm::stop(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments, cli.cache_dir.as_deref()),
    };
    done.unwrap_or_else(|failure: Failure| failure.show())
}
