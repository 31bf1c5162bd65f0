//! Environments: how fast one is found, started, built, refused and evicted, and what it occupies.

mod builds;
mod effort;
mod eviction;
mod example;
pub(crate) mod hits;
mod impossible;
mod launches;

use clap::ValueEnum;
use curator::envspec::Tool;
use curator::stage::Isolation;
use curator::venv_cache::BoxError;

use crate::bases::MeasuredBase;
use crate::record::Record;
use crate::world::World;
use effort::{Effort, packaging};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Lookups.
    Hits,
    /// `curator env exec`.
    Launches,
    /// Builds by each strategy and package manager.
    Builds,
    /// Requirements that nothing satisfies.
    Impossible,
    /// The example with three stages.
    Example,
    /// Full caches.
    Eviction,
}

/// Measures these subjects.
pub(crate) fn measure(
    world: &World,
    small: MeasuredBase,
    quick: bool,
    subjects: &[Subject],
    record: &mut Record<'_>,
) -> Result<(), BoxError> {
    let effort = Effort { quick };
    let mut bases = vec![small];
    if !quick {
        bases.push(MeasuredBase::large(world)?);
        bases.push(MeasuredBase::synthetic(world)?);
    }
    // Fills the package managers' own caches, and loads their programs into memory.
    for version in ["24.0", "23.2"] {
        for tool in [Tool::Uv, Tool::Pip] {
            let cache = world.fresh_cache()?;
            let provisioner = World::provisioner(&bases[0].base(), &cache)?;
            provisioner.prepare(&packaging(tool, version)?, Isolation::Shared)?;
        }
    }
    // The large base is the one behind the peer's figures.
    let (small, large) = (&bases[0], bases.get(1));
    for subject in subjects {
        record.part(subject, |table| match subject {
            Subject::Hits => hits::add(world, small, large, effort, table),
            Subject::Launches => launches::add(world, small, large, effort, table),
            Subject::Builds => {
                let mut bases = bases.iter().enumerate();
                bases.try_for_each(|(at, base)| builds::add(world, base, at == 1, effort, table))
            }
            Subject::Impossible => impossible::add(world, &bases, effort, table),
            Subject::Example => example::add(world, large, effort, table),
            Subject::Eviction => eviction::add(world, small, effort, table),
        })?;
    }
    Ok(())
}
