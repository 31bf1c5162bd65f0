//! The parts of a build that other users may see, and the owners of tools that are run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use envspec::Tool;
use installer::{Deadline, Error, Request, Tools};

use crate::world::{Environment, LIMIT, install, installer, source_tree, without_uv};

const STRANGER: u32 = 10_003;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a file of ours");
}

/// If a project is private to its owner, so is the copy that is built.
#[test]
fn what_is_copied_for_a_build_is_its_owners_alone() {
    for tool in [Tool::Pip, Tool::Uv] {
        let environment = Environment::bare();
        let notes = tempfile::tempdir().unwrap();
        let note = notes.path().join("modes");
        let body = format!(
            r#"
import os, pathlib, stat
with open({note:?}, "a") as note:
    for folder in [pathlib.Path(os.getcwd()), *pathlib.Path(os.getcwd()).parents]:
        if folder.name.startswith("installer-"):
            print(oct(stat.S_IMODE(folder.stat().st_mode)), file=note)
"#
        );
        let project = source_tree(&body);
        let wanted = install(tool, &[&format!("local @ file://{}", project.path().display())]);
        let python = environment.python();
        installer(tool, &python).install(&Request::new(&wanted, &python)).unwrap();
        let modes = fs::read_to_string(&note).unwrap();
        assert!(!modes.is_empty(), "{tool:?}: the copy is not where it was looked for");
        assert!(modes.lines().all(|mode| mode == "0o700"), "{tool:?}: {modes}");
    }
}

#[test]
fn a_tool_that_strangers_could_have_written_is_not_run() {
    let environment = Environment::bare();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("uv-99.0");
    let program = folder.join("bin/uv");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(&program, "#!/bin/sh\necho uv 99.0\n").unwrap();
    set_mode(&program, 0o755);
    let ambient = without_uv().with_variable("PATH", "/nowhere").with_variable("PIP_NO_INDEX", "1");
    let ambient = ambient.with_variable("PIP_FIND_LINKS", "");
    let tools = Tools::new(dir.path()).with_ambient(ambient);
    let locate = || tools.locate(Tool::Uv, None, &environment.python(), Deadline::after(LIMIT));
    assert_eq!(locate().unwrap().program(), program);
    for path in [&folder, &folder.join("bin"), &program] {
        let mode = fs::metadata(path).unwrap().mode();
        set_mode(path, mode | 0o002);
        assert!(matches!(locate(), Err(Error::ToolMissing { .. })), "{}", path.display());
        set_mode(path, mode);
        chown(path, Some(STRANGER), None).expect("this test needs root");
        assert!(matches!(locate(), Err(Error::ToolMissing { .. })), "{}", path.display());
        chown(path, Some(0), None).unwrap();
    }
    assert_eq!(locate().unwrap().program(), program);
    set_mode(dir.path(), 0o777);
    let error = locate().unwrap_err();
    assert!(matches!(error, Error::Untrusted(_)), "{error}");
    assert!(error.hint().unwrap().contains("chmod"));
}
