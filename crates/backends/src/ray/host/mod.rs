//! The program on a node of a cluster: it makes environments there, and runs stages.
//!
//! Beside each actor of an engine runs a *host*: this program, started as a worker. It prepares the
//! stage's environment on its node and runs the stage with the machinery of the local executor, so
//! that hooks, the proof of the environment, retries and deadlines are the same on every engine. The
//! actor hands it tasks as bytes over a socket. When that closes, because the actor ended or was
//! killed, the host tears the stage down and ends.

mod fault;
mod prepare;
mod program;
mod request;
mod stage;

pub(crate) use fault::Fault;
pub use program::serve_if_asked;
pub(crate) use program::{ROLE, registered};
pub(crate) use request::{Code, Note, StageRequest};
