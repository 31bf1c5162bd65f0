//! Checks whether a machine has everything that environments need, with advice.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use envspec::{Install, Requirement, Tool};
use installer::{Deadline, Installer, Request, Settings};
use serde::Serialize;
use venv_cache::{Reason, Sharing, Strategy};

use crate::provision::base::OpenBase;
use crate::provision::build::base_packages;
use crate::provision::builder::ProvisionerBuilder;
use crate::provision::provisioner::Provisioner;
use crate::run::Error;

/// Time limit for a registry's answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time limit for a package manager that asks, on a busy machine.
const ASKING: Duration = Duration::from_secs(15);
/// Time limit for fetching a package manager.
const FETCH: Duration = Duration::from_mins(1);
/// With less free space, all builds fail.
const LITTLE_SPACE: u64 = 100 << 20;
/// With less free space, large builds fail.
const SOME_SPACE: u64 = 5 << 30;
/// No registry has this version, so a refusal proves that the registry has answered.
const UNKNOWN: &str = "packaging===0.0.0+curator.doctor";

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked: `cache`, `base`, `uv`, ….
    pub subject: &'static str,
    /// The status.
    pub status: Status,
    /// The result, in words.
    pub message: String,
    /// The way out, if there is a problem.
    pub advice: Option<String>,
}

/// The status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No problem.
    Good,
    /// Environments are possible, with a limitation.
    Warning,
    /// Some or all environments are impossible.
    Bad,
}

impl ProvisionerBuilder {
    /// Checks whether this machine has everything that environments need: the cache and its file
    /// system, free space, the base and Ray in it, pip and uv, and their registry.
    ///
    /// The base stays unchanged. A managed base is built, and a missing package manager is fetched
    /// into the cache, as in a build.
    #[must_use]
    pub fn examine(self) -> Vec<Finding> {
        let provisioner = match self.open() {
            Ok(provisioner) => provisioner,
            Err(error) => return vec![Finding::failed("cache", &error)],
        };
        let root = provisioner.cache().root().display().to_string();
        let mut findings = vec![Finding::good("cache", root)];
        provisioner.examine_disk(&mut findings);
        let open = match provisioner.open_base() {
            Ok(open) => open,
            Err(error) => {
                findings.push(Finding::failed("base", &error));
                return findings;
            }
        };
        provisioner.examine_base(&open, &mut findings);
        // Most of the time is spent waiting for other processes.
        thread::scope(|scope| {
            let examine = |tool| provisioner.examine_tool(tool, &open);
            let pip = thread::Builder::new()
                .name("curator-pip".to_owned())
                .spawn_scoped(scope, move || examine(Tool::Pip));
            findings.extend(examine(Tool::Uv));
            findings.extend(match pip {
                Ok(pip) => pip.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // Without threads, one after another.
                Err(_) => examine(Tool::Pip),
            });
        });
        findings
    }
}

impl Provisioner {
    fn examine_disk(&self, findings: &mut Vec<Finding>) {
        let disk = match self.cache().file_system() {
            Ok(disk) => disk,
            Err(error) => {
                let advice = "environments that exist can be used, new ones cannot be built";
                let finding = Finding::failed("file system", &Error::cache(error));
                findings.push(finding.or_advice(advice));
                return;
            }
        };
        let words = |has: bool, name: &str| format!("{} {name}", if has { "has" } else { "no" });
        let abilities = [
            words(disk.locks, "locks"),
            words(disk.hard_links, "hard links"),
            words(disk.reflinks, "reflinks"),
        ]
        .join(", ");
        let disk_finding = Finding::good("file system", abilities);
        findings.push(match (disk.locks, disk.hard_links) {
            (false, _) => {
                disk_finding.worse(Status::Bad, "set CURATOR_CACHE_DIR to a folder on a local disk")
            }
            (_, false) => disk_finding.worse(
                Status::Warning,
                "environments take symbolic links instead; a file system with hard links saves space",
            ),
            _ => disk_finding,
        });
        let space = Finding::good("free space", format!("{} MB", disk.free_bytes / 1_000_000));
        let advice = "free some space, or prune the cache to a smaller budget";
        findings.push(match disk.free_bytes {
            0..LITTLE_SPACE => space.worse(Status::Bad, advice),
            LITTLE_SPACE..SOME_SPACE => space.worse(Status::Warning, advice),
            _ => space,
        });
    }

    fn examine_base(&self, open: &OpenBase, findings: &mut Vec<Finding>) {
        let interpreter = open.base.interpreter();
        let packages = base_packages(interpreter);
        let kind = if open.managed.is_some() { "managed base" } else { "base" };
        findings.push(Finding::good(
            "base",
            format!(
                "{} ({kind}, {} {}, {} packages)",
                open.base.python().display(),
                interpreter.implementation(),
                interpreter.version(),
                packages.iter().count(),
            ),
        ));
        let strategy = match Strategy::probe(&open.base, self.cache().root(), Sharing::Allowed) {
            Ok(choice) => {
                let words = format!("{}, because {}", choice.strategy, choice.reason);
                let finding = Finding::good("strategy", words);
                match choice.reason {
                    Reason::OtherDevice | Reason::LinkRefused => finding.worse(
                        Status::Warning,
                        "a cache on the base's file system, owned by the base's owner, can take \
                         hard links, which start faster",
                    ),
                    _ => finding,
                }
            }
            Err(error) => Finding::failed("strategy", &Error::cache(error)),
        };
        findings.push(strategy);
        let ray = match packages.version("ray") {
            Some(version) => format!("{version} in the base, which environments keep"),
            None => "not in the base, and only needed by pipelines that run on Ray".to_owned(),
        };
        findings.push(Finding::good("ray", ray));
    }

