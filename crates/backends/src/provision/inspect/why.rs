//! Why a package is in an environment.

use std::collections::{BTreeMap, VecDeque};

use envspec::{Requirement, normal_name};
use serde::Serialize;

use super::details::EnvDetails;
use crate::provision::build::{Asks, Installed, Markers, asks, asks_for};

/// Why a package is in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// Its normal name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Whether it was installed for this environment or belongs to the base.
    pub origin: Origin,
    /// The base's version that it replaced.
    pub replaced: Option<String>,
    /// Its source, if not an index: a URL or path without credentials. None for a package of the
    /// base.
    pub source: Option<String>,
    /// The requirements of the spec that ask for it.
    pub requested_by: Vec<String>,
    /// The packages of the environment that require it, with their requirements; only those whose
    /// requirement applies here.
    pub required_by: Vec<Dependent>,
    /// The shortest path to it from a requirement of the spec: the requirement, then package by
    /// package. Empty if no requirement of the spec leads to it.
    pub path: Vec<String>,
}

/// The origin of a package in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It was installed for this environment.
    Added,
    /// The base has it.
    Base,
}

/// A package that requires another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Dependent {
    /// The package, as `name==version`.
    pub package: String,
    /// Its requirement.
    pub requires: String,
}

impl EnvDetails {
    /// Returns why a package is in the environment: requested by a requirement, required by another
    /// package, or the base's. Returns none if it is not there.
    ///
    /// Reads the metadata of the packages on disk.
    #[must_use]
    pub fn why(&self, package: &str) -> Option<Why> {
        let package = normal_name(package);
        let version = self.packages.get(&package)?.clone();
        let installed = Installed::of_environment(&self.dir);
        let requirements = self.install().map(|install| install.requirements).unwrap_or_default();
        let requirements: Vec<Asked> = requirements
            .into_iter()
            .map(|requirement| Asked { name: self.name_of(&requirement), requirement })
            .collect();
        let implementation = installed.implementation().unwrap_or("cpython");
        let markers = Markers::new(&self.python_version, implementation);
        let requested = requirements.iter();
        let requested =
            requested.filter_map(|asked| Some((asked.name.as_deref()?, &asked.requirement)));
        let edges = edges(asks(&installed, requested, &markers));

        let is_asked = |asked: &&Asked| asked.name.as_ref() == Some(&package);
        let added = self.added.iter().find(|added| added.name == package);
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
            origin: if added.is_some() { Origin::Added } else { Origin::Base },
            source: added.and_then(|added| added.source.clone()),
            replaced: self
                .replaced
                .iter()
                .find(|replaced| replaced.name == package)
                .map(|replaced| replaced.version.clone()),
            requested_by: requirements
                .iter()
                .filter(is_asked)
                .map(|asked| asked.requirement.to_string())
                .collect(),
            required_by,
            path: path(&requirements, &edges, &installed, &package),
            version,
            package,
        })
    }

    /// Returns the normal name of a requirement's package: it may name only a folder or a
    /// repository.
    fn name_of(&self, requirement: &Requirement) -> Option<String> {
        let by_place = || {
            let mut added = self.added.iter();
            let found = added.find(|it| asks_for(requirement, &it.name, it.source.as_deref()));
            found.map(|it| it.name.clone())
        };
        requirement.name().map(normal_name).or_else(by_place)
    }
}

/// A requirement of the spec, and the normal name of its package.
struct Asked {
    name: Option<String>,
    requirement: Requirement,
}

/// The requirements of each package: the names, each with the requirement in words.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

fn edges(asks: Asks) -> Edges {
    let words = |requirements: Vec<Requirement>| {
        let named = requirements.into_iter();
        named.filter_map(|it| Some((normal_name(it.name()?), it.to_string()))).collect()
    };
    asks.into_iter().map(|(name, requirements)| (name, words(requirements))).collect()
}

/// Returns the shortest path from a requirement of the spec, if there is one.
fn path(
    requirements: &[Asked],
    edges: &Edges,
    installed: &Installed,
    package: &str,
) -> Vec<String> {
    let mut reached: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut waiting = VecDeque::new();
    for Asked { name, requirement } in requirements {
        let Some(name) = name.clone() else { continue };
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
