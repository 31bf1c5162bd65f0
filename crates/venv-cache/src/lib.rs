//! Virtual environments that add to a base without copying it, cached on disk under a key.
//!
//! A [`Base`] is an [`Interpreter`] and the packages that it sees: a virtualenv, or an installation
//! such as the system's Python. [`create`] makes an environment in which all of them are
//! importable, with a [`Strategy`] that [`Strategy::probe`] chooses. Whatever is then installed,
//! removed or written in the environment leaves the base unchanged. [`create_unless`] gives up when
//! the caller no longer wants the environment, for instance because a parallel check has failed.
//! [`create_telling`] hands over the interpreter before the packages are there.
//! [`create_bare`] makes an empty virtualenv, to be a base of its own. A base's [`Fingerprint`]
//! shows, without starting a process, whether the base has changed.
//!
//! A [`Cache`] is a folder that any number of threads and processes share. It maps a [`Key`], a
//! digest over everything that an environment is made from, to an environment that is built once
//! and then reused. The cache does not know how to build one: [`Cache::get_or_build`] takes a
//! closure, and returns a [`CachedEnv`], which protects the environment from eviction for as long
//! as it lives.
//!
//! ```
//! use venv_cache::{
//!     Base, BoxError, BuildOptions, Built, Cache, Key, Sharing, Site, State, Strategy, create,
//! };
//!
//! # fn main() -> Result<(), BoxError> {
//! # let dir = tempfile::tempdir()?;
//! # let root = dir.path();
//! let cache = Cache::open(root)?;
//! let base = Base::discover(Some(&cache.interpreters_dir()))?;
//! let key = Key::derive(
//!     "example/v1",
//!     &[("base", base.fingerprint().as_bytes()), ("packages", b"packaging==24.0")],
//! );
//! let build = |dir: &Site<'_>| -> venv_cache::Result<Built> {
//!     let choice = Strategy::probe(&base, dir, Sharing::Allowed)?;
//!     let created = create(&base, dir, choice.strategy)?;
//!     // Here a package manager would install `packaging==24.0` for `created.python`.
//!     Ok(Built::new(created.python).with_strategy(choice.strategy.to_string()))
//! };
//! let env = cache.get_or_build(&key, &BuildOptions::default(), build)?;
//! assert_eq!(env.state(), State::Built);
//! assert!(env.python().is_file());
//!
//! let again = cache.get(&key)?.expect("it was built");
//! assert_eq!(again.state(), State::Hit);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **Built once.** However many callers ask at once, one closure runs, and the others wait for
//!   it.
//! - **All or nothing.** An environment exists if its `manifest.json` does, which is written last
//!   and in one step. The next call removes what a crash left. After a reboot, the first use
//!   compares the sizes of the files with the recorded ones, because a power cut can lose data that
//!   was not on disk yet.
//! - **In use means kept.** Each user of an environment holds a lock that the kernel releases when
//!   the last process with it is gone: a dead worker blocks nothing. [`Cache::prune`] and
//!   [`Cache::remove`] remove only environments that are neither in use nor needed by a kept one.
//!
//! # On disk
//!
//! ```text
//! CACHEDIR.TAG          marks the folder as ours; tells backup programs to pass it over
//! envs-v1/<key>/        the environment, built where it lives; manifest.json is written last
//! locks/<key>.lock      exclusive = build or evict, shared = in use; its modification time is
//!                       the last use; goes with the environment
//! locks/eviction.lock   exclusive = an evictor chooses, shared = a builder commits
//! locks/trash.lock      exclusive = a sweep of what crashes left, shared = a deletion
//! bytecode/<key>/       the bytecode of a base that came without; beside it, its locks: `.lock` as
//!                       above, and `.writer`, exclusive = a process compiles
//! interpreters/         answers that take long to get, as `<kind>-<key>.json`, such as what an interpreter
//!                       said of itself; of each kind at most 1024, none older than 180 days
//! tools/                bootstrapped package managers, by version
//! shims/                the Python side of workers
//! trash/                evicted trees on their way out
//! ```
//!
//! # What it does not do
//!
//! It runs no package manager and reads no requirement. The only program that it starts is the
//! base's interpreter, to describe itself. It stores keys and details unchanged, so callers must
//! keep secrets out of them.
//!
//! # Features
//!
//! - `testing`: a cache in a temporary folder, environments that need no Python, and a snapshot that
//!   proves that no byte of a tree has changed.

mod base;
mod built;
mod bytecode;
mod cache;
mod create;
mod digits;
mod durable;
mod error;
mod evict;
mod file_system;
mod fingerprint;
mod holder;
mod interpreter;
mod inventory;
mod key;
mod key_text;
mod layout;
mod lease;
mod left;
mod lock;
mod manifest;
mod memo;
mod memos;
mod occupied;
mod pyenv;
mod store;
mod strategy;
#[cfg(feature = "testing")]
pub mod testing;
mod trash;
mod unusable;
mod usage;

pub use crate::base::{Base, Kind};
pub use crate::built::Built;
pub use crate::bytecode::{Bytecode, BytecodeWriter};
pub use crate::cache::{Cache, Listed};
pub use crate::create::{Created, create, create_bare, create_telling, create_unless, prevailing};
pub use crate::error::{BoxError, Error, Result};
pub use crate::evict::{Budget, PruneReport, Removed};
pub use crate::file_system::FileSystem;
pub use crate::fingerprint::{Fingerprint, ParseFingerprintError};
pub use crate::holder::Holder;
pub use crate::interpreter::{Interpreter, Libc};
pub use crate::inventory::Difference;
pub use crate::key::Key;
pub use crate::lease::{CachedEnv, State};
pub use crate::left::Left;
pub use crate::manifest::{BaseRecord, Manifest, Need};
pub use crate::memo::Memo;
pub use crate::store::{BuildOptions, Site};
pub use crate::strategy::{Choice, Reason, Sharing, Strategy};
pub use crate::unusable::Unusable;
pub use crate::usage::{EnvUsage, Usage};
pub use files::Untrusted;
