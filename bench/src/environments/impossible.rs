//! A requirement that nothing satisfies, from the request to the error.

use curator::envspec::Tool;
use curator::stage::Isolation;
use curator::venv_cache::BoxError;

use super::effort::{Effort, open_base, packaging};
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::peer;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

pub(super) fn add(
    world: &World,
    bases: &[MeasuredBase],
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    progress("asking for what does not exist");
    table.section("packaging 99.99 is asked for, which does not exist: until the error");
    for base in bases {
        let cache = world.fresh_cache()?;
        let provisioner = World::provisioner(&base.base(), &cache)?;
        open_base(&provisioner)?;
        for (tool, budget) in [(Tool::Uv, Budget::ImpossibleUv), (Tool::Pip, Budget::ImpossiblePip)]
        {
            let spec = packaging(tool, "99.99")?;
            let mut times = Vec::new();
            for _ in 0..effort.runs(5) {
                world.settle()?;
                let (result, time) = timed(|| provisioner.prepare(&spec, Isolation::Shared));
                if result.is_ok() {
                    return Err("a package that does not exist was installed".into());
                }
                times.push(time);
            }
            let left = std::fs::read_dir(cache.join("envs-v1"))?.count();
            if left > 0 {
                return Err("a build that failed has left something behind".into());
            }
            let row = Row::seconds(format!("{tool}, {}", base.name), &Sample::new(times));
            table.add_against(row.within(budget, budget.limit()), &peer::IMPOSSIBLE);
        }
    }
    Ok(())
}
