//! Waiting for a calm moment, so that other work on the machine does not affect the figures.

use std::cell::Cell;
use std::fs;
use std::thread;
use std::time::Duration;

use curator::venv_cache::BoxError;

/// The period over which load is observed.
const LOOK: Duration = Duration::from_millis(100);
/// The share of all cores' time that other processes may take.
const BUSY: f64 = 0.15;
/// Maximum number of observations, for one measurement and for all.
const LOOKS_AT_ONCE: usize = 100;
const LOOKS_IN_ALL: usize = 600;

/// Waits for calm moments, and counts the measurements that started without one.
#[derive(Debug, Default)]
pub(crate) struct Calm {
    looks: Cell<usize>,
    measurements: Cell<usize>,
    busy: Cell<usize>,
}

impl Calm {
    /// Waits until the machine is nearly idle, for at most ten seconds, and a minute in all.
    pub(crate) fn wait(&self) -> Result<(), BoxError> {
        self.wait_until(|| {
            let before = Ticks::now()?;
            thread::sleep(LOOK);
            Ok(Ticks::now()?.busy_since(&before) < BUSY)
        })
    }

    fn wait_until(
        &self,
        mut is_calm: impl FnMut() -> Result<bool, BoxError>,
    ) -> Result<(), BoxError> {
        self.measurements.set(self.measurements.get() + 1);
        for _ in 0..LOOKS_AT_ONCE {
            if self.looks.get() >= LOOKS_IN_ALL {
                break;
            }
            self.looks.set(self.looks.get() + 1);
            if is_calm()? {
                return Ok(());
            }
        }
        self.busy.set(self.busy.get() + 1);
        Ok(())
    }

    /// Returns how many measurements began on a busy machine, out of all since the last call.
    pub(crate) fn take_busy(&self) -> (usize, usize) {
        (self.busy.take(), self.measurements.take())
    }
}

/// The cores' time since the machine started.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_never_calm_is_not_waited_for_long() {
        let calm = Calm::default();
        let mut looks = 0;
        for _ in 0..50 {
            calm.wait_until(|| {
                looks += 1;
                Ok(false)
            })
            .unwrap();
        }
        assert_eq!(looks, LOOKS_IN_ALL);
        assert_eq!((calm.take_busy(), calm.take_busy()), ((50, 50), (0, 0)));
    }

    #[test]
    fn a_calm_machine_is_looked_at_once() {
        let calm = Calm::default();
        for _ in 0..3 {
            calm.wait_until(|| Ok(true)).unwrap();
        }
        assert_eq!((calm.looks.get(), calm.take_busy()), (3, (0, 3)));
    }
}
