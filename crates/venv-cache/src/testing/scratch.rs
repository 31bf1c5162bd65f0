//! A cache in a temporary folder, and environments that need no Python.
//!
//! ```
//! use venv_cache::testing::{Scratch, build_fake, key};
//!
//! let scratch = Scratch::new();
//! let env = scratch.cache().get_or_build(&key(1), &Default::default(), build_fake)?;
//! assert!(env.python().ends_with("bin/python"));
//! # Ok::<(), venv_cache::Error>(())
//! ```

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::{BoxError, Built, Cache, Key, Site};

/// A cache in a temporary folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    cache: Cache,
    dir: TempDir,
}

impl Scratch {
    /// Creates a new, empty cache.
    ///
    /// # Panics
    ///
    /// If the temporary folder cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("the folder for temporary files should be writable");
        let cache = Cache::open(&dir.path().join("cache")).expect("a new cache should open");
        Self { cache, dir }
    }

    /// Returns the cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the temporary folder; the cache is a folder in it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns a key that is unique to the number.
#[must_use]
pub fn key(number: u64) -> Key {
    Key::derive("venv-cache/testing", &[("number", &number.to_le_bytes())])
}

/// Builds a folder that looks like an environment: `bin/python` is a shell script that prints its
/// arguments, and `lib/` holds a module. A closure for [`Cache::get_or_build`].
pub fn build_fake(dir: &Site<'_>) -> Result<Built, BoxError> {
    fs::create_dir_all(dir.join("bin"))?;
    let python = dir.join("bin/python");
    fs::write(&python, "#!/bin/sh\necho \"$@\"\n")?;
    fs::set_permissions(&python, Permissions::from_mode(0o755))?;
    fs::create_dir_all(dir.join("lib/site-packages"))?;
    fs::write(dir.join("lib/site-packages/module.py"), "VERSION = 1\n")?;
    Ok(Built::new("bin/python").with_strategy("fake"))
}
