//! The commands of `curator env`.

mod create;
mod diff;
mod du;
mod exec;
mod list;
mod lock;
mod prune;
mod refresh;
mod remove;
mod show;
mod store;
mod verify;
mod why;

use std::path::Path;
use std::process::ExitCode;

use crate::arguments::EnvCommand;
use crate::failure::Failure;
use store::Store;

pub(crate) fn run(command: EnvCommand, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let store = || Store::open(cache_dir);
    match command {
        EnvCommand::Create(arguments) => create::run(&arguments, cache_dir),
        EnvCommand::Exec(arguments) => exec::run(&arguments, cache_dir),
        EnvCommand::List(arguments) => list::run(arguments, &store()?),
        EnvCommand::Show(arguments) => show::run(&arguments, &store()?),
        EnvCommand::Why(arguments) => why::run(&arguments, &store()?),
        EnvCommand::Diff(arguments) => diff::run(&arguments, &store()?),
        EnvCommand::Du(arguments) => du::run(arguments, &store()?),
        EnvCommand::Verify(arguments) => verify::run(&arguments, &store()?),
        EnvCommand::Prune(arguments) => prune::run(&arguments, &store()?),
        EnvCommand::Remove(arguments) => remove::run(&arguments, &store()?),
        EnvCommand::Lock(arguments) => lock::run(&arguments, cache_dir),
        EnvCommand::Refresh(arguments) => refresh::run(&arguments, cache_dir),
    }
}
