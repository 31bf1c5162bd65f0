//! Packages of the base that must not move, and who asks for them to.

use envspec::{Install, Requirement, normal_name};
use installer::{Installer, Request};

use super::installed::Installed;
use crate::run::Error;

/// Names that must not move where the base has them: a worker that Ray starts speaks to a cluster
/// of just this version.
const KEPT: [&str; 1] = ["ray"];

/// As many requirements as are tried one by one to find who is to blame.
const MOST_TRIED: usize = 16;

/// The packages of the base that must not move, with their versions.
#[derive(Debug)]
pub(crate) struct Kept {
    packages: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Kept {
    /// Those that the spec names and those that are always kept, as far as the base has them.
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

    /// As constraint lines.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Fails if a requirement of the spec itself asks for another version; there is nothing to
    /// resolve then.
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

    /// The error of an installation that was to keep these; if what was kept is the cause, an error
    /// that says which package would have moved, and for whom.
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

    /// Whether the tool speaks of one of these: both name all packages of a conflict. If not,
    /// another resolution, which takes as long as the one that failed, would tell nothing.
    fn are_named_in(&self, error: &installer::Error) -> bool {
        let words = error.transcript().map(ToString::to_string).unwrap_or_default();
        self.packages.iter().any(|(name, _)| words.contains(name.as_str()))
    }

    /// The requirements of the spec that cannot be had with these packages kept.
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
        // It may take several of them together.
        let named = if found.is_empty() { all.iter().collect() } else { found };
        let names: Vec<String> = named.iter().map(ToString::to_string).collect();
        names.join("`, `")
    }
}

fn is_unsatisfiable(error: &installer::Error) -> bool {
    matches!(error, installer::Error::Unsatisfiable { .. })
}

/// What a tool says that somebody wants of a package: `A 1.0 depends on B>=2` (pip), `A==1.0 depends
/// on B>=2` or `all versions of A depend on B>=2` (uv).
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
    // pip sets the version of who asks apart by a blank.
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
