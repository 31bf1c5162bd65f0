//! Other file systems in a tree, and the same one mounted again.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use files::{Scratch, delete};

use crate::not_tested;
use crate::trees::{look, make_victim};

const PLACE: &str = "FILES_MOUNTED";

#[test]
fn what_is_mounted_in_a_tree_stays_and_is_named() {
    let scratch = Scratch::new("files-").unwrap();
    let script = r#"
        mkdir -p "$1/tree/disk" "$1/tree/bound" "$1/tree/gone" "$1/mounted" &&
        mount -t tmpfs tmpfs "$1/tree/disk" && mount --bind "$1/victim" "$1/tree/bound" &&
        mount -t tmpfs tmpfs "$1/mounted" && echo content > "$1/tree/disk/file" &&
        echo content > "$1/mounted/file" && : > "$1/tree/over" &&
        mount --bind "$1/victim/file" "$1/tree/over" || exit 77
        shift && exec "$@"
    "#;
    make_victim(&scratch.path().join("victim"));
    let program = env::current_exe().unwrap();
    let job = duct::cmd!(
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        scratch.path(),
        program,
        "--exact",
        "mounts::deletes_beside_mounts",
        "--include-ignored"
    );
    let job = job.env(PLACE, scratch.path()).stdout_capture().stderr_capture().unchecked();
    let ended = job.run();
    let is_there = |it: &std::process::Output| {
        it.status.code() != Some(77) && !it.stderr.starts_with(b"unshare")
    };
    let Some(ended) = ended.ok().filter(is_there) else {
        not_tested("what_is_mounted_in_a_tree_stays_and_is_named", "unshare --mount");
        return;
    };
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
    // Without the mounts, it is a tree like any other.
    delete(&scratch.path().join("tree")).unwrap();
}

#[test]
#[ignore = "a job of another test"]
fn deletes_beside_mounts() {
    let root = PathBuf::from(env::var_os(PLACE).expect("only run by another test"));
    let before = look(&root.join("victim"));
    let left = delete(&root.join("tree")).unwrap_err();
    assert_eq!(look(&root.join("victim")), before);
    assert_eq!(fs::read_to_string(root.join("tree/disk/file")).unwrap(), "content\n");
    assert_eq!(left.more, 2, "{left}");
    assert!(left.path.starts_with(root.join("tree")) && left.path != root.join("tree"), "{left}");
    assert!(!root.join("tree/gone").exists());
    // The tree itself, too.
    let left = delete(&root.join("mounted")).unwrap_err();
    assert_eq!(
        (left.path.as_path(), left.source.kind()),
        (&*root.join("mounted"), io::ErrorKind::CrossesDevices)
    );
    assert!(Path::new(&root.join("mounted/file")).is_file());
}
