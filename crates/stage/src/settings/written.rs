//! The form of settings in a pipeline file: each value has one or more fields, which are left out
//! at their defaults.

use std::time::Duration;

use envspec::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::resources::Resources;
use super::scalars::Workers;
use crate::task::seconds;

/// A value that a file holds as `Fields`, a tuple of options.
pub(super) trait Written<Fields>: Sized {
    /// Reads the fields.
    fn read(fields: Fields) -> Result<Self, TwoWorkers>;

    /// Returns the fields, without a default that the entry does not set.
    fn write(self, is_given: bool) -> Fields;
}

/// The number of workers is given in both ways.
#[derive(Debug, thiserror::Error)]
#[error("`num_workers` and `num_workers_per_node` exclude each other")]
pub(crate) struct TwoWorkers;

/// A duration as a file has it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Seconds(#[serde(with = "seconds")] Duration);

impl From<Duration> for Seconds {
    fn from(time: Duration) -> Self {
        Self(time)
    }
}

impl From<Seconds> for Duration {
    fn from(Seconds(time): Seconds) -> Self {
        time
    }
}

/// Reads options in their written form; an empty table counts as given.
pub(super) fn object<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    json::object(from).map(Some)
}

impl<T: Into<F>, F: Into<T>> Written<(Option<F>,)> for Option<T> {
    fn read((value,): (Option<F>,)) -> Result<Self, TwoWorkers> {
        Ok(value.map(Into::into))
    }

    fn write(self, _: bool) -> (Option<F>,) {
        (self.map(Into::into),)
    }
}

impl Written<(Option<usize>, Option<f64>)> for Workers {
    fn read(fields: (Option<usize>, Option<f64>)) -> Result<Self, TwoWorkers> {
        match fields {
            (None, None) => Ok(Self::Auto),
            (Some(number), None) => Ok(Self::Fixed(number)),
            (None, Some(number)) => Ok(Self::PerNode(number)),
            (Some(_), Some(_)) => Err(TwoWorkers),
        }
    }

    fn write(self, _: bool) -> (Option<usize>, Option<f64>) {
        match self {
            Self::Auto => (None, None),
            Self::Fixed(number) => (Some(number), None),
            Self::PerNode(number) => (None, Some(number)),
        }
    }
}

/// Values with a default that is more than "none".
macro_rules! written_unless_default {
    ($($value:ty),*) => {
        $(impl Written<(Option<$value>,)> for $value {
            fn read((value,): (Option<$value>,)) -> Result<Self, TwoWorkers> {
                Ok(value.unwrap_or_default())
            }

            fn write(self, is_given: bool) -> (Option<$value>,) {
                ((is_given || self != Self::default()).then_some(self),)
            }
        })*
    };
}

written_unless_default!(Resources, Vec<String>, Map<String, Value>);
