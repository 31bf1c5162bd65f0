//! The embedded executor: all stages at once on this machine, tasks streaming from one to the next.

mod arenas;
mod devices;
mod executor;
mod gate;
mod node;
mod parcel;
mod payload;
mod python_slot;
mod queue;
mod results;
mod run;
mod rust_slot;
mod scaling;
mod session;
mod spare;
mod stage_run;

pub(crate) use devices::Devices;
pub use executor::LocalExecutor;
pub(crate) use node::Node;
pub(crate) use parcel::{Batch, Parcel};
pub(crate) use payload::{Format, Payload};
pub(crate) use queue::{Limits, Queue};
pub(crate) use run::Run;
pub(crate) use stage_run::StageRun;
