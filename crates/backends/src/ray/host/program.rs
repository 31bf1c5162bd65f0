//! The first line of a program that is its own worker on the nodes of a cluster.

use std::io;
use std::process::ExitCode;
use std::sync::OnceLock;

use stage::Registry;

use super::prepare;
use crate::ray::host::stage as host;

/// The first argument of a program that is started as a worker.
pub(crate) const ROLE: &str = "curator-worker";

/// The stages that this program can make, if it serves as a worker.
static REGISTERED: OnceLock<Registry> = OnceLock::new();

/// Makes this program a worker if it is started as one; otherwise notes that it can be.
///
/// Executors on a cluster start the program itself on its nodes, to make environments there and to
/// run stages, so this must be the first line of its `main`. In a worker, it does not return.
///
/// ```no_run
/// use backends::serve_if_asked;
/// use stage::Registry;
///
/// fn main() {
///     serve_if_asked(&Registry::new());
///     // The program goes on here, unless it is a worker.
/// }
/// ```
///
/// `registry` holds the Rust stages that may run on the cluster. A worker is recognized by its first
/// argument, `curator-worker`.
pub fn serve_if_asked(registry: &Registry) {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ROLE) {
        let role = arguments.next().unwrap_or_default();
        std::process::exit(i32::from(serve(role.to_str(), registry) != ExitCode::SUCCESS));
    }
    // If it is called twice, the first call counts.
    let _ = REGISTERED.set(registry.clone());
}

/// Returns the registry of this program, if it serves as a worker.
pub(crate) fn registered() -> Option<&'static Registry> {
    REGISTERED.get()
}

fn serve(role: Option<&str>, registry: &Registry) -> ExitCode {
    let result = match role {
        Some("start") => start(),
        Some("stage") => host::serve(registry),
        Some("prepare") => prepare::serve(registry),
        Some("stages") => list(registry),
        other => Err(io::Error::other(format!("no worker has the role {other:?}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Starts a host that is no child of the requester: Ray kills the children of an actor that ends,
/// and a host must first tear its stage down.
fn start() -> io::Result<()> {
    let program = std::env::current_exe()?;
    duct::cmd(program, [ROLE, "stage"])
        .before_spawn(|command| {
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        })
        .start()
        .map(drop)
}

#[expect(clippy::print_stdout, reason = "it is the answer to the starter of this process")]
fn list(registry: &Registry) -> io::Result<()> {
    let names: Vec<&str> = registry.names().collect();
    println!("{}", serde_json::to_string(&names)?);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the actor's log is the only place for it")]
fn complain(error: &io::Error) {
    eprintln!("{ROLE}: {error}");
}
