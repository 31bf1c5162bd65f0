//! Several measurements of one thing.

use std::time::Instant;

use serde::Serialize;

/// The values of several runs, in seconds or bytes; at least one.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Sample {
    /// Ascending.
    values: Vec<f64>,
}

impl Sample {
    /// Creates a sample. Panics without a value, since there is no median then.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a sample has a value at least");
        values.sort_by(f64::total_cmp);
        Self { values }
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.values.len() / 2;
        let lower = self.values[middle - usize::from(self.values.len().is_multiple_of(2))];
        f64::midpoint(lower, self.values[middle])
    }

    pub(crate) fn min(&self) -> f64 {
        self.values[0]
    }

    pub(crate) fn max(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    pub(crate) fn runs(&self) -> usize {
        self.values.len()
    }
}

/// Returns the result of a step, and the seconds that it took.
pub(crate) fn timed<T>(step: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let result = step();
    (result, begun.elapsed().as_secs_f64())
}
