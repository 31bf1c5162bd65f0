//! The embedded executor: all stages at once on this machine, tasks streaming from one to the next.
//!
//! Read `executor` and `run` for the threads of a run, then `stage_run` and `queue` for what
//! becomes of batches. A slot does the work: `rust_slot` in a thread, `python_slot` with one worker
//! after the other, each of which has a `session`: its thread decides by `feed`, and `flights` is
//! what the worker has. It comes to that by `birth`, from `templates` where it can: those of stages
//! that begin with the same package, by `beginning`, have one of the `roots`. What crosses to it is
//! a `parcel` with a `payload`, in `arenas` where it is large, and comes back through `results`.
//! `provide` makes the environments, `turns` says which stage begins first, `load` and `scaling`
//! decide about more workers, `devices` about their holders. `runner` runs one stage alone, for
//! engines that lay the stages out themselves, and `travel` has tasks as bytes for them.

mod arenas;
mod beginning;
mod birth;
mod devices;
mod ends;
mod executor;
mod feed;
mod flights;
mod gate;
mod load;
mod node;
mod parcel;
mod payload;
mod provide;
mod python_slot;
mod queue;
mod results;
mod roots;
mod run;
mod runner;
mod rust_slot;
mod scaling;
mod session;
mod spare;
mod stage_run;
mod templates;
mod travel;
mod turns;

pub(crate) use devices::Devices;
pub use executor::LocalExecutor;
pub(crate) use node::Node;
pub(crate) use parcel::Parcel;
pub(crate) use run::Run;
pub use runner::{StageEnd, StageRunner};
pub(crate) use stage_run::StageRun;
pub(crate) use travel::{cut, pack, unpack};
pub use travel::{pack_tasks, unpack_tasks};
