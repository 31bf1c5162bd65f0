//! The documented example, as a process: the time that peers take for it, once and with many tasks.

use std::ffi::OsString;
use std::path::Path;

use curator::envspec::Tool;
use curator::installer::{Deadline, Tools};
use curator::venv_cache::BoxError;
use serde_json::{Value, json};

use super::engines::{Engines, TASKS};
use super::lab::Lab;
use crate::budget::Budget;
use crate::peer;
use crate::peers::{EngineRuns, Peer, Runs, script};
use crate::sample::{Sample, timed};
use crate::table::{Row, Table, Unit, display};

/// The stages, and their packages.
const STAGES: [(&str, &str); 3] = [
    ("base_env", "packaging==26.0"),
    ("pinned_v232", "packaging==23.2"),
    ("pinned_v240", "packaging==24.0"),
];

/// First and second runs.
pub(super) fn add(lab: &Lab<'_>, engines: &Engines, table: &mut Table) -> Result<(), BoxError> {
    table.section("three stages with three versions of packaging: the whole process");
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let (mut uv_cold, mut uv_warm) = (Runs::default(), Runs::default());
    for _ in 0..lab.runs(5, 2) {
        let cache = lab.world.fresh_cache()?;
        lab.world.settle()?;
        cold.push(run(lab, &cache, None, 1)?);
        warm.push(run(lab, &cache, None, 1)?);
        let uv_cache = tempfile::tempdir_in(lab.world.root())?;
        uv_cold.add(|| {
            fill(lab, uv_cache.path())?;
            uv_run(lab, uv_cache.path())
        });
        uv_warm.add(|| uv_run(lab, uv_cache.path()));
    }
    let (cold, warm) = (Sample::new(cold), Sample::new(warm));
    let by_uv = |runs: Runs| Peer::new("uv run --with, piped", runs.sample());
    let peers =
        |budget: Option<Budget>, of: fn(&EngineRuns) -> &Result<f64, String>, session: &str| {
            let peer = |(name, runs): &(&str, EngineRuns)| {
                let measured = of(runs).clone().map(|seconds| Sample::new(vec![seconds]));
                let peer = Peer::new(format!("{name}, {session} session"), measured);
                Peer { budget, ..peer }
            };
            engines.runs.iter().map(peer).collect::<Vec<_>>()
        };
    let first = |budget| peers(Some(budget), |runs| &runs.cold, "a new");
    let mut beside = first(Budget::Example);
    beside.push(by_uv(uv_cold));
    table.add_beside("the example, first run", &cold, beside);
    if let Some(base) = &engines.base {
        let mut large = Vec::new();
        for _ in 0..lab.runs(3, 1) {
            let cache = lab.world.fresh_cache()?;
            lab.world.settle()?;
            large.push(run(lab, &cache, Some(base.python_text()?), 1)?);
        }
        let beside = first(Budget::ExampleLarge);
        table.add_beside(
            "the example, first run, over the peers' base",
            &Sample::new(large),
            beside,
        );
    }
    let mut beside = first(Budget::ExampleAgain);
    beside.extend(peers(None, |runs| &runs.warm, "the same"));
    beside.push(by_uv(uv_warm));
    table.add_beside("the example, second run", &warm, beside);
    floors(lab, table)?;
    if let Some(problem) = &engines.problem {
        table.fail("NeMo Curator", problem);
    }
    Ok(())
}

/// Measures the package managers alone, installing one of the packages from their caches. No first
/// run is shorter, since one stage asks for pip.
fn floors(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    table
        .section("one of these packages by its package manager alone, from its cache: the process");
    let places = tempfile::tempdir_in(lab.world.root())?;
    let tools = Tools::new(lab.world.tools_dir());
    let (_, package) = STAGES[1];
    for tool in [Tool::Pip, Tool::Uv] {
        let found = tools.locate(tool, None, lab.python(), Deadline::NEVER)?;
        let install = |number: usize| {
            let place = places.path().join(format!("{tool}-{number}"));
            let (program, words) = match tool {
                Tool::Pip => (lab.python(), vec![found.program(), "install".as_ref()]),
                Tool::Uv => (found.program(), ["pip", "install"].map(Path::new).to_vec()),
            };
            let mut words: Vec<OsString> = words.into_iter().map(Into::into).collect();
            words.extend(["--quiet", "--no-deps", "--target"].map(Into::into));
            words.extend([place.into(), package.into()]);
            if tool == Tool::Uv {
                words.extend(["--python".into(), lab.python().into()]);
            }
            duct::cmd(program, words).stdin_null()
        };
        // The first one fills the cache.
        install(0).run()?;
        let mut times = Vec::new();
        for number in 1..=lab.runs(7, 3) {
            lab.world.settle()?;
            let (ran, seconds) = timed(|| install(number).run());
            ran?;
            times.push(seconds);
        }
        let sample = Sample::new(times);
        table.add(Row::seconds(format!("{tool} {} alone", found.version()), &sample));
        if tool == Tool::Pip {
            let alone = display(sample.median(), Unit::Seconds);
            let reason = format!("one of its stages asks for pip, which takes {alone} alone");
            table.explain(Budget::Example, reason);
        }
    }
    Ok(())
}

