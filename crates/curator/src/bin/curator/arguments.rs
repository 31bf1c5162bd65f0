//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::Json;
use crate::spec::{BaseArguments, EnvArguments, SpecArguments};

const CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or spec.";

/// Data pipelines in which each stage can have its own Python packages.
#[derive(Debug, Parser)]
#[command(version, after_help = CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The cache's folder [default: `$CURATOR_CACHE_DIR`, else `curator` in the user's
    /// cache folder].
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) cache_dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a pipeline from a file.
    #[command(after_help = crate::run::HELP)]
    Run(crate::run::Run),

    /// Shows which environments a run of a pipeline would build or reuse. Builds nothing.
    #[command(after_help = crate::plan::HELP)]
    Plan(crate::plan::Plan),

    /// Writes a small working pipeline to start from.
    #[command(
        after_help = "Example:\n  curator init demo && cd demo && curator run pipeline.toml -i tasks.jsonl"
    )]
    Init(crate::init::Init),

    /// Prints a shell script that completes this command's arguments.
    #[command(after_help = crate::completions::HELP)]
    Completions(crate::completions::Completions),

    /// Prints the JSON Schema of pipeline files, for editors.
    #[command(after_help = "Example:\n  curator schema > pipeline.schema.json")]
    Schema,

    /// Serves a program in another language that runs pipelines, as the Python package does.
    ///
    /// The standard input is one end of a pair of sockets, which frames go over both ways.
    #[command(hide = true)]
    Serve,

    /// Makes, uses and looks after environments.
    #[command(subcommand, after_help = CODES)]
    Env(EnvCommand),

    /// Lists the processes that runs keep warm, last used first.
    #[command(after_help = "Example:\n  curator ps")]
    Ps(Json),

    /// Ends processes that runs keep warm. One that a run uses ends with that run.
    #[command(after_help = "Examples:\n  curator stop --all\n  curator stop 4fb0a6c1")]
    Stop(Stop),

    /// Checks this machine: base, pip, uv, Ray, cache, file system, registry.
    #[command(after_help = "Example:\n  curator doctor --base ./venv")]
    Doctor(Doctor),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Finds or builds an environment, and prints its interpreter.
    #[command(after_help = "Examples:\n  \
        curator env create --uv packaging==24.0 --base ./venv\n  \
        curator env create --requirements requirements.txt --managed-base numpy 'pandas<3'\n  \
        echo '{\"pip\": [\"packaging==23.2\"]}' | curator env create --spec - --json")]
    Create(Create),

    /// Runs a command in an environment, building it first if needed.
    ///
    /// `python` and `python3` are the environment's interpreter, and its programs come first on
    /// `PATH`. This process becomes the command. The environment stays in the cache as long as the
    /// command, or a process that it started, keeps the inherited lock file open; a command that
    /// closes all its descriptors, as a daemon does, gives it up. `PYTHONPATH` is left unchanged.
    #[command(after_help = "Examples:\n  \
        curator env exec --uv packaging==24.0 --base ./venv -- python -m pip list\n  \
        curator env exec --spec 4fb0a6c1 -- python\n\n\
        Exit codes: those of the command; 1 no environment, 2 wrong usage or spec, 126 the command \
        cannot be started, 127 there is no such command.")]
    Exec(Exec),

    /// Lists the environments in the cache, least recently used first.
    #[command(after_help = "Example:\n  curator env list --json | jq -r '.[].key'")]
    List(Json),

    /// Shows an environment in detail.
    #[command(after_help = "Example:\n  curator env show 4fb0a6c1")]
    Show(OneKey),

    /// Explains why a package is in an environment: what requires it, and whether the base has it.
    #[command(after_help = "Example:\n  curator env why 4fb0a6c1 typing-extensions")]
    Why(Why),

    /// Compares two environments.
    #[command(after_help = "Example:\n  curator env diff 4fb0a6c1 91d2b3")]
    Diff(Diff),

    /// Measures the disk usage of environments, counting each file once.
    #[command(after_help = "Example:\n  curator env du")]
    Du(Json),

    /// Compares environments with the record of their build.
    #[command(after_help = "Examples:\n  curator env verify\n  curator env verify 4fb0a6c1\n\n\
        Exit codes: 0 all are whole, 1 one is damaged, 2 wrong usage.")]
    Verify(Verify),

    /// Removes unused environments, least recently used first.
    ///
    /// Without a limit, prunes to the budget: `$CURATOR_CACHE_MAX_BYTES`, or 10 GiB.
    #[command(after_help = "Examples:\n  \
        curator env prune --max-bytes 5GiB --older-than 30d\n  curator env prune --all --dry-run")]
    Prune(Prune),

    /// Removes unused environments by key.
    #[command(after_help = "Example:\n  curator env remove 4fb0a6c1")]
    Remove(Remove),

    /// Resolves a spec, and prints the result with hashes, as a requirements file or a lock file.
    ///
    /// A key stands for the spec and the base of its environment.
    #[command(after_help = "Example:\n  \
        curator env lock --uv 'packaging>=24' > requirements.lock\n  \
        curator env create --requirements requirements.lock\n  \
        curator env lock --uv 'packaging>=24' --output pylock.toml")]
    Lock(Lock),

    /// Resolves a spec again, and rebuilds its environment if the result has changed.
    ///
    /// A key stands for the spec, the base and the strategy of its environment. To refresh a
    /// managed base, give its key, or no spec; the environments over it are then removed, and
    /// rebuilt at their next use.
    #[command(after_help = "Examples:\n  curator env refresh --uv 'packaging>=24'\n  \
        curator env refresh --spec 4fb0a6c1\n  curator env refresh --managed-base numpy 'pandas<3'")]
    Refresh(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) env: EnvArguments,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) env: EnvArguments,
    /// The command and its arguments.
    #[arg(help_heading = "Arguments", last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(crate) spec: SpecArguments,
    #[command(flatten)]
    pub(crate) base: BaseArguments,
    /// The output file: `pylock.toml` or `pylock.NAME.toml` for a lock file (PEP 751), any other
    /// name for a requirements file [default: standard output].
    #[arg(short, long = "output", value_name = "FILE", conflicts_with = "json")]
    pub(crate) output_file: Option<PathBuf>,
    /// The format, whatever the file's name is.
    #[arg(long, value_enum, conflicts_with = "json")]
    pub(crate) format: Option<LockFormat>,
    #[command(flatten)]
    pub(crate) output: Json,
}

