//! The time until a worker is ready in an existing environment, beside the environment's `-c pass`.

use curator::backends::{DiskSource, Event};
use curator::stage::Isolation;
use curator::venv_cache::BoxError;
use curator::{Pipeline, RuntimeEnv, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, stage};
use crate::budget::Budget;
use crate::peers::{Peer, Runs};
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::Table;
use crate::world::World;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("starts of workers");
    table.section("a worker is ready, once its environment is");
    let env = RuntimeEnv::uv(["packaging==24.0"]);
    let loaded = env.load(&DiskSource, &std::env::current_dir()?)?;
    let environment =
        World::provisioner(&lab.base(), &lab.cache)?.prepare(&loaded, Isolation::Shared)?;
    let pipeline = Pipeline::new("starts").with_stage(stage("Same").with_runtime_env(env));
    let bare = duct::cmd!(environment.python(), "-c", "pass").stdin_null();
    let (mut ours, mut pass) = (Vec::new(), Runs::default());
    lab.world.settle()?;
    for _ in 0..lab.runs(40, 10) {
        let flow =
            Flow::run(&lab.executor(), &pipeline, [Task::new(json!({}))].into_iter(), |_| true)?;
        let ready = flow.events.iter().find_map(|(_, event)| match event {
            Event::WorkerReady { duration, .. } => Some(duration.as_secs_f64()),
            _ => None,
        });
        ours.push(ready.ok_or("no worker was ready")?);
        pass.add(|| {
            let (ran, seconds) = timed(|| bare.run());
            ran?;
            Ok(seconds)
        });
    }
    let peer = Peer::new("python -c pass", pass.sample()).with_budget(Budget::Worker);
    table.add_beside("a worker is ready", &Sample::new(ours), vec![peer]);
    Ok(())
}
