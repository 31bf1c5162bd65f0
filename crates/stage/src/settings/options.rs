//! The options that only Ray or Xenna read, and the type of each.

use serde_json::{Map, Value};

use crate::{Error, Workers};
use envspec::nearest;

/// The options of `nemo_curator`'s `ray_stage_spec`, for Ray Data and the Ray actor pool.
pub(super) const RAY: Spec = Spec {
    name: "ray_stage_spec",
    options: &[
        ("is_actor_stage", Kind::Bool),
        ("is_fanout_stage", Kind::Bool),
        ("is_raft_actor", Kind::Bool),
        ("is_lsh_stage", Kind::Bool),
        ("is_shuffle_stage", Kind::Bool),
        ("max_calls_per_worker", Kind::Count),
        ("min_workers", Kind::Count),
        ("max_workers", Kind::Count),
        ("initial_workers", Kind::Count),
        ("ray_remote_args", Kind::RemoteArgs),
        ("ray_num_cpus", Kind::Amount),
    ],
};

/// The options of `nemo_curator`'s `xenna_stage_spec`.
pub(super) const XENNA: Spec = Spec {
    name: "xenna_stage_spec",
    options: &[
        ("num_setup_attempts_python", Kind::Count),
        ("num_run_attempts_python", Kind::Count),
        ("ignore_failures", Kind::Bool),
        ("reset_workers_on_failure", Kind::Bool),
        ("slots_per_actor", Kind::Count),
        ("worker_max_lifetime_m", Kind::Amount),
        ("worker_restart_interval_m", Kind::Amount),
        ("max_setup_failure_percentage", Kind::Percentage),
        ("num_workers_per_node", Kind::Amount),
    ],
};

/// Arguments of `ray.remote` that the stage's own settings decide, and which ones.
const MANAGED_REMOTE_ARGS: [(&str, &str); 5] = [
    ("compute", "the number of workers decides it"),
    ("max_calls", "use `max_calls_per_worker`"),
    ("num_cpus", "use the stage's resources, or `ray_num_cpus`"),
    ("num_gpus", "use the stage's resources"),
    ("runtime_env", "use the stage's `runtime_env`"),
];

/// The options for the size of an actor pool; they exclude a fixed number.
const POOL_SIZES: [&str; 3] = ["min_workers", "initial_workers", "max_workers"];

pub(super) struct Spec {
    name: &'static str,
    options: &'static [(&'static str, Kind)],
}

/// The type of an option. `null` is always allowed and the same as not given.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    /// A whole number, at least 1.
    Count,
    /// A number, at least 0.
    Amount,
    /// A number from 0 to 100.
    Percentage,
    RemoteArgs,
}

impl Spec {
    pub(super) fn check(
        &self,
        stage: &str,
        given: &Map<String, Value>,
        workers: Workers,
    ) -> Result<(), Error> {
        for (option, value) in given {
            let wrong = |problem: String| Error::Option {
                stage: stage.to_owned(),
                spec: self.name,
                option: option.clone(),
                problem,
            };
            if option == "num_workers" {
                return Err(wrong("is a setting of the stage: use `num_workers`".to_owned()));
            }
            let Some((_, kind)) = self.options.iter().find(|(name, _)| name == option) else {
                return Err(Error::UnknownOption {
                    stage: stage.to_owned(),
                    spec: self.name,
                    option: option.chars().take(64).collect(),
                    nearest: nearest(option, self.options.iter().map(|(name, _)| *name))
                        .map(str::to_owned),
                });
            };
            if value.is_null() {
                continue;
            }
            if let Some(problem) = kind.problem(value) {
                return Err(wrong(problem));
            }
            let sizes_workers =
                POOL_SIZES.contains(&option.as_str()) || option == "num_workers_per_node";
            if sizes_workers && workers != Workers::Auto {
                return Err(wrong(format!("excludes the stage's `{}`", workers.setting())));
            }
        }
        self.check_pool_sizes(stage, given)
    }