/// Runs many tasks in existing environments. The budget's job is larger than that of a quick run.
pub(super) fn add_job(lab: &Lab<'_>, engines: &Engines, table: &mut Table) -> Result<(), BoxError> {
    let tasks = lab.runs(TASKS[0], TASKS[1]);
    table
        .section(format!("{tasks} tasks through the example, its environments there: the process"));
    let cache = lab.world.fresh_cache()?;
    run(lab, &cache, None, 1)?;
    let mut ours = Vec::new();
    for _ in 0..lab.runs(5, 3) {
        lab.world.settle()?;
        ours.push(run(lab, &cache, None, tasks)?);
    }
    let beside = |name: &str, measured| {
        let peer = Peer::new(name, measured);
        if lab.quick { peer } else { peer.with_budget(Budget::Job) }
    };
    let peer = |(name, runs): &(&str, EngineRuns)| {
        let measured = runs.many.clone().map(|seconds| Sample::new(vec![seconds]));
        beside(name, measured)
    };
    let mut peers: Vec<Peer> = engines.runs.iter().map(peer).collect();
    if peers.iter().all(|peer| peer.measured.is_err()) {
        #[expect(clippy::cast_precision_loss, reason = "they are 2 000 at the most")]
        let recorded = Sample::new(vec![peer::SMALL_TASKS.value * tasks as f64]);
        table.cite(&peer::SMALL_TASKS);
        peers.push(beside("Ray, as recorded", Ok(recorded)));
    }
    table.add_beside(&format!("the example, {tasks} tasks"), &Sample::new(ours), peers);
    Ok(())
}

fn run(lab: &Lab<'_>, cache: &Path, base: Option<&str>, tasks: usize) -> Result<f64, BoxError> {
    let tasks = tasks.to_string();
    let mut arguments = vec!["--json", "--tasks", &tasks];
    arguments.extend(base.iter().flat_map(|base| ["--base", base]));
    let (printed, seconds) = timed(|| lab.world.example(&arguments, cache).read());
    let seen: Value = serde_json::from_str(&printed?)?;
    check(&seen["versions"])?;
    Ok(seconds)
}

/// Checks the versions: a fast but wrong run gives no figure.
fn check(versions: &Value) -> Result<(), BoxError> {
    for (stage, package) in STAGES {
        let version = package.rsplit('=').next().unwrap_or_default();
        if versions[stage] != json!(version) {
            return Err(format!("the stages of the example saw {versions}").into());
        }
    }
    Ok(())
}

/// Fetches the wheels into a cache of uv's own; the other package managers' caches have them, too.
fn fill(lab: &Lab<'_>, cache: &Path) -> Result<(), BoxError> {
    for (stage, package) in STAGES {
        let place = cache.join("fetched").join(stage);
        let words = ["pip", "install", "--quiet", "--python"];
        let words = words.map(Into::into).into_iter().chain([lab.python().into()]);
        let words = words.chain(["--target".into(), place.into(), package.into()]);
        let words: Vec<OsString> = words.collect();
        duct::cmd(lab.world.uv()?, words).env("UV_CACHE_DIR", cache).run()?;
    }
    Ok(())
}

/// Runs one `uv run` for each stage, all at once; each reads the output of the previous one.
fn uv_run(lab: &Lab<'_>, cache: &Path) -> Result<f64, BoxError> {
    let (uv, file) = (lab.world.uv()?, script("one_stage.py"));
    let one = |(stage, package): (&str, &str)| {
        let (uv, file) = (uv.clone(), file.clone());
        duct::cmd!(
            uv,
            "run",
            "--quiet",
            "--no-project",
            "--python",
            lab.python(),
            "--with",
            package,
            "python",
            file,
            stage
        )
        .env("UV_CACHE_DIR", cache)
        .env_remove("VIRTUAL_ENV")
    };
    let [first, second, third] = STAGES.map(one);
    let command = first.stdin_bytes("{}").pipe(second).pipe(third);
    let (printed, seconds) = timed(|| command.read());
    check(&serde_json::from_str(&printed?)?)?;
    Ok(seconds)
}
