//! The folder of a user's templates that stayed, and what is done with them.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use files::Folder;
use serde::Deserialize;
use serde_json::json;

use super::memory;
use super::visit::Visit;
use super::wanted::Wanted;
use crate::worker::wire::{self, Kind, Proof, Welcome};

/// How long the path of a socket may be, with what is put behind it.
const LONGEST_PATH: usize = 100;
/// The length of a socket's name, with the number of a process.
const LONGEST_NAME: usize = 48;
/// What a socket's name ends in before it answers.
const NEW: &str = ".new";
/// A template that begins to listen has done so by then.
const NEW_LIMIT: Duration = Duration::from_mins(1);

/// The templates of a user that stayed after their runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmTemplates {
    dir: PathBuf,
}

/// A template that stayed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WarmTemplate {
    /// Its process.
    pub pid: i32,
    /// The keys of the environments that it is in: its own, and the managed base's. None for other
    /// bases.
    pub environments: Vec<String>,
    /// The stage's file that it was made for; none for a module.
    pub file: Option<PathBuf>,
    /// The modules that it has imported first, in order.
    pub imports: Vec<String>,
    /// The process with which it ends, if there is one.
    pub owner: Option<u32>,
    /// How long no run has used it; none while one does.
    pub idle: Option<Duration>,
    /// When it ends if no run comes; none while one uses it.
    pub ends_in: Option<Duration>,
    /// The bytes that it holds, with its part of what it shares, if that is known.
    pub bytes: Option<u64>,
    name: OsString,
}

/// What became of a template that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has ended.
    Now,
    /// It ends once the runs that use it have.
    AfterItsRuns,
}

/// What a template tells of itself.
#[derive(Deserialize)]
struct Told {
    environments: Vec<String>,
    file: Option<PathBuf>,
    imports: Vec<String>,
    owner: Option<u32>,
    idle_seconds: Option<f64>,
    ends_in_seconds: Option<f64>,
}

/// What a template answers that is to end.
#[derive(Deserialize)]
struct Leaving {
    is_used: bool,
}

