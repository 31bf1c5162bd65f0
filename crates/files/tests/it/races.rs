//! Deletions beside a process that replaces folders of the tree by links to elsewhere.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use files::{Folder, Kind, Scratch, delete};
use rustix::fs::symlinkat;

use crate::trees::{look, make_victim};

const PLACE: &str = "FILES_SWAPPED";
const WIDTH: usize = 3;
const DEPTH: usize = 4;

fn rounds() -> usize {
    if env::var_os("CURATOR_TEST_ALL").is_some() { 1000 } else { 40 }
}

/// Grows a tree that the swapping process knows.
fn grow(path: &Path, depth: usize) {
    fs::create_dir(path).expect("made");
    fs::write(path.join("file"), "content").expect("made");
    for number in 0..WIDTH {
        if depth > 0 {
            grow(&path.join(number.to_string()), depth - 1);
        }
    }
}

/// Law: another process replaces folders of a tree during its deletion; the files behind the new
/// links stay unchanged.
#[test]
fn a_deletion_beside_a_process_that_swaps_folders_for_links_loses_nothing_outside() {
    let scratch = Scratch::new("files-").unwrap();
    let victim = scratch.path().join("victim");
    make_victim(&victim);
    // The victim has the same folders, so that a path that was checked before exists there, too.
    grow(&victim.join("0"), 2);
    grow(&victim.join("1"), 2);
    let before = look(&victim);
    let place = scratch.path().join("place");
    fs::create_dir_all(place.join("aside")).unwrap();
    let program = env::current_exe().unwrap();
    let swapper =
        duct::cmd!(program, "--exact", "races::swaps_folders_for_links", "--include-ignored");
    let swapper = swapper.env(PLACE, scratch.path()).stdout_capture().start().unwrap();
    let mut swaps = 0;
    for round in 0..rounds() {
        let tree = place.join("tree");
        grow(&place.join("new"), DEPTH - 1);
        fs::rename(place.join("new"), &tree).unwrap();
        // A file may be left where the other process was faster.
        if round % 2 == 0 {
            let _ = delete(&tree);
        } else {
            let _ = Folder::open(&place).unwrap().delete_all(&[OsString::from("tree")]);
        }
        swaps += fs::read_dir(place.join("aside")).unwrap().count();
        // The folders moved aside are deleted as well, and the other process may move those, too.
        let _ = delete(&place.join("aside"));
        let _ = delete(&tree);
        let _ = fs::create_dir(place.join("aside"));
        while tree.symlink_metadata().is_ok() {
            let _ = delete(&tree);
        }
        assert!(look(&victim) == before, "lost something in round {round}");
    }
    fs::write(scratch.path().join("over"), "").unwrap();
    assert!(swapper.wait().unwrap().status.success());
    assert!(swaps > rounds() / 10, "the other process did not keep up: {swaps} swaps");
    assert!(look(&victim) == before);
}

/// Moves random folders of the tree aside, and puts links to the victim in their place.
#[test]
#[ignore = "a job of another test"]
fn swaps_folders_for_links() {
    let root = PathBuf::from(env::var_os(PLACE).expect("only run by another test"));
    let (place, victim) = (root.join("place"), root.join("victim"));
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % limit as u64).unwrap()
    };
    let mut number = 0;
    let parent = rustix::process::getppid();
    while !root.join("over").exists() && rustix::process::getppid() == parent {
        // It opens no link of its own; otherwise it would move the victim.
        let Ok(mut above) = Folder::open(&place) else { continue };
        let mut name = "tree".to_owned();
        for _ in 0..next(DEPTH) {
            let Ok(folder) = above.folder(&name) else { break };
            above = folder;
            name = next(WIDTH).to_string();
        }
        let Ok(aside) = Folder::open(&place.join("aside")) else { continue };
        let moved = number.to_string();
        number += 1;
        if above.kind(&name).is_ok_and(|kind| kind == Some(Kind::Folder))
            && above.rename(&name, &aside, &moved).is_ok()
        {
            let _ = symlinkat(&victim, above.fd(), &name);
            if next(3) == 0 {
                // And back again, so that a second look finds no trace.
                let _ = above.unlink(&name);
                let _ = aside.rename(&moved, &above, &name);
            }
        }
    }
}