    fn check_pool_sizes(&self, stage: &str, given: &Map<String, Value>) -> Result<(), Error> {
        let sizes = POOL_SIZES
            .iter()
            .filter_map(|option| Some((*option, given.get(*option)?.as_u64()?)))
            .collect::<Vec<_>>();
        match sizes.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            Some(pair) => Err(Error::Option {
                stage: stage.to_owned(),
                spec: self.name,
                option: pair[0].0.to_owned(),
                problem: format!("is above `{}`", pair[1].0),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "schema")]
impl Spec {
    /// Returns the JSON Schema of a table of these options.
    pub(super) fn schema(&self) -> Value {
        let options = self.options.iter().map(|(name, kind)| {
            let mut schema = kind.schema();
            schema["type"] = serde_json::json!([schema["type"], "null"]);
            ((*name).to_owned(), schema)
        });
        let options: Map<String, Value> = options.collect();
        serde_json::json!({
            "type": "object",
            "properties": options,
            "additionalProperties": false,
        })
    }
}

impl Kind {
    #[cfg(feature = "schema")]
    fn schema(self) -> Value {
        use serde_json::json;
        match self {
            Self::Bool => json!({ "type": "boolean" }),
            Self::Count => json!({ "type": "integer", "minimum": 1 }),
            Self::Amount => json!({ "type": "number", "minimum": 0 }),
            Self::Percentage => json!({ "type": "number", "minimum": 0, "maximum": 100 }),
            Self::RemoteArgs => {
                let managed = MANAGED_REMOTE_ARGS.map(|(name, _)| (name.to_owned(), false.into()));
                let managed: Map<String, Value> = managed.into_iter().collect();
                json!({ "type": "object", "properties": managed })
            }
        }
    }

    /// Returns what is wrong with a value, without showing it.
    fn problem(self, value: &Value) -> Option<String> {
        let (fits, wanted) = match self {
            Self::Bool => (value.is_boolean(), "`true` or `false`"),
            Self::Count => {
                (value.as_u64().is_some_and(|count| count > 0), "a whole number above 0")
            }
            Self::Amount => (value.as_f64().is_some_and(|amount| amount >= 0.0), "a number from 0"),
            Self::Percentage => (
                value.as_f64().is_some_and(|share| (0.0..=100.0).contains(&share)),
                "a number from 0 to 100",
            ),
            Self::RemoteArgs => return remote_args_problem(value),
        };
        (!fits).then(|| format!("is not {wanted}"))
    }
}

fn remote_args_problem(value: &Value) -> Option<String> {
    let Some(args) = value.as_object() else {
        return Some("is not a table".to_owned());
    };
    MANAGED_REMOTE_ARGS
        .iter()
        .find(|(name, _)| args.contains_key(*name))
        .map(|(name, instead)| format!("may not hold `{name}`: {instead}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{RAY, Spec, XENNA};
    use crate::{Error, Workers};

    fn check(spec: &Spec, workers: Workers, given: &Value) -> Result<(), Error> {
        spec.check("s", given.as_object().unwrap(), workers)
    }

    #[test]
    fn every_option_takes_what_its_engine_takes() {
        let ray = json!({
            "is_actor_stage": true,
            "is_fanout_stage": false,
            "is_raft_actor": true,
            "is_lsh_stage": true,
            "is_shuffle_stage": true,
            "max_calls_per_worker": 3,
            "min_workers": 1,
            "initial_workers": 2,
            "max_workers": 2,
            "ray_remote_args": { "scheduling_strategy": "SPREAD" },
            "ray_num_cpus": 0.5,
        });
        let xenna = json!({
            "num_setup_attempts_python": 2,
            "num_run_attempts_python": 2,
            "ignore_failures": true,
            "reset_workers_on_failure": true,
            "slots_per_actor": 2,
            "worker_max_lifetime_m": 60,
            "worker_restart_interval_m": 1,
            "max_setup_failure_percentage": 12.5,
            "num_workers_per_node": 2,
        });
        check(&RAY, Workers::Auto, &ray).unwrap();
        check(&XENNA, Workers::Auto, &xenna).unwrap();
        for (spec, all) in [(&RAY, ray), (&XENNA, xenna)] {
            assert_eq!(spec.options.len(), all.as_object().unwrap().len());
            for option in all.as_object().unwrap().keys() {
                check(spec, Workers::Auto, &json!({ option.clone(): null })).unwrap();
                let error =
                    check(spec, Workers::Auto, &json!({ option.clone(): "x" })).unwrap_err();
                assert!(error.to_string().contains(option.as_str()), "{error}");
            }
        }
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_nearest() {
        let error = check(&RAY, Workers::Auto, &json!({ "is_actor": true })).unwrap_err();
        assert!(matches!(error, Error::UnknownOption { .. }));
        let error = check(&XENNA, Workers::Auto, &json!({ "ignore_failure": true })).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `ignore_failures`?"));
    }

    #[test]
    fn the_number_of_workers_is_given_in_one_way() {
        let sizes = json!({ "min_workers": 1 });
        for workers in [Workers::Fixed(2), Workers::PerNode(1.0)] {
            let error = check(&RAY, workers, &sizes).unwrap_err();
            assert!(error.to_string().contains(workers.setting()), "{error}");
            assert!(check(&XENNA, workers, &json!({ "num_workers_per_node": 1 })).is_err());
        }
        assert!(check(&XENNA, Workers::Auto, &json!({ "num_workers": 1 })).is_err());
        for (min, initial, max) in [(2, 1, 3), (1, 4, 3)] {
            let sizes =
                json!({ "min_workers": min, "initial_workers": initial, "max_workers": max });
            assert!(check(&RAY, Workers::Auto, &sizes).is_err());
        }
        assert!(
            check(&RAY, Workers::Auto, &json!({ "min_workers": 4, "max_workers": 3 })).is_err()
        );
    }

    #[test]
    fn remote_args_that_the_settings_decide_are_refused() {
        for name in ["compute", "max_calls", "num_cpus", "num_gpus", "runtime_env"] {
            let given = json!({ "ray_remote_args": { name: 1 } });
            let error = check(&RAY, Workers::Auto, &given).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
