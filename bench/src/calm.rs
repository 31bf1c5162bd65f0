//! Waiting for a calm moment: what others do on the machine is not what is to be measured.

use std::cell::Cell;
use std::fs;
use std::thread;
use std::time::Duration;

use curator::venv_cache::BoxError;

/// How long it looks before it says that the machine is busy.
const LOOK: Duration = Duration::from_millis(100);
/// The share of all cores' time that others may take.
const BUSY: f64 = 0.15;
/// How often it looks, for one measurement and for all of them.
const LOOKS_AT_ONCE: usize = 100;
const LOOKS_IN_ALL: usize = 600;

/// Finds calm moments, and counts those that it did not find.
#[derive(Debug, Default)]
pub(crate) struct Calm {
    looks: Cell<usize>,
    measurements: Cell<usize>,
    busy: Cell<usize>,
}

impl Calm {
    /// Waits until the machine does little; after ten seconds, or a minute in all, no longer.
    pub(crate) fn wait(&self) -> Result<(), BoxError> {
        self.measurements.set(self.measurements.get() + 1);
        for _ in 0..LOOKS_AT_ONCE {
            if self.looks.get() >= LOOKS_IN_ALL {
                break;
            }
            self.looks.set(self.looks.get() + 1);
            let before = Ticks::now()?;
            thread::sleep(LOOK);
            if Ticks::now()?.busy_since(&before) < BUSY {
                return Ok(());
            }
        }
        self.busy.set(self.busy.get() + 1);
        Ok(())
    }

    /// How many of how many measurements began on a busy machine.
    pub(crate) fn busy(&self) -> (usize, usize) {
        (self.busy.get(), self.measurements.get())
    }
}

/// What the cores have done since the machine was started.
struct Ticks {
    all: f64,
    idle: f64,
}

impl Ticks {
    fn now() -> Result<Self, BoxError> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        // user, nice, system, idle, waiting for the disk, ...
        let ticks: Result<Vec<f64>, _> = line.split_whitespace().skip(1).map(str::parse).collect();
        let ticks = ticks?;
        Ok(Self { all: ticks.iter().sum(), idle: ticks.iter().skip(3).take(2).sum() })
    }

    fn busy_since(&self, before: &Self) -> f64 {
        let all = (self.all - before.all).max(1.0);
        1.0 - (self.idle - before.idle) / all
    }
}
