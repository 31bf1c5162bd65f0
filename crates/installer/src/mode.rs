//! The purposes of a call of a package manager.

/// Whether a call installs, or only reports what it would install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Install,
    DryRun,
    /// Reports what it would install into an empty environment, with hashes.
    Lock,
}
