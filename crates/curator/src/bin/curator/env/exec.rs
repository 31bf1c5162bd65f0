//! `env exec`: replaces this process by a command in an environment.

use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::Environment;
use curator::backends::provision::{EnvCommand, RayWorker};

use crate::arguments::Exec;
use crate::failure::Failure;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Exec, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::usage("no command is given"));
    };
    let worker = RayWorker::of(&arguments.command);
    let environment = match prepare(arguments, cache_dir, worker.as_ref()) {
        Ok(environment) => environment,
        Err(failure) => {
            let refusal = worker.and_then(|worker| worker.refusal(failure.report()));
            let Some(refusal) = refusal else { return Err(failure) };
            // Write it to the node's log, whatever happens to the worker.
            failure.show();
            return Err(become_command(&refusal));
        }
    };
    keep(&environment).map_err(|error| Failure::io("keep the environment", &error))?;
    Err(become_command(&environment.command(program, rest)))
}

fn prepare(
    arguments: &Exec,
    cache_dir: Option<&Path>,
    worker: Option<&RayWorker<'_>>,
) -> Result<Environment, Failure> {
    let environment = arguments.env.prepare(cache_dir, &Arc::new(Progress::quiet()))?;
    if let Some(worker) = worker {
        worker.check(&environment)?;
    }
    Ok(environment)
}

/// Returns only if the command cannot be started.
fn become_command(command: &EnvCommand) -> Failure {
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
    Failure::not_started(&command.program.display().to_string(), &error)
}

/// Leaves the locks of the environment open for the command, which holds them until it ends.
fn keep(environment: &Environment) -> io::Result<()> {
    for lease in environment.leases() {
        // Unlike the original, the duplicated descriptor survives an exec.
        let _ = rustix::io::dup(lease)?.into_raw_fd();
    }
    Ok(())
}
