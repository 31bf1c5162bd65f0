//! What the packages of an environment ask of each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envspec::{Install, Requirement, normal_name, redact};
use installer::{Outcome, address};

use super::installed::Installed;
use super::markers::Markers;
use super::sources::is_direct;

/// What each package asks for.
pub(crate) type Asks = BTreeMap<String, Vec<Requirement>>;

/// Returns all requirements among the packages that hold here, given the extras that are asked for
/// by name.
pub(crate) fn asks<'a>(
    installed: &Installed,
    requested: impl IntoIterator<Item = (&'a str, &'a Requirement)>,
    markers: &Markers,
) -> Asks {
    let mut extras: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, requirement) in requested {
        let known = extras.entry(name.to_owned()).or_default();
        known.extend(requirement.extras().map(Into::into));
    }
    let mut asks = Asks::new();
    // An extra may ask for another extra: until nothing is new, which ends as there are so many.
    let mut waiting: VecDeque<String> = installed.iter().map(|(name, _)| name.to_owned()).collect();
    while let Some(name) = waiting.pop_front() {
        let Some(distribution) = installed.get(&name) else { continue };
        let asked = extras.get(&name).cloned().unwrap_or_default();
        let mut found = distribution.all_requirements();
        found.retain(|requirement| markers.hold(requirement, &asked));
        for requirement in &found {
            let Some(wanted) = requirement.name().map(normal_name) else { continue };
            let known = extras.entry(wanted.clone()).or_default();
            let before = known.len();
            known.extend(requirement.extras().map(Into::into));
            if known.len() > before {
                waiting.push_back(wanted);
            }
        }
        asks.insert(name, found);
    }
    asks
}

/// Tells of archives and repositories that an installed package asks for, in place of which the base's
/// package of that version stays: pip is content with a version.
pub(super) fn passed_over(
    install: &Install,
    now: &Installed,
    outcome: &Outcome,
    markers: &Markers,
) -> Vec<String> {
    let is_new = |name: &str| outcome.added.iter().any(|added| added.name == name);
    // Without an address there is nothing to tell.
    let has_direct =
        |name: &str| now.get(name).is_some_and(|it| it.all_requirements().iter().any(is_direct));
    if !outcome.added.iter().any(|added| has_direct(&added.name)) {
        return Vec::new();
    }
    let named = install.requirements.iter();
    let requested: Vec<(String, &Requirement)> =
        named.filter_map(|it| Some((normal_name(it.name()?), it))).collect();
    let requested = requested.iter().map(|(name, it)| (name.as_str(), *it));
    let mut told = Vec::new();
    for (from, requirements) in asks(now, requested, markers) {
        if !is_new(&from) {
            continue;
        }
        for requirement in requirements.iter().filter(|it| is_direct(it)) {
            let Some(name) = requirement.name().map(normal_name) else { continue };
            let Some(found) = now.get(&name).filter(|_| !is_new(&name)) else { continue };
            let place = requirement.url().map(|it| address(&it));
            let place = place
                .or_else(|| requirement.path().map(|path| format!("file://{}", path.display())));
            let source = found.source().map(|source| address(&source.url));
            if place != source {
                told.push(format!(
                    "{from} asks for {requirement}, and the base's {name} {} stays in its place, \
                     which the package manager does not tell from it",
                    found.version
                ));
            }
        }
    }
    told
}

/// Tells of extras that a spec asks for and its packages do not have, and of what such an extra asks for
/// and is not there. pip and uv pass over the former, and a pip before 23.3 over an extra that the
/// metadata spells in another way.
pub(super) fn missing_extras(install: &Install, now: &Installed, markers: &Markers) -> Vec<String> {
    let none = BTreeSet::new();
    let mut told = Vec::new();
    for requirement in install.requirements.iter().filter(|it| markers.hold(it, &none)) {
        let Some(name) = requirement.name().map(normal_name) else { continue };
        let Some(found) = now.get(&name).filter(|_| requirement.extras().len() > 0) else {
            continue;
        };
        // Metadata of another kind may not list them.
        let Some(known) = found.extras() else { continue };
        let asked = found.all_requirements();
        for extra in requirement.extras() {
            let mut tell = |problem: String| {
                let line = redact(&requirement.to_string()).into_owned();
                told.push(format!("`{line}` asks for the extra `{extra}`{problem}"));
            };
            if !known.contains(extra) {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let version = &found.version;
                tell(format!(", which {name} {version} does not have; its extras: {known}"));
                continue;
            }
            let with = BTreeSet::from([extra.to_owned()]);
            let of_extra = |it: &&Requirement| markers.hold(it, &with) && !markers.hold(it, &none);
            for missing in asked.iter().filter(of_extra) {
                let is_missing = |name: &str| now.get(&normal_name(name)).is_none();
                if missing.name().is_some_and(is_missing) {
                    let line = redact(&missing.to_string()).into_owned();
                    tell(format!(", of which `{line}` is not there"));
                }
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use envspec::{MemorySource, RuntimeEnv};

    use super::*;

    #[test]
    fn an_extra_without_what_it_asks_for_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let package = |name: &str, headers: &str| {
            let info = dir.path().join(format!("{name}-1.0.dist-info"));
            fs::create_dir(&info).unwrap();
            fs::write(info.join("METADATA"), format!("Name: {name}\nVersion: 1.0\n{headers}"))
                .unwrap();
        };
        let headers = "Provides-Extra: Fast_er\nRequires-Dist: dep ; extra == 'Fast_er'\n\
                       Requires-Dist: there ; extra == \"fast-er\"\n\
                       Requires-Dist: old ; extra == 'Fast_er' and python_version < '3'\n";
        package("top", headers);
        package("there", "");
        let env = RuntimeEnv::pip(["top[FAST.er,nope]", "there[x] ; python_version < '3'"]);
        let loaded = env.load(&MemorySource::new(), Path::new("/job")).unwrap();
        let markers = Markers::new("3.11.7", "cpython");
        let told =
            missing_extras(&loaded.install.unwrap(), &Installed::read([dir.path()]), &markers);
        assert_eq!(
            told,
            [
                "`top[fast-er,nope]` asks for the extra `fast-er`, of which `dep ; extra == 'fast-er'` is not \
             there",
                "`top[fast-er,nope]` asks for the extra `nope`, which top 1.0 does not have; its extras: \
             fast-er",
            ]
        );
    }
}
