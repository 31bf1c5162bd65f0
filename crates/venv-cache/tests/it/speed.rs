//! What a hit costs: one small manifest read, one open, one lock, one touch.

use std::time::Instant;

use venv_cache::BuildOptions;
use venv_cache::testing::{Scratch, build_fake, key};

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "the number is the point")]
fn a_hit() {
    const ROUNDS: u32 = 20_000;

    let scratch = Scratch::new();
    let options = BuildOptions::default();
    drop(scratch.cache().get_or_build(&key(1), &options, build_fake).unwrap());
    let unused = |_: &std::path::Path| unreachable!("it was built");
    let start = Instant::now();
    for _ in 0..ROUNDS {
        drop(scratch.cache().get_or_build(&key(1), &options, unused).unwrap());
    }
    println!("get_or_build of a cached environment: {:?}", start.elapsed() / ROUNDS);
}
