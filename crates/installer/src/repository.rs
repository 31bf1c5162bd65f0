//! Copies of git repositories for builds that ask git for a version.
//!
//! git compares tracked files with those in the work tree, so a copy has all tracked files, with
//! links as links. It has no objects, and names those of the original, which nothing changes.

use std::fs;
use std::io;
use std::path::Path;

use envspec::Repository;
use walkdir::WalkDir;

use crate::error::{Error, IoResultExt};

/// Files that a description of the work tree does not need, or that belong to the original alone.
const LEFT: [&str; 9] = [
    "objects",
    "modules",
    "worktrees",
    "lfs",
    "hooks",
    "logs",
    "config.worktree",
    "commondir",
    "gitdir",
];

/// Copies the tracked files of a work tree as they are there, and the repository's state.
pub(crate) fn copy(repository: &Repository, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).context("make", to)?;
    let (links, others): (Vec<_>, Vec<_>) =
        repository.tracked.iter().partition(|tracked| tracked.is_link());
    // Links come last, so that none is written through.
    for tracked in others.iter().chain(&links) {
        let (from, to) = (repository.root.join(&tracked.path), to.join(&tracked.path));
        let Ok(metadata) = fs::symlink_metadata(&from) else { continue };
        let folder = to.parent().unwrap_or(&to);
        if metadata.is_dir() {
            // Another repository: that it is there is all that this one looks at.
            fs::create_dir_all(&to).context("make", &to)?;
        } else if metadata.is_symlink() {
            fs::create_dir_all(folder).context("make", folder)?;
            let target = fs::read_link(&from).context("read the link", &from)?;
            match std::os::unix::fs::symlink(target, &to) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).context("make", &to);
                }
                _ => {}
            }
        } else if metadata.is_file() && !tracked.is_link() {
            fs::create_dir_all(folder).context("make", folder)?;
            fs::copy(&from, &to).context("copy", &from)?;
        }
    }
    copy_state(repository, &to.join(".git"))
}

/// Copies the repository itself, without its objects.
fn copy_state(repository: &Repository, to: &Path) -> Result<(), Error> {
    copy_files(&repository.common_dir, to)?;
    if repository.git_dir != repository.common_dir {
        copy_files(&repository.git_dir, to)?;
    }
    let info = to.join("objects/info");
    fs::create_dir_all(&info).context("make", &info)?;
    let objects = repository.common_dir.join("objects");
    let alternates = info.join("alternates");
    fs::write(&alternates, format!("{}\n", objects.display())).context("write", &alternates)?;
    let config = to.join("config");
    let text = fs::read_to_string(&config).unwrap_or_default();
    fs::write(&config, with_work_tree_here(&text)).context("write", &config)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).context("make", to)?;
    let walk = WalkDir::new(from).min_depth(1).into_iter().filter_entry(|entry| {
        let is_left = LEFT.iter().any(|name| entry.file_name() == *name);
        let is_lock = entry.path().extension().is_some_and(|end| end == "lock");
        !(entry.depth() == 1 && is_left || is_lock)
    });
    for entry in walk {
        let entry = entry.map_err(io::Error::from).context("read", from)?;
        let Ok(below) = entry.path().strip_prefix(from) else { continue };
        let target = to.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).context("make", &target)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target).context("copy", entry.path())?;
        }
    }
    Ok(())
}

/// Returns the configuration with the folder around the repository as the work tree, which
/// submodules and linked work trees do not have.
fn with_work_tree_here(config: &str) -> String {
    let names_a_tree = |line: &&str| {
        let line = line.trim_start().to_ascii_lowercase();
        line.strip_prefix("worktree").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let lines: Vec<_> = config.lines().filter(|line| !names_a_tree(line)).collect();
    lines.join("\n") + "\n[core]\n\tbare = false\n[extensions]\n\tworktreeConfig = false\n"
}
