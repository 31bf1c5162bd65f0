//! The course of a run, collected from its events, as JSON and as a page that opens from disk.
//!
//! A [`Recorder`] keeps a bounded amount of data for any run: time is cut into bins that grow with
//! it, and no task has an entry of its own.

#![expect(clippy::cast_precision_loss, reason = "a few digits of a count are enough for people")]

mod bins;
mod data;
mod page;
mod recorder;
mod state;
mod tallies;
mod waterfall;

pub use data::RunProfile;
pub use recorder::Recorder;
