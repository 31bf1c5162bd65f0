//! Every block of the guides about the command, run as it stands on the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::pipelines::Folder;
use crate::support::CURATOR;

/// The blocks of a page: their language and their text.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    // Text and blocks take turns.
    page.split("\n```").skip(1).step_by(2).map(|it| it.split_once('\n').expect("lines"))
}

/// The commands of a console block, each with the lines that it prints.
fn commands(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().expect("a command comes first").1.push(line),
        }
    }
    commands
}

/// Runs a page in a folder over the shared base: files are written, commands run, and what they
/// print is what the page shows.
fn follow(page: &str) {
    let folder = Folder::new("");
    let (mut steps, mut expected) = ("set -e\n".to_owned(), Vec::new());
    for (language, text) in blocks(page) {
        match language {
            "toml" | "python" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
                folder.write(name.expect("the file's name"), &format!("{text}\n"));
            }
            "json" => folder.write("tasks.jsonl", &format!("{text}\n")),
            "console" => {
                for (command, lines) in commands(text) {
                    writeln!(steps, "echo '$' {}\n{command}", expected.len()).expect("text");
                    expected.push((command, lines));
                }
            }
            other => panic!("nobody runs a block of `{other}`"),
        }
    }
    folder.write("steps.sh", &steps);
    let tools = Path::new(CURATOR).parent().expect("a folder").display();
    let path = format!("{tools}:{}", std::env::var("PATH").expect("a PATH"));
    let base = Path::new(folder.world.base()).ancestors().nth(2).expect("PREFIX/bin/python");
    let run = folder
        .expression(&duct::cmd("bash", ["steps.sh"]))
        .env("PATH", path)
        .env("VIRTUAL_ENV", base)
        .env("LC_ALL", "C.UTF-8")
        .stdin_null()
        .stderr_path(folder.path("log"))
        .stdout_capture()
        .run()
        .expect("bash");
    let printed = String::from_utf8(run.stdout).expect("text");
    let log = fs::read_to_string(folder.path("log")).expect("a log");
    let mut outputs = printed.split("$ ").skip(1);
    for (place, (command, lines)) in expected.iter().enumerate() {
        let output = outputs.next().unwrap_or_default();
        let mut found = output.lines();
        assert_eq!(found.next(), Some(place.to_string().as_str()), "before `{command}`:\n{log}");
        assert_eq!(found.collect::<Vec<_>>(), *lines, "`{command}`:\n{log}");
    }
    assert_eq!(run.status.code(), Some(0), "{log}");
}

#[test]
fn the_guide_to_pipeline_files_does_what_it_says() {
    follow(include_str!("../../../../docs/pipeline-files.md"));
}
