//! Making an environment of the base's files, and the package manager's word on what is to come.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use envspec::Install;
use installer::{Installer, Request};
use venv_cache::{Base, Created, Strategy, create_telling};

use super::keep::Kept;
use super::steps::Build;
use crate::run::Error;

impl Build<'_> {
    /// Makes the environment of the base's files. It ends with the build's limit. `on_python` gets the
    /// interpreter before the files are there.
    ///
    /// Copies take seconds, so the package manager is asked meanwhile what it would install: if
    /// that is impossible, both end at once. Links are as fast as the answer, so the question is
    /// skipped then. An answer that comes later than the files is not waited for.
    pub(super) fn clone_of(
        &self,
        base: &Base,
        dir: &Path,
        strategy: Strategy,
        (tool, kept): (&Installer, &Kept),
        on_python: &dyn Fn(&Path),
    ) -> Result<Created, Error> {
        if strategy != Strategy::Copy || !is_of_indexes(self.install) {
            let created = create_telling(base, dir, strategy, &|| self.limit.is_over(), on_python);
            return created.map_err(given_up);
        }
        let (is_made, is_refused) = (Arc::<AtomicBool>::default(), AtomicBool::new(false));
        let request = Request::new(self.install, base.python())
            .with_held(kept.lines())
            .with_settings(self.settings)
            .with_deadline(self.limit.clone());
        let asking = request.clone().with_deadline(self.limit.clone().with_stop(is_made.clone()));
        let ask = || {
            // What else goes wrong is the installation's to tell, which may try again.
            let refusal = tool.resolve(&asking).err().filter(is_refusal)?;
            is_refused.store(true, Ordering::Relaxed);
            Some(refusal)
        };
        let is_over = || is_refused.load(Ordering::Relaxed) || self.limit.is_over();
        let (created, refusal) = thread::scope(|scope| {
            // Without a thread, the question is skipped, and the installation reports the error.
            let resolver =
                thread::Builder::new().name("curator-ask".to_owned()).spawn_scoped(scope, ask).ok();
            let created = create_telling(base, dir, strategy, &is_over, on_python);
            is_made.store(true, Ordering::Relaxed);
            (created, resolver.and_then(|it| it.join().ok()).flatten())
        });
        match refusal {
            Some(refusal) => Err(kept.blame(tool, &request, self.install, refusal)),
            None => created.map_err(given_up),
        }
    }
}

/// Returns whether asking twice runs no code of a local folder: a build there may write beside its
/// sources.
fn is_of_indexes(install: &Install) -> bool {
    install.requirements.iter().all(|it| it.path().is_none() && it.url().is_none())
}

/// Returns whether these requirements cannot be met, however often they are asked for.
fn is_refusal(error: &installer::Error) -> bool {
    matches!(error, installer::Error::Unsatisfiable { .. } | installer::Error::NotFound { .. })
}

/// Returns the error for files that were cancelled: the time of the set-up is over. If the caller
/// stopped the build, the caller reports that.
fn given_up(error: venv_cache::Error) -> Error {
    match error {
        venv_cache::Error::GivenUp => {
            Error::install(installer::Error::Late { action: "the base's files were in place" })
        }
        error => Error::cache(error),
    }
}
