//! What keeps something of a run that others do: a report, results, packages.
//!
//! A [`Recorder`] is an observer that makes a [`RunProfile`], the report as a page and as JSON. A
//! [`Checkpoint`] stands around an executor and keeps what came out, so that a run can be taken up
//! again. A [`RunRecord`] pins the packages that a run had.

mod checkpoint;
mod profile;
mod record;

pub use checkpoint::Checkpoint;
pub use profile::{Recorder, RunProfile};
pub use record::RunRecord;
