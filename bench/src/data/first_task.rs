//! The first task: it works in early stages while later environments are still being built.

use curator::backends::Event;
use curator::venv_cache::BoxError;
use curator::{Pipeline, RuntimeEnv, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, stage};
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};
use crate::world::World;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("the first task");
    table.section("three stages, the later two with environments that are built: from the call");
    let versions = [RuntimeEnv::uv(["packaging==23.2"]), RuntimeEnv::pip(["packaging==24.0"])];
    let [old, new] = versions.map(|env| stage("Same").with_runtime_env(env));
    let pipeline = Pipeline::new("first")
        .with_stage(stage("Same").with_name("base"))
        .with_stage(old.with_name("by uv"))
        .with_stage(new.with_name("by pip"));
    let names = ["base", "by uv", "by pip"];
    let [mut base, mut uv, mut ready, mut pip, mut overlap] = [const { Vec::new() }; 5];
    for _ in 0..lab.runs(5, 2) {
        let executor = World::executor(&lab.base(), &lab.world.fresh_cache()?);
        lab.world.settle()?;
        let tasks = vec![Task::new(json!({})); 50].into_iter();
        let flow = Flow::run(&executor, &pipeline, tasks, |_| true)?;
        let done = |name: &str| {
            let is_it = |it: &Event| matches!(it, Event::BatchDone { stage, .. } if stage == name);
            flow.first(is_it).ok_or(format!("stage `{name}` has done nothing"))
        };
        let is_last = |event: &Event| {
            let Event::EnvironmentReady { stages, .. } = event else { return false };
            stages.iter().any(|stage| stage == names[2])
        };
        let last = flow.first(is_last).ok_or("the last environment was never ready")?;
        let first = done(names[0])?;
        base.push(first);
        uv.push(done(names[1])?);
        ready.push(last);
        pip.push(done(names[2])?);
        overlap.push((last - first).max(0.0));
    }
    let (early, late) = (Sample::new(base.clone()).median(), Sample::new(ready.clone()).median());
    table.compare("first task through a stage", "the last environment is ready", early, late, None);
    let mut row = |what: &str, values| table.add(Row::seconds(what, &Sample::new(values)));
    row("the first task is through the stage in the base", base);
    row("it is through the stage whose environment uv makes", uv);
    row("the environment that pip makes is ready", ready);
    row("it is through that stage, the last one", pip);
    row("early stages have worked before all environments were ready", overlap);
    Ok(())
}
