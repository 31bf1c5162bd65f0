//! The table of settings: all that there is to say of each, in one place.
//!
//! A row is a field of [`Settings`](crate::Settings) with its documentation, and
//!
//! - `file`: its field in a pipeline file, with the attributes that the type does not tell;
//!   code may declare each. Further fields bring their documentation;
//! - `change`: its methods: `sets` a value, `takes` what becomes one, `lists` keys, `adds` or `lays`
//!   options, `resets`;
//! - `check`: what is wrong with a value, as words, where the value alone tells;
//! - `show`: its label in a description, and what stands there.
//!
//! The name, which every stage has, is no row. What a new row needs elsewhere (the Python packages,
//! the reference, strategies), a test adds up.

/// Hands the rows to a macro that makes something of them.
macro_rules! table {
    ($make:ident) => {
        $make! {
            /// Its Python packages and variables, in the shape of Ray's `runtime_env`. By default, the
            /// pipeline's; an empty table is the base environment.
            runtime_env: Option<RuntimeEnv> {
                file { runtime_env: Option<RuntimeEnv> }
                change {
                    /// Sets the environment, replaced whole. An empty one is the base environment,
                    /// whatever the pipeline's default is. Default: the pipeline's.
                    sets with_runtime_env(RuntimeEnv);
                    /// Returns to the pipeline's default environment.
                    resets without_runtime_env;
                }
                check {}
                show { "runtime_env" |it| it.as_ref().map_or("none".to_owned(), shown::json) }
            }

            /// What one worker occupies.
            resources: Resources {
                file {
                    #[cfg_attr(feature = "schema", schemars(with = "Resources"))]
                    resources: Option<Resources>
                }
                change {
                    /// Sets what one worker occupies, replaced whole. Default: one core.
                    sets with_resources(Resources);
                }
                check {}
                show { "resources" ToString::to_string }
            }

            /// At most how many tasks are handed over at once. By default, the engine's choice.
            batch_size: Option<usize> {
                file {
                    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
                    batch_size: Option<usize>
                }
                change {
                    /// Sets the most tasks that are handed over at once, at least 1. Default: the
                    /// engine's choice (1 here and on Xenna, a whole block on Ray Data).
                    sets with_batch_size(usize);
                    /// Returns to the engine's choice of a batch size.
                    resets without_batch_size;
                }
                check { |it| (*it == Some(0)).then_some("is 0, and a batch holds at least one task") }
                show { "batch_size" |it| or(it.as_ref(), "the engine's choice") }
            }

            /// How many workers. By default, the engine's choice.
            workers: Workers {
                file {
                    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
                    num_workers: Option<usize>;
                    /// How many workers on each node, in place of `num_workers`.
                    num_workers_per_node: Option<f64>
                }
                change {
                    /// Sets the rule for the number of workers, in place of any other. Default:
                    /// [`Workers::Auto`], which is also how a number is taken back.
                    sets with_workers(Workers);
                }
                check {}
                show { "workers" ToString::to_string }
            }

            /// Keys that a task must have to enter.
            inputs: Vec<String> {
                file {
                    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
                    inputs: Option<Vec<String>>
                }
                change {
                    /// Sets the keys that every task must have to enter, replaced whole. Default: none.
                    lists with_inputs;
                }
                check { |it| empty_key(it) }
                show { "inputs" |it| keys(it) }
            }

            /// Keys that the stage gives. The pipeline is checked by them when it is built; a run
            /// warns, once, of a task that came out without one.
            outputs: Vec<String> {
                file {
                    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
                    outputs: Option<Vec<String>>
                }
                change {
                    /// Sets the keys promised of every task that comes out, replaced whole. Default:
                    /// none.
                    lists with_outputs;
                }
                check { |it| empty_key(it) }
                show { "outputs" |it| keys(it) }
            }

            /// The longest that one task may take. By default, for ever.
            task_timeout: Option<Duration> {
                file {
                    #[cfg_attr(
                        feature = "schema",
                        schemars(with = "Option<f64>", extend("exclusiveMinimum" = 0))
                    )]
                    task_timeout_seconds: Option<Seconds>
                }
                change {
                    /// Sets the longest that one task may take, above zero. Default: for ever.
                    sets with_task_timeout(Duration);
                    /// Lets a task take any time.
                    resets without_task_timeout;
                }
                check { |it| (*it == Some(Duration::ZERO)).then_some("is 0, which no task can meet") }
                show { "task_timeout" |it| it.map_or("none".to_owned(), |time| format!("{time:?}")) }
            }

            /// How far the environment is kept apart from its base: `shared` (links), or `full` (copies).
            isolation: Option<Isolation> {
                file { isolation: Option<Isolation> }
                change {
                    /// Sets how far the environment is kept apart from its base. Default: as the
                    /// cache is set.
                    sets with_isolation(Isolation);
                    /// Keeps the environment apart from its base as the cache is set.
                    resets without_isolation;
                }
                check {}
                show { "isolation" |it| or(it.as_ref(), "as the cache is set") }
            }

            /// How many times a task is tried in all. By default, a task whose worker died is tried
            /// once more, and one that the code failed on is not.
            max_attempts: Option<u32> {
                file {
                    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
                    max_attempts: Option<u32>
                }
                change {
                    /// Sets how many times each task is tried in all, at least 1, whatever went wrong.
                    /// Default: once more after its worker died, and never again after an error of the
                    /// stage's code.
                    sets with_max_attempts(u32);
                    /// Returns to the default number of attempts.
                    resets without_max_attempts;
                }
                check { |it| (*it == Some(0)).then_some("is 0: the first try counts") }
                show { "max_attempts" |it| or(it.as_ref(), "2 if its worker dies, else 1") }
            }

            /// After how many tasks a worker is replaced by a fresh one. By default, never.
            recycle_after: Option<u64> {
                file {
                    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
                    recycle_after_tasks: Option<u64>
                }
                change {
                    /// Sets after how many tasks a worker is replaced by a fresh one, at least 1.
                    /// Default: never.
                    sets with_recycle_after(u64);
                    /// Never replaces a worker.
                    resets without_recycle_after;
                }
                check { |it| (*it == Some(0)).then_some("is 0, and a worker does at least one task") }
                show { "recycle_after" |it| it.map_or("never".to_owned(), |n| format!("{n} tasks")) }
            }

            /// What is imported before workers are forked: modules, and then what the stage's file
            /// imports first (the default), or `false`, and none is forked.
            preload: Option<Preload> {
                file { preload: Option<Preload> }
                change {
                    /// Sets what is imported before workers are forked; with `false`, none is forked.
                    /// Default: what the stage's file imports first.
                    takes with_preload(Preload);
                    /// Returns to what the stage's file imports first.
                    resets without_preload;
                }
                check {
                    |it| {
                        let mut modules = it.iter().flat_map(Preload::modules);
                        let wrong = modules.find(|name| !is_dotted_name(name))?;
                        Some(format!("holds {wrong:?}, which is no name of a module"))
                    }
                }
                show { "preload" |it| shown::text(&or(it.as_ref(), "what its file imports first")) }
            }

            /// Options that only the Ray engines read.
            ray_options: Map<String, Value> {
                file {
                    #[serde(deserialize_with = "object")]
                    #[cfg_attr(feature = "schema", schemars(with = "super::schema::RayOptions"))]
                    ray_stage_spec: Option<Map<String, Value>>
                }
                change {
                    /// Adds an option of `ray_stage_spec`, or gives it another value. Default: none.
                    adds with_ray_option;
                    /// Lays options of `ray_stage_spec` over the ones that are there; a table within is
                    /// replaced whole. Default: none.
                    lays with_ray_options;
                    /// Removes all options of `ray_stage_spec`.
                    resets without_ray_options;
                }
                check {}
                show { "ray_stage_spec" options }
            }

            /// Options that only Xenna reads.
            xenna_options: Map<String, Value> {
                file {
                    #[serde(deserialize_with = "object")]
                    #[cfg_attr(feature = "schema", schemars(with = "super::schema::XennaOptions"))]
                    xenna_stage_spec: Option<Map<String, Value>>
                }
                change {
                    /// Adds an option of `xenna_stage_spec`, or gives it another value. Default: none.
                    adds with_xenna_option;
                    /// Lays options of `xenna_stage_spec` over the ones that are there; a table within
                    /// is replaced whole. Default: none.
                    lays with_xenna_options;
                    /// Removes all options of `xenna_stage_spec`.
                    resets without_xenna_options;
                }
                check {}
                show { "xenna_stage_spec" options }
            }
        }
    };
}

pub(super) use table;
