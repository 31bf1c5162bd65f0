//! `env exec`: becomes a command in an environment.

use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::Environment;

use crate::arguments::Exec;
use crate::failure::Failure;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Exec, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::usage("no command is given"));
    };
    let progress = Arc::new(Progress::quiet());
    let provisioner = arguments.base.open(cache_dir)?;
    let provisioner = arguments.strategy.apply(provisioner).with_observer(progress.clone());
    let prepared = arguments.spec.read(&provisioner)?.prepare(&provisioner);
    progress.finish();
    let environment = prepared?;
    let command = environment.command(program, rest);
    keep(&environment).map_err(|error| Failure::io("keep the environment", &error))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "no child is started: this process becomes the command, which duct cannot do"
    )]
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.arguments).env_clear().envs(&command.vars);
    if let Some(dir) = &command.dir {
        process.current_dir(dir);
    }
    let error = process.exec();
    Err(Failure::not_started(&command.program.display().to_string(), &error))
}

/// Leaves the locks of the environment open for the command, which holds them until it ends.
fn keep(environment: &Environment) -> io::Result<()> {
    for lease in environment.leases() {
        // Other than the descriptor that it duplicates, this one survives an exec.
        let _ = rustix::io::dup(lease)?.into_raw_fd();
    }
    Ok(())
}
