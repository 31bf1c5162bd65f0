//! The result of a build.

use std::path::PathBuf;

use serde_json::Value;

use crate::Key;
use crate::manifest::BaseRecord;

/// The result of a build closure, for the manifest.
#[derive(Clone, Debug)]
pub struct Built {
    pub(crate) python: PathBuf,
    pub(crate) strategy: String,
    pub(crate) base: Option<BaseRecord>,
    pub(crate) details: Value,
    pub(crate) needs: Vec<Key>,
}

impl Built {
    /// Describes an environment whose interpreter is this: absolute, or relative to the
    /// environment's folder, and in any case inside it.
    #[must_use]
    pub fn new(python: impl Into<PathBuf>) -> Self {
        Self {
            python: python.into(),
            strategy: "custom".to_owned(),
            base: None,
            details: Value::Null,
            needs: Vec::new(),
        }
    }

    /// Records how the environment came to add to its base. By default, `custom`.
    #[must_use]
    pub fn with_strategy(mut self, strategy: impl Into<String>) -> Self {
        self.strategy = strategy.into();
        self
    }

    /// Records the base. By default, there is none.
    #[must_use]
    pub fn with_base(mut self, base: BaseRecord) -> Self {
        self.base = Some(base);
        self
    }

    /// Keeps what the caller wants to know later. It is stored as it is, so it must hold no
    /// secret. By default, null.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// Names the environments of the same cache that must stay for as long as this one does: its
    /// managed base. By default, none.
    #[must_use]
    pub fn with_needs(mut self, needs: impl IntoIterator<Item = Key>) -> Self {
        self.needs = needs.into_iter().collect();
        self
    }
}
