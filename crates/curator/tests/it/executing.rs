//! `exec`: the command in the environment, and the environment kept while it runs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{CURATOR, World, shared};

const VERSION: &str = "import packaging; print(packaging.__version__)";

#[test]
fn python_is_the_environments_and_nothing_else_is_printed() {
    let world = shared();
    for python in ["python", "python3"] {
        let arguments = ["env", "exec", "--uv", "packaging==24.0", "--base", world.base(), "--"];
        let run = world.run(&[&arguments[..], &[python, "-c", VERSION]].concat());
        assert_eq!(run.err, "");
        assert_eq!(run.text(), "24.0\n");
    }
}

#[test]
fn a_managed_base_stands_on_the_interpreter_that_is_named() {
    let world = shared();
    let python = which::which("python3").unwrap();
    let words = ["env", "exec", "--python", python.to_str().unwrap()];
    let rest = ["--managed-base", "packaging==24.0", "--uv", "idna==3.10", "--", "python", "-c"];
    let code = "import idna, packaging, sys; print(packaging.__version__, sys.base_prefix)";
    let run = world.run(&[&words[..], &rest, &[code]].concat());
    let own = duct::cmd!(&python, "-c", "import sys; print(sys.base_prefix)").read().unwrap();
    assert_eq!(run.text(), format!("24.0 {own}\n"));
}

#[test]
fn a_shell_script_can_use_it() {
    let world = shared();
    let base = world.base();
    let script = format!(
        "set -e\nlauncher='{CURATOR} env exec --uv packaging==24.0 --base {base} -- python'\n\
         exec $launcher -c '{VERSION}'"
    );
    let printed = duct::cmd("bash", ["-c", &script]).env("CURATOR_CACHE_DIR", world.cache());
    assert_eq!(printed.read().unwrap(), "24.0");
}

#[test]
fn variables_are_those_of_the_environment_and_the_python_path_stays() {
    let world = shared();
    let key = world.key("packaging==24.0");
    let code = "import os; print(os.environ['PYTHONPATH'], os.environ['VIRTUAL_ENV'], \
                os.environ['PATH'].split(':')[0], sep='\\n')";
    let arguments = ["env", "exec", "--spec", &key, "--", "python", "-c", code];
    let printed = world.run_with(&arguments, "", &[("PYTHONPATH", "/rays/own")]).text();
    let dir = world.cache().join("envs-v1").join(&key).display().to_string();
    assert_eq!(printed, format!("/rays/own\n{dir}\n{dir}/bin\n"));

    let spec = r#"{ "uv": ["packaging==24.0"], "env_vars": { "PYTHONPATH": "/own", "A": "1" } }"#;
    let arguments = ["env", "exec", "--spec", spec, "--base", world.base(), "--"];
    let arguments = [&arguments[..], &["sh", "-c", "echo $PYTHONPATH $A"]].concat();
    let printed = world.run_with(&arguments, "", &[("PYTHONPATH", "/rays/own")]).text();
    assert_eq!(printed, "/own:/rays/own 1\n");
}

#[test]
fn input_output_and_exit_code_are_the_commands_own() {
    let world = shared();
    let key = world.key("packaging==24.0");
    let code = "import sys; print(sys.stdin.read(), sys.argv[1:]); sys.exit(41)";
    let arguments = ["env", "exec", "--spec", &key, "--", "python", "-c", code, "--json", "-x", ""];
    let run = world.run_with(&arguments, "in", &[]);
    assert_eq!((run.code, run.out.as_str()), (Some(41), "in ['--json', '-x', '']\n"));
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let world = shared();
    let key = world.key("packaging==24.0");
    world
        .run(&["env", "exec", "--spec", &key, "--", "no-such-command"])
        .fails(127, "no-such-command");
    let file = world.dir().join("no-program");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    world.run(&["env", "exec", "--spec", &key, "--", file]).fails(126, "no-program");
}

