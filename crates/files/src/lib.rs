//! Files and folders that this project owns among those of others.
//!
//! Everything that deletes, claims or trusts something on disk goes through this crate, so that
//! each rule is in one place:
//!
//! - A deletion never leaves its tree: it walks by open folders, follows no link, and crosses into
//!   no other file system.
//! - A folder is ours if it was empty when we claimed it and has our mark.
//! - Files are opened or executed only if their owners are trusted by the owner of the folder.
//!
//! ```
//! use files::{Draft, Mark, Scratch};
//!
//! const NOTES: Mark = Mark { name: "NOTES.TAG", text: "Notes of the example.\n" };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scratch = Scratch::new("example-")?;
//! let dir = scratch.path().join("notes");
//! NOTES.claim(&dir)?;
//! Draft::default().write(&dir.join("note"), b"whole or not at all")?;
//! NOTES.claim(&dir)?;
//!
//! let other = scratch.path().join("other");
//! std::fs::create_dir(&other)?;
//! std::os::unix::fs::symlink(&dir, other.join("link"))?;
//! assert!(NOTES.claim(&other).is_err(), "it holds something, and not our mark");
//! files::delete(&other)?;
//! assert!(dir.join("note").is_file(), "a deletion follows no link");
//! # Ok(())
//! # }
//! ```
//!
//! *Invariant:* this crate knows neither caches nor stages, and starts no process.

mod access;
mod accounts;
mod bounded;
mod delete;
mod doors;
mod draft;
mod folder;
mod mark;
mod mount;
mod names;
mod patience;
mod private;
mod scratch;
mod spread;

pub use crate::access::{Access, Untrusted};
pub use crate::bounded::{
    MOST_TEXT, read, read_file, read_file_text, read_from, read_regular, read_regular_text,
    read_text, read_text_from,
};
pub use crate::delete::{Left, delete};
pub use crate::doors::is_refusal;
pub use crate::draft::{Draft, is_draft};
pub use crate::folder::{Folder, Kind};
pub use crate::mark::{Foreign, Mark, MarkError};
pub use crate::patience::Patience;
pub use crate::scratch::Scratch;
