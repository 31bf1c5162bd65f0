//! The commands of `curator env`.

mod create;
mod diff;
mod du;
mod exec;
mod list;
mod lock;
mod prune;
mod refresh;
mod remove;
mod show;
mod verify;
mod why;

use std::path::Path;
use std::process::ExitCode;

use curator::backends::Provisioner;
use curator::backends::provision::Details;
use curator::venv_cache::{Cache, Error, Key, Listed};

use crate::arguments::EnvCommand;
use crate::failure::Failure;

pub(crate) fn run(command: EnvCommand, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let store = || Store::open(cache_dir);
    match command {
        EnvCommand::Create(arguments) => create::run(&arguments, cache_dir),
        EnvCommand::Exec(arguments) => exec::run(&arguments, cache_dir),
        EnvCommand::List(arguments) => list::run(arguments, &store()?),
        EnvCommand::Show(arguments) => show::run(&arguments, &store()?),
        EnvCommand::Why(arguments) => why::run(&arguments, &store()?),
        EnvCommand::Diff(arguments) => diff::run(&arguments, &store()?),
        EnvCommand::Du(arguments) => du::run(arguments, &store()?),
        EnvCommand::Verify(arguments) => verify::run(&arguments, &store()?),
        EnvCommand::Prune(arguments) => prune::run(&arguments, &store()?),
        EnvCommand::Remove(arguments) => remove::run(&arguments, &store()?),
        EnvCommand::Lock(arguments) => lock::run(&arguments, cache_dir),
        EnvCommand::Refresh(arguments) => refresh::run(&arguments, cache_dir),
    }
}

/// Opens the existing environments; commands on these need no base.
struct Store {
    provisioner: Provisioner,
}

impl Store {
    fn open(cache_dir: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { provisioner: Provisioner::builder().cache_dir(cache_dir).open()? })
    }

    fn provisioner(&self) -> &Provisioner {
        &self.provisioner
    }

    fn cache(&self) -> &Cache {
        self.provisioner.cache()
    }

    /// Returns the only key that starts with these digits.
    fn key(&self, prefix: &str) -> Result<Key, Failure> {
        Ok(self.cache().find(prefix)?)
    }

    /// Returns the environment whose key starts with these digits, without leasing it.
    fn listed(&self, prefix: &str) -> Result<Listed, Failure> {
        let key = self.key(prefix)?;
        let listed = self.cache().list()?.into_iter().find(|listed| listed.key == key);
        Ok(listed.ok_or(Error::NoMatch { prefix: prefix.to_owned() })?)
    }

    /// Returns the details of the environment whose key starts with these digits.
    fn details(&self, prefix: &str) -> Result<Details, Failure> {
        let listed = self.listed(prefix)?;
        Details::of_listed(&listed).ok_or_else(|| {
            Failure::failed(&format!("what is in environment {} is not recorded", listed.key))
        })
    }
}
