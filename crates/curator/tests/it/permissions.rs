//! A cache that may be read but not written: existing environments are used, and everything else is
//! refused in an error that names the folder and the way out.
//!
//! Root may write everywhere, so the command runs without the capabilities for that.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::support::{CURATOR, Run, World};

/// Runs the command as a user whom file modes restrict.
pub(crate) fn run_bound(world: &World, arguments: &[&str]) -> Run {
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    let drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"];
    let mut words = if is_root { drop.to_vec() } else { vec!["env"] };
    words.push(CURATOR);
    words.extend(arguments);
    let command = duct::cmd(words[0], &words[1..]).env("CURATOR_CACHE_DIR", world.cache());
    let command = command.dir(world.dir()).stdout_capture().stderr_capture().unchecked();
    Run::from(command.env_remove("VIRTUAL_ENV").run().expect("the command starts"))
}

pub(crate) fn set_mode(dir: &Path, mode: u32) {
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("a folder of ours");
}

#[test]
fn what_may_not_be_written_is_used_and_else_refused_with_a_way_out() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    let folders = ["envs-v1", "interpreters", "locks", "shims", "trash", ""];
    let folders = folders.map(|name| world.cache().join(name));
    for dir in &folders {
        set_mode(dir, 0o555);
    }
    let create = |requirement| ["env", "create", "--uv", requirement, "--base", world.base()];

    let hit = run_bound(&world, &create("packaging==24.0")).text();
    assert!(hit.contains(&key), "{hit}");
    let code = "import packaging; print(packaging.__version__)";
    let exec = ["env", "exec", "--spec", &key, "--", "python", "-c", code];
    assert_eq!(run_bound(&world, &exec).text(), "24.0\n");
    let listed = run_bound(&world, &["env", "list"]).text();
    assert!(listed.contains(&key[..12]), "{listed}");

    let locks = world.cache().join("locks").display().to_string();
    let refused = run_bound(&world, &create("packaging==24.1"));
    refused.fails(1, &locks);
    for words in ["Permission denied", "hint:", "CURATOR_CACHE_DIR"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    let removed = run_bound(&world, &["env", "remove", &key]);
    removed.fails(1, &key);
    assert!(removed.err.contains("hint:"), "{}", removed.err);
    let pruned = run_bound(&world, &["env", "prune", "--all"]).text();
    assert!(pruned.contains("not yours to remove"), "{pruned}");
    let examined = run_bound(&world, &["doctor", "--base", world.base()]);
    assert_eq!(examined.code, Some(1), "{examined:?}");
    assert!(examined.out.contains("CURATOR_CACHE_DIR"), "{}", examined.out);

    for dir in &folders {
        set_mode(dir, 0o755);
    }
    assert!(run_bound(&world, &["env", "show", &key]).text().contains("24.0"), "it is whole");
    assert!(run_bound(&world, &["env", "verify"]).text().contains("whole"));
}

#[test]
fn a_folder_in_which_no_cache_can_be_made_is_named() {
    let world = World::new();
    let dir = world.dir().join("closed");
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o555);
    let inside = dir.join("cache").display().to_string();
    let run = run_bound(&world, &["--cache-dir", &inside, "env", "list"]);
    run.fails(1, &inside);
    assert!(run.err.contains("Permission denied") && run.err.contains("hint:"), "{}", run.err);
}
