//! A build of one's own in the cache of environments, with an error of one's own: no package manager,
//! but a folder of modules that is copied into a virtualenv.

#![expect(clippy::print_stdout, reason = "a program that talks to people")]

use std::path::PathBuf;
use std::{fs, io};

use curator::Report;
use curator::venv_cache::{
    self, Base, BuildOptions, Built, Cache, Key, Sharing, Site, Strategy, create,
};

/// Why a build failed.
#[derive(Debug)]
enum BuildError {
    Module(PathBuf, io::Error),
    Cache(venv_cache::Error),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Module(path, error) => write!(f, "module `{}`: {error}", path.display()),
            Self::Cache(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<venv_cache::Error> for BuildError {
    fn from(error: venv_cache::Error) -> Self {
        Self::Cache(error)
    }
}

fn main() -> Result<(), Report> {
    let module = PathBuf::from(std::env::args().nth(1).ok_or("name a Python file")?);
    let cache = Cache::from_env()?;
    let base = Base::discover(Some(&cache.interpreters_dir()))?;
    let text = fs::read(&module)?;
    // All that decides what is in the environment. With a package manager in the build that is more
    // than one thinks: take `backends::provision::environment_key` then, or a `Provisioner`.
    let parts = [("base", &base.fingerprint().as_bytes()[..]), ("module", &text)];
    let key = Key::derive("examples/own_build/v1", &parts);
    let build = |site: &Site<'_>| -> Result<Built, BuildError> {
        let choice = Strategy::probe(&base, cache.root(), Sharing::Allowed)?;
        let created = create(&base, site.dir(), choice.strategy)?;
        let place = base.interpreter().purelib_in(site.dir()).join("own_module.py");
        fs::copy(&module, place).map_err(|error| BuildError::Module(module.clone(), error))?;
        Ok(Built::new(created.python))
    };
    let env = cache.get_or_build(&key, &BuildOptions::default(), build)?;
    let seen = duct::cmd(env.python(), ["-c", "import own_module; print(own_module.__file__)"]);
    println!("{:?} {}", env.state(), seen.read()?);
    Ok(())
}
