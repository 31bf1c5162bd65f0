//! The data path and the whole job, beside peers that do the same work in the same run.
//!
//! Peers are Python's own pools, `uv run`, and NeMo Curator on the three engines of Ray. A peer
//! that does not start or does not end fails its rows, and no others.

mod client;
mod elastic;
mod engines;
mod environments;
mod example;
mod first_task;
mod flow;
mod forks;
mod imports;
mod lab;
mod launcher;
mod payloads;
mod pipeline;
mod stages;
mod starts;
mod tables;
mod torch;

use clap::ValueEnum;
use curator::venv_cache::BoxError;

use crate::bases::MeasuredBase;
use crate::record::Record;
use crate::world::World;
use engines::Engines;
use lab::Lab;
pub(crate) use lab::stage;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Small tasks through one stage and through several.
    Tasks,
    /// Payloads of 64 KiB to 10 MiB, there and back.
    Payloads,
    /// Arrow tables of 1 to 256 MiB through three stages, and the memory that they take.
    Tables,
    /// Starts of workers.
    Starts,
    /// Workers that are forked, and the memory of eight.
    Forks,
    /// The import of a large package over a base that came without bytecode.
    Imports,
    /// Stages that find their own number of workers.
    Elastic,
    /// The first task, while later environments are built.
    FirstTask,
    /// The documented example, first and second run.
    Example,
    /// 2 000 small tasks through the documented example.
    Job,
    /// A pipeline of nine stages of NeMo Curator, first and second run, by Curator and by Ray's
    /// engines.
    Pipeline,
    /// What environments of the cache add to NeMo Curator's own actor pool.
    Launcher,
    /// Small tasks and large tables through Python's own pipelines.
    Client,
    /// Two versions of `transformers` over a base with `torch`. It takes 6 GB of disk, and is measured
    /// only where it is named.
    Torch,
    /// Up to 64 distinct environments over bases of several sizes. Last, because they leave many
    /// files.
    Environments,
}

/// Measures these subjects.
pub(crate) fn measure(
    world: &World,
    small: &MeasuredBase,
    quick: bool,
    subjects: &[Subject],
    record: &mut Record<'_>,
) -> Result<(), BoxError> {
    let lab = Lab { world, small, cache: world.fresh_cache()?, quick };
    let mut engines = None;
    for subject in subjects {
        record.part(subject, |table| match subject {
            Subject::Tasks => stages::add(&lab, table),
            Subject::Payloads => payloads::add(&lab, table),
            Subject::Tables => tables::add(&lab, table),
            Subject::Starts => starts::add(&lab, table),
            Subject::Forks => forks::add(&lab, table),
            Subject::Imports => imports::add(&lab, table),
            Subject::Elastic => elastic::add(&lab, table),
            Subject::FirstTask => first_task::add(&lab, table),
            Subject::Pipeline => pipeline::add(&lab, table),
            Subject::Launcher => launcher::add(&lab, table),
            Subject::Client => client::add(&lab, table),
            Subject::Torch => torch::add(&lab, table),
            Subject::Environments => environments::add(&lab, table),
            Subject::Example | Subject::Job => {
                // One run of the engines serves both subjects.
                let engines = engines
                    .get_or_insert_with(|| Engines::run(&lab, subjects.contains(&Subject::Job)));
                match subject {
                    Subject::Job => example::add_job(&lab, engines, table),
                    _ => example::add(&lab, engines, table),
                }
            }
        })?;
    }
    Ok(())
}
