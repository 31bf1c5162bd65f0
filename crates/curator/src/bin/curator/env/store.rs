//! The environments that exist, for the commands that look at them.

use std::path::Path;

use curator::backends::Provisioner;
use curator::backends::provision::EnvDetails;
use curator::venv_cache::{Cache, Error, Key, Listed};

use crate::failure::Failure;

/// Opens the existing environments; commands on these need no base.
pub(super) struct Store {
    provisioner: Provisioner,
}

impl Store {
    pub(super) fn open(cache_dir: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { provisioner: Provisioner::builder().cache_dir(cache_dir).open()? })
    }

    pub(super) fn provisioner(&self) -> &Provisioner {
        &self.provisioner
    }

    pub(super) fn cache(&self) -> &Cache {
        self.provisioner.cache()
    }

    /// Returns the only key that starts with these digits.
    pub(super) fn key(&self, prefix: &str) -> Result<Key, Failure> {
        Ok(self.cache().find(prefix)?)
    }

    /// Returns the environment whose key starts with these digits, without leasing it.
    pub(super) fn listed(&self, prefix: &str) -> Result<Listed, Failure> {
        let key = self.key(prefix)?;
        let listed = self.cache().list()?.into_iter().find(|listed| listed.key == key);
        Ok(listed.ok_or(Error::NoMatch { prefix: prefix.to_owned() })?)
    }

    /// Returns the details of the environment whose key starts with these digits.
    pub(super) fn details(&self, prefix: &str) -> Result<EnvDetails, Failure> {
        let listed = self.listed(prefix)?;
        EnvDetails::of_listed(&listed).ok_or_else(|| {
            Failure::failed(&format!("what is in environment {} is not recorded", listed.key))
        })
    }
}
