//! The cost of the store itself: a hit (one small manifest read, one open, one lock, one touch),
//! and a commit (a walk over all files for their sizes).

use std::fs;
use std::time::{Duration, Instant};

use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{BuildOptions, Site};

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "the number is the point")]
fn a_hit() {
    const ROUNDS: u32 = 20_000;

    let scratch = Scratch::new();
    let options = BuildOptions::default();
    drop(scratch.cache().get_or_build(&key(1), &options, build_fake).unwrap());
    let unused = |_: &Site<'_>| Err("it was built");
    let start = Instant::now();
    for _ in 0..ROUNDS {
        drop(scratch.cache().get_or_build(&key(1), &options, unused).unwrap());
    }
    println!("get_or_build of a cached environment: {:?}", start.elapsed() / ROUNDS);
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "the number is the point")]
fn a_commit_and_a_removal_of_25_000_files() {
    let scratch = Scratch::new();
    let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        for folder in 0..1000 {
            let folder = dir.join(format!("lib/site-packages/package_{folder}"));
            fs::create_dir_all(&folder)?;
            for file in 0..25 {
                fs::write(folder.join(format!("module_{file}.py")), "x")?;
            }
        }
        build_fake(dir)
    };
    let start = Instant::now();
    let env = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build).unwrap();
    let build_time = Duration::from_millis(env.manifest().build_millis);
    let commit = start.elapsed().saturating_sub(build_time);
    println!("commit: {commit:?}");
    let sizes = fs::metadata(env.dir().join("sizes.json")).unwrap().len();
    println!("sizes.json: {sizes} bytes");
    let start = Instant::now();
    assert_eq!(env.differences().unwrap(), []);
    println!("check after a boot: {:?}", start.elapsed());
    drop(env);
    let start = Instant::now();
    scratch.cache().remove(&key(1)).unwrap();
    println!("removal: {:?}", start.elapsed());
}
