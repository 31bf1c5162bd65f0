//! The effect of a plan's run on its environments, determined without running it.

use std::collections::BTreeMap;
use std::time::Duration;

use envspec::LoadedEnv;
use installer::{Deadline, Outcome, Package, Request};
use serde::Serialize;
use stage::Isolation;
use venv_cache::Key;

use crate::provision::build::{Kept, base_packages};
use crate::provision::environment::Core;
use crate::provision::provisioner::Provisioner;
use crate::run::{Error, Plan, PlannedStage};

/// The effect of a run on one stage's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The stage.
    pub stage: String,
    /// The environment's key; none for the base, for prebuilt environments, and if the managed base
    /// is not built yet.
    pub key: Option<String>,
    /// The state at the start of a run.
    pub state: PreviewState,
    /// The packages that would be installed, as `name==version`; the requirements if the versions
    /// cannot be known yet.
    pub added: Vec<String>,
    /// The packages of the base that these would replace, as `name==version`.
    pub replaced: Vec<String>,
    /// Its own disk space, in bytes, if it is in the cache.
    pub own_bytes: Option<u64>,
}

/// The state at the start of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreviewState {
    /// The stage runs in the base environment.
    Base,
    /// The spec names a prebuilt interpreter.
    Prebuilt,
    /// The environment is in the cache.
    Hit,
    /// It would be built.
    ToBuild,
    /// It would be built, and its base before it.
    ToBuildWithBase,
    /// The stage is Rust code without packages, and needs no interpreter.
    None,
}

/// Previews of stages, one after another, with the resolutions for earlier ones: stages of one
/// environment share an answer.
#[derive(Debug)]
pub struct Previews<'a> {
    provisioner: &'a Provisioner,
    resolved: BTreeMap<Key, Outcome>,
}

impl Provisioner {
    /// Returns the effect of a plan's run on its environments, stage by stage. Nothing is built and
    /// the base is not touched. Requirements are resolved, so a package manager may be fetched into
    /// the cache, and an impossible requirement is an error.
    pub fn preview(&self, plan: &Plan) -> Result<Vec<Preview>, Error> {
        let mut previews = self.previews();
        plan.stages().iter().map(|stage| previews.stage(stage)).collect()
    }

    /// Returns the preview of one stage.
    pub fn preview_stage(&self, stage: &PlannedStage) -> Result<Preview, Error> {
        self.previews().stage(stage)
    }

    /// Returns previews of stages that the caller chooses, with errors stage by stage.
    #[must_use]
    pub fn previews(&self) -> Previews<'_> {
        Previews { provisioner: self, resolved: BTreeMap::new() }
    }
}

impl Previews<'_> {
    /// Returns the effect of a run on this stage's environment. An environment is resolved once for
    /// all its stages.
    pub fn stage(&mut self, stage: &PlannedStage) -> Result<Preview, Error> {
        let name = stage.settings.name.clone();
        let isolation = stage.settings.isolation.unwrap_or(Isolation::Shared);
        match &stage.env {
            Some(env) => {
                self.of_env(&name, env, isolation).map_err(|error| error.of_stages(vec![name]))
            }
            None if stage.needs_python() => Ok(Preview::new(name, PreviewState::Base)),
            None => Ok(Preview::new(name, PreviewState::None)),
        }
    }

    fn of_env(
        &mut self,
        stage: &str,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Preview, Error> {
        if env.python.is_some() || env.py_executable.is_some() {
            return Ok(Preview::new(stage, PreviewState::Prebuilt));
        }
        let provisioner = self.provisioner;
        provisioner.check_python(env)?;
        let Some(install) = &env.install else {
            return Ok(Preview::new(stage, PreviewState::Base));
        };
        let Some(open) = provisioner.peek_base()? else {
            let added = install.requirements.iter().map(ToString::to_string).collect();
            return Ok(Preview { added, ..Preview::new(stage, PreviewState::ToBuildWithBase) });
        };
        let key = provisioner.key_of(&open, install, isolation)?;
        let preview = Preview::new(stage, PreviewState::ToBuild).with_key(&key.to_string());
        if let Some(cached) = provisioner.cache().get(&key).map_err(Error::cache)? {
            let core = Core::cached(cached, Duration::ZERO);
            let report = core.report(Vec::new());
            let (added, replaced) = (report.added, report.replaced);
            let own_bytes = Some(report.own_bytes);
            return Ok(Preview { state: PreviewState::Hit, added, replaced, own_bytes, ..preview });
        }
        let text = |packages: &[Package]| packages.iter().map(ToString::to_string).collect();
        let told = |preview: Preview, outcome: &Outcome| {
            let (added, replaced) = (text(&outcome.added), text(&outcome.removed));
            Preview { added, replaced, ..preview }
        };
        if let Some(outcome) = self.resolved.get(&key) {
            return Ok(told(preview, outcome));
        }
        let deadline = env.setup_timeout.map_or(Deadline::NEVER, Deadline::after);
        let version = install.tool_version.as_deref();
        let tool = provisioner
            .tools()
            .locate(install.tool, version, open.base.python(), deadline)
            .map_err(Error::install)?;
        let kept = Kept::of(install, &base_packages(open.base.interpreter()));
        kept.check(install)?;
        let settings = provisioner.settings(&open, install)?;
        let request = Request::new(install, open.base.python())
            .with_settings(&settings)
            .with_held(kept.lines())
            .with_deadline(deadline);
        let outcome =
            tool.resolve(&request).map_err(|error| kept.blame(&tool, &request, install, error))?;
        let preview = told(preview, &outcome);
        self.resolved.insert(key, outcome);
        Ok(preview)
    }
}

impl Preview {
    fn new(stage: impl Into<String>, state: PreviewState) -> Self {
        let (added, replaced) = (Vec::new(), Vec::new());
        Self { stage: stage.into(), key: None, state, added, replaced, own_bytes: None }
    }

    fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}
