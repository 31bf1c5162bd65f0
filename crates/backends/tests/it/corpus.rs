//! Lines of JSON as Python's `json` writes them: doubles, integers of any size, documents. The tests of
//! the command take this file, too.

/// Returns the given numbers of lines of each kind; with `CURATOR_TEST_ALL`, more of each.
pub(crate) fn corpus(few: [&str; 3]) -> String {
    let is_whole = std::env::var_os("CURATOR_TEST_ALL").is_some();
    let counts = if is_whole { ["100000", "2000", "10000"] } else { few };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/tests/it/corpus.py");
    let written = duct::cmd("python3", [&[script][..], &counts].concat())
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .expect("python3");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    String::from_utf8(written.stdout).expect("UTF-8")
}
