//! The Ray of a run, and its arguments.

use std::fmt;

use envspec::RuntimeEnv;
use serde_json::{Map, Value, json};

use crate::run::Error;

/// Arguments of `ray.init` with a setting of their own.
const OWN: [&str; 4] = ["address", "num_cpus", "num_gpus", "runtime_env"];

/// The Ray of a run.
///
/// Default: a private Ray on this machine with all of its resources, which ends with the run. With
/// an address, the cluster there is used and left running.
///
/// ```
/// use backends::Connection;
///
/// let own = Connection::local().with_num_cpus(8.0);
/// let there = Connection::to("ray-head:6379");
/// assert_ne!(own, there);
/// ```
#[derive(Clone, Default, PartialEq)]
#[must_use]
pub struct Connection {
    address: Option<String>,
    num_cpus: Option<f64>,
    num_gpus: Option<f64>,
    init: Map<String, Value>,
    runtime_env: Option<RuntimeEnv>,
}

impl Connection {
    /// Connects to a private Ray on this machine.
    pub fn local() -> Self {
        Self::default()
    }

    /// Connects to the cluster at this address, as `ray.init` takes it: `host:port`, or `auto` for
    /// the one of this machine.
    pub fn to(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..Self::default() }
    }

    /// Sets the number of processor cores of a private Ray. Default: those of the machine.
    pub fn with_num_cpus(self, num_cpus: f64) -> Self {
        Self { num_cpus: Some(num_cpus), ..self }
    }

    /// Sets the number of GPUs of a private Ray. Default: those of the machine.
    pub fn with_num_gpus(self, num_gpus: f64) -> Self {
        Self { num_gpus: Some(num_gpus), ..self }
    }

    /// Sets another argument of `ray.init`, passed on unchanged.
    pub fn with_init(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.init.insert(name.into(), value.into());
        self
    }

    /// Sets a runtime env for the whole job: `working_dir` and `py_modules`, which Ray ships to all
    /// nodes, `excludes`, and `env_vars`. Default: none.
    ///
    /// Packages belong to the pipeline or its stages, and are refused here: they would reach every
    /// stage, even one that asks for the base environment.
    pub fn with_runtime_env(self, runtime_env: RuntimeEnv) -> Self {
        Self { runtime_env: Some(runtime_env), ..self }
    }

    /// Refuses values that Ray would refuse later, or would ignore.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |setting: &str, problem: &str| {
            Err(Error::EngineSetting { setting: setting.to_owned(), problem: problem.to_owned() })
        };
        if let Some(address) = &self.address {
            if address.trim().is_empty() || address.contains(char::is_whitespace) {
                return wrong("address", "is no `host:port`, and not `auto`");
            }
            if address.starts_with("ray://") {
                return wrong(
                    "address",
                    "is one of Ray Client, which the engines do not run over: give the address of \
                     the cluster itself, and run the program on one of its machines",
                );
            }
        }
        for (setting, value) in [("num_cpus", self.num_cpus), ("num_gpus", self.num_gpus)] {
            if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
                return wrong(setting, "is no amount");
            }
            if value.is_some() && self.address.is_some() {
                return wrong(setting, "is the cluster's own matter where an `address` is given");
            }
        }
        if let Some(name) = self.init.keys().find(|name| OWN.contains(&name.as_str())) {
            return wrong(name, "is a setting of its own: it cannot be given to `with_init`");
        }
        let Some(env) = &self.runtime_env else { return Ok(()) };
        let installer = env.packages().map(|packages| packages.tool().as_str());
        let other = ["conda", "image_uri", "container"]
            .into_iter()
            .find(|field| env.engine_fields().contains_key(*field));
        let interpreter = env.py_executable().map(|_| "py_executable");
        let prebuilt = env.python_path().map(|_| "python");
        match installer.or(other).or(interpreter).or(prebuilt) {
            Some(field) => Err(Error::JobInstaller { field: field.to_owned() }),
            None => Ok(()),
        }
    }

    /// Returns the arguments of `ray.init`. They may contain secrets.
    pub(crate) fn init_args(&self) -> Value {
        let mut args = self.init.clone();
        let mut add = |name: &str, value: Value| args.insert(name.to_owned(), value);
        if let Some(address) = &self.address {
            add("address", json!(address));
        }
        if let Some(num_cpus) = self.num_cpus {
            add("num_cpus", whole(num_cpus));
        }
        if let Some(num_gpus) = self.num_gpus {
            add("num_gpus", whole(num_gpus));
        }
        if let Some(env) = &self.runtime_env {
            let mut fields = env.engine_fields().clone();
            fields.insert("env_vars".to_owned(), json!(env.env_vars()));
            fields.insert("working_dir".to_owned(), json!(env.working_dir()));
            fields.insert("py_modules".to_owned(), json!(env.py_modules()));
            fields.insert("excludes".to_owned(), json!(env.excludes()));
            fields.retain(|_, value| {
                !value.is_null()
                    && value.as_array().is_none_or(|list| !list.is_empty())
                    && value.as_object().is_none_or(|map| !map.is_empty())
            });
            add("runtime_env", json!(fields));
        }
        Value::Object(args)
    }
}

/// Turns whole amounts into whole numbers, since Ray would print `8.0` for `num_cpus` everywhere.
fn whole(amount: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "it is checked")]
    if amount.fract() == 0.0 && amount.abs() < 1e15 { json!(amount as i64) } else { json!(amount) }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, num_cpus, num_gpus, init, runtime_env } = self;
        // Arguments may be secret: `_redis_password`.
        let init: Vec<_> = init.keys().collect();
        f.debug_struct("Connection")
            .field("address", address)
            .field("num_cpus", num_cpus)
            .field("num_gpus", num_gpus)
            .field("init", &init)
            .field("runtime_env", runtime_env)
            .finish()
    }
}

impl From<&str> for Connection {
    fn from(address: &str) -> Self {
        Self::to(address)
    }
}

impl From<String> for Connection {
    fn from(address: String) -> Self {
        Self::to(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ray_would_take_badly_is_refused() {
        let refused = [
            (Connection::to(""), "`address`"),
            (Connection::to("ray://head:10001"), "Ray Client"),
            (Connection::to("auto").with_num_cpus(2.0), "`num_cpus`"),
            (Connection::local().with_num_gpus(f64::NAN), "`num_gpus`"),
            (Connection::local().with_init("address", "auto"), "`address`"),
            (Connection::local().with_runtime_env(RuntimeEnv::uv(["a"])), "`uv`"),
            (
                Connection::local()
                    .with_runtime_env(RuntimeEnv::new().with_engine_field("conda", "x")),
                "`conda`",
            ),
        ];
        for (connection, words) in refused {
            let error = connection.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn arguments_are_not_shown() {
        let connection = Connection::local().with_init("_redis_password", "hunter2");
        let shown = format!("{connection:?}");
        assert!(shown.contains("_redis_password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn arguments_become_those_of_ray_init() {
        let env = RuntimeEnv::new().with_env_var("A", "1").with_working_dir("/code");
        let connection = Connection::local()
            .with_num_cpus(8.0)
            .with_init("include_dashboard", false)
            .with_runtime_env(env);
        connection.check().unwrap();
        assert_eq!(
            connection.init_args(),
            json!({
                "num_cpus": 8, "include_dashboard": false,
                "runtime_env": { "env_vars": { "A": "1" }, "working_dir": "/code" },
            })
        );
    }
}
