//! What a process inherits besides variables and open files.

use std::fmt::Write;

/// The lines of `/proc/self/status` that a process hands on to those that it starts.
const INHERITED: [&str; 14] = [
    "CapAmb",
    "CapBnd",
    "CapEff",
    "CapInh",
    "CapPrm",
    "Cpus_allowed",
    "Gid",
    "Groups",
    "Mems_allowed",
    "NoNewPrivs",
    "Seccomp",
    "SigIgn",
    "Uid",
    "Umask",
];

/// The namespaces that a process is in.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Tells the limits, rights and places of this process, which a process that it starts has as well:
/// what was started under others is not what this one would start.
pub(super) fn of_this_process() -> String {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let mut text = String::new();
    let status = read("status");
    let inherited = |line: &&str| line.split(':').next().is_some_and(|it| INHERITED.contains(&it));
    for line in status.lines().filter(inherited) {
        let _ = writeln!(text, "{line}");
    }
    for file in ["limits", "cgroup", "oom_score_adj"] {
        let _ = writeln!(text, "{file} {}", read(file));
    }
    for name in NAMESPACES {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
        let _ = writeln!(text, "{name} {}", link.display());
    }
    let nice = rustix::process::getpriority_process(None).unwrap_or_default();
    let _ = writeln!(text, "nice {nice}");
    text
}

#[cfg(test)]
mod tests {
    /// What differs from one moment to the next would have no template found again.
    #[test]
    fn they_stay_the_same() {
        let once = super::of_this_process();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(once, super::of_this_process());
        assert!(!cfg!(target_os = "linux") || once.contains("Umask:"), "{once}");
    }
}
