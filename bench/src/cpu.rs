//! The processor time of a step: of all its processes, whether they have ended, were never waited
//! for, or keep running.
//!
//! The kernel adds the time of a process that has ended to its parent's, if the parent waits for it.
//! Ray's daemon waits for none, and other processes lose their parents. So `/proc` is looked at many
//! times in a second: what no process has waited for counts as it was when it was last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::processes;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(40);
/// The ticks of a second, as `/proc` counts them for all programs.
const TICKS: f64 = 100.0;

/// A process: its number may come again, but not with the tick that it was started in.
type Identity = (u32, u64);

/// The ticks of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Used by itself.
    own: u64,
    /// Used by its children that have ended and that it has waited for, and by theirs.
    waited: u64,
}

/// Returns what a step returns, and the processor seconds that all processes used meanwhile that
/// were started with this variable, before the step or in it.
pub(crate) fn used<T>(variable: &str, step: impl FnOnce() -> T) -> (T, f64) {
    let mut watch = Watch { variable: variable.to_owned(), ..Watch::default() };
    watch.look();
    let before = watch.ledger.ticks();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                watch.look();
            }
            watch.look();
            watch.ledger.ticks()
        });
        // The guard also runs if the step panics; otherwise the thread would never end.
        let over = Over(&is_over);
        let result = step();
        drop(over);
        let after = watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        #[expect(clippy::cast_precision_loss, reason = "no step takes that long")]
        let ticks = after.saturating_sub(before) as f64;
        (result, ticks / TICKS)
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Finds the processes that count.
#[derive(Debug, Default)]
struct Watch {
    variable: String,
    ledger: Ledger,
    /// Processes without the variable.
    strangers: BTreeSet<Identity>,
}

impl Watch {
    fn look(&mut self) {
        let own = std::process::id();
        let mut all: BTreeMap<Identity, Process> = BTreeMap::new();
        for number in processes::numbers() {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            if let Some((started, process)) = parsed(&stat) {
                all.insert((number, started), process);
            }
        }
        self.strangers.retain(|it| all.contains_key(it));
        let mut members: BTreeMap<Identity, Process> = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        let mut by_age: Vec<_> = all.into_iter().collect();
        // Parents come before their children.
        by_age.sort_by_key(|((number, started), _)| (*started, *number));
        for (identity, process) in by_age {
            if identity.0 == own {
                // What it waits for is the step's; its own time is not.
                members.insert(identity, Process { own: 0, ..process });
                continue;
            }
            let is_known = self.ledger.known.contains_key(&identity)
                || numbers.contains(&process.parent)
                || (!self.strangers.contains(&identity)
                    && processes::has_variable(identity.0, &self.variable));
            if is_known {
                numbers.insert(identity.0);
                members.insert(identity, process);
            } else if process.parent != own {
                // A child of this process gets its variables a moment after its start.
                self.strangers.insert(identity);
            }
        }
        self.ledger.turn_to(members);
    }
}

/// Processes at the last look, and what is left of those that have ended since.
#[derive(Debug, Default)]
struct Ledger {
    known: BTreeMap<Identity, Process>,
    /// The ticks of processes that have ended, by the process that may have waited for them, where
    /// that is not to be seen yet.
    owed: BTreeMap<Identity, u64>,
    /// The ticks of processes that no process has waited for.
    lost: u64,
}

impl Ledger {
    /// Returns the ticks of all processes up to the last look.
    fn ticks(&self) -> u64 {
        let known: u64 = self.known.values().map(|it| it.own + it.waited).sum();
        known + self.owed.values().sum::<u64>() + self.lost
    }

    /// Takes the processes of a new look.
    fn turn_to(&mut self, now: BTreeMap<Identity, Process>) {
        let before = std::mem::replace(&mut self.known, now);
        // How much more their processes have waited for since the last look.
        let mut waited: BTreeMap<Identity, u64> = BTreeMap::new();
        for (identity, process) in &self.known {
            let former = before.get(identity).map_or(0, |former| former.waited);
            waited.insert(*identity, process.waited.saturating_sub(former));
        }
        let mut settle = |waiting: Identity, ticks: u64| {
            let found = waited.get_mut(&waiting);
            let settled = found.map_or(0, |found| {
                let settled = ticks.min(*found);
                *found -= settled;
                settled
            });
            ticks - settled
        };
        let mut ended: BTreeMap<Identity, u64> = BTreeMap::new();
        for (waiting, ticks) in std::mem::take(&mut self.owed) {
            if self.known.contains_key(&waiting) {
                self.lost += settle(waiting, ticks);
            } else {
                // It has ended itself, and was waited for with all that it had waited for.
                *ended.entry(waiting).or_default() += ticks;
            }
        }
        for (identity, process) in &before {
            if !self.known.contains_key(identity) {
                *ended.entry(*identity).or_default() += process.own + process.waited;
            }
        }
        for (identity, ticks) in ended {
            match waiting_for(identity, &before, &self.known) {
                Some(waiting) => *self.owed.entry(waiting).or_default() += ticks,
                None => self.lost += ticks,
            }
        }
        // A parent is looked at before its child, so that the next look may tell of the rest.
        for (waiting, ticks) in &mut self.owed {
            *ticks = settle(*waiting, *ticks);
        }
        self.owed.retain(|_, ticks| *ticks > 0);
    }
}

