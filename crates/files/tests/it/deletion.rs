//! Deletions, and the files that they keep.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use files::{Folder, Scratch, delete};
use proptest::prelude::*;

use crate::not_tested;
use crate::trees::{look, make, make_victim, trees};

/// The test that deletes the path in a variable, in a process of its own.
const JOB: &str = "deletion::deletes_what_it_is_told";

fn assert_done(job: &duct::Expression) {
    let ended = job.stdout_capture().unchecked().run().expect("started");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn cases() -> u32 {
    if std::env::var_os("CURATOR_TEST_ALL").is_some() { 1000 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    // A tree of any files goes whole, and nothing outside of it changes.
    #[test]
    fn a_tree_goes_whole_and_nothing_else_does(tree in trees(), in_parallel in any::<bool>()) {
        let scratch = Scratch::new("files-").unwrap();
        let victim = scratch.path().join("victim");
        make_victim(&victim);
        let before = look(&victim);
        let path = scratch.path().join("tree");
        make(&tree, &path, &victim);
        if in_parallel {
            let left = Folder::open(scratch.path()).unwrap().delete_all(&[OsString::from("tree")]);
            prop_assert!(left.is_empty(), "{left:?}");
        } else {
            delete(&path).unwrap();
        }
        prop_assert!(fs::symlink_metadata(&path).is_err());
        prop_assert_eq!(look(&victim), before);
    }
}

#[test]
fn of_a_link_the_link_goes() {
    let scratch = Scratch::new("files-").unwrap();
    let victim = scratch.path().join("victim");
    make_victim(&victim);
    let before = look(&victim);
    let link = scratch.path().join("link");
    for path in [link.clone(), scratch.path().join("link/"), scratch.path().join("link/.")] {
        symlink(&victim, &link).unwrap();
        delete(&path).unwrap();
        assert!(fs::symlink_metadata(&link).is_err(), "{}", path.display());
    }
    assert_eq!(look(&victim), before);
}

#[test]
fn links_above_the_name_are_followed() {
    let scratch = Scratch::new("files-").unwrap();
    fs::create_dir_all(scratch.path().join("real/tree/folder")).unwrap();
    symlink("real", scratch.path().join("link")).unwrap();
    delete(&scratch.path().join("link/tree")).unwrap();
    assert_eq!(fs::read_dir(scratch.path().join("real")).unwrap().count(), 0);
}

#[test]
fn what_is_not_there_is_deleted_already_and_a_path_without_a_name_is_refused() {
    let scratch = Scratch::new("files-").unwrap();
    delete(&scratch.path().join("nothing")).unwrap();
    delete(&scratch.path().join("nothing/nothing")).unwrap();
    fs::create_dir_all(scratch.path().join("a/b")).unwrap();
    for path in [Path::new("/"), Path::new(""), &scratch.path().join("a/b/..")] {
        let left = delete(path).unwrap_err();
        assert_eq!(left.source.kind(), io::ErrorKind::InvalidInput);
    }
    for name in ["..", ".", "", "a/b"] {
        assert!(Folder::open(scratch.path()).unwrap().delete(name).is_err(), "{name}");
    }
    assert!(scratch.path().join("a/b").is_dir());
}

#[test]
fn a_tree_of_thousands_of_levels_goes_with_few_open_files() {
    const LEVELS: usize = 3000;

    let scratch = Scratch::new("files-").unwrap();
    let tree = scratch.path().join("tree");
    // Built from the bottom up, since no path may be that long.
    for level in 0..LEVELS {
        let above = scratch.path().join("above");
        fs::create_dir(&above).unwrap();
        fs::write(above.join("file"), "content").unwrap();
        if level > 0 {
            fs::rename(&tree, above.join("folder")).unwrap();
        }
        fs::rename(&above, &tree).unwrap();
    }
    // By a thread with a small stack, in a process with a low limit of open files.
    let program = std::env::current_exe().unwrap();
    let script = r#"ulimit -n 40 && exec "$@""#;
    let job = duct::cmd!("sh", "-c", script, "sh", program, "--exact", JOB, "--include-ignored");
    let job = job.env("FILES_DOOMED", &tree).env("RUST_MIN_STACK", "131072");
    assert_done(&job);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn several_delete_one_tree_at_once() {
    let scratch = Scratch::new("files-").unwrap();
    let tree = scratch.path().join("tree");
    for folder in 0..50 {
        let folder = tree.join(folder.to_string());
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        for file in 0..20 {
            fs::write(folder.join(file.to_string()), "x").unwrap();
        }
    }
    thread::scope(|scope| {
        let deleters: Vec<_> = (0..4).map(|_| scope.spawn(|| delete(&tree))).collect();
        assert!(deleters.into_iter().all(|deleter| deleter.join().unwrap().is_ok()));
    });
    assert!(!tree.exists());
}

/// Root may write everywhere, so permissions cannot be tested as root; immutable files can.
#[test]
fn what_resists_is_named_and_the_rest_goes() {
    let scratch = Scratch::new("files-").unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("kept/deeper")).unwrap();
    fs::create_dir_all(tree.join("gone/deeper")).unwrap();
    let file = tree.join("kept/deeper/file");
    fs::write(&file, "content").unwrap();
    fs::write(tree.join("kept/other"), "content").unwrap();
    let attribute = |change: &str| duct::cmd!("chattr", change, &file).stderr_null().run().is_ok();
    if !attribute("+i") {
        not_tested("what_resists_is_named_and_the_rest_goes", "chattr +i");
        return;
    }
    let left = delete(&tree).unwrap_err();
    let found = look(&tree);
    assert!(attribute("-i"));
    assert_eq!((&left.path, left.more), (&file, 0));
    assert_eq!(left.source.kind(), io::ErrorKind::PermissionDenied);
    assert!(left.to_string().starts_with(&format!("`{}` cannot be deleted", file.display())));
    assert_eq!(found.len(), 4, "{found:?}");
    delete(&tree).unwrap();
}

#[test]
fn folders_without_permissions_are_deleted_by_their_owner() {
    let scratch = Scratch::new("files-").unwrap();
    let tree = scratch.path().join("tree");
    for name in ["a", "b", "c"] {
        let folder = tree.join(name).join("folder");
        fs::create_dir_all(folder.join("deeper")).unwrap();
        fs::write(folder.join("file"), "content").unwrap();
        fs::set_permissions(folder.join("deeper"), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(tree.join(name), Permissions::from_mode(0o400)).unwrap();
    }
    fs::set_permissions(&tree, Permissions::from_mode(0o500)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root && duct::cmd!("setpriv", "--version").stdout_null().run().is_ok() {
        // Root needs no permission, so this runs as the user `nobody`.
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        duct::cmd!("chown", "-R", "65534:65534", scratch.path()).run().unwrap();
        let program = std::env::current_exe().unwrap();
        // The user `nobody` may lack access to the program's folder.
        let copy = std::env::temp_dir().join(format!("files-program-{}", std::process::id()));
        fs::copy(program, &copy).unwrap();
        let job = duct::cmd!(
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            &copy,
            "--exact",
            JOB,
            "--include-ignored"
        );
        assert_done(&job.env("FILES_DOOMED", &tree));
        fs::remove_file(copy).unwrap();
    } else {
        delete(&tree).unwrap();
    }
    assert!(!tree.exists());
}

#[test]
#[ignore = "a job of another test"]
fn deletes_what_it_is_told() {
    let doomed = std::env::var_os("FILES_DOOMED").expect("only run by another test");
    delete(Path::new(&doomed)).unwrap();
}

#[test]
fn a_scratch_folder_is_private_and_goes_with_its_value() {
    let scratch = Scratch::new("files-").unwrap();
    let path = scratch.path().to_owned();
    assert!(path.is_absolute());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    let inner = Scratch::new_in(&path, "inner-").unwrap();
    fs::write(inner.path().join("file"), "content").unwrap();
    let kept = inner.persist("kept").unwrap();
    assert_eq!(kept, path.join("kept"));
    // Another file has its place by now, so it is kept.
    let other = Scratch::new_in(&path, "other-").unwrap();
    fs::rename(other.path(), path.join("moved")).unwrap();
    symlink(&kept, other.path()).unwrap();
    other.close().unwrap();
    assert!(kept.join("file").is_file());
    drop(scratch);
    assert!(!path.exists());
}
