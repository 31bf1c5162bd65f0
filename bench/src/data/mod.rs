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
mod forks;
mod payloads;
mod stages;
mod starts;
mod tables;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use curator::stage::BaseSpec;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, PythonStage};

use crate::bases::MeasuredBase;
use crate::peers::script;
use crate::record::Record;
use crate::sample::{Sample, timed};
use crate::world::World;
use engines::Engines;

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
    /// Stages that find their own number of workers.
    Elastic,
    /// The first task, while later environments are built.
    FirstTask,
    /// The documented example, first and second run.
    Example,
    /// 2 000 small tasks through the documented example.
    Job,
    /// Up to 64 distinct environments over bases of several sizes. Last, because they leave many
    /// files.
    Environments,
}

/// What all subjects share.
struct Lab<'a> {
    world: &'a World,
    /// A small base. The pools use its interpreter, too.
    small: &'a MeasuredBase,
    /// A cache for subjects that are not about caches.
    cache: PathBuf,
    quick: bool,
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
            Subject::Elastic => elastic::add(&lab, table),
            Subject::FirstTask => first_task::add(&lab, table),
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

impl Lab<'_> {
    fn runs(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    fn python(&self) -> &Path {
        &self.small.python
    }

    fn base(&self) -> BaseSpec {
        self.small.base()
    }

    fn executor(&self) -> LocalExecutor {
        World::executor(&self.base(), &self.cache)
    }
}

/// Times a copy in pieces of these sizes, one after another, between warm areas of memory.
fn copy(pieces: &[usize]) -> Sample {
    let size = pieces.iter().sum();
    let (from, mut to) = (vec![1_u8; size], vec![2_u8; size]);
    let copies = (0..15).map(|_| {
        let copy_all = || {
            let (mut from, mut to) = (std::hint::black_box(&*from), &mut *to);
            for piece in pieces {
                let (source, target);
                (source, from) = from.split_at(*piece);
                (target, to) = to.split_at_mut(*piece);
                target.copy_from_slice(source);
            }
        };
        let ((), seconds) = timed(copy_all);
        assert!(std::hint::black_box(&to).last() == from.last(), "it is copied");
        seconds
    });
    Sample::new(copies.collect())
}

/// Returns a stage of these measurements that takes one task at a time.
pub(crate) fn stage(class: &str) -> PythonStage {
    PythonStage::from_file(script("stages.py"), class).with_batch_size(1)
}
