//! What a run did over time, gathered from its events, as JSON and as a page that opens from disk.
//!
//! A [`Recorder`] keeps a bounded amount, however long the run: time is cut into bins that grow with
//! it, and no task has an entry of its own.

#![expect(clippy::cast_precision_loss, reason = "nobody reads more than a few digits of a count")]

mod bins;
mod data;
mod page;
mod recorder;
mod state;
mod tallies;
mod waterfall;

pub use data::RunProfile;
pub use recorder::Recorder;
