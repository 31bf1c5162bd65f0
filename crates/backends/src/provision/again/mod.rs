//! Environments once more: resolved anew (`refresh`), from the record of a run (`reproduce`), and with
//! the base that their manifest names (`recorded`).

mod recorded;
mod refresh;
mod reproduce;

pub(crate) use reproduce::with_requirements;
