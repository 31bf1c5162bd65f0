//! Sums over time in a bounded number of bins.

/// Maximum number of bins of a series.
const BINS: usize = 400;
/// Initial length of a bin, in seconds.
const WIDTH: f64 = 0.005;

/// The length of the bins of all series. As time goes on, bins are joined in pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    width: f64,
}

impl Scale {
    pub(super) const fn new() -> Self {
        Self { width: WIDTH }
    }

    pub(super) const fn width(self) -> f64 {
        self.width
    }

    /// Makes room for a moment. Returns how often every series must be folded for it.
    pub(super) fn reach(&mut self, seconds: f64) -> usize {
        let mut folds = 0;
        while self.width * BINS as f64 <= seconds {
            self.width *= 2.0;
            folds += 1;
        }
        folds
    }

    fn bin(self, seconds: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "times are not negative, and `reach` has made room for them"
        )]
        let bin = (seconds.max(0.0) / self.width) as usize;
        bin.min(BINS - 1)
    }
}

/// A sum for each bin; empty bins at the end are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<f64>);

impl Series {
    /// Adds to the bin of a moment.
    pub(super) fn add(&mut self, scale: Scale, seconds: f64, amount: f64) {
        *self.at(scale.bin(seconds)) += amount;
    }

    /// Adds to each bin its part of a span, in seconds.
    pub(super) fn add_span(&mut self, scale: Scale, begin: f64, end: f64) {
        for bin in scale.bin(begin)..=scale.bin(end) {
            let left = scale.width * bin as f64;
            let share = end.min(left + scale.width) - begin.max(left);
            if share > 0.0 {
                *self.at(bin) += share;
            }
        }
    }

    fn at(&mut self, bin: usize) -> &mut f64 {
        if self.0.len() <= bin {
            self.0.resize(bin + 1, 0.0);
        }
        &mut self.0[bin]
    }

    /// Joins bins in pairs, `folds` times.
    pub(super) fn fold(&mut self, folds: usize) {
        for _ in 0..folds {
            self.0 = self.0.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
    }

    /// Returns the sums, with three decimals.
    pub(super) fn rounded(&self) -> Vec<f64> {
        self.0.iter().copied().map(rounded).collect()
    }

    /// Returns how full each bin is, as a digit of base 36.
    pub(super) fn shares(&self, scale: Scale) -> String {
        let digit = |sum: &f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is between 0 and 35"
            )]
            let share = (sum / scale.width * 35.0).round().clamp(0.0, 35.0) as u32;
            char::from_digit(share, 36).unwrap_or('0')
        };
        self.0.iter().map(digit).collect()
    }
}

/// Returns a number with three decimals, which are enough for people.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any order and with any length of spans, nothing is lost or added, and the number of
        /// bins is bounded.
        #[test]
        fn sums_survive_any_number_of_folds(
            spans in prop::collection::vec((0.0..5000.0_f64, 0.0..50.0_f64), 0..40),
        ) {
            let (mut scale, mut series, mut sum) = (Scale::new(), Series::default(), 0.0);
            for (begin, length) in spans {
                series.fold(scale.reach(begin + length));
                series.add_span(scale, begin, begin + length);
                sum += length;
            }
            let total: f64 = series.0.iter().sum();
            prop_assert!((total - sum).abs() < 1e-6 * (1.0 + sum), "{total} for {sum}");
            prop_assert!(series.0.len() <= BINS);
        }
    }

    #[test]
    fn a_moment_lands_in_its_bin() {
        let mut scale = Scale::new();
        let mut series = Series::default();
        series.add(scale, 0.012, 2.0);
        assert_eq!(series.rounded(), [0.0, 0.0, 2.0]);
        let folds = scale.reach(BINS as f64 * WIDTH);
        series.fold(folds);
        assert_eq!((folds, series.rounded()), (1, vec![0.0, 2.0]));
    }

    #[test]
    fn shares_are_digits() {
        let (scale, mut series) = (Scale::new(), Series::default());
        series.add_span(scale, 0.0, 0.006);
        assert_eq!(series.shares(scale), "z7");
    }
}
