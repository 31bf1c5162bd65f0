//! Messages about a run between the program and a node.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envspec::{LoadedEnv, RuntimeEnv};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stage::{AnyStage, Behaviour, Declared, PythonCode, PythonSource, Registry, Settings};

use crate::run::{
    EnvReport, Error, Event, FailedTask, FailurePolicy, PlannedSettings, PlannedStage, StageReport,
};

/// The first message to a host: its stage.
#[derive(Debug, Deserialize)]
pub(crate) struct HostRequest {
    pub(crate) place: Place,
    pub(crate) stage: StageRequest,
    pub(crate) policy: FailurePolicy,
    /// The number of this worker among those of the stage, on all nodes.
    pub(crate) worker: usize,
    /// Whether Ray has made the environment; then `place.base` is its interpreter.
    pub(crate) is_native: bool,
}

/// A request to a node: the environments that the run needs.
#[derive(Debug, Deserialize)]
pub(crate) struct PrepareRequest {
    pub(crate) place: Place,
    pub(crate) stages: Vec<StageRequest>,
}

/// The place of a run on a node.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    /// The interpreter of the base.
    pub(crate) base: PathBuf,
    /// The node's name.
    pub(crate) node: String,
    /// The folder of the run on this node.
    pub(crate) run_dir: PathBuf,
    /// The environment cache; none for the user's.
    pub(crate) cache_dir: Option<PathBuf>,
    /// The job's entries of `PYTHONPATH`.
    pub(crate) python_path: String,
}

/// One stage, in the form that is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StageRequest {
    pub(crate) settings: Settings,
    pub(crate) code: Code,
    /// A [`LoadedEnv`] with its credentials; null for the base environment.
    pub(crate) env: Value,
    /// The settings that its code is compared with; none for Rust code.
    #[serde(default)]
    pub(crate) wanted: Option<WantedRequest>,
}

#[cfg(test)]
impl WantedRequest {
    /// Treats the stage's entry as one without a `runtime_env`.
    pub(crate) fn unset_env(&mut self) {
        self.given.remove("runtime_env");
    }
}

/// The settings that a stage's code is compared with, in the form that is sent; the others are in
/// the stage's settings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WantedRequest {
    declared: Declared,
    given: BTreeSet<String>,
    read: Map<String, Value>,
    read_env: Option<String>,
    default: RuntimeEnv,
    effective: RuntimeEnv,
    /// A [`LoadedEnv`] with its credentials.
    env: Value,
    dir: PathBuf,
}

/// A stage's code, in the form that is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// A file, with its text for nodes that do not have it.
    File {
        path: PathBuf,
        text: String,
        name: String,
        #[serde(with = "as_text")]
        args: Value,
    },
    Module {
        module: String,
        name: String,
        #[serde(with = "as_text")]
        args: Value,
    },
    Source {
        text: String,
        name: String,
        #[serde(with = "as_text")]
        args: Value,
    },
    /// A Rust stage by its name in the registry.
    Rust {
        name: String,
        #[serde(with = "as_text")]
        args: Value,
    },
}

/// Values as text, which the driver passes on unread, since its Python would write other digits.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;
    use stage::Json;

    pub(super) fn serialize<S: Serializer>(value: &Value, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        let json = Json::from_text(String::deserialize(from)?).map_err(D::Error::custom)?;
        json.into_value().map_err(D::Error::custom)
    }
}

/// An event from a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    Event(Event),
    Environment(EnvReport),
    /// The work of a host so far.
    Stage(StageReport),
    Failed(FailedTask),
    /// The code of this stage says something else of itself than when the run was planned.
    Outdated(String),
}

impl StageRequest {
    /// Prepares a stage for sending. Its code must exist, and a Rust stage must be registered.
    pub(crate) fn new(planned: &PlannedStage) -> Result<Self, Error> {
        let mut settings = planned.settings.clone();
        // The loaded spec is sent, with the credentials that settings hide.
        settings.runtime_env = None;
        let code = match &planned.behaviour {
            Behaviour::Python(code) => {
                let (name, args) = (code.name().to_owned(), code.args().clone());
                match code.source() {
                    PythonSource::File(path) => {
                        let text = files::read_text(path, files::MOST_TEXT).map_err(|source| {
                            Error::io("read the stage's file", path.display().to_string(), source)
                        })?;
                        Code::File { path: path.clone(), text, name, args }
                    }
                    PythonSource::Module(module) => {
                        Code::Module { module: module.clone(), name, args }
                    }
                    PythonSource::Inline(text) => Code::Source { text: text.clone(), name, args },
                }
            }
            Behaviour::Rust(code) => {
                let Some(origin) = code.origin() else {
                    return Err(Error::UnregisteredStage { stage: settings.name });
                };
                Code::Rust { name: origin.name.clone(), args: origin.args.clone() }
            }
        };
        let env = planned.env.as_ref().map_or(Value::Null, LoadedEnv::expose);
        let wanted = planned.wanted.as_deref().map(|wanted| WantedRequest {
            declared: wanted.declared,
            given: wanted.given.clone(),
            read: wanted.read.clone(),
            read_env: wanted.read_env.clone(),
            default: wanted.default.clone(),
            effective: wanted.effective.clone(),
            env: wanted.env.expose(),
            dir: wanted.dir.clone(),
        });
        Ok(Self { settings, code, env, wanted })
    }

