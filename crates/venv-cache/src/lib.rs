//! Virtual environments that add to a base without copying it, cached on disk under a key.
//!
//! A [`Cache`] is a folder that any number of threads and processes share. It maps a [`Key`], a
//! digest over all that an environment is made from, to an environment that is built once and
//! found ever after. The cache does not know how to build one: [`Cache::get_or_build`] is handed a
//! closure, and gives out a [`CachedEnv`], which keeps the environment from eviction for as long
//! as it lives.
//!
//! ```
//! use std::fs;
//! use venv_cache::{BuildOptions, Built, Cache, Key, State};
//!
//! # let dir = tempfile::tempdir()?;
//! # let root = dir.path();
//! let cache = Cache::open(root)?;
//! let key = Key::derive("example/v1", &[("requirements", b"packaging==24.0")]);
//! let build = |dir: &std::path::Path| {
//!     // Here a package manager would work; see `create` for environments over a base.
//!     fs::create_dir_all(dir.join("bin"))?;
//!     fs::write(dir.join("bin/python"), "#!/bin/sh\n")?;
//!     Ok(Built::new("bin/python"))
//! };
//! let env = cache.get_or_build(&key, &BuildOptions::default(), build)?;
//! assert_eq!(env.state(), State::Built);
//! assert!(env.python().is_file());
//!
//! let again = cache.get(&key)?.expect("it was built");
//! assert_eq!(again.state(), State::Hit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! - **Built once.** However many ask at once, one closure runs, and the others wait for it.
//! - **All or nothing.** An environment exists if its `manifest.json` does, which is written last
//!   and in one step. What a crash leaves is no environment, and the next call removes it. After
//!   another boot of the machine the first use compares the sizes of the files with the recorded
//!   ones, because a power cut may undo what was not on the disk yet.
//! - **In use means kept.** Whoever uses an environment holds a lock that the kernel releases when
//!   the last process with it is gone: a dead worker blocks nothing. [`Cache::prune`] and
//!   [`Cache::remove`] only take what nobody holds and nothing kept needs.
//!
//! # On disk
//!
//! ```text
//! CACHEDIR.TAG          tells backup programs to pass the folder over
//! envs-v1/<key>/        the environment, built where it lives; manifest.json is written last
//! locks/<key>.lock      never unlinked: exclusive = build or evict, shared = in use; its
//!                       modification time is the last use
//! locks/eviction.lock   exclusive = an evictor chooses, shared = a builder commits
//! locks/trash.lock      exclusive = a sweep of what crashes left, shared = a deletion
//! interpreters/         what an interpreter said of itself
//! tools/                bootstrapped package managers, by version
//! shims/                the Python side of workers
//! trash/                evicted trees on their way out
//! ```
//!
//! # What it does not do
//!
//! It runs no package manager and reads no requirement. It stores what it is told as it is, so a
//! caller keeps secrets out of keys and details.

mod access;
mod cache;
mod durable;
mod error;
mod evict;
mod inventory;
mod key;
mod layout;
mod lease;
mod lock;
mod manifest;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod trash;

pub use crate::cache::{Cache, Listed};
pub use crate::error::{BoxError, Error, Result};
pub use crate::evict::{Budget, Removed, Report};
pub use crate::inventory::Difference;
pub use crate::key::Key;
pub use crate::lease::{CachedEnv, State};
pub use crate::manifest::{BaseRecord, Manifest, Need};
pub use crate::store::{BuildOptions, Built};
