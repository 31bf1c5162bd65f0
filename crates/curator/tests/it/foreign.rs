//! Folders of other programs, given to the command: nothing in them is touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use curator::venv_cache::testing::Snapshot;

use crate::pipelines::Folder;
use crate::support::{Run, World};

fn assert_refused(run: &Run, folder: &Path, before: &Snapshot, words: &str) {
    assert!(run.code != Some(0) && run.err.contains(words), "{run:?}");
    assert!(
        run.err.contains(folder.to_str().expect("text")) && run.err.contains("hint: "),
        "{run:?}"
    );
    assert_eq!(
        before.difference(&Snapshot::of(folder).expect("a readable folder")),
        <Vec<String>>::new()
    );
}

#[test]
fn a_cache_folder_with_other_things_is_refused_by_every_command() {
    let folder = Folder::numbers(1, "{}");
    let theirs = folder.path("theirs");
    fs::create_dir_all(theirs.join("trash/1a-2b-3c")).unwrap();
    fs::write(theirs.join("trash/notes.txt"), "theirs").unwrap();
    let before = Snapshot::of(&theirs).unwrap();
    let cache = theirs.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["env", "list"],
        &["env", "prune", "--all"],
        &["env", "du"],
        &["plan", "pipeline.toml"],
        &["run", "pipeline.toml", "--input", "tasks.jsonl"],
        &["doctor"],
    ];
    for command in commands {
        let run = folder.run(&[&["--cache-dir", cache], command].concat());
        if command == ["doctor"] {
            // The command continues with the other folders.
            assert!(
                format!("{}{}", run.out, run.err).contains("no cache of this program"),
                "{run:?}"
            );
            assert_eq!(before.difference(&Snapshot::of(&theirs).unwrap()), <Vec<String>>::new());
        } else {
            assert_refused(&run, &theirs, &before, "no cache of this program");
        }
    }
}

#[test]
fn what_a_link_in_the_cache_leads_to_survives_every_command() {
    let world = World::new();
    world.run(&["env", "list"]).text();
    let victim = world.dir().join("victim");
    for number in 0..70 {
        fs::create_dir_all(victim.join(format!("{number}/deeper"))).unwrap();
        fs::write(victim.join(format!("{number}/deeper/file")), "theirs").unwrap();
    }
    let before = Snapshot::of(&victim).unwrap();
    let key = "a".repeat(64);
    let link = world.cache().join("envs-v1").join(&key);
    symlink(&victim, &link).unwrap();
    let run = world.run(&["env", "prune", "--all"]);
    assert!(run.out.contains(link.to_str().unwrap()), "{run:?}");
    world.run(&["env", "exec", &key, "--", "true"]);
    world.run(&["env", "remove", &key]);
    world.run(&["env", "list"]).text();
    assert!(fs::symlink_metadata(&link).is_ok());
    assert_eq!(before.difference(&Snapshot::of(&victim).unwrap()), <Vec<String>>::new());
}

#[test]
fn a_folder_that_is_no_checkpoint_is_refused() {
    let folder = Folder::numbers(2, "{}");
    let run = |dir: &str| {
        folder.run(&["run", "pipeline.toml", "--input", "tasks.jsonl", "--checkpoint", dir])
    };
    let theirs = folder.path("theirs");
    for (name, text) in [
        ("lock", "mine"),
        ("journal.jsonl", "mine"),
        ("checkpoint.json", "{\"epoch\": 3}"),
        ("notes", ""),
    ] {
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join(name), text).unwrap();
        let before = Snapshot::of(&theirs).unwrap();
        assert_refused(&run(theirs.to_str().unwrap()), &theirs, &before, "is no checkpoint");
        fs::remove_dir_all(&theirs).unwrap();
    }
    // A cache of ours, with links to elsewhere.
    folder.write("elsewhere", "theirs");
    for name in ["lock", "journal.jsonl"] {
        assert_eq!(run("kept").code, Some(0));
        fs::remove_file(folder.path("kept").join(name)).unwrap();
        symlink(folder.path("elsewhere"), folder.path("kept").join(name)).unwrap();
        assert_ne!(run("kept").code, Some(0), "{name}");
        assert_eq!(folder.read("elsewhere"), "theirs");
        fs::remove_dir_all(folder.path("kept")).unwrap();
    }
}

#[test]
fn a_folder_that_is_no_record_is_refused_before_the_run_and_links_in_one_are_not_followed() {
    let folder = Folder::numbers(2, "{}");
    let run = |dir: &str| {
        folder.run(&["run", "pipeline.toml", "--input", "tasks.jsonl", "--record", dir])
    };
    folder.write("elsewhere", "theirs");
    let theirs = folder.path("theirs");
    fs::create_dir(&theirs).unwrap();
    symlink(folder.path("elsewhere"), theirs.join("record.json.new")).unwrap();
    let before = Snapshot::of(&theirs).unwrap();
    let refused = run(theirs.to_str().unwrap());
    assert_refused(&refused, &theirs, &before, "is no folder of a record");
    assert_eq!(refused.out, "", "no task was run");

    assert_eq!(run("kept").code, Some(0));
    for name in ["record.json.new", "record.json"] {
        let _ = fs::remove_file(folder.path("kept").join(name));
        symlink(folder.path("elsewhere"), folder.path("kept").join(name)).unwrap();
        assert_eq!(run("kept").code, Some(0));
    }
    assert_eq!(folder.read("elsewhere"), "theirs");
    assert!(fs::symlink_metadata(folder.path("kept/record.json")).unwrap().is_file());
    // A record from before the mark existed is one, too.
    fs::remove_file(folder.path("kept/RECORD.TAG")).unwrap();
    fs::remove_file(folder.path("kept/record.json.new")).unwrap();
    assert_eq!(run("kept").code, Some(0));
}
