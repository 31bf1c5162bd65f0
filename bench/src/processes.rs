//! Processes, as `/proc` lists them: their parents, their environment variables, and their end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Time limit until killed processes are gone.
const REAPING: Duration = Duration::from_secs(30);

/// Returns this process and all its descendants whose parents still run.
pub(crate) fn family() -> BTreeSet<u32> {
    descendants(BTreeSet::from([std::process::id()]))
}

/// Returns the processes that were started with this variable, whatever their parents are now, and
/// their descendants without it.
pub(crate) fn started_with(variable: &str) -> BTreeSet<u32> {
    descendants(numbers().filter(|number| has_variable(*number, variable)).collect())
}

/// Returns whether a process was started with this variable: `NAME=VALUE`.
pub(crate) fn has_variable(number: u32, variable: &str) -> bool {
    // A process that has ended has no variables, even before it is reaped.
    let variables = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
    variables.split(|byte| *byte == 0).any(|it| it == variable.as_bytes())
}

/// Kills these processes until none is left.
pub(crate) fn end_started_with(variable: &str) {
    let deadline = Instant::now() + REAPING;
    // Some may start others meanwhile.
    while let left = started_with(variable)
        && !left.is_empty()
        && Instant::now() < deadline
    {
        let words = ["-9".to_owned()].into_iter().chain(left.iter().map(ToString::to_string));
        // A process that has ended by itself meanwhile is no failure.
        drop(duct::cmd("kill", words).stderr_null().unchecked().run());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the numbers of all processes.
pub(crate) fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Adds the descendants.
fn descendants(mut found: BTreeSet<u32>) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for number in numbers() {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        if let Some((parent, false)) = parent(&stat) {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut new: Vec<u32> = found.iter().copied().collect();
    while let Some(number) = new.pop() {
        for child in children.remove(&number).unwrap_or_default() {
            if found.insert(child) {
                new.push(child);
            }
        }
    }
    found
}

/// Returns a process's parent, and whether it has ended: `7 (a name) S 1 …`.
fn parent(stat: &str) -> Option<(u32, bool)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let has_ended = matches!(words.next()?, "Z" | "X");
    Some((words.next()?.parse().ok()?, has_ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        assert_eq!(parent("7 (a) S 1) R 42 7 7"), Some((42, false)));
        assert_eq!(parent("7 (x) Z 1 7"), Some((1, true)));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn what_was_started_is_found_and_ended_with_its_orphans() {
        let variable = format!("BENCH_TEST={}", std::process::id());
        let (name, value) = variable.split_once('=').unwrap();
        // The shell ends at once, and its child keeps running.
        duct::cmd!("sh", "-c", "sleep 600 &").env(name, value).run().unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        // A process shows no variables during `exec`.
        while started_with(&variable).is_empty() {
            assert!(Instant::now() < patience, "the child is not found");
            std::thread::sleep(Duration::from_millis(1));
        }
        let child = duct::cmd!("sh", "-c", "env -u BENCH_TEST sleep 600; true").env(name, value);
        let child = child.unchecked().start().unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        let unmarked = loop {
            let found = started_with(&variable);
            let is_sleep = |number: &&u32| {
                let words = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
                let vars = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
                words.starts_with(b"sleep") && !String::from_utf8_lossy(&vars).contains(&variable)
            };
            if let Some(number) = found.iter().find(is_sleep) {
                break *number;
            }
            assert!(Instant::now() < patience, "{found:?}");
        };
        assert!(family().contains(&child.pids()[0]) && family().contains(&unmarked));
        end_started_with(&variable);
        child.wait().unwrap();
        assert!(started_with(&variable).is_empty());
        assert!(!family().contains(&unmarked));
    }
}
