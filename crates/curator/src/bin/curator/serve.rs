//! `serve`: the engine of a program in another language, which sends tasks and takes results over
//! its end of a pair of sockets.
//!
//! ```text
//! client                                   this program
//! OPEN    what it wants done          ->
//!                                     <-   CREDIT  [tasks, bytes] that it may send
//! TASK    [kind, dataset, metadata]   ->
//! END                                 ->
//! CANCEL  {"at_once": …}              ->
//!                                     <-   OUTPUT  [id, kind, dataset, metadata, sources, timings]
//!                                     <-   SOURCE_DONE  number, where the client asked for it
//!                                     <-   NOTE    what happens
//!                                     <-   REPORT  how it went
//!                                     <-   BYE
//! ```
//!
//! The data of a task is the body of its frame. The end of the socket ends everything.

mod client;
mod fault;
mod news;
mod request;
mod run;
mod writer;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use curator::backends::worker::Kind;

use crate::failure::Failure;
use client::Frames;
use request::Request;
use writer::Writer;

pub(crate) fn run(cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let socket = take_socket()?;
    let failed = |error: io::Error| Failure::io("speak with the program that started this", &error);
    let mut frames = Frames::new(socket.try_clone().map_err(failed)?);
    let writer = Writer::new(socket).map_err(|error| Failure::thread(&error))?;
    // A client that is gone wants nothing.
    let Some(open) = frames.next().map_err(failed)? else { return Ok(ExitCode::SUCCESS) };
    let served = match Request::read(&open) {
        Ok(request) => run::serve(&request, frames, &writer, cache_dir),
        Err(fault) => Err(fault),
    };
    let code = match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writer.send(Kind::Report, &fault.to_json(), &[]);
            ExitCode::FAILURE
        }
    };
    let _ = writer.send(Kind::Bye, b"{}", &[]);
    writer.finish();
    Ok(code)
}

/// Takes the socket, which is the standard input; what is started from here on does not get it.
fn take_socket() -> Result<UnixStream, Failure> {
    let failed = |error: io::Error| Failure::io("take over the socket", &error);
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    if socket.peer_addr().is_err() {
        let problem = "`serve` is for programs: its standard input is one end of a pair of sockets";
        return Err(Failure::usage(problem));
    }
    let nothing = std::fs::File::open("/dev/null").map_err(failed)?;
    rustix::stdio::dup2_stdin(&nothing).map_err(|error| failed(error.into()))?;
    Ok(socket)
}
