//! The commands of `curator env`.

mod create;
mod exec;
mod list;
mod prune;
mod remove;
mod show;

use std::path::Path;
use std::process::ExitCode;

use curator::venv_cache::Cache;

use crate::arguments::EnvCommand;
use crate::failure::Failure;

pub(crate) fn run(command: EnvCommand, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    match command {
        EnvCommand::Create(arguments) => create::run(&arguments, cache_dir),
        EnvCommand::Exec(arguments) => exec::run(&arguments, cache_dir),
        EnvCommand::List(arguments) => list::run(arguments, &open(cache_dir)?),
        EnvCommand::Show(arguments) => show::run(&arguments, cache_dir),
        EnvCommand::Prune(arguments) => prune::run(&arguments, &open(cache_dir)?),
        EnvCommand::Remove(arguments) => remove::run(&arguments, &open(cache_dir)?),
        _ => Err(Failure::usage("this command is not there yet")),
    }
}

fn open(cache_dir: Option<&Path>) -> Result<Cache, Failure> {
    Ok(match cache_dir {
        Some(dir) => Cache::open(dir)?,
        None => Cache::from_env()?,
    })
}
