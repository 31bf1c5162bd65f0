//! Every block of the pages for people, run unchanged. Programs in Rust are doc tests of the
//! library (`src/lib.rs`), and the page on Ray and NeMo Curator has its test beside Ray's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::pipelines::Folder;
use crate::python_pipelines::PACKAGE;
use crate::support::CURATOR;

/// Returns the blocks of a page: their language and their text.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    // Text and blocks alternate.
    page.split("\n```").skip(1).step_by(2).map(|it| it.split_once('\n').expect("lines"))
}

/// Returns the commands of a console block, each with its output.
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

/// Runs a page in a folder over the shared base: files are written, commands run, and the output
/// must match the page.
fn follow(page: &str) {
    follow_in(&Folder::new(""), page);
}

fn follow_in(folder: &Folder, page: &str) {
    let (mut steps, mut expected) = ("set -e\n".to_owned(), Vec::new());
    for (language, text) in blocks(page) {
        match language {
            "toml" | "python" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
                let name = name.unwrap_or_else(|| panic!("no name of a file:\n{text}"));
                folder.write(name, &format!("{text}\n"));
                match name {
                    "Cargo.toml" => check_manifest(text),
                    _ if language == "toml" => check_pipeline(folder, name),
                    _ => {}
                }
            }
            "json" => folder.write("tasks.jsonl", &format!("{text}\n")),
            "console" => {
                for (command, lines) in commands(text) {
                    writeln!(steps, "echo '$' {}\n{command}", expected.len()).expect("text");
                    expected.push((command, lines));
                }
            }
            // Diagrams, and doc tests.
            "text" | "rust" | "rust,no_run" => {}
            other => panic!("no test runs a block of `{other}`"),
        }
    }
    folder.write("steps.sh", &steps);
    let tools = Path::new(CURATOR).parent().expect("a folder").display();
    let base = Path::new(folder.world.base()).ancestors().nth(2).expect("PREFIX/bin/python");
    let mut path = format!("{tools}:{}", std::env::var("PATH").expect("a PATH"));
    let has_programs = page.contains("\nfrom curator import ");
    if has_programs {
        // As in a virtualenv that has the wheel.
        path = format!("{}:{path}", base.join("bin").display());
    }
    let cache = folder.path("cache");
    if !cache.exists() {
        fs::create_dir(&cache).expect("a folder");
        std::os::unix::fs::symlink(folder.world.cache().join("tools"), cache.join("tools"))
            .expect("a link");
    }
    // The last setting wins: a cache of the page's own, and a base.
    let steps =
        duct::cmd("bash", ["steps.sh"]).env("CURATOR_CACHE_DIR", cache).env("VIRTUAL_ENV", base);
    let steps = if has_programs { steps.env("PYTHONPATH", PACKAGE) } else { steps };
    let run = folder
        .expression(&steps)
        .env("PATH", path)
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

/// Checks that a pipeline on a page is one.
fn check_pipeline(folder: &Folder, name: &str) {
    let text = folder.read(name);
    let read = curator::stage::PipelineFile::from_toml(&text, folder.path(""));
    let read = read.and_then(|file| file.build());
    read.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Checks that the crates and features of a page's manifest exist.
fn check_manifest(text: &str) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder");
    let table: toml::Table = text.parse().expect("TOML");
    let dependencies = table["dev-dependencies"].as_table().expect("a table");
    for (name, dependency) in dependencies {
        let Some(path) = dependency.get("path") else { continue };
        assert_eq!(path.as_str(), Some(&*format!("crates/{name}")));
        let manifest = fs::read_to_string(crates.join(name).join("Cargo.toml")).expect("a crate");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        for feature in dependency["features"].as_array().expect("a list") {
            let feature = feature.as_str().expect("text");
            assert!(manifest["features"].get(feature).is_some(), "`{name}` has no `{feature}`");
        }
    }
}

/// The front page. CI installs the command and runs the examples; this test does the rest.
#[test]
fn the_front_page_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
    let checks = ["run", "packages"].map(|it| fs::read_to_string(root.join(".ci").join(it)));
    let checks = checks.map(|it| it.expect("a script").replace(" --quiet", "")).join("\n");
    let mut page = String::new();
    for line in include_str!("../../../../README.md").lines() {
        match line.strip_prefix("$ cargo ") {
            Some(command) => {
                let parts = command.split(" --").all(|part| checks.contains(part));
                assert!(parts, "no check runs `cargo {command}`");
                writeln!(page, "$ true")
            }
            // The demo goes into a folder of its own, and the command prints the files.
            None => match line.strip_prefix("$ curator init demo ") {
                Some(rest) => writeln!(page, "$ (curator init demo {rest}) > wrote.txt"),
                None => writeln!(page, "{line}"),
            },
        }
        .expect("text");
    }
    follow(&page);
}

