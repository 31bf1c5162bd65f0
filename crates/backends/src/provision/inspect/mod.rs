//! Inspection of environments that exist, or that a run would build. Nothing here builds.
//!
//! `details` describes one environment, and the others use it: `why` a package is there, the `diff`
//! of two, the `damage` since the build. `found` opens one by its key, `preview` predicts a run,
//! and `doctor` checks whether builds are possible here at all.

mod damage;
mod details;
mod diff;
mod doctor;
mod found;
mod preview;
mod why;

pub use damage::{Damage, Problem};
pub(crate) use damage::{altered, brought_bytecode};
pub use details::EnvDetails;
pub use diff::{Change, Diff};
pub use doctor::{Finding, Status};
pub use preview::{Preview, PreviewState, Previews};
pub use why::{Dependent, Origin, Why};
