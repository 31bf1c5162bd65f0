//! Which templates are forked from a common root: those of stages that are started in the same way
//! and begin with the same package.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use stage::{Preload, PythonCode, PythonSource};

use super::beginning::first_package;
use super::stage_run::StageRun;
use super::templates::Nursery;
use crate::provision::Environment;
use crate::run::PlannedStage;
use crate::worker::Launch;
use crate::worker::wire::Importer;

/// Returns the root of a stage's template, or of its one worker; none if no other stage begins with
/// the same package.
pub(super) fn root_of(
    stage: &StageRun<'_>,
    stages: &[StageRun<'_>],
    environment: &Environment,
    launch: &Launch,
) -> Option<Arc<Nursery>> {
    let is_sibling = |other: &&StageRun<'_>| is_started_alike(stage.planned, other.planned);
    let siblings: Vec<_> = stages.iter().filter(is_sibling).collect();
    // Most stages are alone: no code is read for them.
    if siblings.len() < 2 {
        return None;
    }
    let package = beginning(stage, launch)?;
    let mut importers = Vec::new();
    for other in siblings.into_iter().filter(|it| beginning(it, launch) == Some(package)) {
        let code = other.planned.behaviour.as_python()?;
        let importer = importer_of(other.planned, code, environment).ok()?;
        if !importers.contains(&importer) {
            importers.push(importer);
        }
    }
    (importers.len() > 1).then(|| stage.run.templates.root(launch, importers))
}

/// Returns whether the processes of two stages are started in the same way, so that the launch of one
/// is that of the other.
fn is_started_alike(one: &PlannedStage, other: &PlannedStage) -> bool {
    other.behaviour.as_python().is_some()
        && other.env == one.env
        && other.settings.isolation == one.settings.isolation
        && other.settings.preload.as_ref().is_none_or(Preload::is_on)
}

/// Returns what a stage's code imports first, for its template to read.
pub(super) fn importer_of(
    planned: &PlannedStage,
    code: &PythonCode,
    environment: &Environment,
) -> io::Result<Importer> {
    let place = environment.locate(code)?;
    let text = |name: &str| place.get(name).and_then(|it| it.as_str()).map(str::to_owned);
    let preload = planned.settings.preload.as_ref().map_or(&[][..], Preload::modules);
    Ok(Importer { file: text("file"), module: text("module"), preload: preload.to_vec() })
}

/// Returns the package that a stage's code imports first.
fn beginning<'a>(stage: &'a StageRun<'_>, launch: &Launch) -> Option<&'a str> {
    let find = || {
        let preload = stage.planned.settings.preload.as_ref().map_or(&[][..], Preload::modules);
        if let Some(module) = preload.first() {
            return module.split('.').next().map(str::to_owned);
        }
        let text = match stage.planned.behaviour.as_python()?.source() {
            PythonSource::Inline(text) => text.clone(),
            PythonSource::File(file) => files::read_file_text(file, files::MOST_TEXT).ok()?,
            PythonSource::Module(module) => text_of(module, launch)?,
        };
        first_package(&text).map(str::to_owned)
    };
    stage.beginning.get_or_init(find).as_deref()
}

/// Returns the text of a module in a folder of the stage's own. Others are not looked for.
fn text_of(module: &str, launch: &Launch) -> Option<String> {
    let path: PathBuf = module.split('.').collect();
    let folders = launch.vars.get(OsStr::new("PYTHONPATH"))?;
    std::env::split_paths(folders).find_map(|folder| {
        let file = folder.join(&path);
        let candidates = [file.join("__init__.py"), file.with_extension("py")];
        candidates.iter().find_map(|file| files::read_file_text(file, files::MOST_TEXT).ok())
    })
}
