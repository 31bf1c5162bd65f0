//! The environment and the base that the arguments name.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use curator::RuntimeEnv;
use curator::backends::provision::ProvisionerBuilder;
use curator::backends::{self, DiskSource, Environment, Owner, Provisioner};
use curator::envspec::{self, LoadedEnv, Tool};
use curator::stage::{BaseSpec, Isolation};
use curator::venv_cache::Strategy;
use serde_json::json;

use crate::failure::Failure;
use crate::progress::Progress;

/// The source of these specs, in error messages.
const COMMAND_LINE: &str = "the command line";
const STANDARD_INPUT: &str = "the standard input";

/// Arguments for the contents of an environment.
#[derive(Debug, Args)]
#[command(next_help_heading = "Spec")]
pub(crate) struct SpecArguments {
    /// A line of a requirements file for pip; may be repeated.
    #[arg(long, value_name = "REQ", conflicts_with = "uv", allow_hyphen_values = true)]
    pip: Vec<String>,
    /// A line of a requirements file for uv; may be repeated.
    #[arg(long, value_name = "REQ", allow_hyphen_values = true)]
    uv: Vec<String>,
    /// A requirements file, read by uv unless `--pip` is also given; may be repeated.
    #[arg(long, value_name = "FILE")]
    requirements: Vec<PathBuf>,
    /// The key of an environment or the start of it, a `runtime_env` as JSON, a JSON or TOML file
    /// that contains one, or `-` to read one from standard input.
    ///
    /// Text of only hexadecimal digits is a key: write `./abc` for a file of that name.
    #[arg(long, value_name = "KEY|FILE|JSON|-", conflicts_with_all = ["pip", "uv", "requirements"])]
    spec: Option<String>,
    /// The folder that relative paths of the spec begin at [default: this one].
    ///
    /// For the Python package, whose commands run in other folders than that of their spec.
    #[arg(long, value_name = "DIR", hide = true)]
    spec_dir: Option<PathBuf>,
}

/// Arguments for the base of an environment.
#[derive(Debug, Args)]
#[command(next_help_heading = "Base")]
pub(crate) struct BaseArguments {
    /// The base: an interpreter, or the folder of a virtualenv [default: `$VIRTUAL_ENV`, else
    /// `python3` on PATH].
    #[arg(long, value_name = "PYTHON", conflicts_with = "managed_base")]
    base: Option<PathBuf>,
    /// Requirements of a base that uv builds and the cache keeps.
    #[arg(long, value_name = "REQ", num_args = 1..)]
    managed_base: Vec<String>,
    /// The interpreter for a managed base [default: that of the default base].
    #[arg(long, value_name = "PYTHON", requires = "managed_base")]
    python: Option<PathBuf>,
}

/// Arguments for how an environment adds to its base.
#[derive(Debug, Args)]
#[command(next_help_heading = "Base")]
pub(crate) struct StrategyArguments {
    /// How the environment gets the base's files [default: the best way that the disk supports].
    #[arg(long)]
    strategy: Option<StrategyName>,
}

/// Arguments for an environment: contents, base and strategy.
#[derive(Debug, Args)]
pub(crate) struct EnvArguments {
    #[command(flatten)]
    pub(crate) spec: SpecArguments,
    #[command(flatten)]
    pub(crate) base: BaseArguments,
    #[command(flatten)]
    pub(crate) strategy: StrategyArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyName {
    /// Hard links.
    Hardlink,
    /// Symbolic links.
    Symlink,
    /// Copies, which share nothing with the base.
    Copy,
}

/// The requested environment.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A cached environment.
    Found(Box<Environment>),
    /// A spec.
    Spec(Box<LoadedEnv>),
}

impl SpecArguments {
    /// Returns whether no spec is given.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { pip, uv, requirements, spec, spec_dir: _ } = self;
        pip.is_empty() && uv.is_empty() && requirements.is_empty() && spec.is_none()
    }

    /// Reads what the arguments name.
    pub(crate) fn read(&self, provisioner: &Provisioner) -> Result<Wanted, Failure> {
        let here = env::current_dir().map_err(|error| Failure::io("find this folder", &error))?;
        let dir = self.spec_dir.as_ref().map_or_else(|| here.clone(), |dir| here.join(dir));
        let (env, dir, owner) = match &self.spec {
            None => (self.listed(), dir, COMMAND_LINE.to_owned()),
            Some(text) if text == "-" => {
                let read = files::read_text_from(io::stdin().lock(), files::MOST_TEXT);
                let text = read.map_err(|error| Failure::io("read the standard input", &error))?;
                (from_text(&text, STANDARD_INPUT)?, dir, STANDARD_INPUT.to_owned())
            }
            Some(text) if text.trim_start().starts_with('{') => {
                (from_text(text, COMMAND_LINE)?, dir, COMMAND_LINE.to_owned())
            }
            Some(text) if is_hexadecimal(text) => {
                return Ok(Wanted::Found(Box::new(provisioner.find_by_prefix(text)?)));
            }
            Some(path) => from_file(&dir.join(path))?,
        };
        let loaded = env.load(&DiskSource, &dir).map_err(|error| wrong(error, &owner))?;
        if loaded == LoadedEnv::default() && self.spec.is_none() {
            return Err(Failure::usage(
                "what shall be in the environment?\n\nhint: give --uv, --pip, --requirements or \
                 --spec; the base itself is --spec '{}'",
            ));
        }
        Ok(Wanted::Spec(Box::new(loaded)))
    }

    fn listed(&self) -> RuntimeEnv {
        let tool = if self.pip.is_empty() { Tool::Uv } else { Tool::Pip };
        let mut lines = [self.pip.as_slice(), &self.uv].concat();
        if let ([], [file]) = (&lines[..], &self.requirements[..]) {
            return RuntimeEnv::requirements_file(tool, file);
        }
        lines.extend(self.requirements.iter().map(|file| format!("-r {}", file.display())));
        match tool {
            Tool::Pip => RuntimeEnv::pip(lines),
            Tool::Uv => RuntimeEnv::uv(lines),
        }
    }
}

