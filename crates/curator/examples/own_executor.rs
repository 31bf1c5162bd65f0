//! An executor of one's own: each stage a job, one after the other. Where a batch system has jobs
//! (Slurm, Dask), `run_job` is the job's program, and the bytes are its files.

use std::sync::Arc;
use std::time::Instant;

use curator::backends::local::{StageRunner, pack_tasks, unpack_tasks};
use curator::backends::{Error, Event, Observer, Plan, Sink};
use curator::{
    Executor, ExecutorExt, LocalExecutor, Pipeline, PythonStage, Report, RunReport, Task,
};

/// Runs a pipeline's stages one after the other, each as this executor runs one.
pub(crate) struct StageByStage(pub(crate) LocalExecutor);

fn run_job(stage: &StageRunner<'_>, input: &[u8]) -> Result<Vec<u8>, Error> {
    pack_tasks(stage.process(unpack_tasks(input)?)?)
}

impl Executor for StageByStage {
    fn name(&self) -> &'static str {
        "stage-by-stage"
    }

    fn execute(
        &self,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error> {
        let (begun, mut report) = (Instant::now(), RunReport::new(plan, self.name()));
        let tasks: Vec<Task> = Task::numbered(tasks).collect();
        let mut bytes = pack_tasks(tasks.iter().cloned())?; // The rest waits here for their end.
        for index in 0..plan.stages().len() {
            let job = |stage: &StageRunner<'_>| run_job(stage, &bytes);
            let (output, end) = self.0.run_stage(plan, index, observer.clone(), job)?;
            bytes = output;
            report.stages.push(end.report);
            report.failed.extend(end.failed);
            end.environment.into_iter().for_each(|it| report.add_environment(it));
        }
        for task in unpack_tasks(&bytes)? {
            let id = task.id().to_string();
            let stop = |_: &_| observer.on_event(&Event::Stopping); // Before anything is dropped.
            sink(task).inspect_err(stop).map_err(|source| Error::Sink { task: id, source })?;
        }
        report.tell_dropped(plan, &*observer);
        report.wall = begun.elapsed();
        Ok(report)
    }
}

fn main() -> Result<(), Report> {
    let double = "def double(task): return {'n': 2 * task.data['n']}";
    let pipeline = Pipeline::new("doubled").with_stage(PythonStage::from_source(double, "double"));
    let tasks = (1..=3).map(|n| Task::new(serde_json::json!({ "n": n })));
    let report = StageByStage(LocalExecutor::default()).run(&pipeline, tasks)?;
    assert_eq!(report.outputs[2].data.as_json(), Some(&serde_json::json!({ "n": 6 })));
    Ok(())
}
