//! What a build tells meanwhile: on the standard error stream, and never on the standard output.

use std::fs;

use crate::support::{CURATOR, World};

#[test]
fn a_log_gets_a_line_for_each_phase() {
    let world = World::new();
    let arguments = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
    let run = world.run(&arguments);
    let phases: Vec<&str> =
        run.err.lines().map(|line| line.split_once(": ").expect("a phase").1).collect();
    for phase in ["creating", "resolving", "installing 1 package", "compiling 1 package"] {
        assert!(phases.contains(&phase), "{phase}: {}", run.err);
    }
    assert!(!run.err.contains('\x1b') && !run.err.contains('\r'), "{:?}", run.err);
    assert_eq!(run.text().lines().count(), 1);
    assert_eq!(world.run(&arguments).err, "", "what is there is taken in silence");
}

#[test]
fn a_terminal_shows_how_far_it_is_in_one_line() {
    let world = World::new();
    // `script` gives its command a terminal, and writes down what that shows.
    let shown = world.dir().join("shown");
    let line = format!(
        "{CURATOR} env create --pip numpy==1.26.4 --pip packaging==24.0 --base {} > printed",
        world.base()
    );
    let words = ["-qec", &line, shown.to_str().expect("a path of ours")];
    let command = duct::cmd("script", words).dir(world.dir()).stdout_null().stdin_null();
    let command = command.env("CURATOR_CACHE_DIR", world.cache()).env("TERM", "xterm");
    command.env_remove("VIRTUAL_ENV").run().expect("it is built");
    let shown = String::from_utf8_lossy(&fs::read(shown).unwrap()).into_owned();
    for words in ["resolving", "installing", "2 packages", "compiling", "\r"] {
        assert!(shown.contains(words), "{words}: {shown:?}");
    }
    let printed = fs::read_to_string(world.dir().join("printed")).unwrap();
    assert!(
        printed.trim_end().ends_with("/bin/python") && printed.lines().count() == 1,
        "{printed}"
    );
}
