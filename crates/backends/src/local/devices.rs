//! GPU tokens: the assignment of devices to workers.
//!
//! A worker holds its devices for the lifetime of its process, because memory on a device is freed
//! only when the process ends. Workers of several stages that want the same device take turns: a
//! worker that is idle, or that waits for the next stage, ends and gives its device up. Only a
//! stage with work waits for a device, so that idle stages do not displace each other.

use std::path::Path;
use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Shares are counted in thousandths of a device, so that sums are exact.
const WHOLE: u32 = 1000;

/// The devices of this machine that a run may use, by the names that `CUDA_VISIBLE_DEVICES` takes.
#[derive(Debug)]
pub(crate) struct Devices {
    names: Vec<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: Vec<u32>,
    /// The waiting stages, each as often as it has waiting workers.
    waiting: Vec<usize>,
}

/// Shares of devices, given back on drop.
#[derive(Debug)]
pub(crate) struct Allotment<'a> {
    devices: &'a Devices,
    shares: Vec<(usize, u32)>,
}

impl Allotment<'_> {
    /// Returns the value of `CUDA_VISIBLE_DEVICES`.
    pub(crate) fn visible(&self) -> String {
        let names: Vec<&str> =
            self.shares.iter().map(|(at, _)| self.devices.names[*at].as_str()).collect();
        names.join(",")
    }
}

impl Drop for Allotment<'_> {
    fn drop(&mut self) {
        let mut state = self.devices.lock();
        for (at, share) in &self.shares {
            state.free[*at] += share;
        }
        self.devices.changed.notify_all();
    }
}

impl Devices {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let state = State { free: vec![WHOLE; names.len()], waiting: Vec::new() };
        Self { names, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Returns the devices that this program may see: those of `CUDA_VISIBLE_DEVICES`, else one for
    /// each `/dev/nvidia0`, `/dev/nvidia1`, ….
    pub(crate) fn detect() -> Vec<String> {
        if let Ok(visible) = std::env::var("CUDA_VISIBLE_DEVICES") {
            return visible
                .split(',')
                .map(|name| name.trim().to_owned())
                .take_while(|name| !name.is_empty() && name != "-1")
                .collect();
        }
        (0..64)
            .take_while(|index| Path::new(&format!("/dev/nvidia{index}")).exists())
            .map(|index| index.to_string())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Returns whether a worker of another stage waits for a device that this stage's workers hold.
    pub(crate) fn is_wanted_beside(&self, stage: usize) -> bool {
        self.lock().waiting.iter().any(|other| *other != stage)
    }

    /// Takes `gpus` devices, or a part of one; a larger number is cut to the existing ones. Waits
    /// for at most `patience`; without patience, it does not overtake waiting workers.
    pub(crate) fn take(
        &self,
        stage: usize,
        gpus: f64,
        patience: Duration,
    ) -> Option<Allotment<'_>> {
        let mut state = self.lock();
        if !patience.is_zero() {
            state.waiting.push(stage);
            let (woken, _) = self
                .changed
                .wait_timeout_while(state, patience, |state| self.fit(state, gpus).is_none());
            state = woken;
            if let Some(at) = state.waiting.iter().position(|waiting| *waiting == stage) {
                state.waiting.swap_remove(at);
            }
        } else if gpus > 0.0 && !state.waiting.is_empty() {
            return None;
        }
        let shares = self.fit(&state, gpus)?;
        for (at, share) in &shares {
            state.free[*at] -= share;
        }
        Some(Allotment { devices: self, shares })
    }

    fn fit(&self, state: &State, gpus: f64) -> Option<Vec<(usize, u32)>> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let milli = (gpus * f64::from(WHOLE)).round() as u32;
        if milli == 0 || self.names.is_empty() {
            return Some(Vec::new());
        }
        if milli < WHOLE {
            // The fullest device that still has room, so that whole ones stay whole.
            let fitting = state.free.iter().enumerate().filter(|(_, free)| **free >= milli);
            return fitting.min_by_key(|(_, free)| **free).map(|(at, _)| vec![(at, milli)]);
        }
        let wanted = (milli.div_ceil(WHOLE) as usize).min(self.names.len());
        let whole: Vec<(usize, u32)> = state
            .free
            .iter()
            .enumerate()
            .filter(|(_, free)| **free == WHOLE)
            .map(|(at, _)| (at, WHOLE))
            .take(wanted)
            .collect();
        (whole.len() == wanted).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fill_one_device_before_the_next() {
        let devices = Devices::new(vec!["4".to_owned(), "7".to_owned()]);
        let half = devices.take(0, 0.5, Duration::ZERO).unwrap();
        let other = devices.take(0, 0.5, Duration::ZERO).unwrap();
        assert_eq!((half.visible().as_str(), other.visible().as_str()), ("4", "4"));
        let whole = devices.take(0, 1.0, Duration::ZERO).unwrap();
        assert_eq!(whole.visible(), "7");
        assert!(devices.take(0, 0.1, Duration::ZERO).is_none());
        drop(other);
        assert_eq!(devices.take(0, 0.1, Duration::ZERO).unwrap().visible(), "4");
    }

    #[test]
    fn more_than_there_are_is_cut_to_what_there_is() {
        let devices = Devices::new(vec!["0".to_owned()]);
        assert_eq!(devices.take(0, 8.0, Duration::ZERO).unwrap().visible(), "0");
        assert_eq!(Devices::new(Vec::new()).take(0, 1.0, Duration::ZERO).unwrap().visible(), "");
    }
}
