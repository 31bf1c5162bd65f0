//! Looking at environments that there are, or that a run would build. Nothing here builds.
//!
//! `details` is what is known of one, and the others ask it: `why` a package is there, the `diff` of
//! two, the `damage` since it was built. `found` opens one by what the cache calls it, `preview` says
//! what a run would do, and `doctor` whether anything could be built here at all.

mod damage;
mod details;
mod diff;
mod doctor;
mod found;
mod preview;
mod why;

pub use damage::{Damage, Problem};
pub(crate) use damage::{altered, brought_bytecode};
pub use details::Details;
pub use diff::{Change, Diff};
pub use doctor::{Finding, Status};
pub use preview::{Preview, PreviewState, Previews};
pub use why::{Dependent, Origin, Why};
