//! The time to find a cached environment, in a process with an open base.
//!
//! The settings of pip and uv are part of the key and belong to the process, so each series of
//! lookups runs in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use curator::RuntimeEnv;
use curator::backends::{DiskSource, EnvState};
use curator::envspec::Tool;
use curator::stage::{BaseSpec, Isolation};
use curator::venv_cache::BoxError;

use super::effort::{Effort, open_base};
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

/// One series of lookups.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    cache: PathBuf,
    #[arg(long)]
    base: PathBuf,
    #[arg(long)]
    rounds: usize,
    /// Have pip install, instead of uv
    #[arg(long)]
    pip: bool,
    /// A requirements file instead of one requirement; each lookup loads it
    #[arg(long)]
    requirements: Option<PathBuf>,
    /// Open the cache and the base for each lookup, too
    #[arg(long)]
    afresh: bool,
}

/// Returns the seconds of each lookup.
pub(crate) fn measure(arguments: &Arguments) -> Result<Vec<f64>, BoxError> {
    let Arguments { cache, base, rounds, pip, requirements, afresh } = arguments;
    let tool = if *pip { Tool::Pip } else { Tool::Uv };
    let base = BaseSpec::from(base.clone());
    let open = || World::provisioner(&base, cache);
    let env = match (requirements, tool) {
        (Some(file), tool) => RuntimeEnv::requirements_file(tool, file),
        (None, Tool::Pip) => RuntimeEnv::pip(["packaging==24.0"]),
        (None, Tool::Uv) => RuntimeEnv::uv(["packaging==24.0"]),
    };
    let dir = std::env::current_dir()?;
    let load = || env.load(&DiskSource, &dir);
    let kept = open()?;
    open_base(&kept)?;
    let loaded = load()?;
    kept.prepare(&loaded, Isolation::Shared)?;
    let lookup = || -> Result<_, BoxError> {
        if *afresh {
            return Ok(open()?.prepare(&loaded, Isolation::Shared)?);
        }
        if requirements.is_some() {
            return Ok(kept.prepare(&load()?, Isolation::Shared)?);
        }
        Ok(kept.prepare(&loaded, Isolation::Shared)?)
    };
    let mut times = Vec::with_capacity(*rounds);
    for _ in 0..*rounds {
        let (found, time) = timed(lookup);
        if found?.state() != EnvState::Hit {
            return Err("an environment that was just there is gone".into());
        }
        times.push(time);
    }
    Ok(times)
}

/// Adds the series, each with the settings of its process.
pub(super) fn add(
    world: &World,
    small: &MeasuredBase,
    large: Option<&MeasuredBase>,
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    progress("finding environments");
    let files = Files::write(&world.root().join("files"))?;
    let cache = world.fresh_cache()?;
    let requirements = files.requirements.to_str().ok_or("the folder's path is no text")?;
    let bases = [Some((small, "small")), large.map(|large| (large, "Ray's"))];
    table.section("an environment is found: `prepare` in-process");
    for (base, name) in bases.into_iter().flatten() {
        for tool in [Tool::Uv, Tool::Pip] {
            let series = |configured: bool, more: &[&str]| {
                lookups(world, base, &cache, tool, configured.then_some(&files), effort, more)
            };
            let what = |what: &str| format!("{tool}, {name} base: {what}");
            let plain = series(false, &[])?;
            let row = Row::seconds(what("base opened"), &plain);
            table.add(row.within(Budget::Prepare, Budget::Prepare.limit()));
            let configured = series(true, &[])?;
            let row = Row::seconds(what("the same, pip.conf and uv.toml of 60 lines"), &configured);
            table.add(row.within(Budget::Prepare, Budget::Prepare.limit()));
            let loaded = series(false, &["--requirements", requirements])?;
            table.add(Row::seconds(what("3 requirements files of 100 lines read, too"), &loaded));
            let afresh = series(false, &["--afresh"])?;
            table.add(Row::seconds(what("cache and base opened, too"), &afresh));
        }
    }
    Ok(())
}

fn lookups(
    world: &World,
    base: &MeasuredBase,
    cache: &Path,
    tool: Tool,
    files: Option<&Files>,
    effort: Effort,
    more: &[&str],
) -> Result<Sample, BoxError> {
    let rounds = effort.runs(3000).to_string();
    let mut words = vec!["hits", "--rounds", &rounds, "--base", base.python_text()?];
    words.extend((tool == Tool::Pip).then_some("--pip"));
    words.extend(more);
    words.extend(["--cache", cache.to_str().ok_or("the folder's path is no text")?]);
    let mut command = duct::cmd(std::env::current_exe()?, words);
    if let Some(files) = files {
        // Both tools look here for settings of the system's administrator.
        command = command.env("XDG_CONFIG_DIRS", &files.config_dirs);
    }
    world.settle()?;
    Ok(Sample::new(serde_json::from_str(&command.read()?)?))
}

/// Files that specs and tools refer to.
struct Files {
    requirements: PathBuf,
    config_dirs: String,
}

impl Files {
    fn write(dir: &Path) -> Result<Self, BoxError> {
        for folder in ["config/pip", "config/uv"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        // None of these lines changes the packages or their index.
        let comments =
            "# What the administrator of this machine has to say of packages.\n".repeat(40);
        let rest = "# More of that.\n".repeat(19);
        fs::write(
            dir.join("config/pip/pip.conf"),
            format!("{comments}[global]\nretries = 6\n{rest}"),
        )?;
        fs::write(
            dir.join("config/uv/uv.toml"),
            format!("{comments}concurrent-downloads = 20\n{rest}"),
        )?;
        let requirements = dir.join("requirements.txt");
        let others = (1..100).map(|number| format!("never-asked-for-{number}=={number}.0\n"));
        let constraints = others.fold("packaging==24.0\n".to_owned(), |all, line| all + &line);
        let included = "# Nothing is asked for here.\n".repeat(99) + "packaging>=23\n";
        let first = "# See below.\n".repeat(98) + "-r included.txt\n-c constraints.txt\n";
        fs::write(&requirements, first)?;
        fs::write(dir.join("included.txt"), included)?;
        fs::write(dir.join("constraints.txt"), constraints)?;
        let inherited = std::env::var("XDG_CONFIG_DIRS").ok().filter(|dirs| !dirs.is_empty());
        let config_dirs = format!(
            "{}:{}",
            dir.join("config").display(),
            inherited.unwrap_or_else(|| "/etc/xdg".to_owned())
        );
        Ok(Self { requirements, config_dirs })
    }
}