    fn examine_tool(&self, tool: Tool, open: &OpenBase) -> Vec<Finding> {
        let subject = tool.as_str();
        let located = self.tools().locate(tool, None, open.base.python(), Deadline::after(FETCH));
        let installer = match located {
            Ok(installer) => installer,
            Err(error) => {
                let advice = "environments that it is to build cannot be had: install it, or see \
                              to what keeps it from being fetched";
                let finding = Finding::failed(subject, &Error::install(error));
                return vec![finding.or_advice(advice)];
            }
        };
        let found = format!("{} at {}", installer.version(), installer.program().display());
        let requirements: Vec<Requirement> = UNKNOWN.parse().into_iter().collect();
        let install = Install::new(tool, requirements);
        let mut findings = vec![Finding::good(subject, found)];
        match self.settings(open, &install) {
            Ok(settings) => {
                findings.extend(settings.told().iter().map(|told| {
                    let finding = Finding::good(subject, told.clone());
                    finding.worse(Status::Warning, "give it in the spec, or remove it there")
                }));
                findings.push(registry(&installer, open, &install, &settings));
            }
            Err(error) => findings.push(Finding::failed(subject, &error)),
        }
        findings
    }
}

/// Asks the registry through the package manager, whose settings choose the registry.
fn registry(
    installer: &Installer,
    open: &OpenBase,
    install: &Install,
    settings: &Settings,
) -> Finding {
    let subject = match installer.tool() {
        Tool::Uv => "registry of uv",
        Tool::Pip => "registry of pip",
    };
    let request = Request::new(install, open.base.python())
        .with_settings(settings)
        .with_deadline(Deadline::after(ASKING))
        .with_patience(PATIENCE)
        .fresh();
    match installer.resolve(&request) {
        // The answer that there is no such version proves that the registry has answered.
        Ok(_) | Err(installer::Error::Unsatisfiable { .. } | installer::Error::NotFound { .. }) => {
            Finding::good(subject, "it answers".to_owned())
        }
        Err(error) => {
            let is_silent = matches!(
                error,
                installer::Error::Network { .. } | installer::Error::Timeout { .. }
            );
            let mut finding = Finding::failed(subject, &Error::install(error)).or_advice(
                "environments that exist can be used; to build others, see to the network, a \
                 proxy (HTTPS_PROXY), or the index in the package manager's settings",
            );
            if is_silent {
                finding.message = silence(&finding.message);
            }
            finding
        }
    }
}

/// Says that a registry does not answer, with the tool's words on which one and why.
fn silence(words: &str) -> String {
    let mut lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let address = lines.clone().find_map(|line| {
        let (before, _) = line.split_once("://")?;
        // Before it come our own words, or the tool's.
        let start = ["error: ", "WARNING: "]
            .iter()
            .filter_map(|word| before.rfind(word).map(|at| at + word.len()));
        Some(&line[start.max().unwrap_or(0)..])
    });
    let cause = lines.next_back().map(|line| line.strip_prefix("cause: ").unwrap_or(line));
    let mut parts = vec!["it does not answer"];
    parts.extend(address);
    parts.extend(cause.filter(|cause| !cause.contains("://")));
    parts.join(": ")
}

impl Finding {
    fn good(subject: &'static str, message: String) -> Self {
        Self { subject, status: Status::Good, message, advice: None }
    }

    fn worse(self, status: Status, advice: &str) -> Self {
        Self { status, advice: Some(advice.to_owned()), ..self }
    }

    fn failed(subject: &'static str, error: &Error) -> Self {
        let message = error.chain();
        Self { subject, status: Status::Bad, message, advice: error.hint().map(Cow::into_owned) }
    }

    fn or_advice(self, advice: &str) -> Self {
        Self { advice: self.advice.or_else(|| Some(advice.to_owned())), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_with_the_address_and_the_cause() {
        let uv = "`uv` could not download what it needs: error: Failed to fetch: \
                  http://127.0.0.1:9/simple/packaging/\n  cause: client error (Connect)\n  \
                  cause: Connection refused (os error 111)";
        assert_eq!(
            silence(uv),
            "it does not answer: Failed to fetch: http://127.0.0.1:9/simple/packaging/: \
             Connection refused (os error 111)"
        );
        let pip = "`pip` could not download what it needs: ERROR: No matching distribution\n\n\
                   WARNING: Could not fetch URL http://127.0.0.1:9/simple/: connection error: no";
        assert_eq!(
            silence(pip),
            "it does not answer: Could not fetch URL http://127.0.0.1:9/simple/: connection error: no"
        );
        assert_eq!(silence(""), "it does not answer");
    }
}
