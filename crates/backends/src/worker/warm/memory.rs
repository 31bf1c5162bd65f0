//! How much memory processes hold.

use rustix::process::Pid;

/// Returns the bytes that a process holds, of those that it shares its part (Pss); none if the system
/// does not tell.
pub(super) fn held_by(pid: Pid) -> Option<u64> {
    let pid = pid.as_raw_nonzero();
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    kibibytes(&text, "Pss:")
}

/// Returns the bytes that this machine has, or those that its control group may use.
pub(super) fn of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let all = kibibytes(&text, "MemTotal:")?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|limit| limit.trim().parse::<u64>().ok());
    Some(limit.map_or(all, |limit| limit.min(all)))
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
