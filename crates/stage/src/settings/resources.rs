//! The resources of one worker of a stage.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one worker of a stage occupies.
///
/// An executor shares out what the machine has by these numbers; it does not hold a worker to them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Processor cores; fractions share one. By default, 1.
    pub cpus: f64,
    /// GPUs; a fraction below 1 shares one, above 1 the number is whole (Ray's rule). By default,
    /// 0.
    pub gpus: f64,
    /// Memory on one GPU in GB, in place of `gpus`. By default, 0: none.
    pub gpu_memory_gb: f64,
}

/// The memory of a GPU that cannot be asked, in GB, as `nemo_curator` assumes it.
const UNKNOWN_GPU_MEMORY_GB: f64 = 24.0;

impl Resources {
    /// That many cores, and no GPU.
    #[must_use]
    pub fn cpus(cpus: f64) -> Self {
        Self { cpus, ..Self::default() }
    }

    /// Sets the number of GPUs. Default: 0.
    #[must_use]
    pub fn with_gpus(self, gpus: f64) -> Self {
        Self { gpus, ..self }
    }

    /// Sets the memory on one GPU, in GB. Default: 0.
    #[must_use]
    pub fn with_gpu_memory_gb(self, gpu_memory_gb: f64) -> Self {
        Self { gpu_memory_gb, ..self }
    }

    /// The share of GPUs that a worker occupies where each GPU has `device_memory_gb`; `None` if
    /// that is not known.
    ///
    /// Memory is turned into a share as `nemo_curator` does it: by a device of 24 GB if unknown,
    /// rounded to tenths as Python rounds, at least one tenth. A share above 1 cannot be met by one
    /// device: it comes back as it is, and [`fits`](Self::fits) is false.
    #[must_use]
    pub fn gpu_share(&self, device_memory_gb: Option<f64>) -> f64 {
        if self.gpu_memory_gb <= 0.0 {
            return self.gpus;
        }
        let device = device_memory_gb.filter(|memory| *memory > 0.0);
        let share = self.gpu_memory_gb / device.unwrap_or(UNKNOWN_GPU_MEMORY_GB);
        // Through decimals, which is how Python rounds: neither 0.25 nor 0.35 goes up.
        format!("{share:.1}").parse().unwrap_or(share).max(0.1)
    }

    /// Whether the memory asked for fits one GPU of `device_memory_gb`; `nemo_curator` refuses a
    /// stage where not.
    #[must_use]
    pub fn fits(&self, device_memory_gb: Option<f64>) -> bool {
        self.gpu_memory_gb <= 0.0 || self.gpu_share(device_memory_gb) <= 1.0
    }

    /// Returns what is wrong with the numbers, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { cpus, gpus, gpu_memory_gb } = *self;
        for (name, number) in [("cpus", cpus), ("gpus", gpus), ("gpu_memory_gb", gpu_memory_gb)] {
            if !number.is_finite() || number < 0.0 {
                return Some(format!("has `{name}` = {number}, which is no amount"));
            }
        }
        if gpus > 0.0 && gpu_memory_gb > 0.0 {
            return Some("has both `gpus` and `gpu_memory_gb`".to_owned());
        }
        if gpus > 1.0 && gpus.fract() != 0.0 {
            return Some(format!("has `gpus` = {gpus}: above 1 the number is whole"));
        }
        None
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpus, gpus, gpu_memory_gb } = self;
        write!(f, "{cpus} cpus")?;
        if *gpus != 0.0 {
            write!(f, ", {gpus} gpus")?;
        }
        if *gpu_memory_gb != 0.0 {
            write!(f, ", {gpu_memory_gb} GB of one gpu")?;
        }
        Ok(())
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpus: 1.0, gpus: 0.0, gpu_memory_gb: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Resources;

    #[test]
    fn memory_becomes_a_share_in_tenths() {
        let share = |wanted: f64, device| {
            let resources = Resources::default().with_gpu_memory_gb(wanted);
            (format!("{:.2}", resources.gpu_share(device)), resources.fits(device))
        };
        assert_eq!(share(6.0, None), ("0.20".into(), true)); // 0.25, as Python rounds it
        assert_eq!(share(0.5, Some(80.0)), ("0.10".into(), true));
        assert_eq!(share(24.0, None), ("1.00".into(), true));
        assert_eq!(share(40.0, Some(80.0)), ("0.50".into(), true));
        assert_eq!(share(40.0, None), ("1.70".into(), false));
        assert!((Resources::default().with_gpus(2.0).gpu_share(None) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn impossible_amounts_are_named() {
        let cpus = Resources::cpus;
        assert_eq!(cpus(0.0).with_gpus(2.0).problem(), None);
        assert_eq!(cpus(0.5).with_gpu_memory_gb(8.0).problem(), None);
        for (wrong, word) in [
            (cpus(-1.0), "cpus"),
            (cpus(f64::NAN), "cpus"),
            (cpus(1.0).with_gpus(f64::INFINITY), "gpus"),
            (cpus(1.0).with_gpus(1.5), "whole"),
            (cpus(1.0).with_gpus(1.0).with_gpu_memory_gb(1.0), "both"),
        ] {
            assert!(wrong.problem().unwrap().contains(word), "{wrong:?}");
        }
    }
}
