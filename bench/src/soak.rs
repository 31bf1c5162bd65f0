//! Many tasks through workers that are recycled, killed, and killed by their own tasks, and from
//! templates that are killed. Checks that no task is lost, doubled or corrupted, and that memory stays
//! flat.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use curator::backends::sync::Mutex;
use curator::backends::{Event, FailurePolicy, Plan, RunReport};
use curator::stage::BoxError as StageError;
use curator::venv_cache::BoxError;
use curator::{Executor, LocalExecutor, Pipeline, Task};
use serde_json::{Map, Value};

use crate::bases::MeasuredBase;
use crate::data::stage;
use crate::progress::progress;
use crate::world::World;

/// How tasks and accidents are mixed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Number of tasks
    #[arg(long, default_value_t = 1_000_000)]
    tasks: usize,
    /// Number of tasks after which each worker of the first stage is recycled
    #[arg(long, default_value_t = 5000)]
    recycle_after: u64,
    /// Pause between two kills of a worker, in milliseconds; 0 for never
    #[arg(long, default_value_t = 500)]
    kill_every: u64,
    /// One of this many tasks kills its worker, and must be the only one that fails; 0 for none
    #[arg(long, default_value_t = 20_000)]
    deadly: usize,
    /// Kill the templates when half of the tasks are done
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    kill_templates: bool,
    /// Fork workers from templates
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    templates: bool,
    /// Seed for the choice of sizes and victims
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Work in this folder and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
}

/// Workers of each stage.
const WORKERS: usize = 2;
/// Maximum bytes of a large task; one task in `ONE_IN` is large.
const LARGE: usize = 1 << 20;
const ONE_IN: usize = 2000;
/// How much the memory of the second half may exceed that of the first, as a share and in bytes.
/// Allocators keep the memory of full queues.
const GROWTH: f64 = 1.25;
const SLACK: u64 = 96 << 20;

/// The live workers, and the accidents so far.
#[derive(Debug, Default)]
struct Herd {
    /// The processes that wait for tasks or work, by stage and number.
    workers: BTreeMap<(String, usize), i32>,
    killed: usize,
    /// The templates that were killed.
    templates: usize,
    retried: usize,
}

/// The tasks that came out, by the number of the task that went in.
struct Ledger {
    seen: Vec<bool>,
    doubled: usize,
    wrong: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), BoxError> {
    let world = World::new(arguments.keep.as_deref())?;
    let base = MeasuredBase::small(&world)?;
    let executor = World::executor(&base.base(), &world.fresh_cache()?)
        .with_failure_policy(FailurePolicy::Record)
        .with_templates(arguments.templates);
    let problems = soak(&executor, arguments)?;
    if problems.is_empty() {
        progress("all holds");
        return Ok(());
    }
    Err(format!("this does not hold:\n  {}", problems.join("\n  ")).into())
}

/// Returns the problems found.
fn soak(executor: &LocalExecutor, arguments: &Arguments) -> Result<Vec<String>, BoxError> {
    let Arguments { tasks: count, recycle_after, deadly, seed, .. } = *arguments;
    // Two templates, forked from one root.
    let seal = stage("Seal").with_num_workers(WORKERS).with_recycle_after(recycle_after);
    let same = stage("Same").with_num_workers(WORKERS);
    let pipeline = Pipeline::new("soak")
        .with_stage(seal.with_name("seal").with_preload(["json"]))
        .with_stage(same.with_name("same").with_preload(["json", "csv"]));
    let plan = Plan::new(&pipeline)?;
    let herd = Arc::new(Mutex::new(Herd::default()));
    let observer = {
        let herd = Arc::clone(&herd);
        move |event: &Event| herd.lock().note(event)
    };
    let mut tasks = (0..count).map(move |number| task(number, seed, deadly));
    let mut ledger = Ledger { seen: vec![false; count], doubled: 0, wrong: Vec::new() };
    let is_over = AtomicBool::new(false);
    progress(&format!("{count} tasks through two stages of {WORKERS} workers"));
    let begun = Instant::now();
    let (report, memory) = thread::scope(|scope| -> Result<(RunReport, Memory), BoxError> {
        let killer = scope.spawn(|| kill(&herd, arguments, &is_over));
        let mut memory = Memory::default();
        let mut out = 0;
        let mut sink = |task: Task| -> Result<(), StageError> {
            ledger.enter(&task, seed, deadly);
            out += 1;
            if out % (count / 200).max(1) == 0 {
                memory.look(&herd.lock());
            }
            if out == count / 2 && arguments.kill_templates {
                herd.lock().kill_templates();
            }
            if out % (count / 10).max(1) == 0 {
                let seconds = begun.elapsed().as_secs_f64();
                let killed = herd.lock().killed;
                progress(&format!("{out} tasks after {seconds:.1} s, {killed} workers killed"));
            }
            Ok(())
        };
        let report = executor.execute(&plan, &mut tasks, Arc::new(observer), &mut sink);
        is_over.store(true, Ordering::Relaxed);
        killer.join().map_err(|_| "the thread that kills workers panicked")?;
        Ok((report?, memory))
    })?;
    let herd = herd.lock();
    let seconds = begun.elapsed().as_secs_f64();
    progress(&format!(
        "{count} tasks in {seconds:.1} s: {} workers, {} of them forked, {} killed, and {} templates; {} \
         batches tried again, {} tasks failed",
        report.stages.iter().map(|stage| stage.workers).sum::<u64>(),
        report.stages.iter().map(|stage| stage.forked).sum::<u64>(),
        herd.killed,
        herd.templates,
        herd.retried,
        report.failed.len(),
    ));
    let mut problems = ledger.problems(deadly, &report);
    let is_forking = report.stages.iter().all(|stage| stage.forked > 0);
    if cfg!(target_os = "linux") && is_forking != arguments.templates {
        problems.push(format!("stages whose workers are forked: {:?}", report.stages));
    }
    problems.extend(memory.problems());
    Ok(problems)
}

