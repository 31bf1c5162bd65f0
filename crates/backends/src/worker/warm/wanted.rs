//! What tells the template that a run wants from others.

use envspec::Digest;

use super::conditions;
use crate::worker::process::Launch;
use crate::worker::shim::Shims;
use crate::worker::wire::Importer;

/// The template that a run wants: what it would start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// What its socket's name begins with.
    pub(crate) name: String,
    pub(crate) packages: Vec<String>,
    /// The code whose first imports it makes.
    pub(crate) importer: Importer,
    /// The keys of the environments that it uses.
    pub(crate) environments: Vec<String>,
}

impl Wanted {
    /// How many digits, in base 16, such a name has.
    pub(crate) const NAME_LENGTH: usize = 32;

    /// `identity` tells the environment and its base from others.
    pub(crate) fn new(
        launch: &Launch,
        identity: &str,
        packages: Vec<String>,
        importer: Importer,
        environments: Vec<String>,
    ) -> Self {
        let mut launch = launch.clone();
        launch.vars.retain(|name, _| !Launch::IDLE_VARS.iter().any(|idle| name == idle));
        let decisive = format!(
            "curator/warm/v1\n{}\n{}\n{launch:?}\n{identity}\n{:?}\n\
             {packages:?}\n{}",
            env!("CARGO_PKG_VERSION"),
            Shims::version(),
            importer.preload,
            conditions::of_this_process(),
        );
        let name = Digest::of(decisive.as_bytes()).to_string()[..Self::NAME_LENGTH].to_owned();
        Self { name, packages, importer, environments }
    }
}
