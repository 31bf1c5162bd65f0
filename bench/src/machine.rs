//! The machine, described without its name.

use std::fmt;
use std::fs;
use std::path::Path;

use curator::envspec::Tool;
use curator::installer::{Deadline, Tools};
use curator::venv_cache::BoxError;
use serde::{Deserialize, Serialize};

use crate::bases::MeasuredBase;
use crate::world::World;

/// The things besides the code that affect the figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    date: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    file_system: String,
    python: String,
    uv: String,
    pip: String,
    /// Average number of runnable processes over a minute, before and after.
    load: Vec<f64>,
    /// Number of measurements that began on a busy machine, and number of all measurements.
    busy: (usize, usize),
    /// Whether fewer runs were done.
    quick: bool,
}

impl Machine {
    pub(crate) fn describe(
        world: &World,
        base: &MeasuredBase,
        quick: bool,
    ) -> Result<Self, BoxError> {
        let tools = Tools::new(world.tools_dir());
        let version = |tool| -> Result<String, BoxError> {
            Ok(tools.locate(tool, None, &base.python, Deadline::NEVER)?.version())
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        // A dash is followed by the name of a vendor's build.
        let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
        Ok(Self {
            date: duct::cmd!("date", "-u", "+%F").read()?,
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: memory()?,
            kernel,
            file_system: file_system(world.root())?,
            python: world.python()?.version().to_owned(),
            uv: version(Tool::Uv)?,
            pip: version(Tool::Pip)?,
            load: Vec::new(),
            busy: (0, 0),
            quick,
        })
    }

    /// Notes the machine's other load when a part begins.
    pub(crate) fn begin(&mut self, world: &World) -> Result<(), BoxError> {
        world.take_busy();
        self.load = vec![load()?];
        Ok(())
    }

    /// Notes the machine's other load when a part ends.
    pub(crate) fn finish(&mut self, world: &World) -> Result<(), BoxError> {
        self.load.push(load()?);
        self.busy = world.take_busy();
        Ok(())
    }

    /// Returns the facts that are the same for every part of a run.
    pub(crate) fn itself(&self) -> String {
        let Self { cores, memory_bytes, kernel, file_system, python, uv, pip, .. } = self;
        format!(
            "{cores} cores, {} GB of memory, Linux {kernel}, {file_system}; Python {python}, uv {uv}, \
             pip {pip}",
            memory_bytes / 1_000_000_000,
        )
    }

    /// Returns the date and the machine's other load.
    pub(crate) fn moment(&self) -> String {
        let Self { date, load, busy: (busy, all), quick, .. } = self;
        let load: Vec<String> = load.iter().map(f64::to_string).collect();
        format!(
            "{date}{}; load {} after; {busy} of {all} measurements began while others were busy",
            if *quick { ", quick" } else { "" },
            load.join(" before, "),
        )
    }
}

fn memory() -> Result<u64, BoxError> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
    Ok(kibibytes.parse::<u64>()? * 1024)
}

fn load() -> Result<f64, BoxError> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or("0").parse()?)
}

/// Returns the type of the file system of a folder: that of the longest mount point above it.
fn file_system(dir: &Path) -> Result<String, BoxError> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| dir.starts_with(point));
    let (_, kind) = above.max_by_key(|(point, _)| point.len()).unwrap_or(("/", "unknown"));
    Ok(kind.to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.itself(), self.moment())
    }
}