    /// Returns the stage, ready to run on this node.
    pub(crate) fn into_planned(
        self,
        place: &Place,
        registry: &Registry,
        is_native: bool,
    ) -> Result<PlannedStage, Error> {
        let Self { mut settings, code, env, wanted } = self;
        // The engine has placed the worker and given it its devices.
        let workers = std::mem::replace(&mut settings.workers, stage::Workers::Fixed(1));
        let resources = std::mem::take(&mut settings.resources);
        let nonsense = |error: serde_json::Error| Error::Engine {
            words: format!("a stage that is {error}"),
            log: Vec::new(),
        };
        let env: Option<LoadedEnv> = serde_json::from_value(env).map_err(nonsense)?;
        let wanted = wanted.map(|wanted| -> Result<_, serde_json::Error> {
            let WantedRequest { declared, given, read, read_env, default, effective, env, dir } =
                wanted;
            let env = serde_json::from_value(env)?;
            Ok(Box::new(PlannedSettings {
                declared,
                given,
                read,
                read_env,
                default,
                effective,
                env,
                dir,
                resources,
                workers,
            }))
        });
        Ok(PlannedStage {
            behaviour: code.into_behaviour(place, registry)?,
            env: local_env(env, place, is_native),
            wanted: wanted.transpose().map_err(nonsense)?,
            declared: Vec::new(),
            kept: None,
            settings,
        })
    }
}

impl Code {
    fn into_behaviour(self, place: &Place, registry: &Registry) -> Result<Behaviour, Error> {
        Ok(match self {
            Self::File { path, text, name, args } => {
                let file = if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                    path
                } else {
                    write_file(place, &path, &text).map_err(|source| {
                        Error::io("write the stage's file", path.display().to_string(), source)
                    })?
                };
                PythonCode::from_file(file, name).with_args(args).into()
            }
            Self::Module { module, name, args } => {
                PythonCode::from_module(module, name).with_args(args).into()
            }
            Self::Source { text, name, args } => {
                PythonCode::from_source(text, name).with_args(args).into()
            }
            Self::Rust { name, args } => {
                let stage = registry
                    .stage(&name, args)
                    .map_err(|source| Error::Pipeline { source: Box::new(source) })?;
                AnyStage::from(stage).behaviour().clone()
            }
        })
    }
}

/// Writes a stage's file under its own name, in a folder of its own.
fn write_file(place: &Place, path: &Path, text: &str) -> std::io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| std::io::Error::other("a file needs a name"))?;
    let digest = envspec::Digest::of(text.as_bytes()).to_string();
    let folder = place.run_dir.join(&digest[..16]);
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let file = folder.join(name);
    // Another host of the stage may be reading it.
    files::Draft::default().write(&file, text.as_bytes())?;
    Ok(file)
}

/// Returns the environment as this node must prepare it.
fn local_env(env: Option<LoadedEnv>, place: &Place, is_native: bool) -> Option<LoadedEnv> {
    if env.is_none() && place.python_path.is_empty() && !is_native {
        return None;
    }
    let mut env = env.unwrap_or_default();
    // The engine has served these by giving this process the resources.
    env.engine_fields.clear();
    if is_native {
        // Ray has made the environment of this process, and set its variables.
        env.python = Some(place.base.clone());
        for (name, value) in &mut env.env_vars {
            if let Ok(set) = std::env::var(name) {
                *value = set;
            }
        }
    }
    if !place.python_path.is_empty() {
        let own = env.env_vars.entry("PYTHONPATH".to_owned()).or_default();
        if !own.is_empty() {
            own.push(':');
        }
        own.push_str(&place.python_path);
    }
    Some(env)
}
