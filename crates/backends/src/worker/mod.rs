//! Python workers: processes that run a stage's code in its environment.
//!
//! `process` starts one and ends it, or has it forked from a `template`, of which some stay `warm` for
//! later runs; `wire` is what is said to it, `shim` the Python that runs in it, and `logs` reads what it
//! prints.

mod cancel;
mod channel;
mod child;
mod ended;
mod exit;
mod logs;
mod process;
mod shim;
mod template;
pub mod warm;
pub(crate) mod wire;

pub(crate) use cancel::Cancel;
pub(crate) use channel::Incoming;
pub use exit::Exit;
pub(crate) use logs::LogTail;
pub(crate) use process::{Launch, Process};
pub(crate) use shim::{CLASSES, Shims};
pub use shim::{CURATOR_STAGE_PY, write_shim};
pub(crate) use template::Template;
pub use wire::{Frame, FrameReader, Kind, Phase, encode, encode_head};

pub use crate::run::Stream;
