//! A cache with a thousand environments: listed, measured, and emptied.

use std::path::Path;

use curator::venv_cache::{
    Base, BoxError, Budget, BuildOptions, Built, Cache, Key, Site, Strategy, create,
};

use super::effort::Effort;
use crate::bases::MeasuredBase;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

const COMMANDS: usize = 5;

pub(super) fn add(
    world: &World,
    base: &MeasuredBase,
    effort: Effort,
    table: &mut Table,
) -> Result<(), BoxError> {
    let count: usize = if effort.quick { 100 } else { 1000 };
    progress(&format!("evicting {count} environments"));
    table.section(format!("{count} environments in one cache, clones of the {}", base.name));
    let [mut list, mut du, mut choose, mut prune, mut all, mut rm] = [const { Vec::new() }; 6];
    for _ in 0..effort.runs(3) {
        let dir = world.fresh_cache()?;
        let cache = fill(&dir, base, count)?;
        world.settle()?;
        for (words, times) in [(["env", "list"], &mut list), (["env", "du"], &mut du)] {
            let command = world.curator(&words, &dir).stdout_null();
            for _ in 0..effort.runs(COMMANDS) {
                let (ran, time) = timed(|| command.run());
                ran?;
                times.push(time);
            }
        }
        let everything = Budget::default().with_all();
        for _ in 0..effort.runs(COMMANDS) {
            let (report, time) = timed(|| cache.prune(&everything.clone().with_dry_run()));
            expect(count, report?.removed.len())?;
            choose.push(time);
        }
        let bytes: u64 = cache.list()?.iter().map(|listed| listed.manifest.own_bytes).sum();
        let half = Budget::default().with_max_bytes(bytes / 2);
        world.settle()?;
        let (report, time) = timed(|| cache.prune(&half));
        let gone = report?.removed.len();
        prune.push(time);
        let (report, time) = timed(|| cache.prune(&everything));
        expect(count, gone + report?.removed.len())?;
        all.push(time);
        // Half as many, as the system's own command deletes them.
        let dir = world.fresh_cache()?;
        fill(&dir, base, count / 2)?;
        world.settle()?;
        let command = duct::cmd!("rm", "-rf", dir.join("envs-v1"));
        let (ran, time) = timed(|| command.run());
        ran?;
        rm.push(time);
    }
    table.add(Row::seconds("`curator env list`", &Sample::new(list)));
    table.add(Row::seconds("`curator env du`", &Sample::new(du)));
    table.add(Row::seconds("choosing what to evict, in-process", &Sample::new(choose)));
    table.add(Row::seconds("evicting down to half of the bytes", &Sample::new(prune)));
    table.add(Row::seconds("evicting the rest", &Sample::new(all)));
    table.add(Row::seconds("`rm -rf` of half as many", &Sample::new(rm)));
    Ok(())
}

/// Fills a cache with environments that have no packages of their own.
fn fill(dir: &Path, base: &MeasuredBase, count: usize) -> Result<Cache, BoxError> {
    let cache = Cache::open(dir)?;
    let base = Base::open(&base.python, Some(&cache.interpreters_dir()))?;
    let build = |site: &Site<'_>| -> Result<Built, BoxError> {
        let created = create(&base, site.dir(), Strategy::Hardlink)?;
        Ok(Built::new(created.python).with_strategy(Strategy::Hardlink.to_string()))
    };
    for number in 0..count as u64 {
        let key = Key::derive("bench/eviction/v1", &[("number", &number.to_le_bytes())]);
        cache.get_or_build(&key, &BuildOptions::default(), build)?;
    }
    Ok(cache)
}

fn expect(count: usize, found: usize) -> Result<(), BoxError> {
    if count == found {
        return Ok(());
    }
    Err(format!("{found} of {count} environments were chosen").into())
}
