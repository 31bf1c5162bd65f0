//! Where temporary folders are made.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use files::{Scratch, Untrusted};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// Another user could put a folder of their own in its place, and what is in it is run.
#[test]
fn none_is_made_where_anyone_could_replace_it() {
    let scratch = Scratch::new("files-").unwrap();
    let above = scratch.path().join("above");
    let dir = above.join("dir");
    let link = scratch.path().join("link");
    fs::create_dir_all(&dir).unwrap();
    symlink(&dir, &link).unwrap();
    for (outer, inner, is_made) in [
        (0o755, 0o700, true),
        (0o755, 0o755, true),
        (0o755, 0o775, true),
        (0o755, 0o1777, true),
        (0o1777, 0o755, true),
        (0o755, 0o777, false),
        (0o777, 0o755, false),
        (0o777, 0o1777, false),
    ] {
        set_mode(&above, outer);
        set_mode(&dir, inner);
        for dir in [&dir, &link] {
            let made = Scratch::new_root(dir, "new-").map(drop);
            let refused = made.as_ref().err().and_then(Untrusted::of);
            assert_eq!(made.is_ok(), is_made, "{outer:o} {inner:o}: {made:?}");
            let is_replaceable = matches!(refused, Some(Untrusted::Replaceable { .. }));
            assert_eq!(is_replaceable, !is_made, "{outer:o} {inner:o}: {made:?}");
            assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "{outer:o} {inner:o}");
        }
    }
}
