//! The process that answers questions: it runs in the base, and reads or imports the files of
//! stages.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use stage::PythonCode;

use super::answer::{ClassAnswer, Sources};
use super::kept::KeptAnswer;
use crate::provision::environment::Environment;
use crate::run::{Error, Plan, Secrets};
use crate::worker::wire::Kind;
use crate::worker::{CLASSES, Incoming, Process};

/// Time limit for a file and its classes, in seconds: large libraries are imported.
const LIMIT: u64 = 120;

/// A question about a stage.
pub(super) struct Question<'a> {
    /// Its place in the plan.
    pub(super) place: usize,
    pub(super) code: &'a PythonCode,
    /// The place of its code, as for a worker.
    pub(super) location: serde_json::Value,
    pub(super) environment: Environment,
    pub(super) kept: KeptAnswer,
}

/// The answers about one file.
#[derive(Deserialize)]
struct Said {
    /// The answers for its stages, in their order.
    answers: Vec<ClassAnswer>,
    /// The files that they depend on, if known.
    files: Option<Sources>,
}

/// Questions about one file, in one environment.
type File<'q, 'a> = Vec<&'q Question<'a>>;

/// Asks about stages, and keeps the answers if possible. Stages with other variables are asked
/// about in processes of their own.
pub(super) fn ask(
    plan: &Plan,
    questions: &[Question<'_>],
) -> Result<Vec<(usize, ClassAnswer)>, Error> {
    let mut answers = Vec::new();
    let mut left: Vec<&Question<'_>> = questions.iter().collect();
    while let Some(first) = left.first().copied() {
        let is_alike = |it: &Question<'_>| {
            it.environment.vars() == first.environment.vars()
                && it.environment.working_dir() == first.environment.working_dir()
        };
        let (alike, others) = left.into_iter().partition(|question| is_alike(question));
        left = others;
        answers.extend(ask_process(plan, by_file(alike))?);
    }
    Ok(answers)
}

fn ask_process(plan: &Plan, files: Vec<File<'_, '_>>) -> Result<Vec<(usize, ClassAnswer)>, Error> {
    let Some(first) = files.first().and_then(|file| file.first()) else {
        return Ok(Vec::new());
    };
    let failed = |source| Error::io("ask", "the classes of stages", source);
    let mut launch = first.environment.launch(None).map_err(failed)?;
    launch.shim = launch.shim.with_file_name(CLASSES);
    let request: Vec<Value> = files.iter().map(|file| request(file)).collect();
    let start = |group| {
        serde_json::to_vec(&json!({
            "group": group, "files": request, "limit": LIMIT,
        }))
    };
    let leases = first.environment.leases();
    let secrets = Secrets::from_env(plan);
    let spawned = Process::spawn(&launch, start, &leases, secrets.clone(), |_, _| {});
    let mut process = match spawned {
        Ok(process) => process,
        // If no process can be started, the run fails at its workers, which have the last word.
        Err(error) => {
            tracing::warn!(%error, "no class can be asked");
            return Ok(Vec::new());
        }
    };
    let mut answers = Vec::new();
    for file in files {
        // The process keeps the limit itself; this deadline is for one that does not.
        let deadline = Instant::now() + Duration::from_secs(LIMIT + 10);
        let said: Option<Said> = match process.receive(Some(deadline), None) {
            Incoming::Frame(frame) if frame.kind == Kind::Loaded => {
                serde_json::from_slice(&frame.meta).ok()
            }
            _ => None,
        };
        let Some(Said { answers: told, files }) = said else {
            // The workers have the last word in any case.
            let exit = process.reap();
            tracing::warn!(%exit, log = ?process.tail().lines(), "no class can be asked");
            return Ok(answers);
        };
        for (question, answer) in file.into_iter().zip(told) {
            if let Some(files) = &files {
                question.kept.write(&answer, files.clone(), &question.environment);
            }
            tracing::debug!(stage = question.name(plan), ?answer.problem, "asked its class");
            let kept = question.kept.file();
            answers.push((question.place, hidden(ClassAnswer { kept, ..answer }, &secrets)));
        }
    }
    Ok(answers)
}

/// Returns an answer without secrets in its problem.
fn hidden(mut answer: ClassAnswer, secrets: &Secrets) -> ClassAnswer {
    if let Some(problem) = &mut answer.problem {
        problem.text = secrets.text(problem.text.as_str());
    }
    answer
}

impl Question<'_> {
    fn name(&self, plan: &Plan) -> String {
        plan.stages()[self.place].settings.name.clone()
    }
}

/// Returns the stages of each file together, since it is imported once.
fn by_file<'q, 'a>(questions: Vec<&'q Question<'a>>) -> Vec<File<'q, 'a>> {
    let mut files: Vec<File<'q, 'a>> = Vec::new();
    for question in questions {
        let same = files.iter_mut().find(|file| {
            file.first().is_some_and(|first| first.code.source() == question.code.source())
        });
        match same {
            Some(file) => file.push(question),
            None => files.push(vec![question]),
        }
    }
    files
}

fn request(file: &File<'_, '_>) -> Value {
    let stages: Vec<Value> =
        file.iter().map(|it| json!({ "name": it.code.name(), "args": it.code.args() })).collect();
    json!({ "code": file.first().map(|first| &first.location), "stages": stages })
}
