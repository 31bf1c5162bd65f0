//! The data path and the whole job, beside peers that do the same work in the same run.
//!
//! Peers are Python's own pools, `uv run`, and NeMo Curator on the three engines of Ray. A peer
//! that does not start or does not end fails its rows, and no others.

mod elastic;
mod engines;
mod environments;
mod example;
mod first_task;
mod flow;
mod payloads;
mod stages;
mod starts;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use curator::stage::Base;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, PythonStage};

use crate::bases::MeasuredBase;
use crate::peers::script;
use crate::table::Table;
use crate::world::World;
use engines::Engines;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Small tasks through one stage and through several.
    Tasks,
    /// Payloads of 64 KiB to 10 MiB, there and back.
    Payloads,
    /// Starts of workers.
    Starts,
    /// Stages that find their own number of workers.
    Elastic,
    /// The first task, while later environments are built.
    FirstTask,
    /// Up to 64 distinct environments.
    Environments,
    /// The documented example, first and second run.
    Example,
    /// 2 000 small tasks through the documented example.
    Job,
}

/// What all subjects need.
struct Lab<'a> {
    world: &'a World,
    /// A small base, whose interpreter the pools run on, too.
    small: &'a MeasuredBase,
    /// A cache for what is not about caches.
    cache: PathBuf,
    quick: bool,
}

/// `only`: what to measure; all of it if it names nothing.
pub(crate) fn measure(
    world: &World,
    small: &MeasuredBase,
    quick: bool,
    only: &[Subject],
) -> Result<Table, BoxError> {
    let lab = Lab { world, small, cache: world.fresh_cache()?, quick };
    let subjects = if only.is_empty() { Subject::value_variants() } else { only };
    let mut table = Table::default();
    let mut engines = None;
    for subject in subjects {
        let result = match subject {
            Subject::Tasks => stages::add(&lab, &mut table),
            Subject::Payloads => payloads::add(&lab, &mut table),
            Subject::Starts => starts::add(&lab, &mut table),
            Subject::Elastic => elastic::add(&lab, &mut table),
            Subject::FirstTask => first_task::add(&lab, &mut table),
            Subject::Environments => environments::add(&lab, &mut table),
            Subject::Example | Subject::Job => {
                // What the engines take for both is found out at once.
                let engines = engines
                    .get_or_insert_with(|| Engines::run(&lab, subjects.contains(&Subject::Job)));
                match subject {
                    Subject::Job => example::add_job(&lab, engines, &mut table),
                    _ => example::add(&lab, engines, &mut table),
                }
            }
        };
        // The others are not lost with it.
        if let Err(error) = result {
            table.fail(format!("{subject:?}"), error.to_string());
        }
    }
    Ok(table)
}

impl Lab<'_> {
    fn runs(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    fn python(&self) -> &Path {
        &self.small.python
    }

    fn base(&self) -> Base {
        self.small.base()
    }

    fn executor(&self) -> LocalExecutor {
        World::executor(&self.base(), &self.cache)
    }
}

/// A stage of these measurements, one task at a time.
pub(crate) fn stage(class: &str) -> PythonStage {
    PythonStage::from_file(script("stages.py"), class).with_batch_size(1)
}
