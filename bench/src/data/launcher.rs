//! What environments of the cache add to NeMo Curator's own actor pool.

use std::time::Duration;

use curator::venv_cache::BoxError;

use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::peers::{Cluster, package, script};
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};

/// Time limit of all runs.
const PATIENCE: Duration = Duration::from_mins(15);

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("environments of the cache in NeMo Curator's actor pool");
    let base = MeasuredBase::nemo(lab.world)?;
    let cluster = Cluster::new(lab.world)?;
    let runs = lab.runs(5, 1).to_string();
    let words = [script("launcher.py").into_os_string(), runs.into()];
    let variables = [
        ("CURATOR_PROGRAM", lab.world.program().as_os_str().to_owned()),
        ("PYTHONPATH", package().into_os_string()),
    ];
    lab.world.settle()?;
    let (rounds, problem) = cluster.rounds(&base.python, words, variables, PATIENCE)?;
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let of = |name: &str| -> Vec<f64> {
        let named = rounds.iter().filter(|round| round.name == name);
        named.map(|round| round.seconds).collect()
    };
    let [none, cold, cached] = ["none", "cold", "cached"].map(of);
    let added = |with: &[f64]| {
        let pairs = with.iter().zip(&none);
        Sample::new(pairs.map(|(with, without)| (with - without).max(0.0)).collect())
    };
    table.section(format!("NeMo Curator's own actor pool, three stages, over the {}", base.name));
    table.add(Row::seconds("what environments add: an empty cache", &added(&cold)));
    table.add(Row::seconds("what environments add: they are in the cache", &added(&cached)));
    table.add(Row::seconds("without environments", &Sample::new(none.clone())));
    table.add(Row::seconds("with an empty cache", &Sample::new(cold)));
    table.add(Row::seconds("with environments in the cache", &Sample::new(cached)));
    Ok(())
}
