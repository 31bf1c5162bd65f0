//! What Curator costs, measured on the machine at hand against peers and budgets.
//!
//! ```text
//! cargo run --release -p bench -- data [--quick] [--only WHAT] [--write] [--json FILE] [--keep DIR]
//! cargo run --release -p bench -- environments [the same]
//! cargo run --release -p bench -- engines [the same]
//! cargo run --release -p bench -- soak [--tasks N] [--keep DIR]
//! ```
//!
//! The program provisions everything with Curator itself, in a folder below the target folder. It
//! removes the folder at the end, however the run ends. The design's budgets are in `budget.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

mod bases;
mod book;
mod budget;
mod calm;
mod cpu;
mod data;
mod disk;
mod engines;
mod environments;
mod machine;
mod memory;
mod peer;
mod peers;
mod plot;
mod processes;
mod progress;
mod record;
mod results;
mod sample;
mod soak;
mod supervise;
mod table;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use curator::venv_cache::BoxError;

use crate::bases::MeasuredBase;
use crate::environments::hits;
use crate::machine::Machine;
use crate::progress::progress;
use crate::record::Record;
use crate::supervise::Folders;
use crate::world::World;

/// Measures what Curator costs, against peers and budgets.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    area: Area,
}

#[derive(Debug, Subcommand)]
enum Area {
    /// Tasks, payloads and whole jobs, beside peers that do the same in the same run.
    Data(Options<data::Subject>),
    /// Lookups, builds, launches and evictions of environments.
    Environments(Options<environments::Subject>),
    /// What isolation adds to a pipeline on Ray Data, the Ray actor pools and Xenna.
    Engines(Options<engines::Engine>),
    /// Many tasks while workers are recycled and killed: nothing is lost, doubled or spoilt.
    Soak(soak::Arguments),
    /// One process's part of `environments`: lookups with the settings of that process
    #[command(hide = true)]
    Hits(hits::Arguments),
}

/// The parts of an area, as the command line names them.
trait Parts: Send + Sync + Clone + ValueEnum + 'static {
    /// Returns whether the part is so large that it is measured only where it is named, and never in
    /// a quick run.
    fn is_large(&self) -> bool {
        false
    }
}

impl Parts for environments::Subject {}

impl Parts for engines::Engine {}

impl Parts for data::Subject {
    fn is_large(&self) -> bool {
        *self == Self::Torch
    }
}

/// How to measure.
#[derive(Debug, Args)]
struct Options<S: Parts> {
    /// Do fewer runs, and leave out large subjects
    #[arg(long)]
    quick: bool,
    /// Measure only this subject; may be repeated. Large ones are measured only where they are named
    #[arg(long, value_name = "WHAT")]
    only: Vec<S>,
    /// Put the new figures into `bench/RESULTS.md`, and keep the other figures there
    #[arg(long)]
    write: bool,
    /// Also write the figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Work in this folder and keep it, so that the next run reuses its bases
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl<S: Parts> Options<S> {
    /// Returns what is measured: the named subjects, or all but the large ones.
    fn subjects(&self) -> Vec<S> {
        let is_measured = |it: &&S| !it.is_large() || !(self.quick || self.only.is_empty());
        let named = if self.only.is_empty() { S::value_variants() } else { &*self.only };
        named.iter().filter(is_measured).cloned().collect()
    }

    /// Measures the named subjects, or all but the large ones.
    fn measure(
        &self,
        area: &'static str,
        measure: impl FnOnce(&World, MeasuredBase, &[S], &mut Record<'_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let Self { quick, write, json, keep, .. } = self;
        if cfg!(debug_assertions) {
            if *write || json.is_some() {
                return Err(
                    "figures of an unoptimized build mean nothing: run with --release".into()
                );
            }
            progress("an unoptimized build: what it measures works, and its figures mean nothing");
        }
        let subjects = self.subjects();
        if subjects.is_empty() {
            progress("nothing is measured: a quick run leaves out large subjects");
        }
        let world = World::new(keep.as_deref())?;
        let small = MeasuredBase::small(&world)?;
        let machine = Machine::describe(&world, &small, *quick)?;
        let mut record = Record::new(&world, area, machine, *write);
        measure(&world, small, &subjects, &mut record)?;
        record.finish(json.as_deref())
    }
}

fn run(area: &Area) -> Result<(), BoxError> {
    match area {
        Area::Data(options) => options.measure("data", |world, small, subjects, record| {
            data::measure(world, &small, options.quick, subjects, record)
        }),
        Area::Environments(options) => {
            options.measure("environments", |world, small, subjects, record| {
                environments::measure(world, small, options.quick, subjects, record)
            })
        }
        Area::Engines(options) => options.measure("engines", |world, _, subjects, record| {
            engines::measure(world, options.quick, subjects, record)
        }),
        Area::Soak(arguments) => soak::run(arguments),
        Area::Hits(arguments) => {
            println!("{}", serde_json::to_string(&hits::measure(arguments)?)?);
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Folders::given().and_then(|folders| match folders {
        Some(_) => run(&arguments.area).map(|()| ExitCode::SUCCESS),
        None => supervise::run(),
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("  because: {cause}");
            source = cause.source();
        }
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options<data::Subject> {
        let words = ["bench", "data"].iter().chain(words);
        let Area::Data(options) = Arguments::parse_from(words).area else { panic!("it is data") };
        options
    }

    fn subjects(words: &[&str]) -> Vec<data::Subject> {
        options(words).subjects()
    }

    #[cfg(debug_assertions)]
    #[test]
    fn an_unoptimized_build_writes_no_figures() {
        for words in [&["--write"][..], &["--quick", "--json", "figures.json"]] {
            let error = options(words).measure("data", |_, _, _, _| Ok(())).unwrap_err();
            assert!(error.to_string().contains("run with --release"), "{error}");
        }
    }

    #[test]
    fn large_subjects_are_measured_where_they_are_named_unless_the_run_is_quick() {
        let all = subjects(&[]);
        assert_eq!(all.len(), data::Subject::value_variants().len() - 1);
        assert!(!all.contains(&data::Subject::Torch));
        assert_eq!(subjects(&["--only", "torch"]), [data::Subject::Torch]);
        let quick = subjects(&["--quick", "--only", "torch", "--only", "client"]);
        assert_eq!(quick, [data::Subject::Client]);
    }
}
