//! Packages of the base that must not change, and the requirements that would change them.

use envspec::{Install, Requirement, normal_name};
use installer::{Installer, Request};

use super::installed::Installed;
use crate::run::Error;

/// Names that must not change if the base has them: a worker that Ray starts connects to a cluster
/// of exactly this version.
const KEPT: [&str; 1] = ["ray"];

/// Maximum number of requirements that are tried one by one to find the cause.
const MOST_TRIED: usize = 16;

/// The packages of the base that must not change, with their versions.
#[derive(Debug)]
pub(crate) struct Kept {
    packages: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Kept {
    /// Returns those that the spec names and those that are always kept, if the base has them.
    pub(crate) fn of(install: &Install, base: &Installed) -> Self {
        let names = install.keep.iter().map(String::as_str).chain(KEPT).map(normal_name);
        let mut packages: Vec<(String, String)> = names
            .filter_map(|name| {
                let version = base.version(&name)?.to_owned();
                Some((name, version))
            })
            .collect();
        packages.sort();
        packages.dedup();
        let lines = packages.iter().map(|(name, version)| format!("{name}=={version}")).collect();
        Self { packages, lines }
    }

    /// Returns them as constraint lines.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Fails if a requirement of the spec itself asks for another version; then there is nothing to
    /// resolve.
    pub(crate) fn check(&self, install: &Install) -> Result<(), Error> {
        for (package, version) in &self.packages {
            let asks = |requirement: &&Requirement| {
                requirement.name().is_some_and(|name| normal_name(name) == *package)
                    && requirement.marker().is_none()
                    && !install.accepts(requirement, version)
            };
            if let Some(requirement) = install.requirements.iter().find(asks) {
                return Err(Error::Kept {
                    package: package.clone(),
                    version: version.clone(),
                    requirement: requirement.to_string(),
                    wanted: None,
                    source: None,
                });
            }
        }
        Ok(())
    }

    /// Returns the error of an installation that was to keep these. If a kept package is the cause,
    /// the error names it, and the requirement that would change it.
    pub(crate) fn blame(
        &self,
        tool: &Installer,
        request: &Request<'_>,
        install: &Install,
        error: installer::Error,
    ) -> Error {
        if !is_unsatisfiable(&error) || !self.are_named_in(&error) {
            return Error::install(error);
        }
        let Ok(outcome) = tool.resolve(&request.clone().with_held(&[])) else {
            return Error::install(error);
        };
        let moved = self.packages.iter().find_map(|(name, version)| {
            let mut added = outcome.added.iter();
            added
                .find(|package| package.name == *name && package.version != *version)
                .map(|package| (name, version, &package.version))
        });
        let Some((package, version, other)) = moved else { return Error::install(error) };
        let words = error.transcript().map(ToString::to_string).unwrap_or_default();
        let wanted = wanted(&words, package).unwrap_or_else(|| format!("{package}=={other}"));
        Error::Kept {
            package: package.clone(),
            version: version.clone(),
            requirement: self.culprit(tool, request, install),
            wanted: Some(wanted),
            source: Some(Box::new(error)),
        }
    }

    /// Returns whether the tool names one of these: both tools name all packages of a conflict. If
    /// not, another resolution, which takes as long as the failed one, would be useless.
    fn are_named_in(&self, error: &installer::Error) -> bool {
        let words = error.transcript().map(ToString::to_string).unwrap_or_default();
        self.packages.iter().any(|(name, _)| words.contains(name.as_str()))
    }

    /// Returns the requirements of the spec that are impossible with these packages kept.
    fn culprit(&self, tool: &Installer, request: &Request<'_>, install: &Install) -> String {
        let all = &install.requirements;
        let is_culprit = |requirement: &&Requirement| {
            let mut alone = install.clone();
            alone.requirements = vec![(*requirement).clone()];
            let request = request.clone().with_install(&alone).with_held(&self.lines);
            tool.resolve(&request).is_err_and(|error| is_unsatisfiable(&error))
        };
        let found: Vec<&Requirement> = match all.len() {
            2..=MOST_TRIED => all.iter().filter(is_culprit).collect(),
            _ => Vec::new(),
        };
        // The cause may be several of them together.
        let named = if found.is_empty() { all.iter().collect() } else { found };
        let names: Vec<String> = named.iter().map(ToString::to_string).collect();
        names.join("`, `")
    }
}

fn is_unsatisfiable(error: &installer::Error) -> bool {
    matches!(error, installer::Error::Unsatisfiable { .. })
}

/// Returns the requirement on a package that a tool's message quotes: `A 1.0 depends on B>=2`
/// (pip), `A==1.0 depends on B>=2` or `all versions of A depend on B>=2` (uv).
fn wanted(words: &str, package: &str) -> Option<String> {
    let joined = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let asks = [" depends on ", " depend on "];
    let (before, after) = asks.iter().find_map(|asks| {
        let (before, after) = joined.split_once(&format!("{asks}{package}"))?;
        after.starts_with(['<', '>', '=', '!', '~']).then_some((before, after))
    })?;
    let version = after.split(' ').next()?.trim_end_matches([',', '.', ';']);
    let mut last = before.rsplit(' ');
    let asker = last.next()?;
    // pip separates the version of the requiring package by a blank.
    let asker = match last.next() {
        Some(name) if asker.starts_with(|c: char| c.is_ascii_digit()) => format!("{name}=={asker}"),
        _ => asker.to_owned(),
    };
    Some(format!("{package}{version}` for `{asker}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_tell_who_wants_what() {
        let uv = "error: No solution found when resolving dependencies\n  cause: Because all versions of \
                  consumer depend on ray>=3 and ray==2.9.0, we can\n         conclude that";
        assert_eq!(wanted(uv, "ray").as_deref(), Some("ray>=3` for `consumer"));
        let one =
            "× No solution found:\n  ╰─▶ Because consumer==1.0 depends on\n      ray>=3.0 and you";
        let pip = "The conflict is caused by:\n    consumer 1.0 depends on ray>=3.0\n    The user \
                   requested (constraint) ray==2.9.0\n";
        for words in [one, pip] {
            assert_eq!(wanted(words, "ray").as_deref(), Some("ray>=3.0` for `consumer==1.0"));
        }
        assert_eq!(wanted(uv, "ra"), None);
    }
}
