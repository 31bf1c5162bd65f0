//! The format that engines and workers speak, and the socket that it goes over.
//!
//! A frame is a fixed header, JSON meta data and raw bytes. The Python side of the same format is
//! `python/curator_frames.py`. Nothing here trusts the other side: every length is capped before
//! anything is allocated, and memory grows only with what has really arrived.

mod answer;
mod arena;
mod frame;
mod message;
mod outbox;
mod socket;

pub(crate) use arena::{Arena, Region, aligned};
pub use frame::{Frame, FrameReader, Kind, encode, encode_head};
pub use message::Phase;
pub(crate) use message::{
    Answer, BatchResult, BatchTasks, Bye, Devices, Done, Entry, Failed, Fork, Found, Importer,
    Input, Loaded, OfChild, OutputKind, OutputRecord, Preloaded, Proof, Setup, Shares, Start,
    StartTemplate, Stay, Visit, Welcome,
};
pub(crate) use outbox::{Bytes, Outbox};
pub(crate) use socket::{pair, send_with_descriptors};
