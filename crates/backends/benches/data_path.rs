//! The data path against Python's own `multiprocessing.Pool`, each side measured in turn in one run:
//! 1 KiB tasks one by one get through one Python stage 2.5 times as fast, 10 MiB payloads go there
//! and back 20 times as fast, and a worker is ready within 3 times what `python -c pass` takes.
//!
//! `cargo bench -p backends --bench data_path [-- small|large|start|threshold]…`; `threshold` is what
//! the default of `LocalExecutor::with_arenas_from` was taken from, and runs only when it is named.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::cast_precision_loss, reason = "figures are printed with two digits")]

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backends::{Event, Executor, LocalExecutor, Plan};
use stage::{Data, Pipeline, PythonStage, Task};

/// How often each side has its turn; the best of them counts.
const TURNS: usize = 5;
const SMALL: usize = 1 << 10;
const LARGE: usize = 10 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;

const PASS: &str = "def stage(task): return task";

/// What the peers do: a task that comes back as it is.
const POOL: &str = r#"
import multiprocessing, os, sys, time

def same(data):
    return data

if __name__ == "__main__":
    how, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    data = os.urandom(size)
    with multiprocessing.Pool(1) as pool:
        for _ in range(3):
            pool.apply(same, (data,))
        begin = time.perf_counter()
        if how == "imap":
            for _ in pool.imap(same, (data for _ in range(count))):
                pass
        else:
            for _ in range(count):
                pool.apply(same, (data,))
        print(count / (time.perf_counter() - begin))
"#;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wants = |name: &str| asked.iter().any(|it| it == name);
    let world = World::new();
    if asked.is_empty() || wants("small") {
        let (ours, pool) = turns(
            || World::rate(&world.executor(), SMALL, 60_000),
            || world.pool("imap", SMALL, 20_000),
        );
        println!(
            "1 KiB tasks       {ours:9.0}/s      Pool.imap  {pool:7.0}/s      {:5.2} x, budget 2.5 x",
            ours / pool
        );
    }
    if asked.is_empty() || wants("large") {
        let (ours, pool) = turns(
            || World::rate(&world.executor(), LARGE, 300) * LARGE as f64 / MEBIBYTE,
            || world.pool("apply", LARGE, 10) * LARGE as f64 / MEBIBYTE,
        );
        println!(
            "10 MiB payloads   {ours:9.0} MiB/s  Pool.apply {pool:7.0} MiB/s  {:5.2} x, budget 20 x",
            ours / pool
        );
    }
    if wants("threshold") {
        for size in (12..=22).map(|power| 1 << power) {
            let count = ((256 << 20) / size).clamp(200, 20_000);
            let with = |from| World::rate(&world.executor().with_arenas_from(from), size, count);
            let (shared, socket) = turns(|| with(Some(0)), || with(None));
            println!("{:5} KiB   shared {shared:7.0}/s   socket {socket:7.0}/s", size >> 10);
        }
    }
    if asked.is_empty() || wants("start") {
        let (ours, pass) = turns(|| -world.start(), || -world.pass());
        println!(
            "worker start      {:9.1} ms     -c pass    {:7.1} ms     {:5.2} x, budget 3 x",
            -ours * 1e3,
            -pass * 1e3,
            ours / pass
        );
    }
}

/// Each in turn, so that a busy moment meets both; the best of each.
fn turns(mut ours: impl FnMut() -> f64, mut peer: impl FnMut() -> f64) -> (f64, f64) {
    (0..TURNS).fold((f64::MIN, f64::MIN), |best, _| (best.0.max(ours()), best.1.max(peer())))
}

struct World {
    dir: tempfile::TempDir,
    python: String,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("pool.py"), POOL).expect("a file");
        // Both sides run the interpreter itself, not a launcher of it.
        let python = duct::cmd!("python3", "-c", "import sys; print(sys.executable)").read();
        Self { dir, python: python.expect("python3 on PATH") }
    }

    fn executor(&self) -> LocalExecutor {
        let cache = self.dir.path().join("cache");
        LocalExecutor::default()
            .with_base(std::path::PathBuf::from(&self.python))
            .with_cache_dir(cache)
    }

    fn plan() -> Plan {
        let stage = PythonStage::from_source(PASS, "stage").with_num_workers(1);
        Plan::new(&Pipeline::new("bench").with_stage(stage)).expect("a plan")
    }

    /// Tasks in a second that go through one Python stage, one by one, once it is warm. What came
    /// back goes in again, so that making payloads is not measured.
    fn rate(executor: &LocalExecutor, size: usize, count: usize) -> f64 {
        let (back, again) = channel();
        let ahead = (count / 4).min(256).min((64 << 20) / size).max(1);
        for _ in 0..ahead {
            back.send(vec![b'x'; size]).expect("a receiver");
        }
        let mut tasks = (0..count).map_while(move |_| again.recv().ok()).map(Task::new);
        let warm = count / 10;
        let mut seen = 0;
        let mut since = Instant::now();
        let mut sink = |task: Task| {
            let Data::Bytes(bytes) = task.data else { return Err("other data came back".into()) };
            assert_eq!(bytes.len(), size);
            seen += 1;
            if seen == warm {
                since = Instant::now();
            }
            let _ = back.send(bytes);
            Ok(())
        };
        executor.execute(&Self::plan(), &mut tasks, Arc::new(()), &mut sink).expect("a run");
        assert_eq!(seen, count);
        (count - warm) as f64 / since.elapsed().as_secs_f64()
    }

    fn pool(&self, how: &str, size: usize, count: usize) -> f64 {
        let file = self.dir.path().join("pool.py");
        let text = duct::cmd!(&self.python, file, how, size.to_string(), count.to_string()).read();
        text.expect("a pool").parse().expect("a number")
    }

    /// Seconds from the start of a worker's process until it is set up.
    fn start(&self) -> f64 {
        let took = Arc::new(Mutex::new(Duration::MAX));
        let ours = Arc::clone(&took);
        let observer = move |event: &Event| {
            if let Event::WorkerReady { duration, .. } = event {
                *ours.lock().expect("no panic") = *duration;
            }
        };
        let mut tasks = [Task::new(vec![1])].into_iter();
        let executor = self.executor();
        executor
            .execute(&Self::plan(), &mut tasks, Arc::new(observer), &mut |_| Ok(()))
            .expect("a run");
        took.lock().expect("no panic").as_secs_f64()
    }

    /// Seconds that the interpreter takes to do nothing.
    fn pass(&self) -> f64 {
        let begun = Instant::now();
        duct::cmd!(&self.python, "-s", "-c", "pass").run().expect("a run");
        begun.elapsed().as_secs_f64()
    }
}
