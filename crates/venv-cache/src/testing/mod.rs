//! Tools for testing against this crate (feature `testing`).

mod scratch;
mod snapshot;

pub use scratch::{Scratch, build_fake, key};
pub use snapshot::Snapshot;
