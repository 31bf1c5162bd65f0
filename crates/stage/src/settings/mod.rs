//! Settings of a stage: plain data, and ways to change it on a copy.
//!
//! A new setting is a row of `table.rs`, from which macros make everything here.

mod change;
mod check;
mod configured;
mod declared;
mod entry;
mod options;
mod origins;
mod overrides;
mod plain;
mod resources;
mod row;
mod scalars;
#[cfg(feature = "schema")]
mod schema;
mod table;
mod written;

pub(crate) use check::check_name;
pub use configured::{AnyStage, Configured, PythonStage, RustStage};
pub use declared::DeclaredSetting;
pub(crate) use entry::Entry;
pub use origins::Source;
pub use overrides::Overrides;
pub use plain::Settings;
pub use resources::Resources;
pub(crate) use row::ROWS;
pub use row::declarable;
pub use scalars::{Isolation, Preload, Workers};
