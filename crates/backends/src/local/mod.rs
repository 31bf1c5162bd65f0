//! The embedded executor: all stages at once on this machine, tasks streaming from one to the next.

mod devices;
mod executor;
mod gate;
mod parcel;
mod python_slot;
mod queue;
mod results;
mod run;
mod rust_slot;
mod session;
mod stage_run;

pub use executor::LocalExecutor;
