//! Versions from git, by the most common tool for them.

use std::fs;
use std::path::Path;

use envspec::Tool;
use installer::Request;

use crate::world::{Environment, install, installer};

fn git(dir: &Path, words: &[&str]) {
    let head = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"];
    duct::cmd("git", head.iter().chain(words)).dir(dir).stderr_null().read().expect("git runs");
}

/// Writes a project whose version comes from the repository around it, and commits it.
fn repository(dir: &Path, project_in: &str, settings: &str) {
    let project = dir.join(project_in);
    fs::create_dir_all(&project).expect("a folder");
    let text = format!(
        "[build-system]\nrequires = ['setuptools', 'setuptools_scm']\n\
         build-backend = 'setuptools.build_meta'\n\
         [project]\nname = 'lib'\ndynamic = ['version']\n\
         [tool.setuptools]\npy-modules = ['lib']\n[tool.setuptools_scm]\n{settings}"
    );
    fs::write(project.join("pyproject.toml"), text).expect("a file");
    fs::write(project.join("lib.py"), "").expect("a file");
    fs::write(dir.join("outside.txt"), "").expect("a file");
    git(dir, &["init", "-q"]);
    git(dir, &["add", "."]);
    git(dir, &["commit", "-q", "-m", "one"]);
    git(dir, &["tag", "v1.1"]);
}

/// As `setuptools_scm` tells it in place; it checks whether any tracked file has changed.
#[test]
fn in_a_submodule_and_in_a_repository_of_several_projects() {
    let folder = tempfile::tempdir().unwrap();
    let [single, mono, outer] = ["single", "mono", "outer"].map(|name| folder.path().join(name));
    repository(&single, "", "");
    repository(&mono, "packages/lib", "root = '../..'\n");
    fs::create_dir(&outer).unwrap();
    git(&outer, &["init", "-q"]);
    git(&outer, &["submodule", "add", "-q", "../single", "sub"]);
    for (tool, repository, project) in [
        (Tool::Pip, &mono, mono.join("packages/lib")),
        (Tool::Uv, &outer.join("sub"), outer.join("sub")),
    ] {
        // An empty commit with a tag has a version of its own.
        for version in ["1.1", "1.2"] {
            if version == "1.2" {
                git(repository, &["commit", "-q", "--allow-empty", "-m", "two"]);
                git(repository, &["tag", "v1.2"]);
            }
            let environment = Environment::bare();
            let python = environment.python();
            let wanted = install(tool, &[project.to_str().unwrap()]);
            installer(tool, &python).install(&Request::new(&wanted, &python)).unwrap();
            assert_eq!(environment.version_of("lib"), version, "{tool}");
        }
    }
}
