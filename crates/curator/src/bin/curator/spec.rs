//! Which environment, over which base: from arguments to the libraries' types.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use curator::RuntimeEnv;
use curator::backends::{self, DiskSource, Environment, Provisioner};
use curator::envspec::{self, LoadedEnv, Tool};
use curator::stage::{Base, Isolation};
use curator::venv_cache::Strategy;
use serde_json::json;

use crate::failure::Failure;

/// Whose specs these are, in error messages.
const OWNER: &str = "the command line";

/// What an environment is to hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Spec")]
pub(crate) struct SpecArguments {
    /// A line of a requirements file for pip; may be repeated.
    #[arg(long, value_name = "REQ", conflicts_with = "uv", allow_hyphen_values = true)]
    pip: Vec<String>,
    /// A line of a requirements file for uv; may be repeated.
    #[arg(long, value_name = "REQ", allow_hyphen_values = true)]
    uv: Vec<String>,
    /// A requirements file, read by uv unless `--pip` is given, too; may be repeated.
    #[arg(long, value_name = "FILE")]
    requirements: Vec<PathBuf>,
    /// The key of an environment or the start of it, a `runtime_env` as JSON, a JSON or TOML file
    /// that holds one, or `-` for one on the standard input.
    ///
    /// A text of hexadecimal digits alone is a key: write `./abc` for a file of such a name.
    #[arg(long, value_name = "KEY|FILE|JSON|-", conflicts_with_all = ["pip", "uv", "requirements"])]
    spec: Option<String>,
}

/// What an environment is to stand on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Base")]
pub(crate) struct BaseArguments {
    /// The base: an interpreter, or the folder of a virtualenv [default: `$VIRTUAL_ENV`, else
    /// `python3` on PATH].
    #[arg(long, value_name = "PYTHON", conflicts_with = "managed_base")]
    base: Option<PathBuf>,
    /// A base that is made from these requirements, and kept in the cache.
    #[arg(long, value_name = "REQ", num_args = 1..)]
    managed_base: Vec<String>,
    /// The interpreter that a managed base is made from [default: that of the default base].
    #[arg(long, value_name = "PYTHON", requires = "managed_base")]
    python: Option<PathBuf>,
}

/// How an environment adds to its base.
#[derive(Debug, Args)]
#[command(next_help_heading = "Base")]
pub(crate) struct StrategyArguments {
    /// How the environment comes by the base's files [default: chosen by what the disk can do].
    #[arg(long)]
    strategy: Option<StrategyName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyName {
    /// Hard links.
    Hardlink,
    /// Symbolic links.
    Symlink,
    /// Copies, so that nothing is shared with the base.
    Copy,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// An environment that the cache has.
    Found(Box<Environment>),
    /// A spec.
    Spec(Box<LoadedEnv>),
}

impl SpecArguments {
    /// Reads what the arguments name.
    pub(crate) fn read(&self, provisioner: &Provisioner) -> Result<Wanted, Failure> {
        let dir = env::current_dir().map_err(|error| Failure::io("find this folder", &error))?;
        let (env, dir) = match &self.spec {
            None => (self.listed(), dir),
            Some(text) if text == "-" => {
                let mut text = String::new();
                let read = io::stdin().lock().read_to_string(&mut text);
                read.map_err(|error| Failure::io("read the standard input", &error))?;
                (from_text(&text)?, dir)
            }
            Some(text) if text.trim_start().starts_with('{') => (from_text(text)?, dir),
            Some(text) if is_hexadecimal(text) => {
                return Ok(Wanted::Found(Box::new(provisioner.find_by_prefix(text)?)));
            }
            Some(path) => from_file(&dir.join(path))?,
        };
        let loaded = env.load(&DiskSource, &dir).map_err(wrong)?;
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
    /// The base that is named; none if none is.
    pub(crate) fn base(&self) -> Result<Option<Base>, Failure> {
        if let Some(python) = &self.base {
            return Ok(Some(Base::from(python.clone())));
        }
        if self.managed_base.is_empty() {
            return Ok(None);
        }
        let mut spec = json!({ "uv": self.managed_base });
        if let Some(python) = &self.python {
            spec["python"] = json!(python);
        }
        Ok(Some(Base::from(RuntimeEnv::from_value(spec).map_err(wrong)?)))
    }

    /// Whether no base is named.
    pub(crate) fn is_default(&self) -> bool {
        self.base.is_none() && self.managed_base.is_empty()
    }

    /// Opens the cache; the base is opened or built when it is needed.
    pub(crate) fn open(&self, cache_dir: Option<&Path>) -> Result<Provisioner, Failure> {
        let base = self.base()?;
        Ok(Provisioner::new(base.as_ref(), cache_dir)?)
    }
}

impl StrategyArguments {
    /// The same provisioner with the strategy that is asked for.
    pub(crate) fn apply(&self, provisioner: Provisioner) -> Provisioner {
        let strategy = self.strategy.map(|name| match name {
            StrategyName::Hardlink => Strategy::Hardlink,
            StrategyName::Symlink => Strategy::Symlink,
            StrategyName::Copy => Strategy::Copy,
        });
        match strategy {
            Some(strategy) => provisioner.with_strategy(strategy),
            None => provisioner,
        }
    }
}

impl Wanted {
    /// The spec, of an environment that the cache has as far as it is recorded.
    pub(crate) fn into_spec(self) -> Result<LoadedEnv, Failure> {
        match self {
            Self::Spec(env) => Ok(*env),
            Self::Found(environment) => environment
                .spec()
                .ok_or_else(|| Failure::failed("what the environment was made of is not recorded")),
        }
    }

    /// The environment itself, built if need be.
    pub(crate) fn prepare(self, provisioner: &Provisioner) -> Result<Environment, Failure> {
        match self {
            Self::Found(environment) => Ok(*environment),
            Self::Spec(env) => Ok(provisioner.prepare(&env, Isolation::Shared)?),
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// JSON, or else TOML.
fn from_text(text: &str) -> Result<RuntimeEnv, Failure> {
    let is_json = text.trim_start().starts_with('{');
    let read = if is_json { RuntimeEnv::from_json(text) } else { RuntimeEnv::from_toml(text) };
    read.map_err(wrong)
}

/// A file with a spec, and the folder that paths in it are relative to.
fn from_file(path: &Path) -> Result<(RuntimeEnv, PathBuf), Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        let problem = format!("cannot read the spec `{}`: {error}", path.display());
        Failure::usage(&problem)
    })?;
    let dir = path.parent().unwrap_or(path).to_owned();
    Ok((from_text(&text)?, dir))
}

fn wrong(source: envspec::Error) -> Failure {
    backends::Error::Spec { owner: OWNER.to_owned(), source: Box::new(source) }.into()
}
