//! What isolation adds on the engines on Ray: the example with three stages, each run with a Ray
//! session of its own and an empty cache; with environments from the cache, with Ray's own
//! environments, and without any.

use std::path::Path;

use clap::ValueEnum;
use curator::venv_cache::BoxError;
use serde_json::{Value, json};

use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::disk::Contents;

use crate::peers::Cluster;
use crate::progress::progress;
use crate::record::Record;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

/// An engine on Ray.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Ray Data.
    RayData,
    /// Ray's actor pools.
    RayActorPool,
    /// Xenna.
    Xenna,
}

impl Engine {
    /// Returns the example's name for the engine.
    fn name(self) -> &'static str {
        match self {
            Self::RayData => "ray-data",
            Self::RayActorPool => "ray-actor-pool",
            Self::Xenna => "xenna",
        }
    }

    /// Returns the budget of what cached environments may add to the engine.
    fn budget(self) -> Budget {
        match self {
            Self::RayData => Budget::AddedOnRayData,
            Self::RayActorPool | Self::Xenna => Budget::AddedOnEngines,
        }
    }
}

/// The kinds of environments, by the example's names.
const WAYS: [&str; 3] = ["none", "cached", "native"];

/// What one run took, and what it left on the disk.
struct Run {
    seconds: f64,
    bytes: u64,
}

/// Measures these engines.
pub(crate) fn measure(
    world: &World,
    quick: bool,
    engines: &[Engine],
    record: &mut Record<'_>,
) -> Result<(), BoxError> {
    let base = MeasuredBase::engines(world)?;
    let runs = if quick { 1 } else { 3 };
    for engine in engines {
        record.part(engine, |table| add(world, &base, *engine, runs, table))?;
    }
    Ok(())
}

fn add(
    world: &World,
    base: &MeasuredBase,
    engine: Engine,
    runs: usize,
    table: &mut Table,
) -> Result<(), BoxError> {
    let (budget, engine) = (engine.budget(), engine.name());
    let mut measured: [Vec<Run>; 3] = Default::default();
    // The ways alternate, so that a machine that slows down slows all of them.
    for number in 1..=runs {
        for (way, taken) in WAYS.iter().zip(&mut measured) {
            progress(&format!("{engine}: environments {way}, run {number} of {runs}"));
            taken.push(run(world, base, engine, way)?);
        }
    }
    let [none, cached, native] = measured;
    let seconds = |runs: &[Run]| Sample::new(runs.iter().map(|run| run.seconds).collect());
    let without = seconds(&none).median();
    let added = |runs: &[Run]| {
        Sample::new(runs.iter().map(|run| (run.seconds - without).max(0.0)).collect())
    };
    let (by_cache, by_ray) = (added(&cached), added(&native));
    table.section(format!("{engine}: three stages, a Ray of its own, over the {}", base.name));
    table.add(Row::seconds("no stage has packages of its own", &seconds(&none)));
    table.add(Row::seconds("environments from an empty cache", &seconds(&cached)));
    table.add(Row::seconds("environments made by Ray", &seconds(&native)));
    table.add(Row::seconds("what those of Ray add", &by_ray));
    table.add(
        Row::seconds(format!("{engine}: what those of the cache add"), &by_cache)
            .against(by_ray.median())
            .within(budget, by_ray.median() / budget.limit()),
    );
    let bytes = |runs: &[Run]| {
        #[expect(clippy::cast_precision_loss, reason = "no disk is that large")]
        Sample::new(runs.iter().map(|run| run.bytes as f64).collect())
    };
    let disk = bytes(&native).median();
    table.add(
        Row::bytes(format!("{engine}: what both environments occupy"), &bytes(&cached))
            .against(disk)
            .within(Budget::Disk, disk * Budget::Disk.limit()),
    );
    Ok(())
}

fn run(world: &World, base: &MeasuredBase, engine: &str, way: &str) -> Result<Run, BoxError> {
    let cache = world.fresh_cache()?;
    let ray = Cluster::new(world)?;
    let python = base.python_text()?;
    let arguments = ["--json", "--backend", engine, "--ray-env", way, "--base", python];
    let command = world.example(&arguments, &cache).env("RAY_TMPDIR", ray.dir()).stderr_capture();
    world.settle()?;
    let (output, seconds) = timed(|| command.stdout_capture().unchecked().run());
    let output = output?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(
            format!("the example on {engine} with environments {way} failed: {said}").into()
        );
    }
    check(&output.stdout, way)?;
    let bytes = match way {
        "cached" => cached_bytes(base, &cache)?,
        "native" => native_bytes(ray.dir())?,
        _ => 0,
    };
    Ok(Run { seconds, bytes })
}

/// Checks the versions: a fast but wrong run gives no figure.
fn check(printed: &[u8], way: &str) -> Result<(), BoxError> {
    let seen: Value = serde_json::from_slice(printed)?;
    let versions = &seen["versions"];
    let is_isolated =
        versions["pinned_v232"] == json!("23.2") && versions["pinned_v240"] == json!("24.0");
    let is_one = versions["pinned_v232"] == versions["base_env"];
    if if way == "none" { is_one } else { is_isolated } {
        return Ok(());
    }
    Err(format!("the stages of the example saw {versions} with environments {way}").into())
}

fn cached_bytes(base: &MeasuredBase, cache: &Path) -> Result<u64, BoxError> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(cache.join("envs-v1"))? {
        bytes += base.contents.bytes_beyond(&entry?.path(), "packaging")?;
    }
    Ok(bytes)
}

/// Returns the bytes of the environments that Ray keeps in its sessions.
fn native_bytes(ray: &Path) -> Result<u64, BoxError> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(ray.join("ray"))? {
        let resources = entry?.path().join("runtime_resources");
        if resources.is_dir() && !resources.is_symlink() {
            bytes += Contents::of(&resources)?.bytes;
        }
    }
    Ok(bytes)
}
