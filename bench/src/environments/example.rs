//! The example with three stages, as a process: with an empty cache, then once more.

use curator::venv_cache::BoxError;
use serde_json::{Value, json};

use super::effort::Effort;
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::peer;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

pub(super) fn add(
    world: &World,
    large: Option<&MeasuredBase>,
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    progress("running the example with three stages");
    table.section("three stages with three versions of packaging: the whole process");
    let mut measure = |name: &str, base: Option<&str>, budget: Budget| -> Result<(), BoxError> {
        let mut arguments = vec!["--json"];
        arguments.extend(base.iter().flat_map(|base| ["--base", base]));
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..effort.runs(7) {
            let cache = world.fresh_cache()?;
            let command = world.example(&arguments, &cache);
            world.settle()?;
            for times in [&mut first, &mut again] {
                let (printed, time) = timed(|| command.read());
                check(&printed?)?;
                times.push(time);
            }
        }
        let row = Row::seconds(format!("{name}: environments are built"), &Sample::new(first));
        table.add_against(row.within(budget, budget.of_three_stages()), &peer::THREE_STAGES);
        let row = Row::seconds(format!("{name}: the second process"), &Sample::new(again));
        let budget = Budget::ExampleAgain;
        table.add_against(row.within(budget, budget.of_three_stages()), &peer::THREE_STAGES);
        Ok(())
    };
    measure("its own managed base", None, Budget::Example)?;
    if let Some(large) = large {
        let python = large.python_text()?;
        measure(&format!("the {}", large.name), Some(python), Budget::ExampleLarge)?;
    }
    Ok(())
}

/// Checks the versions: a fast but wrong run gives no figure.
fn check(printed: &str) -> Result<(), BoxError> {
    let seen: Value = serde_json::from_str(printed)?;
    let versions = &seen["versions"];
    if versions["pinned_v232"] == json!("23.2") && versions["pinned_v240"] == json!("24.0") {
        return Ok(());
    }
    Err(format!("the stages of the example saw {versions}").into())
}
