//! The record of a run: the contents of its environments, so that they can be made again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use envspec::{Install, LoadedEnv, Requirement, Tool};
use files::{Access, Draft, Folder, Foreign, Mark, MarkError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::Isolation;

use crate::provision::{
    Added, EnvDetails, Provisioner, asks_for, digest_now, is_direct, local_path, with_requirements,
};
use crate::run::{Error, Owner, Plan, PlannedBase, PlannedStage, RunReport};

/// The version of a record's format.
const FORMAT: u32 = 1;
/// The file in the folder of a record.
const FILE: &str = "record.json";
/// The mark of a record's folder.
const MARK: Mark =
    Mark { name: "RECORD.TAG", text: "This folder holds the record of a run of Curator.\n" };

/// Maximum bytes that are read of a record, which includes the report of a run.
const MOST_BYTES: u64 = 1 << 28;

/// The environments of a run: the packages of every stage with their versions and digests, pinned
/// by lines with hashes, the base, and all durations. It contains no credentials.
///
/// [`lock`](Self::lock) makes another run of the same pipeline use exactly these packages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    format: u32,
    /// The version of this library.
    version: String,
    /// Creation time, in seconds since 1970.
    created: u64,
    platform: String,
    pipeline: String,
    /// The versions of the base's distributions.
    base_packages: BTreeMap<String, String>,
    /// The base, if it is a managed one.
    managed_base: Option<RecordedEnv>,
    stages: Vec<RecordedStage>,
    /// The report of the run.
    report: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RecordedStage {
    name: String,
    /// None if it ran in the base, or in an interpreter of its own.
    environment: Option<RecordedEnv>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RecordedEnv {
    /// The digest of its spec.
    spec: String,
    key: String,
    tool: String,
    tool_version: String,
    /// The installed packages.
    added: Vec<Added>,
    /// The lines that install them again.
    requirements: Vec<String>,
    /// Whether the lines have hashes; packages from a folder or a repository have none.
    has_hashes: bool,
}

/// The packages in a record are those of the build.
impl Added {
    /// Returns the package as it was in the run: one that is installed in place may have changed
    /// since it was built.
    fn in_run(mut self) -> Self {
        let path = self.path().filter(|_| self.editable);
        self.digest = self.digest.or_else(|| digest_now(&path?, true));
        self
    }

    fn is_asked_by(&self, requirement: &Requirement) -> bool {
        asks_for(requirement, &self.name, self.source.as_deref())
    }

    /// Returns its source folder or archive.
    fn path(&self) -> Option<PathBuf> {
        self.source.as_deref().filter(|_| self.commit.is_none()).and_then(local_path)
    }
}

impl RecordedEnv {
    fn new(
        provisioner: &Provisioner,
        env: &LoadedEnv,
        install: &Install,
        details: EnvDetails,
    ) -> Result<Self, Error> {
        let (requirements, has_hashes) = provisioner.pin(env, &details)?;
        Ok(Self {
            spec: install.digest().to_string(),
            key: details.key.to_string(),
            tool: details.tool,
            tool_version: details.tool_version,
            added: details.added.into_iter().map(Added::in_run).collect(),
            requirements,
            has_hashes,
        })
    }

    /// Returns the differences of an environment's contents in words; none if there are none.
    fn difference(&self, details: &EnvDetails) -> Option<String> {
        // The digest counts if both have one.
        let digest = |name: &str| {
            let then = self.added.iter().find(|it| it.name == name && !it.editable)?;
            let now = details.added.iter().find(|it| it.name == name && !it.editable)?;
            then.digest.as_ref().zip(now.digest.as_ref())
        };
        let text = |name: &str, version: &str, place: Option<&String>, is_direct: bool| {
            let place = place.map(|it| format!(" ({it})"));
            let place = place.or_else(|| is_direct.then(|| " (from no index)".to_owned()));
            format!("{name}=={version}{}", place.unwrap_or_default())
        };
        let was: BTreeSet<String> = self
            .added
            .iter()
            .map(|it| {
                let place = it.commit.as_ref().or_else(|| digest(&it.name).map(|(then, _)| then));
                text(&it.name, &it.version, place, it.source.is_some())
            })
            .collect();
        let is: BTreeSet<String> = details
            .added
            .iter()
            .map(|it| {
                let place = it.commit.as_ref().or_else(|| digest(&it.name).map(|(_, now)| now));
                text(&it.name, &it.version, place, it.source.is_some())
            })
            .collect();
        let gone = was.difference(&is).map(|it| format!("-{it}"));
        let come = is.difference(&was).map(|it| format!("+{it}"));
        let all: Vec<String> = gone.chain(come).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Fails if the source folder or archive of a package has changed. If the environment
    /// `is_there` unchanged, only packages installed in place are checked.
    fn check_sources(&self, owner: &Owner, install: &Install, is_there: bool) -> Result<(), Error> {
        let is_other = install.digest().to_string() != self.spec;
        let own = || install.requirements.iter().filter(|it| it.is_local());
        // A project also counts as changed when a project that it depends on by its path has
        // changed.
        let (mut changed, mut brought) = (None, None);
        for package in self.added.iter().filter(|it| it.editable || !is_there) {
            let Some(recorded) = package.path() else { continue };
            let named = own().find(|it| package.is_asked_by(it));
            // The spec itself decides.
            if named.is_some() && package.digest.is_none() {
                continue;
            }
            let digest = |path: &Path| digest_now(path, package.editable);
            // It may lie elsewhere now.
            let mut places = own()
                .filter(|it| it.is_editable() == package.editable)
                .filter_map(Requirement::path);
            let is_same = package.digest.is_some()
                && (digest(&recorded) == package.digest
                    || places.any(|path| digest(path) == package.digest));
            if !is_same {
                let path = named.and_then(Requirement::path).unwrap_or(&recorded);
                let found = Some((package, path.to_owned()));
                // A package that another spec does not name may come from elsewhere.
                if named.is_none() {
                    brought = brought.or(found);
                } else {
                    changed = changed.or(found);
                }
            }
        }
        if changed.is_none() && is_other {
            return Ok(());
        }
        match brought.or(changed) {
            Some((package, path)) => Err(Error::SourceChanged {
                owner: owner.clone(),
                package: package.name.clone(),
                path,
            }),
            None => Ok(()),
        }
    }

    /// Returns a request for exactly these packages, in place of the original request.
    ///
    /// A package that does not come from an index is requested as in the spec, whose credentials no
    /// record has, and never by its name and version.
    fn locked(&self, owner: &Owner, install: &Install) -> Result<Install, Error> {
        if install.digest().to_string() != self.spec {
            return Err(Error::OtherSpec { owner: owner.clone() });
        }
        let mut recorded = Vec::new();
        for line in &self.requirements {
            let requirement: Requirement = line.parse().map_err(|source| Error::Spec {
                owner: owner.record(),
                source: Box::new(source),
            })?;
            recorded.push(requirement);
        }
        let mut requirements = Vec::new();
        for own in install.requirements.iter().filter(|it| is_direct(it)) {
            let package = self.added.iter().find(|it| it.is_asked_by(own));
            let is_same = |line: &&Requirement| {
                is_direct(line) && package.is_some_and(|package| package.is_asked_by(line))
            };
            let own = match recorded.iter().find(is_same) {
                Some(line) if own.hashes().len() == 0 => own.with_hashes_of(line),
                _ => own.clone(),
            };
            let commit = package.and_then(|it| Some((&it.name, it.commit.as_ref()?)));
            requirements.push(match commit {
                Some((name, commit)) => own.at_commit(name, commit),
                None => own,
            });
        }
        let package = |line: &Requirement| self.added.iter().find(|it| it.is_asked_by(line));
        let is_asked = |it: &Added| {
            install.requirements.iter().any(|own| is_direct(own) && it.is_asked_by(own))
        };
        requirements.extend(recorded.into_iter().filter(|line| match package(line) {
            Some(package) if is_direct(line) => !is_asked(package) && line.hashes().len() > 0,
            Some(package) => package.source.is_none() && !is_asked(package),
            None => !is_direct(line),
        }));
        // pip wants hashes for all requirements or for none.
        if install.tool == Tool::Pip && requirements.iter().any(|it| it.hashes().len() == 0) {
            requirements = requirements.iter().map(Requirement::without_hashes).collect();
        }
        Ok(with_requirements(install, requirements))
    }
}

impl RunRecord {
    /// Creates the record of a run that has ended. `provisioner` is that of its executor, and finds
    /// the environments in the cache; their packages are resolved once more, for the hashes.
    pub fn new(plan: &Plan, provisioner: &Provisioner, report: &RunReport) -> Result<Self, Error> {
        let needs_python = plan.stages().iter().any(PlannedStage::needs_python);
        let managed_base = match plan.base() {
            Some(PlannedBase::Managed(env)) if needs_python => {
                match (provisioner.managed_base()?, &env.install) {
                    (Some(details), Some(install)) => {
                        Some(RecordedEnv::new(provisioner, env, install, details)?)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let mut stages = Vec::new();
        for stage in plan.stages() {
            let name = stage.settings.name.clone();
            let environment = match built(stage) {
                Some((env, install)) => {
                    let details = provisioner.prepare(&served(env), isolation(stage))?.details();
                    let recorded =
                        details.map(|details| RecordedEnv::new(provisioner, env, install, details));
                    recorded.transpose().map_err(|error| error.of_stages(vec![name.clone()]))?
                }
                None => None,
            };
            stages.push(RecordedStage { name, environment });
        }
        let base_packages =
            if needs_python { provisioner.base_versions()? } else { BTreeMap::new() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created: now.as_secs(),
            platform: platform(),
            pipeline: plan.name().to_owned(),
            base_packages,
            managed_base,
            stages,
            report: serde_json::to_value(report).unwrap_or_default(),
        })
    }

    /// Reads the record in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], also if another user owns the folder or the record, or could have written
    /// there.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let failed = |source| Error::io("read the record", path.display().to_string(), source);
        // The record decides the packages, so no other user may have written it.
        let access = Access::of_root(dir).map_err(failed)?;
        let text = access.read(&path, MOST_BYTES).map_err(failed)?;
        let record: Self = serde_json::from_slice(&text).map_err(|it| failed(it.into()))?;
        if record.format == FORMAT {
            return Ok(record);
        }
        let problem =
            format!("it has form {}, and this program knows form {FORMAT}", record.format);
        Err(failed(io::Error::other(problem)))
    }

    /// Prepares the folder for a record, before a run that may take long.
    ///
    /// # Errors
    ///
    /// [`Error::NotOurs`] if it holds other files, and [`Error::Io`], also if another user owns the
    /// folder or could replace it. Nothing is made or touched then.
    pub fn claim(dir: &Path) -> Result<(), Error> {
        claim(dir).map(drop)
    }

    /// Writes the record into a folder, in place of an earlier record. [Claims](Self::claim) the
    /// folder if needed.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let folder = claim(dir)?;
        let write = || draft().write_in(&folder, FILE, &serde_json::to_vec_pretty(self)?);
        write().map_err(|source| {
            Error::io("write the record", dir.join(FILE).display().to_string(), source)
        })
    }

    /// Returns the plan with the record's packages in place of those that its specs resolve to now.
    ///
    /// An environment in the cache with these packages is used unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::OtherSpec`] if a stage or the base asks for other packages than then, and
    /// [`Error::SourceChanged`] if the source folder or archive of a package has changed.
    pub fn lock(&self, plan: &Plan, cache_dir: Option<&Path>) -> Result<Plan, Error> {
        let opened = |plan: &Plan| Provisioner::builder().base_of(plan).cache_dir(cache_dir).open();
        if platform() != self.platform {
            return Err(Error::OtherPlatform { then: self.platform.clone(), now: platform() });
        }
        // The declarations of the classes were a part of the run.
        let mut plan =
            if plan.is_read() { plan.clone() } else { opened(plan)?.read_declared(plan)? };
        if let (Some(PlannedBase::Managed(env)), Some(recorded)) = (plan.base(), &self.managed_base)
            && let Some(install) = &env.install
        {
            let there = opened(&plan)?.peek_managed_base()?;
            let is_same = there.is_some_and(|it| recorded.difference(&it).is_none());
            recorded.check_sources(&Owner::Base, install, is_same)?;
            let install = recorded.locked(&Owner::Base, install)?;
            if !is_same {
                let mut env = (**env).clone();
                env.install = Some(install);
                plan.set_base(PlannedBase::Managed(Box::new(env)));
            }
        }
        let provisioner = opened(&plan)?;
        let mut locked = Vec::new();
        for stage in plan.stages() {
            let recorded = self.environment(&stage.settings.name);
            locked.push(match (built(stage), recorded) {
                (None, None) => None,
                (Some((env, install)), Some(recorded)) => {
                    let owner = Owner::Stage(stage.settings.name.clone());
                    let there = provisioner.peek(env, isolation(stage))?;
                    let is_same = there.is_some_and(|it| recorded.difference(&it).is_none());
                    recorded.check_sources(&owner, install, is_same)?;
                    let install = recorded.locked(&owner, install)?;
                    (!is_same).then_some(install)
                }
                _ => {
                    let owner = Owner::Stage(stage.settings.name.clone());
                    return Err(Error::OtherSpec { owner });
                }
            });
        }
        plan.set_installs(locked);
        Ok(plan)
    }

    /// Builds the environments of a [locked](Self::lock) plan, and compares them with the record.
    ///
    /// # Errors
    ///
    /// [`Error::NotReproduced`] if the contents of one differ; otherwise those of
    /// [`Provisioner::prepare`].
    pub fn verify(&self, plan: &Plan, provisioner: &Provisioner) -> Result<(), Error> {
        let differs = |owner: Owner, difference| Err(Error::NotReproduced { owner, difference });
        if plan.stages().iter().any(PlannedStage::needs_python) {
            let now = provisioner.base_versions()?;
            let changed =
                self.base_packages.iter().find(|(name, version)| now.get(*name) != Some(version));
            let new = now.keys().find(|name| !self.base_packages.contains_key(*name));
            if let Some(name) = changed.map(|(name, _)| name).or(new) {
                let version = |versions: &BTreeMap<String, String>| {
                    versions.get(name).map_or("not there".to_owned(), Clone::clone)
                };
                let (then, now) = (version(&self.base_packages), version(&now));
                return differs(Owner::Base, format!("`{name}` was {then} and is {now}"));
            }
            if let Some((recorded, details)) =
                self.managed_base.as_ref().zip(provisioner.managed_base()?)
                && let Some(difference) = recorded.difference(&details)
            {
                return differs(Owner::Base, difference);
            }
        }
        for stage in plan.stages() {
            let name = &stage.settings.name;
            let Some(((env, _), recorded)) = built(stage).zip(self.environment(name)) else {
                continue;
            };
            let prepared = provisioner.prepare(&served(env), isolation(stage));
            let prepared = prepared.map_err(|error| error.of_stages(vec![name.clone()]))?;
            let details = prepared.details();
            if let Some(difference) = details.and_then(|details| recorded.difference(&details)) {
                return differs(Owner::Stage(name.clone()), difference);
            }
        }
        Ok(())
    }

    fn environment(&self, stage: &str) -> Option<&RecordedEnv> {
        self.stages.iter().find(|it| it.name == stage)?.environment.as_ref()
    }
}

/// Returns a draft that other users can read; no run would trust a file that a group may write
/// without being asked to.
fn draft() -> Draft<'static> {
    Draft::default().with_mode(0o644)
}

fn claim(dir: &Path) -> Result<Folder, Error> {
    let failed =
        |source, path: &Path| Error::io("write the record", path.display().to_string(), source);
    // Readable by other users, writable by the owner only.
    let access = Folder::make_root(dir, 0o755).map_err(|source| failed(source, dir))?;
    MARK.claim_with(dir, |folder| has_record(folder, access), &draft()).map_err(|error| match error
    {
        MarkError::Foreign(Foreign { dir, found }) => {
            Error::NotOurs { what: "folder of a record", dir, found }
        }
        MarkError::Io { path, source, .. } => failed(source, &path),
    })
}

/// Returns whether the folder has a record from before the mark existed.
fn has_record(folder: &Folder, access: Access) -> bool {
    let file = access.open(&folder.path().join(FILE));
    file.is_ok_and(|file| serde_json::from_reader::<_, RunRecord>(BufReader::new(file)).is_ok())
}

/// Returns the spec of a stage's environment, if it is built.
fn built(stage: &PlannedStage) -> Option<(&LoadedEnv, &Install)> {
    let env = stage.env.as_ref()?;
    let is_built = env.python.is_none() && env.py_executable.is_none();
    env.install.as_ref().filter(|_| is_built).map(|install| (env, install))
}

/// Returns the spec without the fields that the engine has served, or has refused.
fn served(env: &LoadedEnv) -> LoadedEnv {
    let mut env = env.clone();
    env.engine_fields.clear();
    env
}

fn isolation(stage: &PlannedStage) -> Isolation {
    stage.settings.isolation.unwrap_or(Isolation::Shared)
}

fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
