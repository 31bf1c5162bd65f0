//! The kinds of settings: how each kind of value changes, and how debug output shows it.

use std::fmt;

use serde_json::{Map, Value};

use super::resources::Resources;
use super::scalars::Workers;
use crate::secret::Shown;

/// A kind of value that a setting may have.
pub(super) trait Kind: fmt::Debug {
    /// The change to such a setting, as [`Overrides`](crate::Overrides) hold it.
    type Change: Changes<Of = Self>;

    /// Returns the value for debug output, with secrets hidden.
    fn shown(&self) -> impl fmt::Debug {
        self
    }
}

/// A change to a setting, or none.
pub(super) trait Changes: Default {
    /// The type of the setting that it changes.
    type Of;

    /// Makes the change.
    fn apply(self, setting: &mut Self::Of);

    /// Returns this change followed by a later one.
    fn then(self, later: Self) -> Self;

    /// Returns whether the setting is set after the change; `None` if the change leaves it as it
    /// is.
    fn gives(&self) -> Option<bool>;
}

/// A change to a setting that always has a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replacement<T>(Option<T>);

impl<T> Default for Replacement<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Replacement<T> {
    pub(super) fn set(&mut self, value: T) {
        self.0 = Some(value);
    }
}

impl<T> Changes for Replacement<T> {
    type Of = T;

    fn apply(self, setting: &mut T) {
        if let Some(value) = self.0 {
            *setting = value;
        }
    }

    fn then(self, later: Self) -> Self {
        Self(later.0.or(self.0))
    }

    fn gives(&self) -> Option<bool> {
        self.0.as_ref().map(|_| true)
    }
}

/// A change to an optional setting. `nemo_curator` marks "unchanged" by a sentinel; here it is a
/// variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Change<T> {
    #[default]
    Keep,
    Reset,
    Set(T),
}

impl<T> Change<T> {
    pub(super) fn set(&mut self, value: T) {
        *self = Self::Set(value);
    }

    pub(super) fn reset(&mut self) {
        *self = Self::Reset;
    }
}

impl<T> Changes for Change<T> {
    type Of = Option<T>;

    fn apply(self, setting: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Reset => *setting = None,
            Self::Set(value) => *setting = Some(value),
        }
    }

    fn then(self, later: Self) -> Self {
        match later {
            Self::Keep => self,
            Self::Reset | Self::Set(_) => later,
        }
    }

    fn gives(&self) -> Option<bool> {
        match self {
            Self::Keep => None,
            Self::Reset => Some(false),
            Self::Set(_) => Some(true),
        }
    }
}

/// A change to engine options: new ones laid over those that the setting has, or in place of all.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Options {
    clears: bool,
    laid_over: Map<String, Value>,
}

impl Options {
    pub(super) fn lay(&mut self, options: impl IntoIterator<Item = (String, Value)>) {
        self.laid_over.extend(options);
    }

    pub(super) fn reset(&mut self) {
        *self = Self { clears: true, ..Self::default() };
    }
}

impl Changes for Options {
    type Of = Map<String, Value>;

    fn apply(self, options: &mut Map<String, Value>) {
        if self.clears {
            options.clear();
        }
        options.extend(self.laid_over);
    }

    fn then(mut self, later: Self) -> Self {
        if later.clears {
            return later;
        }
        self.laid_over.extend(later.laid_over);
        self
    }

    fn gives(&self) -> Option<bool> {
        (self.clears || !self.laid_over.is_empty()).then(|| !self.laid_over.is_empty())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("clears", &self.clears)
            .field("laid_over", &Shown(&self.laid_over))
            .finish()
    }
}

impl<T: fmt::Debug> Kind for Option<T> {
    type Change = Change<T>;
}

impl Kind for Map<String, Value> {
    type Change = Options;

    fn shown(&self) -> impl fmt::Debug {
        Shown(self)
    }
}

impl Kind for String {
    type Change = Replacement<Self>;
}

impl Kind for Vec<String> {
    type Change = Replacement<Self>;
}

impl Kind for Resources {
    type Change = Replacement<Self>;
}

impl Kind for Workers {
    type Change = Replacement<Self>;
}
