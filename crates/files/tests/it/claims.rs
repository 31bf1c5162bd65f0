//! Ownership of folders.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use files::{Draft, Foreign, Mark, MarkError, Scratch};

use crate::trees::look;

const OURS: Mark = Mark { name: "OURS.TAG", text: "Ours.\n" };

fn foreign(dir: &Path) -> Foreign {
    let before = look(dir);
    let Err(MarkError::Foreign(foreign)) = OURS.claim(dir) else {
        panic!("{before:?} is not ours")
    };
    assert_eq!(look(dir), before, "nothing is touched in it");
    assert!(foreign.to_string().contains(&dir.display().to_string()));
    foreign
}

#[test]
fn a_folder_is_ours_if_it_is_new_empty_or_marked() {
    let scratch = Scratch::new("files-").unwrap();
    let dir = scratch.path().join("new/deeper");
    OURS.claim(&dir).unwrap();
    assert_eq!(fs::read_to_string(dir.join("OURS.TAG")).unwrap(), "Ours.\n");
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
    fs::write(dir.join("file"), "content").unwrap();
    let before = look(&dir);
    OURS.claim(&dir).unwrap();
    assert_eq!(look(&dir), before);

    // A fresh file system, and a partial mark that a crash left.
    let empty = scratch.path().join("empty");
    fs::create_dir_all(empty.join("lost+found")).unwrap();
    fs::write(empty.join(".unfinished-0123"), "Ou").unwrap();
    OURS.claim(&empty).unwrap();
    // A link to a folder is another name of the folder.
    symlink(&dir, scratch.path().join("link")).unwrap();
    OURS.claim(&scratch.path().join("link")).unwrap();
}

#[test]
fn another_folder_is_refused_and_nothing_in_it_is_touched() {
    let scratch = Scratch::new("files-").unwrap();
    let dir = scratch.path().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("notes"), "theirs").unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(foreign(&dir), Foreign { dir: dir.clone(), found: "notes".into() });
    // The mark of another program, a longer one, a shorter one, and one that only looks like ours.
    for text in ["Theirs.\n", "Ours.\n\n", "Ours", ""] {
        fs::write(dir.join("OURS.TAG"), text).unwrap();
        foreign(&dir);
    }
    fs::remove_file(dir.join("OURS.TAG")).unwrap();
    fs::write(scratch.path().join("mark"), OURS.text).unwrap();
    symlink(scratch.path().join("mark"), dir.join("OURS.TAG")).unwrap();
    foreign(&dir);
    fs::remove_file(dir.join("OURS.TAG")).unwrap();
    fs::create_dir(dir.join("OURS.TAG")).unwrap();
    foreign(&dir);
    fs::remove_dir(dir.join("OURS.TAG")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("OURS.TAG"), pipe, 0o600.into(), 0).unwrap();
    foreign(&dir);
}

#[test]
fn any_number_may_claim_a_folder_at_once() {
    let scratch = Scratch::new("files-").unwrap();
    for round in 0..50 {
        let dir = scratch.path().join(format!("{round}/dir"));
        thread::scope(|scope| {
            let claim = || {
                let folder = OURS.claim(&dir).map_err(|error| error.to_string())?;
                // Like a user that has claimed the folder.
                let file = format!("{:?}", thread::current().id());
                Draft::default().write_in(&folder, file, b"content").map_err(|it| it.to_string())
            };
            let claims: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            for claimed in claims {
                claimed.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_folder_older_than_the_mark_is_recognized() {
    let scratch = Scratch::new("files-").unwrap();
    fs::write(scratch.path().join("old"), "content").unwrap();
    let is_ours = |folder: &files::Folder| folder.kind("old").unwrap().is_some();
    OURS.claim_with(scratch.path(), is_ours, &Draft::default()).unwrap();
    OURS.claim(scratch.path()).unwrap();
}

/// Two processes find an older folder that one of them then marks, before the other has looked at it.
#[test]
fn an_older_folder_that_another_process_has_just_marked_is_ours() {
    let scratch = Scratch::new("files-").unwrap();
    fs::write(scratch.path().join("older"), "").unwrap();
    let is_ours = |folder: &files::Folder| {
        OURS.claim_with(scratch.path(), |_| true, &Draft::default()).unwrap();
        folder.occupants().is_ok_and(|found| found == ["older"])
    };
    OURS.claim_with(scratch.path(), is_ours, &Draft::default()).unwrap();
}
