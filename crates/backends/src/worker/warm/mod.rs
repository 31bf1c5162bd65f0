//! Templates that stay after their run, for the next one of the same stages.
//!
//! A template that stays is a process of its own, which listens on a socket in a folder of its user's.
//! The name of the socket tells all that decides what the process is but the stage's file; the template
//! itself says whether what it has imported is still what that file and its packages are.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! for template in backends::worker::warm::WarmTemplates::of_user().list()? {
//!     println!("{} has imported {}", template.pid, template.imports.join(", "));
//! }
//! # Ok(())
//! # }
//! ```

mod conditions;
mod folder;
mod keep;
mod memory;
mod visit;
mod wanted;

pub use folder::{Ended, WarmTemplate, WarmTemplates};
pub use keep::KeepWarm;
pub(crate) use visit::Visit;
pub(crate) use wanted::Wanted;