/// Returns the process that is left to wait for one that has ended: its next ancestor that runs.
fn waiting_for(
    ended: Identity,
    before: &BTreeMap<Identity, Process>,
    now: &BTreeMap<Identity, Process>,
) -> Option<Identity> {
    let mut parent = before.get(&ended)?.parent;
    for _ in 0..before.len() {
        let identity = *before.range((parent, 0)..=(parent, u64::MAX)).next()?.0;
        if now.contains_key(&identity) {
            return Some(identity);
        }
        parent = before[&identity].parent;
    }
    None
}

/// Returns the tick that a process was started in, and its ticks: `7 (a name) S 1 …`.
fn parsed(stat: &str) -> Option<(u64, Process)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let word = |at: usize| words.get(at)?.parse::<u64>().ok();
    let process = Process {
        parent: words.get(1)?.parse().ok()?,
        own: word(11)? + word(12)?,
        waited: word(13)? + word(14)?,
    };
    Some((word(19)?, process))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Identity = (1, 1);
    const DAEMON: Identity = (2, 2);
    const WORKER: Identity = (3, 3);

    fn process(parent: u32, own: u64, waited: u64) -> Process {
        Process { parent, own, waited }
    }

    fn after(looks: &[&[(Identity, Process)]]) -> u64 {
        let mut ledger = Ledger::default();
        for look in looks {
            ledger.turn_to(look.iter().copied().collect());
        }
        ledger.ticks()
    }

    #[test]
    fn a_process_counts_once_whether_its_parent_waits_for_it_or_not() {
        let begin =
            &[(ROOT, process(0, 5, 0)), (DAEMON, process(1, 10, 0)), (WORKER, process(2, 100, 0))];
        assert_eq!(after(&[begin]), 115);
        // The daemon waits for its worker, which went on for a while; it tells at once, or later.
        let told = &[(ROOT, process(0, 5, 0)), (DAEMON, process(1, 10, 103))];
        let untold = &[(ROOT, process(0, 5, 0)), (DAEMON, process(1, 10, 0))];
        assert_eq!(after(&[begin, told]), 118);
        assert_eq!(after(&[begin, untold]), 115);
        assert_eq!(after(&[begin, untold, told]), 118);
        // It never waits.
        assert_eq!(after(&[begin, untold, untold, untold]), 115);
        let ended = &[(ROOT, process(0, 5, 13))];
        assert_eq!(after(&[begin, untold, untold, ended, ended]), 118);
        // Both end between two looks, the worker waited for or not.
        let with_it = &[(ROOT, process(0, 5, 112))];
        assert_eq!(after(&[begin, with_it, with_it]), 117);
        let without_it = &[(ROOT, process(0, 5, 11))];
        assert_eq!(after(&[begin, without_it, without_it]), 115);
        assert_eq!(after(&[begin, &[], &[]]), 115);
    }

    #[test]
    fn a_process_that_no_look_sees_counts_with_its_parent() {
        let begin = &[(ROOT, process(0, 5, 0))];
        assert_eq!(after(&[begin, &[(ROOT, process(0, 5, 40))]]), 45);
    }

    #[test]
    fn ticks_are_read() {
        let stat = "7 (a) S 1) R 42 7 7 0 -1 4194304 1 2 3 4 11 12 13 14 20 0 1 0 999 5 6";
        assert_eq!(parsed(stat), Some((999, process(42, 23, 27))));
        assert_eq!(parsed("7 (a) R 42"), None);
    }

    #[test]
    fn all_processes_of_a_step_count_once() {
        // Each says at its end what it has used.
        let burn = "import sys, time\nwhile time.process_time() < 0.5: pass\n\
                    print(time.process_time(), file=sys.stderr, flush=True)";
        // A shim in front of an interpreter would use more.
        let show = duct::cmd!("python3", "-c", "import sys; print(sys.executable)");
        let python = show.read().unwrap();
        let code = format!(
            "import os, signal, subprocess, sys, time\n\
             burn = [sys.executable, '-c', {burn:?}]\n\
             subprocess.run(burn, check=True)\n\
             signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
             unwaited = subprocess.Popen(burn)\n\
             # Its parent ends at once.\n\
             os.system(f\"'{{sys.executable}}' -c '{{burn[2]}}' &\")\n\
             while os.path.exists(f'/proc/{{unwaited.pid}}'): time.sleep(0.01)\n\
             exec(burn[2])"
        );
        let name = "BENCH_CPU_TEST";
        let value = std::process::id().to_string();
        let variable = format!("{name}={value}");
        let (ran, seconds) = used(&variable, || {
            let ran = duct::cmd!(&python, "-c", code).env(name, value).stderr_to_stdout().read();
            // The orphan may still run.
            while !processes::started_with(&variable).is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            ran
        });
        // Four of them: none is missed, and none counts twice, whatever they cost on this machine.
        let told: Vec<f64> = ran.unwrap().lines().map(|line| line.parse().unwrap()).collect();
        let all: f64 = told.iter().sum();
        assert_eq!(told.len(), 4);
        assert!((1.7..all + 0.4).contains(&seconds), "{seconds} of {told:?}");
        let (told, alone) =
            used(&variable, || duct::cmd!(&python, "-c", burn).stderr_to_stdout().read().unwrap());
        let told: f64 = told.parse().unwrap();
        // Only what this process waits for is seen of a process without the variable.
        assert!(alone < told + 0.4, "{alone} of {told}");
    }
}
