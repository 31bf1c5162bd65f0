//! Files that are whole or absent.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use files::{Draft, Scratch};

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).expect("a folder").count()
}

#[test]
fn a_write_replaces_and_leaves_nothing_beside_it() {
    let scratch = Scratch::new("files-").unwrap();
    let path = scratch.path().join("file");
    Draft::default().write(&path, b"one").unwrap();
    Draft::default().synced().write(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    Draft::default().with_mode(0o640).write(&path, b"three").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7700, 0o600);
    assert_eq!(count(scratch.path()), 1);
}

#[test]
fn links_are_replaced_and_not_followed() {
    let scratch = Scratch::new("files-").unwrap();
    let target = scratch.path().join("target");
    fs::write(&target, "theirs").unwrap();
    for name in ["file", "file.new", ".unfinished-"] {
        symlink(&target, scratch.path().join(name)).unwrap();
    }
    Draft::default().write(&scratch.path().join("file"), b"ours").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
    assert!(fs::symlink_metadata(scratch.path().join("file")).unwrap().is_file());
}

#[test]
fn a_failed_write_leaves_nothing() {
    let scratch = Scratch::new("files-").unwrap();
    let path = scratch.path().join("folder");
    fs::create_dir_all(path.join("full")).unwrap();
    assert!(Draft::default().write(&path, b"one").is_err());
    let refuse = |_: &fs::File| Err(io::Error::other("not today"));
    let new = scratch.path().join("new");
    assert!(Draft::default().before(&refuse).write(&new, b"one").is_err());
    assert_eq!(count(scratch.path()), 1);
}

#[test]
fn what_is_to_be_new_replaces_nothing() {
    let scratch = Scratch::new("files-").unwrap();
    let path = scratch.path().join("file");
    Draft::default().new_only().write(&path, b"one").unwrap();
    let error = Draft::default().new_only().write(&path, b"two").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(count(scratch.path()), 1);
}