/// The pages that [`follow`] runs.
const PAGES: [(&str, &str); 8] = [
    ("how-it-works", include_str!("../../../../docs/how-it-works.md")),
    ("migrating", include_str!("../../../../docs/migrating.md")),
    ("operators", include_str!("../../../../docs/operators.md")),
    ("pipeline-files", include_str!("../../../../docs/pipeline-files.md")),
    ("property-tests", include_str!("../../../../docs/property-tests.md")),
    ("python", include_str!("../../../../docs/python.md")),
    ("rust-programs", include_str!("../../../../docs/rust-programs.md")),
    ("single-crates", include_str!("../../../../docs/single-crates.md")),
];

fn follow_page(name: &str) {
    let (_, page) = PAGES.iter().find(|(other, _)| *other == name).expect("it is listed");
    follow(page);
}

#[test]
fn the_guide_to_pipeline_files_does_what_it_says() {
    follow_page("pipeline-files");
}

#[test]
fn the_guide_to_python_programs_does_what_it_says() {
    follow_page("python");
}

#[test]
fn the_guide_for_operators_does_what_it_says() {
    follow_page("operators");
}

#[test]
fn how_it_works_is_how_it_works() {
    follow_page("how-it-works");
}

#[test]
fn the_guide_to_migrating_does_what_it_says() {
    follow_page("migrating");
}

#[test]
fn every_block_of_the_guides_for_rust_is_run() {
    for name in ["property-tests", "rust-programs", "single-crates"] {
        follow_page(name);
    }
}

/// The page on clusters shows parts of files for machines that no test has. The parsers of such
/// files read them.
#[test]
fn the_page_on_clusters_shows_what_can_be_read() {
    let folder = Folder::new("\n[[stage]]\npython = \"stages.py:give_back\"\n");
    let mut count = 0;
    for (language, text) in blocks(include_str!("../../../../docs/clusters.md")) {
        count += 1;
        match language {
            "rust,no_run" => {}
            "toml" => {
                folder.write("engine.toml", &format!("{}{text}\n", folder.read("pipeline.toml")));
                check_pipeline(&folder, "engine.toml");
            }
            "bash" => {
                folder.write("job.sh", text);
                let check = folder.expression(&duct::cmd!("bash", "-n", "job.sh"));
                assert!(check.run().expect("bash").status.success());
            }
            "yaml" => {
                let read = "import sys, yaml; yaml.safe_load(sys.stdin)[\"containers\"]";
                let exec = ["env", "exec", "--uv", "pyyaml==6.0.2", "--base", folder.world.base()];
                let arguments = [&exec[..], &["--", "python", "-c", read]].concat();
                folder.run_with(&arguments, text).text();
            }
            other => panic!("no test reads a block of `{other}`"),
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn no_page_is_left_out_and_no_link_leads_nowhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
    let library = include_str!("../../src/lib.rs");
    let ray = fs::read_to_string(root.join("tests/ray/guide.rs")).expect("the page on Ray's test");
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let page = entry.unwrap().path();
        if page.extension().is_some_and(|it| it == "md") {
            pages.push(page);
        }
    }
    let readme = fs::read_to_string(&pages[0]).unwrap();
    for page in &pages {
        let name = page.file_stem().and_then(|it| it.to_str()).unwrap();
        let text = fs::read_to_string(page).unwrap();
        let is_followed = PAGES.iter().any(|(other, _)| *other == name)
            || ["README", "clusters", "troubleshooting"].contains(&name)
            // Pages for contributors: rules, and a checklist with CI's commands.
            || ["STYLE", "releasing"].contains(&name)
            || ray.contains(&format!("docs/{name}.md"));
        assert!(is_followed, "no test runs `{name}`");
        let has_rust = text.contains("\n```rust");
        assert!(!has_rust || library.contains(&format!("{name}.md")), "no doc test has `{name}`");
        assert!(name == "README" || readme.contains(&format!("docs/{name}.md")), "{name}");
        for link in text.split("](").skip(1).map(|it| it.split(')').next().unwrap()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if path.starts_with("https:") {
                continue;
            }
            let target =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{name} links to `{link}`");
            let is_there = anchor.is_empty()
                || fs::read_to_string(&target).unwrap().lines().any(|line| {
                    let title = line.trim_start_matches('#');
                    title != line && title.trim().to_lowercase().replace(' ', "-") == anchor
                });
            assert!(is_there, "{name} links to `{link}`");
        }
    }
}
