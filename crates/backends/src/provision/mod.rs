//! From specs to environments: the only place where the cache and the package managers meet.
//!
//! A [`Provisioner`] stands for one base and one cache. It looks an environment up by its key, and
//! builds it if it is not there: created over the base, installed into in one call, checked,
//! compiled, and recorded. What it gives is an [`Environment`], which knows how to start an
//! interpreter in it and keeps it from being evicted.

mod build;
mod clone;
mod command;
mod damage;
mod details;
mod diff;
mod doctor;
mod environment;
mod found;
mod installed;
mod keep;
mod key;
mod markers;
mod preview;
mod provisioner;
mod ray_worker;
mod record;
mod recorded;
mod refresh;
mod reproduce;
mod sources;
mod vars;
mod why;

pub use command::EnvCommand;
pub use damage::{Damage, Problem};
pub use details::Details;
pub use diff::{Change, Diff};
pub use doctor::{Finding, Status};
pub(crate) use environment::Core;
pub use environment::{EnvState, Environment, EnvironmentReport};
pub use preview::{Preview, PreviewState, Previews};
pub(crate) use provisioner::Eviction;
pub use provisioner::Provisioner;
pub use ray_worker::RayWorker;
pub use record::{Added, Replaced};
pub(crate) use reproduce::with_requirements;
pub(crate) use sources::{asks_for, digest_now, is_direct, local_path};
pub use why::{Dependent, Origin, Why};
