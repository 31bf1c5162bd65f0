//! The variables and folders that a stage's processes are started with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use envspec::{Digest, LoadedEnv};

use crate::worker::Shims;

/// Returns all variables of a process in an environment, from those of this program.
///
/// A `PYTHONPATH`, `PYTHONHOME` or `VIRTUAL_ENV` of this program is not passed on, since it would
/// misdirect the interpreter; the spec may set its own `PYTHONPATH`.
pub(crate) fn for_process(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    prefix: Option<&Path>,
    scripts: Option<&Path>,
    env: &LoadedEnv,
    modules: &[PathBuf],
) -> BTreeMap<OsString, OsString> {
    const DROPPED: [&str; 4] = ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"];
    let mut vars: BTreeMap<OsString, OsString> =
        inherited.filter(|(name, _)| !DROPPED.iter().any(|dropped| name == dropped)).collect();
    vars.insert("PYTHONNOUSERSITE".into(), "1".into());
    if let Some(prefix) = prefix {
        vars.insert("VIRTUAL_ENV".into(), prefix.into());
    }
    if let Some(scripts) = scripts {
        // The environment's programs come first, so that child processes use it too.
        let path = joined(
            [scripts.as_os_str()]
                .into_iter()
                .chain(vars.get(OsStr::new("PATH")).map(OsString::as_os_str)),
        );
        vars.insert("PATH".into(), path);
    }
    let mut own: BTreeMap<OsString, OsString> = BTreeMap::new();
    for (name, value) in &env.env_vars {
        own.insert(name.into(), expand(value, &vars));
    }
    let given = own.remove(OsStr::new("PYTHONPATH"));
    let folders = modules.iter().map(PathBuf::as_path).chain(env.working_dir.as_deref());
    let python_path = joined(folders.map(Path::as_os_str).chain(given.as_deref()));
    if !python_path.is_empty() {
        own.insert("PYTHONPATH".into(), python_path);
    }
    vars.extend(own);
    vars
}

/// Joins folders to a search path; empty parts count as absent.
pub(crate) fn joined<'a>(parts: impl Iterator<Item = &'a OsStr>) -> OsString {
    let mut path = OsString::new();
    for part in parts.filter(|part| !part.is_empty()) {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(part);
    }
    path
}

/// Replaces each `${NAME}` by its value, an unknown one by nothing, as Ray does.
fn expand(text: &str, vars: &BTreeMap<OsString, OsString>) -> OsString {
    let mut expanded = OsString::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        expanded.push(before);
        expanded.push(vars.get(OsStr::new(name)).map_or(OsStr::new(""), OsString::as_os_str));
        rest = tail;
    }
    expanded.push(rest);
    expanded
}

/// Returns the entry of `PYTHONPATH` that makes a module of `py_modules` importable, and nothing
/// else.
///
/// A folder or a `.py` file is imported by its own name, as on Ray: it is linked into a folder of
/// its own, which hides its neighbours. An archive is importable itself.
pub(crate) fn module_entry(shims: &Shims, module: &Path) -> io::Result<PathBuf> {
    let is_file = std::fs::metadata(module)?.is_file();
    if is_file && module.extension().is_none_or(|extension| extension != "py") {
        return Ok(module.to_owned());
    }
    let name = module.file_name().ok_or_else(|| io::Error::other("a module needs a name"))?;
    let digest = Digest::of(module.as_os_str().as_encoded_bytes()).to_string();
    shims.link(&format!("module-{}", &digest[..16]), name, module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_first_and_the_inherited_paths_stay_out() {
        let inherited = [("PATH", "/usr/bin"), ("PYTHONPATH", "/evil"), ("PYTHONHOME", "/evil")];
        let inherited = inherited.map(|(name, value)| (name.into(), value.into()));
        let mut env = LoadedEnv::default();
        for (name, value) in [("A", "${PATH}-${NOT_SET}-$PATH"), ("PYTHONPATH", "/own")] {
            env.env_vars.insert(name.into(), value.into());
        }
        env.working_dir = Some("/work".into());
        let vars = for_process(
            inherited.into_iter(),
            Some(Path::new("/env")),
            Some(Path::new("/env/bin")),
            &env,
            &["/modules".into()],
        );
        let get = |name: &str| vars.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(get("PATH"), Some("/env/bin:/usr/bin"));
        assert_eq!(get("A"), Some("/env/bin:/usr/bin--$PATH"));
        assert_eq!(get("PYTHONPATH"), Some("/modules:/work:/own"));
        assert_eq!(get("PYTHONHOME"), None);
        assert_eq!(get("VIRTUAL_ENV"), Some("/env"));
    }

    #[test]
    fn a_module_is_importable_and_its_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["wanted", "neighbour"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let shims = Shims::new(dir.path().join("shims"));
        let entry = module_entry(&shims, &dir.path().join("wanted")).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&entry).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["wanted"]);
        assert_eq!(module_entry(&shims, &dir.path().join("wanted")).unwrap(), entry);
    }
}
