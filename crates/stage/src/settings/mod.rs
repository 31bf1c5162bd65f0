//! What a stage is besides its code: plain data, and ways to change it on a copy.

mod configured;
mod entry;
mod options;
mod origins;
mod overrides;
mod plain;
mod resources;
mod scalars;
#[cfg(feature = "schema")]
mod schema;

pub use configured::{AnyStage, Configured, PythonStage, RustStage};
pub(crate) use entry::Entry;
pub use origins::{DECLARABLE, DeclaredSetting, Source};
pub use overrides::Overrides;
pub use plain::Settings;
pub(crate) use plain::check_name;
pub use resources::Resources;
pub use scalars::{Isolation, Preload, Workers};