/// Returns a pseudo-random number that depends only on these two numbers.
fn chance(number: usize, seed: u64) -> u64 {
    let mut bits = (number as u64).wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        bits = (bits ^ (bits >> 30)).wrapping_mul(factor);
    }
    bits ^ (bits >> 31)
}

fn is_deadly(number: usize, deadly: usize) -> bool {
    deadly > 0 && number % deadly == deadly / 2
}

/// Returns a task's payload: usually small, sometimes larger than a socket's buffer.
fn bytes(number: usize, seed: u64) -> Vec<u8> {
    let chance = chance(number, seed);
    let is_large = number % ONE_IN == ONE_IN / 2;
    #[expect(clippy::cast_possible_truncation, reason = "the rest of a division by a usize")]
    let size = (chance % if is_large { LARGE as u64 } else { 200 }) as usize;
    let pattern = chance.to_le_bytes();
    pattern.iter().copied().cycle().take(size).collect()
}

fn task(number: usize, seed: u64, deadly: usize) -> Task {
    let mut metadata = Map::new();
    metadata.insert("number".to_owned(), number.into());
    if is_deadly(number, deadly) {
        metadata.insert("deadly".to_owned(), true.into());
    }
    Task::new(bytes(number, seed)).with_metadata(metadata)
}

impl Herd {
    fn note(&mut self, event: &Event) {
        match event {
            Event::WorkerReady { stage, worker, pid: Some(pid), .. } => {
                self.workers.insert((stage.clone(), *worker), *pid);
            }
            Event::WorkerEnded { stage, worker, .. } => {
                self.workers.remove(&(stage.clone(), *worker));
            }
            Event::Retried { .. } => self.retried += 1,
            _ => {}
        }
    }

    /// Kills what the workers are forked from.
    fn kill_templates(&mut self) {
        let own = std::process::id().to_string();
        let parents = self.workers.values().filter_map(|pid| parent(&pid.to_string()));
        let templates: BTreeSet<String> = parents.filter(|parent| *parent != own).collect();
        for template in templates.into_iter().filter(|template| is_ours(template)) {
            self.templates += usize::from(kill_process(&template));
        }
    }
}

/// Returns whether a process descends from this one. The number of one that has ended may by now
/// belong to another process, but not to one of these.
fn is_ours(process: &str) -> bool {
    let own = std::process::id().to_string();
    // A worker, the template that it is forked from, and the root of that.
    let line = std::iter::successors(parent(process), |process| parent(process));
    line.take(3).any(|ancestor| ancestor == own)
}

fn parent(process: &str) -> Option<String> {
    status(process, "PPid:")
}

/// Returns whether the process was there.
fn kill_process(process: &str) -> bool {
    let ran = duct::cmd!("kill", "-9", process).stderr_null().unchecked().run();
    ran.is_ok_and(|output| output.status.success())
}