impl WarmTemplates {
    /// Those of this user, in `$XDG_RUNTIME_DIR/curator`, else in `curator-UID` of the temporary
    /// folder.
    #[must_use]
    pub fn of_user() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let is_own = |dir: &PathBuf| {
            dir.is_absolute() && std::fs::metadata(dir).is_ok_and(|dir| dir.uid() == user)
        };
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(is_own);
        let name = format!("curator-{user}");
        let dir = runtime.map_or_else(|| std::env::temp_dir().join(&name), |it| it.join("curator"));
        let is_short = dir.as_os_str().len() + LONGEST_NAME <= LONGEST_PATH;
        Self { dir: if is_short { dir } else { Path::new("/tmp").join(name) } }
    }

    /// Those in this folder.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder of their sockets.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder, made if it is missing. Nothing in a folder that others may enter is used.
    fn open(&self) -> io::Result<Folder> {
        Folder::private(&self.dir)
    }

    /// Returns them, the one that was used last first.
    pub fn list(&self) -> io::Result<Vec<WarmTemplate>> {
        if std::fs::symlink_metadata(&self.dir)
            .is_err_and(|it| it.kind() == io::ErrorKind::NotFound)
        {
            return Ok(Vec::new());
        }
        let folder = self.open()?;
        let mut found: Vec<_> =
            sockets(&folder)?.into_iter().filter_map(|name| self.look_at(&folder, name)).collect();
        found.sort_by(|a, b| a.idle.cmp(&b.idle).then(a.pid.cmp(&b.pid)));
        Ok(found)
    }

    /// Connects to a socket of the folder, which is removed if nothing listens.
    fn visit(&self, folder: &Folder, name: &OsString) -> Option<Visit> {
        match Visit::to(&self.dir.join(name)) {
            Ok(visit) => Some(visit),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = folder.unlink(name);
                None
            }
            Err(error) => {
                tracing::debug!(%error, name = %name.display(), "no warm template answers");
                None
            }
        }
    }

    fn look_at(&self, folder: &Folder, name: OsString) -> Option<WarmTemplate> {
        let mut visit = self.visit(folder, &name)?;
        let told: Told = visit.ask(Kind::Ask, &json!({})).ok()?;
        let seconds = |it: Option<f64>| it.and_then(|it| Duration::try_from_secs_f64(it).ok());
        Some(WarmTemplate {
            pid: visit.pid().as_raw_nonzero().get(),
            environments: told.environments,
            file: told.file,
            imports: told.imports,
            owner: told.owner,
            idle: seconds(told.idle_seconds),
            ends_in: seconds(told.ends_in_seconds),
            bytes: memory::held_by(visit.pid()),
            name,
        })
    }

    /// Ends a template. One that a run uses ends once that has.
    pub fn end(&self, template: &WarmTemplate) -> io::Result<Ended> {
        let folder = self.open()?;
        let Some(mut visit) = self.visit(&folder, &template.name) else { return Ok(Ended::Now) };
        match visit.ask::<Leaving>(Kind::Leave, &json!({})) {
            Ok(Leaving { is_used: true }) => return Ok(Ended::AfterItsRuns),
            Ok(Leaving { is_used: false }) => {}
            Err(error) => {
                tracing::debug!(%error, pid = template.pid, "a warm template does not answer");
                visit.kill();
            }
        }
        if !visit.wait_for_end() && !visit.kill() {
            return Err(io::Error::other(format!("process {} does not end", template.pid)));
        }
        folder.unlink(&template.name)?;
        Ok(Ended::Now)
    }

    /// Ends those that are idle in environments with these keys, so that nothing but what runs keeps
    /// them.
    pub fn leave(&self, keys: &[String]) {
        let templates = self.list().unwrap_or_default();
        let is_there = |it: &&WarmTemplate| it.environments.iter().any(|key| keys.contains(key));
        for template in templates.iter().filter(is_there).filter(|it| it.idle.is_some()) {
            if let Err(error) = self.end(template) {
                tracing::debug!(%error, pid = template.pid, "a warm template stays");
            }
        }
    }

    /// Finds the template that a run wants, if it proves to be that.
    pub(crate) fn find(
        &self,
        wanted: &Wanted,
        verify: impl Fn(&Proof) -> Result<(), String>,
    ) -> Option<Visit> {
        // Where there is no folder there is no template, and it is not made.
        std::fs::symlink_metadata(&self.dir).ok()?;
        let folder = self.open().inspect_err(
            |error| tracing::debug!(%error, dir = %self.dir.display(), "no warm template is used"),
        );
        let folder = folder.ok()?;
        let prefix = format!("{}-", wanted.name);
        let is_such = |name: &OsString| name.to_str().is_some_and(|it| it.starts_with(&prefix));
        let names = sockets(&folder).ok()?;
        names.into_iter().filter(is_such).find_map(|name| {
            let mut visit = self.visit(&folder, &name)?;
            let (packages, source) = (&wanted.packages[..], &wanted.importer);
            let welcome: Welcome =
                visit.ask(Kind::Visit, &wire::Visit { packages, source }).ok()?;
            let problem = welcome.problem.map_or_else(|| verify(&welcome.proof), Err);
            match problem {
                Ok(()) => Some(visit),
                Err(why) => {
                    tracing::debug!(why, pid = visit.pid().as_raw_nonzero().get(), "not used");
                    None
                }
            }
        })
    }

    /// Where a template of this name is to listen.
    pub(crate) fn place(&self) -> io::Result<&Path> {
        self.open()?;
        if self.dir.as_os_str().len() + LONGEST_NAME > LONGEST_PATH {
            return Err(io::Error::other("its path is too long for a socket"));
        }
        Ok(&self.dir)
    }

    /// Ends those that were used least recently, until so many are left at most, which hold so many
    /// bytes together at most. One that is in use counts, and stays.
    pub(crate) fn make_room(&self, most: usize, most_bytes: u64) {
        let (mut count, mut bytes) = (0, 0_u64);
        for template in self.list().unwrap_or_default() {
            count += 1;
            bytes = bytes.saturating_add(template.bytes.unwrap_or(0));
            if (count > most || bytes > most_bytes) && template.idle.is_some() {
                match self.end(&template) {
                    Ok(_) => {
                        count -= 1;
                        bytes = bytes.saturating_sub(template.bytes.unwrap_or(0));
                    }
                    Err(error) => {
                        tracing::debug!(%error, pid = template.pid, "a warm template stays");
                    }
                }
            }
        }
    }
}

/// The sockets of templates in the folder that answer, or have done so. What another program keeps
/// there is neither asked nor removed.
fn sockets(folder: &Folder) -> io::Result<Vec<OsString>> {
    let mut found = Vec::new();
    for name in folder.names()? {
        let Some(is_new) = name.to_str().and_then(is_new) else { continue };
        let Ok(metadata) = std::fs::symlink_metadata(folder.path().join(&name)) else { continue };
        if !metadata.file_type().is_socket() {
            continue;
        }
        if is_new {
            // What left it has died in between.
            let made = metadata.modified().ok();
            let age = made.and_then(|made| SystemTime::now().duration_since(made).ok());
            if age.is_some_and(|age| age > NEW_LIMIT) {
                let _ = folder.unlink(&name);
            }
            continue;
        }
        found.push(name);
    }
    found.sort();
    Ok(found)
}

/// Returns, for a name that a template gives its socket, whether that does not answer yet.
fn is_new(name: &str) -> Option<bool> {
    let listening = name.strip_suffix(NEW);
    let (wanted, pid) = listening.unwrap_or(name).split_once('-')?;
    let is_wanted = wanted.len() == Wanted::NAME_LENGTH
        && wanted.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    (is_wanted && is_pid).then_some(listening.is_some())
}
