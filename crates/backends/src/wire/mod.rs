//! The format that engines and workers speak, and the socket that it goes over.
//!
//! A frame is a fixed header, JSON meta data and raw bytes. The Python side of the same format is
//! `python/curator_stage.py`. Nothing here trusts the other side: every length is capped before
//! anything is allocated, and memory grows only with what has really arrived.

mod frame;
mod message;
mod socket;

pub(crate) use frame::{Frame, FrameReader, Kind, encode};
pub use message::Phase;
pub(crate) use message::{
    Answer, BatchResult, Bye, Entry, Failed, Input, Outcome, OutputRecord, Proof, Setup, Start,
};
pub(crate) use socket::{pair, send_with_descriptors};