/// Formats of a locked spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LockFormat {
    /// A requirements file.
    Requirements,
    /// A lock file (PEP 751).
    Pylock,
}

#[derive(Debug, Args)]
pub(crate) struct OneKey {
    /// The environment's key, or the start of it.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The environment's key, or the start of it.
    pub(crate) key: String,
    /// The package's name.
    pub(crate) package: String,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first environment's key, or the start of it.
    pub(crate) left: String,
    /// The second environment's key, or the start of it.
    pub(crate) right: String,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The environment's key, or the start of it [default: all environments].
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Keep at most this many bytes (`500MB`, `10GiB`).
    #[arg(long, value_name = "N", value_parser = curator::stage::parse_bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Remove environments not used for this long (`12h`, `30d`).
    #[arg(long, value_name = "AGE", value_parser = curator::stage::parse_age)]
    pub(crate) older_than: Option<Duration>,
    /// Remove everything.
    #[arg(long, conflicts_with_all = ["max_bytes", "older_than"])]
    pub(crate) all: bool,
    /// Only show what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The environments' keys, or the starts of them.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Processes, or the keys of environments or the starts of them, as `curator ps` lists them.
    #[arg(required_unless_present_any = ["all", "owner"], value_name = "PID|KEY")]
    pub(crate) wanted: Vec<String>,
    /// End all.
    #[arg(long, conflicts_with = "wanted")]
    pub(crate) all: bool,
    /// End those that are kept as long as this process lives.
    #[arg(long, hide = true, conflicts_with_all = ["wanted", "all"])]
    pub(crate) owner: Option<u32>,
    #[command(flatten)]
    pub(crate) output: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) base: BaseArguments,
    #[command(flatten)]
    pub(crate) output: Json,
}
