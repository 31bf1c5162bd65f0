//! Strategies for property tests: specs, requirements, and requirements files.
//!
//! They generate text or JSON as an author writes it, so that a suite can pass it through its own
//! parsers. Valid means that this crate, pip and uv can read it. No strategy names an existing
//! package, so its output cannot be installed.
//!
//! | strategy | gives |
//! |---|---|
//! | [`package_name`], [`version`], [`marker`] | parts of a requirement |
//! | [`requirement`] | one requirement, in some spelling |
//! | [`spellings`] | several spellings of one requirement |
//! | [`nearly_valid_requirement`] | a requirement with a small mistake; some are valid all the same |
//! | [`requirements_tree`] | requirements files that include each other, and what they add up to |
//! | [`cyclic_requirements_tree`] | such files, one of which includes itself in the end |
//! | [`runtime_env`] | a valid spec |
//! | [`spec_json`] | a valid spec as JSON, in any of the forms that Ray takes |
//! | [`nearly_valid_spec_json`] | such JSON with one value changed; some is valid all the same |
//! | [`json`] | any JSON |
//!
//! ```
//! use envspec::{Requirement, strategies};
//! use proptest::prelude::*;
//!
//! proptest!(|(spellings in strategies::spellings(2))| {
//!     let first: Requirement = spellings[0].parse()?;
//!     let second: Requirement = spellings[1].parse()?;
//!     prop_assert_eq!(first, second);
//! });
//! ```

mod marker;
mod requirement;
mod spec;
mod spelling;
mod tree;

pub use marker::marker;
pub use requirement::{nearly_valid_requirement, package_name, requirement, spellings, version};
pub use spec::{json, nearly_valid_spec_json, runtime_env, spec_json};
pub use tree::{RequirementsTree, cyclic_requirements_tree, requirements_tree};
