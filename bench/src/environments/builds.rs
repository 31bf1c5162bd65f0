//! Builds into an empty cache: the time they take, and the disk space they add.

use curator::backends::EnvState;
use curator::envspec::Tool;
use curator::stage::Isolation;
use curator::venv_cache::{BoxError, Strategy};

use super::effort::{Effort, open_base, packaging};
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::peer;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table, Unit, display};
use crate::world::World;

/// The steps of a build, as its record names them.
const PHASES: [&str; 5] = ["tool", "create", "install", "check", "compile"];

/// The results of one way of building.
#[derive(Default)]
struct Series {
    seconds: Vec<f64>,
    bytes: Vec<f64>,
    phases: [Vec<f64>; PHASES.len()],
}

/// Adds the rows. `like_peer` says whether the base is like the one of the peer's figures.
pub(super) fn add(
    world: &World,
    base: &MeasuredBase,
    like_peer: bool,
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    progress(&format!("building environments over the {}", base.name));
    table.section(format!("an environment is built: packaging 24.0 over the {}", base.name));
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        let runs = effort.runs(if strategy == Strategy::Copy { 3 } else { 7 });
        let mut series = [Series::default(), Series::default()];
        for _ in 0..runs {
            for (tool, series) in [Tool::Uv, Tool::Pip].into_iter().zip(&mut series) {
                series.build(world, base, tool, strategy)?;
            }
        }
        for (tool, series) in [Tool::Uv, Tool::Pip].into_iter().zip(series) {
            let phases = PHASES.iter().zip(series.phases);
            let phases =
                phases.map(|(name, times)| ((*name).to_owned(), Sample::new(times).median()));
            let phases: Vec<(String, f64)> = phases.collect();
            if like_peer && tool == Tool::Pip && strategy == Strategy::Hardlink {
                table.explain(Budget::ExampleLarge, reason(&phases));
            }
            let seconds = Row::seconds(format!("{tool}, {strategy}"), &Sample::new(series.seconds))
                .with_phases(phases);
            table.add_against(seconds, &peer::THREE_STAGES);
            let bytes = Sample::new(series.bytes);
            let row = Row::bytes(format!("{tool}, {strategy}: on disk, without packaging"), &bytes);
            let budget = match strategy {
                Strategy::Copy => None,
                Strategy::Symlink => Some(Budget::DiskSymlink),
                Strategy::Hardlink => Some(Budget::Disk),
            };
            #[expect(clippy::cast_precision_loss, reason = "no base has 2^52 bytes")]
            let base_bytes = base.contents.bytes as f64;
            match budget {
                _ if !like_peer => table.add(row.against(base_bytes)),
                Some(budget) => {
                    let row = row.within(budget, base_bytes * budget.limit());
                    table.add_against(row, &peer::ONE_CLONE);
                }
                None => table.add_against(row, &peer::ONE_CLONE),
            }
        }
    }
    Ok(())
}

/// Returns what the slowest stage of the example waits for.
fn reason(phases: &[(String, f64)]) -> String {
    let of = |wanted: &str| {
        let seconds = phases.iter().find(|(name, _)| name == wanted).map_or(0.0, |it| it.1);
        display(seconds, Unit::Seconds)
    };
    let (install, check) = (of("install"), of("check"));
    format!("its stage with pip waits {install} for it, and {check} until Ray is seen to import")
}

impl Series {
    fn build(
        &mut self,
        world: &World,
        base: &MeasuredBase,
        tool: Tool,
        strategy: Strategy,
    ) -> Result<(), BoxError> {
        let cache = world.fresh_cache()?;
        let provisioner = World::builder(&base.base(), &cache).strategy(strategy).open()?;
        open_base(&provisioner)?;
        let spec = packaging(tool, "24.0")?;
        world.settle()?;
        let (environment, time) = timed(|| provisioner.prepare(&spec, Isolation::Shared));
        let environment = environment?;
        let details = environment.details().ok_or("an environment in the cache has details")?;
        if environment.state() != EnvState::Built || details.strategy != strategy.to_string() {
            return Err("an environment was not built as it was asked for".into());
        }
        self.seconds.push(time);
        for (name, times) in PHASES.iter().zip(&mut self.phases) {
            times.push(details.seconds.get(*name).copied().unwrap_or(0.0));
        }
        world.sync()?;
        let bytes = base.contents.bytes_beyond(&details.dir, "packaging")?;
        #[expect(clippy::cast_precision_loss, reason = "no environment has 2^52 bytes")]
        self.bytes.push(bytes as f64);
        Ok(())
    }
}
