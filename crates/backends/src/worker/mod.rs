//! Python workers: processes that run a stage's code in its environment.

mod cancel;
mod logs;
mod process;
mod shim;

pub(crate) use cancel::Cancel;
pub(crate) use logs::LogTail;
pub use logs::Stream;
pub use process::Exit;
pub(crate) use process::{Incoming, Launch, Process};
pub(crate) use shim::Shims;
pub use shim::{CURATOR_STAGE_PY, write_shim};
