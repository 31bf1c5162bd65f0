//! What the packages of an environment ask of each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envspec::{Install, Requirement, normal_name};
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
