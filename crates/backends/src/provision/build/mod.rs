//! Building an environment, and what is written down of it.
//!
//! Read `steps` first: create, install, check, compile, record. `keep` holds the versions of the base
//! that must stay, `known` what an earlier build took, `installed` reads what is there, `markers` says
//! which requirements apply, `sources` follows what came from no index, `named` checks that it is what
//! was named, `asks` has what packages ask of each other, `ray_check` that Ray can still be imported,
//! and `record` is what the manifest keeps of all this.

mod asks;
mod clone;
mod installed;
mod keep;
mod known;
mod markers;
mod named;
mod ray_check;
mod record;
mod sources;
mod steps;

pub(crate) use asks::{Asks, asks};
pub(crate) use installed::{Distribution, Installed, Source};
pub(crate) use keep::Kept;
pub(crate) use known::Question;
pub(crate) use markers::Markers;
pub(crate) use record::BuildRecord;
pub use record::{Added, Replaced};
pub(crate) use sources::{asks_for, digest_now, is_direct, local_path};
pub(crate) use steps::{Amount, Build, base_packages};
