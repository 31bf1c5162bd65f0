//! An executor for unit tests of Rust stages: one thread, no process, no environment.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::{
    AnyStage, BatchOutput, BoxError, Context, EnvView, Error, Lineage, Pipeline, RustCode,
    Settings, Stage, Task, Timing,
};

/// Runs the Rust stages of a pipeline one after another in the calling thread.
///
/// Hooks are called as in a real executor: `setup_on_node`, `setup`, the batches, and `teardown`
/// also after an error, each stage with one worker. Batch sizes, numbers of attempts, declared
/// inputs, ids and timings take effect. Settings that need processes or several workers (timeouts,
/// recycling, resources) do not.
///
/// ```
/// use serde_json::json;
/// use stage::testing::InMemoryExecutor;
/// use stage::{Context, Pipeline, RustStage, Task};
///
/// let split = RustStage::from_fn("split", |task: Task, _: &mut Context| {
///     let words = task.data.as_json().and_then(|text| text.as_str()).ok_or("no text")?;
///     let tasks: Vec<Task> = words.split(' ').map(|word| Task::new(json!(word))).collect();
///     Ok::<_, stage::BoxError>(tasks)
/// });
/// let pipeline = Pipeline::new("words").with_stage(split);
/// let tasks = InMemoryExecutor::default().run(&pipeline, [json!("a b"), json!("c")])?;
/// let ids: Vec<_> = tasks.iter().map(|task| task.id().to_string()).collect();
/// assert_eq!(ids, ["0_0_0", "0_0_1", "0_1_0"]);
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InMemoryExecutor {
    environments: BTreeMap<String, EnvView>,
}

impl InMemoryExecutor {
    /// Sets an environment for the context of the stage of that name. Default: none.
    #[must_use]
    pub fn with_environment(mut self, stage: impl Into<String>, environment: EnvView) -> Self {
        self.environments.insert(stage.into(), environment);
        self
    }

    /// Runs the pipeline over the tasks and returns the outputs, sorted by id.
    ///
    /// Fails like [`Pipeline::build`], with [`Error::PythonOnly`] before anything runs if a stage
    /// is Python code, and with the first error of a stage, after that stage's `teardown`.
    pub fn run<I>(&self, pipeline: &Pipeline, tasks: I) -> Result<Vec<Task>, Error>
    where
        I: IntoIterator<Item: Into<Task>>,
    {
        let built = pipeline.build()?;
        let stages = built.stages().iter().map(rust_code).collect::<Result<Vec<_>, _>>()?;
        let mut tasks: Vec<Task> = Task::numbered(tasks).collect();
        for (code, settings) in stages {
            tasks = self.run_stage(code.stage(), settings, tasks)?;
        }
        tasks.sort_by(|left, right| left.id().cmp(right.id()));
        Ok(tasks)
    }

    fn run_stage(
        &self,
        stage: &dyn Stage,
        settings: &Settings,
        tasks: Vec<Task>,
    ) -> Result<Vec<Task>, Error> {
        let failed = |hook| {
            move |source: BoxError| Error::Stage {
                stage: settings.name.clone(),
                hook,
                task: None,
                source,
            }
        };
        // A node's context is separate: a value that `setup_on_node` keeps in memory is in no
        // worker elsewhere, either.
        stage.setup_on_node(&mut self.context(settings)).map_err(failed("setup_on_node"))?;
        let mut context = self.context(settings);
        stage.setup(&mut context).map_err(failed("setup"))?;
        let outcome = run_batches(stage, settings, tasks, &mut context);
        let teardown = stage.teardown(&mut context).map_err(failed("teardown"));
        let tasks = outcome?;
        teardown?;
        Ok(tasks)
    }

    fn context(&self, settings: &Settings) -> Context {
        let context = Context::new(&settings.name);
        match self.environments.get(&settings.name) {
            Some(environment) => context.with_environment(environment.clone()),
            None => context,
        }
    }
}

fn rust_code(stage: &AnyStage) -> Result<(&RustCode, &Settings), Error> {
    let code = stage.behaviour().as_rust();
    let code = code.ok_or_else(|| Error::PythonOnly { stage: stage.name().to_owned() })?;
    Ok((code, stage.settings()))
}

fn run_batches(
    stage: &dyn Stage,
    settings: &Settings,
    tasks: Vec<Task>,
    context: &mut Context,
) -> Result<Vec<Task>, Error> {
    let mut outputs = Vec::new();
    let mut tasks = tasks.into_iter().peekable();
    while tasks.peek().is_some() {
        let batch: Vec<Task> = tasks.by_ref().take(settings.batch_size.unwrap_or(1)).collect();
        for task in &batch {
            settings.check_task(task.id(), &task.data)?;
        }
        outputs.extend(run_batch(stage, settings, batch, context)?);
    }
    Ok(outputs)
}

fn run_batch(
    stage: &dyn Stage,
    settings: &Settings,
    batch: Vec<Task>,
    context: &mut Context,
) -> Result<Vec<Task>, Error> {
    let parents: Vec<Lineage> = batch.iter().map(Task::lineage).collect();
    let start = Instant::now();
    let output = attempt(stage, settings, batch, context)?;
    let per_task = start.elapsed() / u32::try_from(parents.len()).unwrap_or(u32::MAX).max(1);
    let timing = Timing::new(&settings.name, per_task).with_metrics(context.take_metrics());
    let parents: Vec<Lineage> =
        parents.into_iter().map(|parent| parent.add_timing(timing.clone())).collect();
    output.into_tasks(&parents)
}

fn attempt(
    stage: &dyn Stage,
    settings: &Settings,
    batch: Vec<Task>,
    context: &mut Context,
) -> Result<BatchOutput, Error> {
    let first = batch.first().map(|task| task.id().clone());
    for _ in 1..settings.max_attempts.unwrap_or(1) {
        if let Ok(output) = stage.process_batch(batch.clone(), context) {
            return Ok(output);
        }
        // The metrics of a failed attempt are not part of the tasks' costs.
        drop(context.take_metrics());
    }
    stage.process_batch(batch, context).map_err(|source| Error::Stage {
        stage: settings.name.clone(),
        hook: "process",
        task: first,
        source,
    })
}
