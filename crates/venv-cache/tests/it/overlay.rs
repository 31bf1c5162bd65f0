//! A cache in an image: its environments lie in the lower layer of an overlay, and cannot be
//! renamed out of it.

use std::fs;
use std::path::Path;

use venv_cache::testing::{Scratch, Snapshot, build_fake, key};
use venv_cache::{Budget, BuildOptions, Cache, State};

use crate::processes;

#[test]
fn environments_below_an_overlay_are_removed_and_damaged_ones_built_anew() {
    let scratch = Scratch::new();
    for number in 1..=4 {
        scratch.cache().get_or_build(&key(number), &BuildOptions::default(), build_fake).unwrap();
    }
    fs::write(scratch.cache().env_dir(&key(3)).join("manifest.json"), "{").unwrap();
    for name in ["upper", "work"] {
        fs::create_dir(scratch.dir().join(name)).unwrap();
    }
    let before = Snapshot::of(scratch.cache().root()).unwrap();
    let Some(job) = processes::job_on_overlay("below_an_overlay", scratch.dir()) else { return };
    let ended = processes::start(&job.stderr_capture()).into_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let after = Snapshot::of(scratch.cache().root()).unwrap();
    assert_eq!(before.difference(&after), <Vec<String>>::new(), "the image is as it was");
}

/// In a process that has an overlay over `cache`, in its place.
pub(crate) fn below_an_overlay(dir: &Path) {
    let cache = Cache::open(&dir.join("cache")).expect("it works below an overlay");
    let build = |number| cache.get_or_build(&key(number), &BuildOptions::default(), build_fake);
    assert_eq!(build(1).expect("it works below an overlay").state(), State::Hit);
    assert_eq!(
        build(3).expect("it works below an overlay").state(),
        State::Built,
        "a damaged one is built anew"
    );
    assert_eq!(build(3).expect("it works below an overlay").state(), State::Hit);
    assert!(cache.remove(&key(4)).expect("it works below an overlay"));
    assert!(cache.get(&key(4)).expect("it works below an overlay").is_none());
    assert_eq!(build(4).expect("it works below an overlay").state(), State::Built);
    build(5).expect("it works below an overlay");
    let held = build(2).expect("it works below an overlay");
    let report = cache.prune(&Budget::default().with_all()).expect("it works below an overlay");
    let removed: Vec<_> = report.removed.iter().map(|removed| removed.key).collect();
    assert_eq!(removed.len(), 4, "{report:?}");
    assert_eq!((report.in_use, report.left), (vec![key(2)], vec![]));
    assert!(held.python().is_file());
    drop(held);
    assert_eq!(
        cache
            .prune(&Budget::default().with_all())
            .expect("it works below an overlay")
            .removed
            .len(),
        1
    );
    for folder in ["envs-v1", "trash"] {
        assert_eq!(
            fs::read_dir(cache.root().join(folder)).expect("it works below an overlay").count(),
            0,
            "{folder}"
        );
    }
    assert_eq!(build(1).expect("it works below an overlay").state(), State::Built);
}
