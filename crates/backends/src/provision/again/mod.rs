//! Existing environments again: resolved again (`refresh`), built from the record of a run
//! (`reproduce`), and used with the base in their manifest (`recorded`).

mod recorded;
mod refresh;
mod reproduce;

pub(crate) use reproduce::with_requirements;
