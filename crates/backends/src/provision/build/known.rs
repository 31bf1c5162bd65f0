//! What builds took, so that a build of the same spec need not ask an index for it.
//!
//! A key decides what is in an environment: one that is in the cache is never compared with an index. So an
//! environment that was evicted may be built again of just what it had, as long as that is what a build
//! would take anyway: all that was added is pinned by the spec. Then pip gets the addresses and digests of
//! the wheels, most of which its cache has, and uv is told to do with its own. Where that does not do, the
//! build goes its ordinary way. A refresh forgets what is known.
//!
//! The same holds over another base, or the same one with other packages: the package manager resolves
//! anew against what the base has, and may add nothing but what is known and pinned. So what is known is
//! kept by the spec, the settings and the interpreter, by whose tags a wheel was chosen.

use std::path::Path;

use envspec::{Install, Requirement, Tool};
use installer::{Archive, Begun, Installer, Outcome, Package, Request, Settings};
use serde::{Deserialize, Serialize};
use venv_cache::{Interpreter, Key, Memo};

use super::installed::Installed;
use crate::provision::key::interpreter_identity;

/// What was added to environments of a spec.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    packages: Vec<Package>,
    /// The wheels, of pip.
    archives: Vec<Archive>,
}

/// The place of what is known of a question.
#[derive(Debug)]
pub(crate) struct Question(Memo);

impl Question {
    /// Creates the question what an interpreter gets by a spec under these settings.
    pub(crate) fn new(
        records: &Path,
        interpreter: &Interpreter,
        install: &Install,
        settings: &Settings,
    ) -> Self {
        let (identity, digest) = (interpreter_identity(interpreter), install.digest());
        let parts: [(&str, &[u8]); 3] = [
            ("interpreter", identity.as_bytes()),
            ("install", digest.as_bytes()),
            ("settings", &settings.identity()),
        ];
        Self(Memo::new(records, "known", &Key::derive("curator/known/v1", &parts)))
    }

    /// Forgets what is known.
    pub(crate) fn forget(&self) {
        self.0.forget();
    }
}

impl Known {
    pub(super) fn read(question: &Question, tool: Tool) -> Option<Self> {
        let known: Self = question.0.read()?;
        let is_whole = tool == Tool::Uv || known.archives.len() == known.packages.len();
        (is_whole && !known.packages.is_empty()).then_some(known)
    }

    /// Keeps what a build took, where the next one would take the same, beside what builds over other
    /// bases took.
    pub(super) fn keep(question: &Question, install: &Install, outcome: &Outcome) {
        let is_pinned = |package: &Package| {
            install.requirements.iter().any(|requirement| pins(requirement, package))
        };
        // What an index says of a release is said anew.
        let is_warned = !outcome.warnings.is_empty();
        if outcome.added.is_empty() || is_warned || !outcome.added.iter().all(is_pinned) {
            return;
        }
        let mut known =
            Self { packages: outcome.added.clone(), archives: outcome.archives.clone() };
        if let Some(before) = question.0.read::<Self>() {
            let is_other = |name: &str| outcome.added.iter().all(|added| added.name != name);
            known.packages.extend(before.packages.into_iter().filter(|it| is_other(&it.name)));
            known.archives.extend(before.archives.into_iter().filter(|it| is_other(&it.name)));
        }
        question.0.write(&known);
    }

    /// Returns the archives, for a request.
    pub(super) fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// Whether nothing else is among these packages.
    fn has(&self, packages: &[Package]) -> bool {
        packages.iter().all(|package| self.packages.contains(package))
    }

    /// Installs nothing but this into the environment with these packages; none where that does not do and
    /// nothing has changed.
    pub(super) fn install(
        &self,
        tool: &Installer,
        request: &Request<'_>,
        begun: Option<Begun>,
        folder: &Path,
    ) -> Option<Result<Outcome, installer::Error>> {
        // pip sees nothing but these archives, and uv all that its cache has.
        if tool.tool() == Tool::Uv
            && !tool.resolve(request).is_ok_and(|outcome| self.has(&outcome.added))
        {
            return None;
        }
        let before = Installed::read([folder]);
        let error = match tool.install_begun(request, begun) {
            Ok(outcome) => return Some(Ok(outcome)),
            Err(error) => error,
        };
        let after = Installed::read([folder]);
        if before.iter().eq(after.iter()) {
            tracing::debug!(%error, "what is known does not do");
            return None;
        }
        Some(Err(error))
    }
}

/// Returns whether a requirement allows one version of one package, and nothing else. A version of
/// its own (`+cpu`) is allowed by what does not name it, beside others.
fn pins(requirement: &Requirement, package: &Package) -> bool {
    let is_pinned = |specifier: &envspec::Specifier| {
        specifier.operator() == "=="
            && !specifier.is_prefix()
            && specifier.accepts(&package.version)
            && !package.version.contains('+')
    };
    requirement.name() == Some(&package.name)
        && requirement.url().is_none()
        && requirement.path().is_none()
        && requirement.specifiers().iter().any(is_pinned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_allows_another_version_does_not_pin() {
        let package = Package::new("A.b", "1.0");
        let pins = |text: &str| pins(&text.parse().unwrap(), &package);
        assert!(pins("a-b==1.0") && pins("A_B==1.0.0; python_version > '3'") && pins("a.b==1,<2"));
        for text in ["a-b", "a-b==1.*", "a-b>=1,<1.0.1", "a-b~=1.0", "a==1.0", "a-b==1.1"] {
            assert!(!pins(text), "{text}");
        }
        let local = Package::new("a-b", "1.0+cpu");
        assert!(!super::pins(&"a-b==1.0".parse().unwrap(), &local));
    }
}
