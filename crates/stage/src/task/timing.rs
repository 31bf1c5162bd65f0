//! The costs of a stage for one task.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The costs of one stage for one task; a task has one for each stage that it passed, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Timing {
    /// The stage's name.
    pub stage: String,
    /// Time in the stage's own code: the batch's, divided by the number of its tasks.
    #[serde(rename = "process_seconds", with = "seconds")]
    pub process: Duration,
    /// Time between the end of the previous stage and the start of this one.
    #[serde(rename = "wait_seconds", with = "seconds", default)]
    pub wait: Duration,
    /// The metrics that the stage's code recorded with [`Context::record`](crate::Context::record).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

impl Timing {
    /// Creates the costs of `stage` with this time in its code, without waiting and metrics.
    #[must_use]
    pub fn new(stage: impl Into<String>, process: Duration) -> Self {
        Self { stage: stage.into(), process, wait: Duration::ZERO, metrics: BTreeMap::new() }
    }

    /// Sets the time that the task waited before the stage. Default: none.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Sets the metrics that the stage's code recorded. Default: none.
    #[must_use]
    pub fn with_metrics(self, metrics: BTreeMap<String, f64>) -> Self {
        Self { metrics, ..self }
    }

    /// Adds the costs of another task in the same stage, for an aggregate of both.
    fn add(&mut self, other: &Self) {
        self.process = self.process.saturating_add(other.process);
        self.wait = self.wait.saturating_add(other.wait);
        for (name, value) in &other.metrics {
            *self.metrics.entry(name.clone()).or_default() += value;
        }
    }

    /// Returns the costs of several tasks as one: summed by stage, in the order in which stages
    /// first appear.
    pub(crate) fn sum<'a>(timings: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut sums: Vec<Self> = Vec::new();
        for timing in timings {
            match sums.iter_mut().find(|sum| sum.stage == timing.stage) {
                Some(sum) => sum.add(timing),
                None => sums.push(timing.clone()),
            }
        }
        sums
    }
}

/// A duration as a number of seconds, as Ray, `nemo_curator` and Python write it.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timing;

    #[test]
    fn timings_are_summed_by_stage() {
        let second = Duration::from_secs(1);
        let metrics = |value| [("tokens".to_owned(), value)].into();
        let first = Timing::new("a", second).with_metrics(metrics(2.0));
        let other = Timing::new("a", second).with_wait(second).with_metrics(metrics(3.0));
        let sum = Timing::sum(&[first, Timing::new("b", second), other]);
        assert_eq!(sum[0].process, 2 * second);
        assert_eq!(sum[0].wait, second);
        assert!((sum[0].metrics["tokens"] - 5.0).abs() < f64::EPSILON);
        assert_eq!(sum[1], Timing::new("b", second));
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        for text in ["-1", "1e300"] {
            let text = format!(r#"{{"stage": "a", "process_seconds": {text}}}"#);
            assert!(serde_json::from_str::<Timing>(&text).is_err());
        }
    }
}
