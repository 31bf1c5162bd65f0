//! Folders that the Python on a cluster's nodes removes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::world::host;

/// Runs lines of Python beside the files that nodes get, with `dir` as the folder for temporary
/// files.
fn run(dir: &Path, lines: &str) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let lines = format!("import sys\nimport curator_ray_node as node\n{lines}");
    let python = duct::cmd!(host(), "-B", "-c", lines, dir);
    python.env("PYTHONPATH", sources).env("TMPDIR", dir).run().expect("it ends well");
}

#[test]
fn a_run_folder_goes_and_nothing_that_links_in_it_lead_to() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::create_dir_all(dir.join("victim/folder")).unwrap();
    fs::write(dir.join("victim/folder/file"), "theirs").unwrap();
    fs::create_dir_all(dir.join("tree/a/b")).unwrap();
    fs::write(dir.join("tree/a/b/file"), "ours").unwrap();
    for link in ["tree/link", "tree/a/link", "link"] {
        symlink(dir.join("victim"), dir.join(link)).unwrap();
    }
    run(dir, "node.remove_tree(sys.argv[1] + '/tree')");
    assert!(!dir.join("tree").exists());
    run(dir, "node.remove_tree(sys.argv[1] + '/link')\nnode.remove_tree(sys.argv[1] + '/nothing')");
    assert!(fs::symlink_metadata(dir.join("link")).is_err());
    assert_eq!(fs::read_to_string(dir.join("victim/folder/file")).unwrap(), "theirs");
}

#[test]
fn runs_are_ended_only_in_a_folder_of_ones_own() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let victim = dir.join("victim");
    fs::create_dir_all(victim.join("run-1/folder")).unwrap();
    let parent = |dir: &Path| {
        let name = "import os\nprint(os.getuid())";
        let user = duct::cmd!(host(), "-c", name).read().expect("a number");
        dir.join(format!("curator-{user}"))
    };
    let parent = parent(dir);
    // Another user put a link where the folder would be.
    symlink(&victim, &parent).unwrap();
    run(dir, "node.end_run('run', 0)\nnode._LIFE = -1\nnode.sweep()");
    assert!(victim.join("run-1/folder").is_dir() && !victim.join("run-1/hosts").exists());
    fs::remove_file(&parent).unwrap();
    fs::create_dir(&parent).unwrap();
    fs::create_dir(parent.join("run-2")).unwrap();
    symlink(victim.join("run-1"), parent.join("run-3")).unwrap();
    run(dir, "node.end_run('run', 0)");
    assert!(!parent.join("run-2").exists());
    assert!(victim.join("run-1/folder").is_dir() && !victim.join("run-1/hosts").exists());
}
