//! Files and folders that this project owns among those of others.
//!
//! Everything that deletes, claims or trusts something on disk goes through here, so that each rule
//! stands in one place:
//!
//! - A deletion never leaves its tree: it walks by open folders, follows no link, and crosses into
//!   no other file system.
//! - A folder is ours if it was empty when we claimed it and bears our mark since.
//! - What is opened or executed belongs to those whom the owner of the folder trusts.
//!
//! *Invariant:* this crate knows neither caches nor stages, and starts no process.
