//! Who brought a package into an environment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envspec::{Requirement, normal_name};
use serde::Serialize;

use super::details::Details;
use super::installed::Installed;
use super::markers::Markers;

/// Why a package is in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// Its normal name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Whether it was installed for this environment or is the base's.
    pub origin: Origin,
    /// The base's version that it took the place of.
    pub replaced: Option<String>,
    /// The requirements of the spec that ask for it.
    pub requested_by: Vec<String>,
    /// The packages of the environment that ask for it, with what they ask for; those whose
    /// requirement holds here.
    pub required_by: Vec<Dependent>,
    /// The shortest way to it from a requirement of the spec: the requirement, then package by
    /// package. Empty if nothing that the spec asks for leads to it.
    pub path: Vec<String>,
}

/// Where a package of an environment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It was installed for this environment.
    Added,
    /// The base has it.
    Base,
}

/// A package that asks for another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Dependent {
    /// It, as `name==version`.
    pub package: String,
    /// What it asks for.
    pub requires: String,
}

impl Details {
    /// Why a package is in the environment: asked for by a requirement, brought by another package,
    /// or the base's. Nothing if it is not in it.
    ///
    /// Reads the metadata of the packages on disk.
    #[must_use]
    pub fn why(&self, package: &str) -> Option<Why> {
        let package = normal_name(package);
        let version = self.packages.get(&package)?.clone();
        let installed = Installed::of_environment(&self.dir);
        let requirements = self.install().map(|install| install.requirements).unwrap_or_default();
        let implementation = installed.implementation().unwrap_or("cpython");
        let markers = Markers::new(&self.python_version, implementation);
        let edges = edges(&installed, &requirements, &markers);

        let is_asked = |requirement: &&Requirement| {
            requirement.name().is_some_and(|name| normal_name(name) == package)
        };
        let mut required_by: Vec<Dependent> = edges
            .iter()
            .flat_map(|(from, asks)| asks.iter().map(move |(to, requires)| (from, to, requires)))
            .filter(|(from, to, _)| **to == package && **from != package)
            .filter_map(|(from, _, requires)| {
                let version = installed.version(from)?;
                Some(Dependent {
                    package: format!("{from}=={version}"),
                    requires: requires.clone(),
                })
            })
            .collect();
        required_by.sort();
        required_by.dedup();
        Some(Why {
            origin: if self.added.iter().any(|added| added.name == package) {
                Origin::Added
            } else {
                Origin::Base
            },
            replaced: self
                .replaced
                .iter()
                .find(|replaced| replaced.name == package)
                .map(|replaced| replaced.version.clone()),
            requested_by: requirements.iter().filter(is_asked).map(ToString::to_string).collect(),
            required_by,
            path: path(&requirements, &edges, &installed, &package),
            version,
            package,
        })
    }
}

/// What each package asks for: the names, each with the requirement in words.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// All requirements among the packages that hold here, given the extras that are asked for.
fn edges(installed: &Installed, requirements: &[Requirement], markers: &Markers) -> Edges {
    let mut extras: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for requirement in requirements {
        let Some(name) = requirement.name() else { continue };
        extras.entry(normal_name(name)).or_default().extend(requirement.extras().map(Into::into));
    }
    let mut edges = Edges::new();
    // An extra may ask for another extra: until nothing is new, which ends as there are so many.
    let mut waiting: VecDeque<String> = installed.iter().map(|(name, _)| name.to_owned()).collect();
    while let Some(name) = waiting.pop_front() {
        let Some(distribution) = installed.get(&name) else { continue };
        let asked = extras.get(&name).cloned().unwrap_or_default();
        let mut found = BTreeMap::new();
        for requirement in distribution.all_requirements() {
            if !markers.hold(&requirement, &asked) {
                continue;
            }
            let Some(wanted) = requirement.name().map(normal_name) else { continue };
            let known = extras.entry(wanted.clone()).or_default();
            let before = known.len();
            known.extend(requirement.extras().map(Into::into));
            if known.len() > before {
                waiting.push_back(wanted.clone());
            }
            found.insert(wanted, requirement.to_string());
        }
        edges.insert(name, found);
    }
    edges
}

/// The shortest way from a requirement of the spec, if one leads there.
fn path(
    requirements: &[Requirement],
    edges: &Edges,
    installed: &Installed,
    package: &str,
) -> Vec<String> {
    let mut reached: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut waiting = VecDeque::new();
    for requirement in requirements {
        let Some(name) = requirement.name().map(normal_name) else { continue };
        if !reached.contains_key(&name) {
            reached.insert(name.clone(), vec![requirement.to_string()]);
            waiting.push_back(name);
        }
    }
    while let Some(name) = waiting.pop_front() {
        if name == package {
            break;
        }
        for next in edges.get(&name).into_iter().flat_map(BTreeMap::keys) {
            let Some(version) = installed.version(next) else { continue };
            if !reached.contains_key(next) {
                let mut way = reached[&name].clone();
                way.push(format!("{next}=={version}"));
                reached.insert(next.clone(), way);
                waiting.push_back(next.clone());
            }
        }
    }
    reached.remove(package).unwrap_or_default()
}
