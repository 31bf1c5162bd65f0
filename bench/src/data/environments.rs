//! Many distinct environments over bases of several sizes: how the cost grows.

use curator::venv_cache::BoxError;
use curator::{Pipeline, RuntimeEnv, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, stage};
use crate::bases::MeasuredBase;
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};
use crate::world::World;

/// Two small packages whose versions make the environments distinct.
const PACKAGING: [&str; 8] = ["21.0", "21.3", "22.0", "23.0", "23.1", "23.2", "24.0", "24.1"];
const SIX: [&str; 8] =
    ["1.9.0", "1.10.0", "1.11.0", "1.12.0", "1.13.0", "1.14.0", "1.15.0", "1.16.0"];
/// Packages of the synthetic bases, with 100 modules each.
const BASES: [usize; 3] = [10, 100, 500];
const COUNTS: [usize; 4] = [1, 4, 16, 64];
/// Longest time that one run may be expected to take, in seconds.
const PATIENCE: f64 = 90.0;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("filling the package manager's cache");
    run(lab.small, &lab.cache, 8)?;
    for packages in BASES {
        // More environments over the largest base take longer than the rest of a quick run.
        let most = match (lab.quick, packages) {
            (true, 500) => 4,
            (true, _) => 16,
            (false, _) => 64,
        };
        let base = MeasuredBase::synthetic_of(packages, lab.world)?;
        table.section(format!(
            "a task through stages with an environment each, over the {}",
            base.name
        ));
        let mut last: Option<(usize, f64)> = None;
        for count in COUNTS.into_iter().filter(|count| *count <= most) {
            // The cost grows at most with the number of environments.
            if let Some((fewer, seconds)) = last
                && seconds * f64::from(u32::try_from(count / fewer)?) > PATIENCE
            {
                let problem = format!("left out: {fewer} of them took {seconds:.0} s");
                table.fail(format!("{count} environments over the {}", base.name), problem);
                continue;
            }
            progress(&format!("{count} distinct environments over the {}", base.name));
            let cache = lab.world.fresh_cache()?;
            lab.world.settle()?;
            let built = run(&base, &cache, count)?;
            let found = run(&base, &cache, count)?;
            last = Some((count, built));
            let row = |what: &str, seconds| {
                Row::seconds(format!("{count} of them {what}"), &Sample::new(vec![seconds]))
            };
            table.add(row("built", built));
            table.add(row("found", found));
        }
    }
    Ok(())
}

fn run(base: &MeasuredBase, cache: &std::path::Path, count: usize) -> Result<f64, BoxError> {
    let mut pipeline = Pipeline::new("many");
    for number in 0..count {
        let (packaging, six) = (PACKAGING[number % 8], SIX[(number + number / 8) % 8]);
        let packages = [format!("packaging=={packaging}"), format!("six=={six}")];
        let same = stage("Same").with_name(format!("same-{number}"));
        pipeline = pipeline.with_stage(same.with_runtime_env(RuntimeEnv::uv(packages)));
    }
    let executor = World::executor(&base.base(), cache);
    let flow = Flow::run(&executor, &pipeline, [Task::new(json!({}))].into_iter(), |_| true)?;
    if flow.report.environments.len() != count {
        return Err(format!("{} of {count} environments", flow.report.environments.len()).into());
    }
    Ok(flow.last)
}
