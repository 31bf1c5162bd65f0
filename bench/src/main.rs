//! What Curator costs, measured on the machine at hand against peers and budgets.
//!
//! ```text
//! cargo run --release -p bench -- environments [--quick] [--json FILE] [--keep DIR]
//! cargo run --release -p bench -- engines [--quick] [--json FILE] [--keep DIR]
//! cargo run --release -p bench -- data [--quick] [--only WHAT] [--write] [--json FILE] [--keep DIR]
//! cargo run --release -p bench -- soak [--tasks N] [--keep DIR]
//! ```
//!
//! It provisions all that it measures by Curator itself, in a folder below the target folder that
//! is removed at the end. What the measurements are held against stands in `peer.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

mod bases;
mod calm;
mod data;
mod disk;
mod engines;
mod environments;
mod machine;
mod peer;
mod peers;
mod plot;
mod results;
mod sample;
mod soak;
mod table;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use curator::venv_cache::BoxError;

use crate::bases::MeasuredBase;
use crate::environments::{Subject, hits};
use crate::machine::Machine;
use crate::world::World;

/// Measures what Curator costs, against peers and budgets.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    area: Area,
}

#[derive(Debug, Subcommand)]
enum Area {
    /// Lookups, builds, launches and evictions of environments.
    Environments(Options),
    /// What isolation adds to a pipeline on Ray Data, the Ray actor pools and Xenna.
    Engines(EngineOptions),
    /// Tasks, payloads and whole jobs, beside peers that do the same in the same run.
    Data(DataOptions),
    /// Many tasks while workers are recycled and killed: nothing is lost, doubled or spoilt.
    Soak(soak::Arguments),
    /// One process's part of `environments`: lookups with the settings that it is started with.
    #[command(hide = true)]
    Hits(hits::Arguments),
}

/// How to measure environments.
#[derive(Debug, Args)]
struct Options {
    /// Do fewer runs, and leave out the large bases.
    #[arg(long)]
    quick: bool,
    /// Measure only this; may be repeated.
    #[arg(long, value_name = "WHAT")]
    only: Vec<Subject>,
    #[command(flatten)]
    common: Common,
}

/// How to measure engines.
#[derive(Debug, Args)]
struct EngineOptions {
    /// Do one run of each instead of three.
    #[arg(long)]
    quick: bool,
    /// Measure only this engine; may be repeated.
    #[arg(long, value_name = "ENGINE")]
    only: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// How to measure the data path and the whole job.
#[derive(Debug, Args)]
struct DataOptions {
    /// Do fewer runs, and run one of the engines on Ray.
    #[arg(long)]
    quick: bool,
    /// Measure only this; may be repeated.
    #[arg(long, value_name = "WHAT")]
    only: Vec<data::Subject>,
    /// Put the figures into `bench/RESULTS.md` and draw them in `bench/RESULTS.svg`.
    #[arg(long, conflicts_with = "only")]
    write: bool,
    #[command(flatten)]
    common: Common,
}

/// Where to work, and where figures go.
#[derive(Debug, Args)]
struct Common {
    /// Write the figures to a file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Work in this folder and leave everything there: the next run finds its bases made.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

fn run(area: &Area) -> Result<(), BoxError> {
    let common = match area {
        Area::Hits(arguments) => {
            println!("{}", serde_json::to_string(&hits::measure(arguments)?)?);
            return Ok(());
        }
        Area::Environments(options) => &options.common,
        Area::Engines(options) => &options.common,
        Area::Data(options) => &options.common,
        Area::Soak(arguments) => return soak::run(arguments),
    };
    if cfg!(debug_assertions) {
        return Err("figures of an unoptimized build mean nothing: run with --release".into());
    }
    let world = World::new(common.keep.as_deref())?;
    let small = MeasuredBase::small(&world)?;
    let mut machine = Machine::describe(&world, &small)?;
    let table = match area {
        Area::Engines(options) => {
            let base = MeasuredBase::engines(&world)?;
            let runs = if options.quick { 1 } else { 3 };
            engines::measure(&world, &base, &options.only, runs)?
        }
        Area::Environments(options) => {
            environments::measure(&world, small, options.quick, &options.only)?
        }
        Area::Data(options) => data::measure(&world, &small, options.quick, &options.only)?,
        Area::Hits(_) | Area::Soak(_) => return Ok(()),
    };
    machine.finish(&world)?;
    println!("{machine}\n\n{table}");
    if matches!(area, Area::Data(options) if options.write) {
        results::write(&machine, &table)?;
    }
    if let Some(file) = &common.json {
        let figures = serde_json::json!({ "machine": machine, "figures": table });
        std::fs::write(file, serde_json::to_vec_pretty(&figures)?)
            .map_err(|error| format!("cannot write `{}`: {error}", file.display()))?;
    }
    Ok(())
}

/// Tells on standard error what is under way.
fn progress(what: &str) {
    eprintln!("... {what}");
}

fn main() -> ExitCode {
    let result = run(&Arguments::parse().area);
    if let Err(error) = &result {
        eprintln!("error: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("  because: {cause}");
            source = cause.source();
        }
    }
    ExitCode::from(u8::from(result.is_err()))
}