impl BaseArguments {
    /// Returns the named base, or `None`.
    pub(crate) fn base(&self) -> Result<Option<BaseSpec>, Failure> {
        if let Some(python) = &self.base {
            return Ok(Some(BaseSpec::from(python.clone())));
        }
        if self.managed_base.is_empty() {
            return Ok(None);
        }
        let mut spec = json!({ "uv": self.managed_base });
        if let Some(python) = &self.python {
            spec["python"] = json!(python);
        }
        Ok(Some(BaseSpec::from(
            RuntimeEnv::from_value(spec).map_err(|error| wrong(error, COMMAND_LINE))?,
        )))
    }

    /// Returns whether no base is named.
    pub(crate) fn is_default(&self) -> bool {
        self.base.is_none() && self.managed_base.is_empty()
    }

    /// Returns whether the cache builds the base.
    pub(crate) fn is_managed(&self) -> bool {
        !self.managed_base.is_empty()
    }

    /// Makes environments over it.
    pub(crate) fn builder(&self, cache_dir: Option<&Path>) -> Result<ProvisionerBuilder, Failure> {
        let builder = Provisioner::builder().cache_dir(cache_dir);
        Ok(match self.base()? {
            Some(base) => builder.base(base),
            None => builder,
        })
    }
}

impl StrategyArguments {
    /// Returns whether no strategy is named.
    pub(crate) fn is_default(&self) -> bool {
        self.strategy.is_none()
    }

    /// Sets the strategy that is asked for.
    pub(crate) fn apply(&self, builder: ProvisionerBuilder) -> ProvisionerBuilder {
        let strategy = self.strategy.map(|name| match name {
            StrategyName::Hardlink => Strategy::Hardlink,
            StrategyName::Symlink => Strategy::Symlink,
            StrategyName::Copy => Strategy::Copy,
        });
        match strategy {
            Some(strategy) => builder.strategy(strategy),
            None => builder,
        }
    }
}

impl EnvArguments {
    /// Returns the environment, building it if needed.
    pub(crate) fn prepare(
        &self,
        cache_dir: Option<&Path>,
        progress: &Arc<Progress>,
    ) -> Result<Environment, Failure> {
        let builder = self.strategy.apply(self.base.builder(cache_dir)?);
        let provisioner = builder.observer(progress.clone()).open()?;
        let prepared = match self.spec.read(&provisioner)? {
            Wanted::Found(environment) => Ok(*environment),
            Wanted::Spec(env) => provisioner.prepare(&env, Isolation::Shared),
        };
        progress.finish();
        Ok(prepared?)
    }
}

/// Returns the spec and base of a cached environment.
pub(crate) fn recorded(environment: &Environment) -> Result<LoadedEnv, Failure> {
    environment
        .spec()
        .ok_or_else(|| Failure::failed("what the environment was made of is not recorded"))
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Parses JSON, or else TOML.
fn from_text(text: &str, owner: &str) -> Result<RuntimeEnv, Failure> {
    // Some editors begin a file with this mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = text.trim_start().starts_with('{');
    let read = if is_json { RuntimeEnv::from_json(text) } else { RuntimeEnv::from_toml(text) };
    read.map_err(|error| wrong(error, owner))
}

/// Reads a file with a spec; returns it with the folder for its relative paths and the file's name.
fn from_file(path: &Path) -> Result<(RuntimeEnv, PathBuf, String), Failure> {
    let text = files::read_text(path, files::MOST_TEXT).map_err(|error| {
        let problem = format!("cannot read the spec `{}`: {error}", path.display());
        Failure::usage(&problem)
    })?;
    let dir = path.parent().unwrap_or(path).to_owned();
    let owner = format!("`{}`", path.display());
    Ok((from_text(&text, &owner)?, dir, owner))
}

fn wrong(source: envspec::Error, owner: &str) -> Failure {
    let owner = Owner::Other(owner.to_owned());
    backends::Error::Spec { owner, source: Box::new(source) }.into()
}
