//! `curator env exec` in an existing environment, against its bare interpreter.

use curator::envspec::Tool;
use curator::stage::Isolation;
use curator::venv_cache::BoxError;

use super::effort::{Effort, packaging};
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

pub(super) fn add(
    world: &World,
    small: &MeasuredBase,
    large: Option<&MeasuredBase>,
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    progress("starting commands in environments");
    table.section("a command is started in it: `curator env exec ... -- python -c pass`");
    let bases = [Some((small, "small")), large.map(|large| (large, "Ray's"))];
    for (base, name) in bases.into_iter().flatten() {
        let cache = world.fresh_cache()?;
        let provisioner = World::provisioner(&base.base(), &cache)?;
        let environment = provisioner.prepare(&packaging(Tool::Uv, "24.0")?, Isolation::Shared)?;
        let key = environment.key().ok_or("an environment with packages has a key")?.to_string();
        let python = base.python_text()?;
        let code = ["--", "python", "-c", "pass"];
        let by_key = [&["env", "exec", "--spec", &key][..], &code].concat();
        let by_spec = ["env", "exec", "--uv", "packaging==24.0", "--base", python];
        let by_spec = [&by_spec[..], &code].concat();
        let commands = [
            duct::cmd!(environment.python(), "-c", "pass").stdin_null(),
            world.curator(&by_key, &cache),
            world.curator(&by_spec, &cache),
        ];
        let mut times = [const { Vec::new() }; 3];
        world.settle()?;
        // The two alternate, so that other load on the machine affects both.
        for _ in 0..effort.runs(60) {
            for (command, times) in commands.iter().zip(&mut times) {
                let (ran, time) = timed(|| command.run());
                ran?;
                times.push(time);
            }
        }
        let [bare, by_key, by_spec] = times.map(Sample::new);
        let bare_median = bare.median();
        let limit = bare_median + Budget::Launch.limit();
        let what = |what: &str| format!("{name} base: {what}");
        table.add(Row::seconds(what("the bare interpreter"), &bare));
        for (name, sample) in [("by key", by_key), ("by spec", by_spec)] {
            let row = Row::seconds(what(name), &sample).against(bare_median);
            table.add(row.within(Budget::Launch, limit));
        }
    }
    Ok(())
}
