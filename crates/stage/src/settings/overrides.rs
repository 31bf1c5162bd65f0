//! Changes to settings, as values of their own.

use std::time::Duration;

use envspec::RuntimeEnv;
use serde_json::{Map, Value};

use super::change::{Changes, Kind};
use super::plain::Settings;
use super::resources::Resources;
use super::scalars::{Isolation, Preload, Workers};
use super::table::table;

macro_rules! overrides {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty { file $file:tt change $change:tt check $check:tt show $show:tt }
    )*) => {
        /// Several changes to a stage's settings at once.
        ///
        /// `with_…` replaces a setting, `without_…` returns it to its default, and the last call
        /// wins. Other settings stay as they are. [`Configured::with_`](crate::Configured::with_)
        /// and [`CompositeStage::with_`](crate::CompositeStage::with_) apply the changes to a copy.
        ///
        /// ```
        /// use envspec::RuntimeEnv;
        /// use stage::{Overrides, PythonStage};
        ///
        /// let clean = PythonStage::from_file("stages.py", "Clean");
        /// let env = RuntimeEnv::uv(["packaging==24.0"]);
        /// let pinned = clean.with_(Overrides::default().with_name("pinned").with_runtime_env(env));
        /// assert_eq!((clean.name(), pinned.name()), ("Clean", "pinned"));
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        #[must_use]
        pub struct Overrides {
            pub(super) name: <String as Kind>::Change,
            $(pub(super) $field: <$type as Kind>::Change,)*
        }

        impl Overrides {
            /// Returns these changes followed by `later`: where both change a setting, `later` wins.
            pub fn then(self, later: Self) -> Self {
                Self {
                    name: self.name.then(later.name),
                    $($field: self.$field.then(later.$field),)*
                }
            }

            /// Applies the changes to these settings.
            pub fn apply(self, settings: &mut Settings) {
                self.name.apply(&mut settings.name);
                $(self.$field.apply(&mut settings.$field);)*
            }
        }
    };
}

table!(overrides);

impl Overrides {
    pub(super) fn edit(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Writes the methods that change settings, once for [`Overrides`] and once for a stage, which must
/// never differ.
///
/// The type needs `fn edit(self, impl FnOnce(&mut Overrides)) -> Self`.
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty {
            file $file:tt
            change { $($(#[$method_doc:meta])* $kind:ident $method:ident $(($argument:ty))?;)* }
            check $check:tt
            show $show:tt
        }
    )*) => {
        /// Sets the name. Default: a stage is called as its code is.
        pub fn with_name(self, name: impl Into<String>) -> Self {
            let name = name.into();
            self.edit(|changes| changes.name.set(name))
        }

        /// Sets exactly that many workers, at least one. Default: the executor's choice.
        pub fn with_num_workers(self, num_workers: usize) -> Self {
            self.with_workers(Workers::Fixed(num_workers))
        }

        /// Sets that many workers per node, above 0. Default: the executor's choice.
        pub fn with_num_workers_per_node(self, num_workers: f64) -> Self {
            self.with_workers(Workers::PerNode(num_workers))
        }

        $($(method! { $(#[$method_doc])* $kind $field $method $(($argument))? })*)*
    };
}

/// Writes one method.
macro_rules! method {
    ($(#[$doc:meta])* sets $field:ident $method:ident ($argument:ty)) => {
        $(#[$doc])*
        pub fn $method(self, $field: $argument) -> Self {
            self.edit(|changes| changes.$field.set($field))
        }
    };
    ($(#[$doc:meta])* takes $field:ident $method:ident ($argument:ty)) => {
        $(#[$doc])*
        pub fn $method(self, $field: impl Into<$argument>) -> Self {
            let value = $field.into();
            self.edit(|changes| changes.$field.set(value))
        }
    };
    ($(#[$doc:meta])* lists $field:ident $method:ident) => {
        $(#[$doc])*
        pub fn $method<I: IntoIterator<Item: Into<String>>>(self, keys: I) -> Self {
            let keys = keys.into_iter().map(Into::into).collect();
            self.edit(|changes| changes.$field.set(keys))
        }
    };
    ($(#[$doc:meta])* adds $field:ident $method:ident) => {
        $(#[$doc])*
        pub fn $method(self, option: impl Into<String>, value: impl Into<Value>) -> Self {
            let option = (option.into(), value.into());
            self.edit(|changes| changes.$field.lay([option]))
        }
    };
    ($(#[$doc:meta])* lays $field:ident $method:ident) => {
        $(#[$doc])*
        pub fn $method(self, options: Map<String, Value>) -> Self {
            self.edit(|changes| changes.$field.lay(options))
        }
    };
    ($(#[$doc:meta])* resets $field:ident $method:ident) => {
        $(#[$doc])*
        pub fn $method(self) -> Self {
            self.edit(|changes| changes.$field.reset())
        }
    };
}

impl Overrides {
    table!(methods);
}

pub(super) use {method, methods};
