//! Every block of `docs/ray-and-nemo-curator.md`, run unchanged over a base with the real NeMo
//! Curator; the output must match the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use curator::RuntimeEnv;

use crate::world::{cluster, curator, managed, script};

const PAGE: &str = include_str!("../../docs/ray-and-nemo-curator.md");

/// All requirements of NeMo Curator except torch, whose wheels are several gigabytes and which the
/// page does not import. The version of `packaging` is the one on the page. Ray's own environments, with
/// which ours are compared, are made by the base's pip.
pub(crate) fn nemo_curator() -> RuntimeEnv {
    let requirements =
        ["nemo_curator==1.4.0", "ray[data,default]==2.60.0", "packaging==26.0", "pip"];
    RuntimeEnv::uv(requirements).with_overrides(["torch; python_version < '3'"])
}

/// A fenced block of the page.
struct Block {
    language: String,
    text: String,
}

/// Returns the blocks, with the page's paths replaced.
fn blocks(paths: &[(&str, &Path)]) -> Vec<Block> {
    let mut page = PAGE.to_owned();
    for (path, real) in paths {
        page = page.replace(path, real.to_str().expect("a path that is text"));
    }
    // Text and blocks alternate.
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks
        .map(|block| {
            let (language, text) = block.split_once('\n').expect("a block has lines");
            Block { language: language.to_owned(), text: format!("{text}\n") }
        })
        .collect()
}

/// Returns the commands of a console block, each with its output.
fn commands(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().expect("a command comes first").1.push(line),
        }
    }
    commands
}

#[test]
fn every_block_of_the_page_does_what_it_says() {
    let base = managed(nemo_curator());
    let cluster = cluster();
    let prefix = base.python().ancestors().nth(2).expect("PREFIX/bin/python");
    let [session, specs, place] =
        ["ray/session_latest", "specs", "place"].map(|name| cluster.dir().join(name));
    fs::create_dir(&specs).expect("a folder");
    fs::create_dir(&place).expect("a folder");
    let blocks = blocks(&[
        ("/tmp/ray/session_latest", &session),
        ("/usr/local/bin/curator", curator()),
        ("/opt/venv", prefix),
        ("/opt/specs", &specs),
    ]);

    let tools = curator().parent().expect("a folder").display();
    let mut steps = format!("set -e\ncd {}\nPATH={tools}:$PATH\n", place.display());
    let mut expected = Vec::new();
    for block in &blocks {
        match block.language.as_str() {
            "python" => match block.text.strip_prefix("# ") {
                Some(rest) => {
                    let name = rest.lines().next().expect("a name");
                    fs::write(place.join(name), &block.text).expect("a script");
                }
                // One of the two lines at the beginning of the page.
                None => assert!(block.text.starts_with("runtime_env = {"), "{}", block.text),
            },
            "json" => fs::write(specs.join("packaging.json"), &block.text).expect("a spec"),
            "console" => {
                for (command, lines) in commands(&block.text) {
                    writeln!(steps, "echo '$' {}\n{command}", expected.len()).expect("text");
                    expected.push((command, lines));
                }
            }
            other => panic!("no test runs a block of `{other}`"),
        }
    }
    assert!(expected.len() >= 8, "the page shows what comes out: {expected:?}");
    let script_file = place.join("steps.sh");
    fs::write(&script_file, steps).expect("a script");

    let arguments = ["bash".as_ref(), "-x".as_ref(), script_file.as_os_str()];
    let printed = cluster
        .python_of(base.python(), &script("head.py"), &arguments)
        .unwrap_or_else(|problem| panic!("{problem}"));
    let mut outputs = printed.split("$ ").skip(1);
    for (i, (command, lines)) in expected.iter().enumerate() {
        let output = outputs.next().expect("each command is announced");
        let mut found = output.lines();
        assert_eq!(found.next(), Some(i.to_string().as_str()), "{printed}");
        for line in lines {
            // Ray may print messages in between.
            assert!(found.any(|found| found == *line), "`{command}` has no `{line}`:\n{output}");
        }
    }
}
