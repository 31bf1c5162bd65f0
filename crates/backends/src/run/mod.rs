//! A run: what goes into it, what is told of it, and what comes out. Every executor speaks this.
//!
//! Read it as a run goes: a [`Plan`] is a pipeline made ready, an [`Executor`] takes it with the
//! tasks of an [`Intake`], tells an [`Observer`] of each [`Event`], and gives a [`RunReport`] or an
//! [`Error`]. A task that cannot be done is a [`FailedTask`]. The rest serves these: [`DiskSource`]
//! reads what specs refer to, [`Stop`] ends a run early, [`Groups`] keeps what came of a source task
//! together, and `secrets` keeps what must not be shown out of all of it.

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
mod plan;
mod python_error;
mod report;
mod secrets;
mod stop;

pub(crate) use classes::may_declare;
pub(crate) use declared::Wanted;
pub use environment::{EnvState, EnvironmentReport};
pub(crate) use error::Words;
pub use error::{Error, Report};
pub(crate) use event::seconds;
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
