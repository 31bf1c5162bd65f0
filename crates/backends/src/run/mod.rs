//! A run: its input, its events, and its result. Every executor uses these types.
//!
//! Read it in the order of a run: a [`Plan`] is a pipeline made ready. An [`Executor`] takes it
//! with the tasks of an [`Intake`], sends each [`Event`] to an [`Observer`], and returns a
//! [`RunReport`] or an [`Error`]. A task that cannot be processed is a [`FailedTask`]. The other
//! types help: [`DiskSource`] reads the files of specs, [`Stop`] ends a run early, [`Groups`] keeps
//! the outputs of a source task together, and `secrets` keeps secrets out of all of it.

mod classes;
mod code;
mod declared;
mod environment;
mod error;
mod event;
mod executor;
mod failure;
mod groups;
mod intake;
mod noting;
mod plan;
mod python_error;
mod report;
pub(crate) mod seconds;
mod secrets;
mod stop;

pub(crate) use classes::may_declare;
pub(crate) use declared::PlannedSettings;
pub use environment::{EnvReport, EnvState};
pub(crate) use error::Words;
pub use error::{Error, Owner, Report};
pub use event::{BuildPhase, Event, Observer, StartStep, Stream};
pub use executor::{Executor, ExecutorExt, FailurePolicy, Sink};
pub(crate) use failure::numbers;
pub use failure::{Cause, FailedTask};
pub use groups::{Group, Groups};
pub use installer::DiskSource;
pub use intake::{Ended, Intake};
pub(crate) use plan::PlannedBase;
pub use plan::{Plan, PlannedStage};
pub use python_error::PythonError;
pub use report::{RunReport, StageReport};
pub(crate) use report::{Spent, tell_dropped};
pub(crate) use secrets::Secrets;
pub use stop::Stop;
pub(crate) use stop::{Over, STOP_GRACE};
