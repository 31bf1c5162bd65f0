//! Kept answers: of each kind few, none of them old, and nothing else is touched.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use venv_cache::testing::{Scratch, key};
use venv_cache::{Budget, Cache, Interpreter, Memo};

use crate::setup::host;

const MOST: usize = 1024;

fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

fn names(cache: &Cache) -> BTreeSet<String> {
    let entries = fs::read_dir(cache.interpreters_dir()).expect("the folder of memos");
    entries
        .map(|entry| {
            entry
                .expect("the folder of memos")
                .file_name()
                .into_string()
                .expect("the folder of memos")
        })
        .collect()
}

/// Writes a file among the memos that was last written so long ago.
fn put(cache: &Cache, name: &str, age: Duration) {
    let file = File::create(cache.interpreters_dir().join(name)).expect("the folder of memos");
    file.set_len(100).expect("the folder of memos");
    file.set_modified(SystemTime::now() - age).expect("the folder of memos");
}

/// Law: pruning leaves at most so many memos of each kind, the newest, and none beyond the age, also of
/// those that earlier versions wrote. A dry run tells the same and deletes nothing. Other files stay.
#[test]
fn memos_have_a_bound() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let place = |kind: &'static str, number: usize| {
        Memo::new(&cache.interpreters_dir(), kind, &key(number as u64)).file()
    };
    let name = |kind, number| place(kind, number).file_name().unwrap().to_str().unwrap().to_owned();
    let digits = key(0).to_string();
    let theirs = ["notes.json".to_owned(), format!("class-{digits}.json.bak"), "draft".to_owned()];
    for theirs in &theirs {
        put(cache, theirs, days(1000));
    }
    fs::create_dir(place("class", MOST + 100)).unwrap();
    // Files of earlier versions, and what crashes left during a write.
    put(cache, &format!("{digits}.json"), days(200));
    put(cache, &format!("ray-{}.txt", &digits[..32]), days(200));
    put(cache, ".unfinished-0123456789abcdef", days(2));
    put(cache, ".unfinished-0123456789abcdee", Duration::ZERO);
    for kind in ["class", "interpreter", "known", "ray"] {
        for number in 0..MOST + 10 {
            put(cache, &name(kind, number), Duration::from_secs(10_000 - number as u64));
        }
        put(cache, &name(kind, MOST + 10), days(200));
    }
    let before = names(cache);
    let usage = cache.usage().unwrap();
    assert!(usage.memo_bytes >= 4 * MOST as u64 * 100, "{usage:?}");

    let budget = Budget::default().with_max_bytes(u64::MAX);
    let planned = cache.prune(&budget.clone().with_dry_run()).unwrap();
    assert_eq!(names(cache), before);
    let report = cache.prune(&budget).unwrap();
    assert_eq!(report, planned);
    assert_eq!(report.memos, 3 + 4 * 11);
    assert!(report.memo_bytes >= 100 * report.memos as u64 && report.freed_bytes() == 0);
    let after = names(cache);
    assert_eq!(before.len() - after.len(), report.memos);
    assert!(after.contains(".unfinished-0123456789abcdee"), "it may be a write");
    for kind in ["class", "interpreter", "known", "ray"] {
        for number in 0..=MOST + 10 {
            let is_kept = (10..MOST + 10).contains(&number);
            assert_eq!(after.contains(&name(kind, number)), is_kept, "{kind} {number}");
        }
    }

    let report =
        cache.prune(&Budget::default().with_older_than(Duration::from_secs(9_500))).unwrap();
    assert!((1900..2000).contains(&report.memos), "490 of each kind: {report:?}");
    cache.prune(&Budget::default().with_all()).unwrap();
    let folder = name("class", MOST + 100);
    let rest = [".unfinished-0123456789abcdee", folder.as_str()].map(str::to_owned);
    assert_eq!(names(cache), theirs.into_iter().chain(rest).collect());
}

/// What an interpreter said is kept under the same rules as all other answers.
#[test]
fn what_an_interpreter_said_goes_with_the_others() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let python = host().executable();
    let describe = || Interpreter::describe(python, Some(&cache.interpreters_dir())).unwrap();
    let described = describe();
    assert_eq!(cache.prune(&Budget::default().with_max_bytes(u64::MAX)).unwrap().memos, 0);
    assert_eq!(cache.prune(&Budget::default().with_all()).unwrap().memos, 1);
    assert_eq!(names(cache), BTreeSet::new());
    assert_eq!(describe(), described);
}
