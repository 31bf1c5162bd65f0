//! From specs to environments: the only place where the cache and the package managers meet.
//!
//! A [`Provisioner`] stands for one base and one cache. It looks an environment up by its key, and
//! builds it if it is missing: created over the base, installed into in one call, checked,
//! compiled, and recorded. It returns an [`Environment`], which can start an interpreter in it and
//! keeps it from being evicted.
//!
//! Read `provisioner`, then `environment`. `build` makes a missing environment, `inspect` looks at
//! existing ones, and `again` rebuilds them. `classes` asks stages' code for its declarations, and
//! `bytecode` compiles what the base lacks.

mod again;
mod base;
mod build;
mod builder;
mod bytecode;
mod classes;
mod command;
mod environment;
mod eviction;
mod inspect;
mod key;
mod opening;
mod provisioner;
mod ray_worker;
mod vars;

pub(crate) use again::with_requirements;
pub use build::{Added, Replaced};
pub(crate) use build::{asks_for, digest_now, is_direct, local_path};
pub use builder::ProvisionerBuilder;
pub(crate) use classes::ClassAnswer;
pub use command::EnvCommand;
pub use environment::Environment;
pub(crate) use environment::check_folders;
pub(crate) use eviction::Eviction;
pub use inspect::{
    Change, Damage, Dependent, Diff, EnvDetails, Finding, Origin, Preview, PreviewState, Previews,
    Problem, Status, Why,
};
pub use key::environment_key;
pub(crate) use opening::check_fields;
pub use provisioner::Provisioner;
pub use ray_worker::RayWorker;