/// Kills a worker now and then until the run is over.
fn kill(herd: &Mutex<Herd>, arguments: &Arguments, is_over: &AtomicBool) {
    if arguments.kill_every == 0 {
        return;
    }
    let pause = Duration::from_millis(arguments.kill_every);
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(pause);
        round += 1;
        let mut herd = herd.lock();
        let alive = herd.workers.values().map(ToString::to_string);
        let alive: Vec<String> = alive.filter(|pid| is_ours(pid)).collect();
        if alive.is_empty() {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the rest of a division by a usize")]
        let victim = (chance(round, arguments.seed) % alive.len() as u64) as usize;
        herd.killed += usize::from(kill_process(&alive[victim]));
    }
}

impl Ledger {
    fn enter(&mut self, task: &Task, seed: u64, deadly: usize) {
        let number = task.metadata.get("number").and_then(Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        let id = task.id().to_string();
        let Some(number) = number.filter(|number| *number < self.seen.len()) else {
            return self.note(format!("task {id} has lost its number"));
        };
        // Two stages that turn one task into one made it from the task of that number.
        if id != format!("0_{number}_0_0") {
            self.note(format!("task {number} came out as {id}"));
        }
        if std::mem::replace(&mut self.seen[number], true) {
            self.doubled += 1;
        }
        let wanted = bytes(number, seed);
        let sum = crc32(&wanted).to_le_bytes();
        let found = task.data.as_bytes().unwrap_or_default();
        if found.strip_suffix(&sum[..]) != Some(&wanted[..]) || is_deadly(number, deadly) {
            self.note(format!("task {number} came out with other bytes"));
        }
    }

    /// Keeps the first few problems, which are enough.
    fn note(&mut self, problem: String) {
        if self.wrong.len() < 10 {
            self.wrong.push(problem);
        }
    }

    fn problems(&self, deadly: usize, report: &RunReport) -> Vec<String> {
        let mut problems = self.wrong.clone();
        if self.doubled > 0 {
            problems.push(format!("{} tasks came out twice", self.doubled));
        }
        let failed: Vec<String> =
            report.failed.iter().flat_map(|it| &it.tasks).map(ToString::to_string).collect();
        let numbers = || (0..self.seen.len()).filter(|number| is_deadly(*number, deadly));
        let expected: Vec<String> = numbers().map(|number| format!("0_{number}")).collect();
        for id in failed.iter().filter(|id| !expected.contains(id)).take(10) {
            problems.push(format!("task {id} failed, and is not one that kills its worker"));
        }
        for id in expected.iter().filter(|id| !failed.contains(id)).take(10) {
            problems.push(format!("task {id} kills its worker, and did not fail"));
        }
        let missing = (0..self.seen.len()).filter(|number| !self.seen[*number]);
        let lost = missing.filter(|number| !failed.contains(&format!("0_{number}")));
        let lost: Vec<usize> = lost.collect();
        if !lost.is_empty() {
            let first = &lost[..lost.len().min(10)];
            problems.push(format!("{} tasks are lost, {first:?} among them", lost.len()));
        }
        problems
    }
}

/// The maximum memory in each half of the run, of this process and of a worker.
#[derive(Debug, Default)]
struct Memory {
    looks: Vec<(u64, u64)>,
}

impl Memory {
    fn look(&mut self, herd: &Herd) {
        let worker = herd.workers.values().map(|pid| resident(&pid.to_string())).max();
        self.looks.push((resident("self"), worker.unwrap_or(0)));
    }

    fn problems(&self) -> Vec<String> {
        // The first tenth fills queues and allocators.
        let looks = &self.looks[self.looks.len() / 10..];
        let (first, second) = looks.split_at(looks.len() / 2);
        let typical = |looks: &[(u64, u64)], of: fn(&(u64, u64)) -> u64| {
            let mut values: Vec<u64> = looks.iter().map(of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        };
        let mut problems = Vec::new();
        for (who, of) in [
            ("this process", (|it| it.0) as fn(&(u64, u64)) -> u64),
            ("the largest worker", |it| it.1),
        ] {
            let (first, second) = (typical(first, of), typical(second, of));
            progress(&format!(
                "memory of {who}: {} MiB in the first half, {} MiB in the second",
                first >> 20,
                second >> 20
            ));
            #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
            let limit = (first as f64 * GROWTH).max((first + SLACK) as f64);
            #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
            if second as f64 > limit {
                problems.push(format!(
                    "the memory of {who} grows: {first} bytes in the first half, {second} in the \
                     second"
                ));
            }
        }
        problems
    }
}

/// Returns the bytes of a process that are in memory; none if the process has ended.
fn resident(process: &str) -> u64 {
    let kibibytes = status(process, "VmRSS:").and_then(|value| value.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Returns a field of the kernel's status of a process.
fn status(process: &str, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// Returns the checksum that `zlib.crc32` returns.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
