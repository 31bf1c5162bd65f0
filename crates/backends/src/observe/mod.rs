//! Observers that keep parts of a run: the report, the results, the packages.
//!
//! A [`Recorder`] makes a [`RunProfile`], the report as a page and as JSON. A [`Checkpoint`] wraps
//! an executor and keeps the outputs, so that a run can be continued. A [`RunRecord`] pins the
//! packages of a run.

mod checkpoint;
mod profile;
mod record;

pub use checkpoint::Checkpoint;
pub use profile::{Recorder, RunProfile};
pub use record::RunRecord;