#[test]
fn the_environment_stays_for_as_long_as_the_command_lives() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    // The command prints that it runs, and waits for the end of its input.
    let code = "import sys; print('ready', flush=True); sys.stdin.read()";
    let (input, hold) = std::io::pipe().unwrap();
    let command = duct::cmd(CURATOR, ["env", "exec", "--spec", &key, "--", "python", "-c", code])
        .env("CURATOR_CACHE_DIR", world.cache())
        .stdin_file(input);
    let (mut ready, output) = std::io::pipe().unwrap();
    let running = command.stdout_file(output).start().unwrap();
    let mut line = [0; 6];
    std::io::Read::read_exact(&mut ready, &mut line).unwrap();
    assert_eq!(&line, b"ready\n");

    world.run(&["env", "remove", &key]).fails(1, "in use");
    let pruned = world.run(&["env", "prune", "--all", "--json"]).json();
    assert!(pruned["in_use"].as_array().unwrap().contains(&key.as_str().into()), "{pruned}");
    assert_eq!(world.run(&["env", "show", &key, "--json"]).json()["in_use"], true);

    drop(hold);
    running.wait().unwrap();
    world.run(&["env", "remove", &key]).text();
    world.run(&["env", "show", &key]).fails(1, &key);
}

#[test]
fn a_killed_command_blocks_nothing() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    let command = duct::cmd(CURATOR, ["env", "exec", "--spec", &key, "--", "sleep", "600"]);
    let running = command.env("CURATOR_CACHE_DIR", world.cache()).unchecked().start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.run(&["env", "show", &key, "--json"]).json()["in_use"] != true {
        assert!(Instant::now() < deadline, "it never took the environment");
        thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    // The environment is free once its user has ended.
    running.wait().unwrap();
    world.run(&["env", "remove", &key]).text();
}

/// The cost of a launch over the bare interpreter: printed only, since the machine may be busy.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are the point")]
fn the_cost_of_a_launch_is_printed() {
    let world = shared();
    let key = world.key("packaging==24.0");
    let python = world.create("packaging==24.0")["path"].as_str().unwrap().to_owned();
    let bare = [python.as_str(), "-I", "-c", "pass"];
    let rest = ["--", "python", "-I", "-c", "pass"];
    let by_key = [&[CURATOR, "env", "exec", "--spec", &key][..], &rest].concat();
    let by_spec = ["env", "exec", "--uv", "packaging==24.0", "--base", world.base()];
    let by_spec = [&[CURATOR][..], &by_spec, &rest].concat();
    let mut times = [const { Vec::new() }; 3];
    // The two alternate, so that other load on the machine affects both.
    for _ in 0..15 {
        for (words, times) in [&bare[..], &by_key, &by_spec].into_iter().zip(&mut times) {
            let begun = Instant::now();
            let command = duct::cmd(words[0], &words[1..]);
            command.env("CURATOR_CACHE_DIR", world.cache()).run().unwrap();
            times.push(begun.elapsed());
        }
    }
    let [bare, by_key, by_spec] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("bare {bare:?}, by key {by_key:?}, by spec {by_spec:?} (medians of 15)");
}

#[test]
fn a_field_that_only_ray_serves_is_refused_by_name() {
    let world = shared();
    let none: &[&str] = &[];
    for (field, spec) in [
        ("conda", r#"{ "conda": "analysis" }"#),
        ("image_uri", r#"{ "uv": ["packaging==24.0"], "image_uri": "image:1" }"#),
        ("working_dir", r#"{ "working_dir": "s3://bucket/code.zip" }"#),
    ] {
        for (command, rest) in [
            ("exec", &["--", "python", "-c", "print('never')"][..]),
            ("create", none),
            ("lock", none),
            ("refresh", none),
        ] {
            let arguments = ["env", command, "--spec", spec, "--base", world.base()];
            let run = world.run(&[&arguments[..], rest].concat());
            run.fails(2, &format!("the field `{field}` of the runtime_env of this environment"));
        }
    }
}
