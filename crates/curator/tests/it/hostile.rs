//! Hostile output of stages, and hostile names: no secret is written anywhere, and no sequence
//! steers a terminal.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::pipelines::Folder;
use crate::support::{Run, World};

/// Prints its secrets in every way that a stage has.
const TELLER: &str = r#"
import os
import sys


class Teller:
    def __init__(self, moment=""):
        self.moment = moment
        print(os.environ["HF_TOKEN"])
        if moment == "load":
            raise ValueError(os.environ["HF_TOKEN"])

    def setup(self):
        print(os.environ["SSH_PRIVATE_KEY"], file=sys.stderr)
        if self.moment == "setup":
            raise ValueError("no access with " + os.environ["HF_TOKEN"])

    def process(self, task):
        print(f"token={os.environ['HF_TOKEN']} at https://me:hush-password@host/x?sig=hush-signed")
        secrets = [os.environ["HF_TOKEN"], os.environ["SSH_PRIVATE_KEY"]]
        if self.moment == "exit":
            os._exit(3)
        raise ValueError(f"cannot use {secrets} or {os.environ['API_KEY']}")
"#;

const SECRETS: &str = r#"{ HF_TOKEN = "hush-token", API_KEY = "${HUSH_KEY}", SSH_PRIVATE_KEY = "-----BEGIN-----\nhush-line-one\nhush-line-two\n" }"#;

/// Counts the secrets in the files of a folder, and the files.
fn count(dir: &Path, files: &mut usize) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(dir).expect("a folder's list").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found += count(&path, files);
        } else if !path.ends_with("pipeline.toml") {
            *files += 1;
            let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
            found += text.matches("hush-").count() - text.matches("hush-password@host").count();
            assert!(
                !text.contains("hush-") || path.ends_with("stages.py"),
                "{}: {text}",
                path.display()
            );
        }
    }
    found
}

#[test]
fn what_a_stage_tells_of_its_secrets_is_written_nowhere() {
    for moment in ["load", "setup", "process", "exit"] {
        let args = format!("args = {{ moment = \"{moment}\" }}");
        let folder = Folder::new(&format!(
            "[[stage]]\nname = \"t\"\npython = \"stages.py:Teller\"\n{args}\n\
             runtime_env = {{ env_vars = {SECRETS} }}\n"
        ));
        folder.write("stages.py", TELLER);
        folder.write("tasks.jsonl", "{}\n");
        for log in [&[][..], &["--log-format", "json"], &["--log-format", "text"]] {
            let files = ["--input", "tasks.jsonl", "--output", "o.jsonl", "--failed", "f.jsonl"];
            let more = ["--record", "record", "--checkpoint", "checkpoint", "--report"];
            for report in ["r.html", "r.json"] {
                let words = [&["run", "pipeline.toml"], &files[..], &more, &[report], log].concat();
                let program = crate::support::CURATOR;
                let run = duct::cmd(program, &words)
                    .dir(folder.path(""))
                    .env("CURATOR_CACHE_DIR", folder.world.cache())
                    .env("HUSH_KEY", "hush-key-of-the-process")
                    .env_remove("VIRTUAL_ENV")
                    .stdin_null()
                    .stdout_capture()
                    .stderr_capture()
                    .unchecked();
                let run = Run::from(run.run().expect("the command starts"));
                assert_eq!(run.code, Some(1), "{moment}: {run:?}");
                assert!(!run.err.contains("hush-") && run.out.is_empty(), "{moment}: {}", run.err);
                assert!(run.err.contains("<hidden>"), "{moment}: {}", run.err);
                let mut files = 0;
                let in_stage = TELLER.matches("hush-").count() - 1;
                assert_eq!(count(&folder.path(""), &mut files), in_stage, "{moment}");
                assert!(files >= 4, "{files}");
            }
        }
    }
}

/// Clears the screen, fills the clipboard, draws over a line, turns text around.
const SEQUENCES: &str = "\x1b[2J\x1b]52;c;aGk=\x07\u{8}\u{9b}31m\u{202e}\u{2066}\u{7f}";

/// Checks that only text and line ends are printed.
fn assert_harmless(run: &Run, what: &str) {
    for (name, text) in [("stdout", &run.out), ("stderr", &run.err)] {
        let bad = text.chars().find(|c| {
            c.is_control() && !matches!(c, '\n' | '\t')
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{name} of {what}: {text:?}");
    }
}

#[test]
fn what_others_say_steers_no_terminal() {
    let text = serde_json::to_string(SEQUENCES).expect("text");
    let source = format!(
        "import sys\nTEXT = {text}\n\
         def process(task):\n    print(TEXT + 'printed')\n    sys.stderr.write('10 %\\r100 %\\r')\n    \
         raise ValueError(TEXT + 'raised')\n"
    );
    let name = "a\\u001b[2Jb\\u202ec";
    let folder = Folder::new("[[stage]]\npython = \"s.py:process\"\n");
    folder.write("s.py", &source);
    folder.write("tasks.jsonl", "{}\n");
    for log in [&[][..], &["--log-format", "text"], &["--log-format", "json"], &["--quiet"]] {
        let words = [&["run", "pipeline.toml", "--input", "tasks.jsonl"][..], log].concat();
        let run = folder.run(&words);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.err.contains("raised"), "{}", run.err);
        assert_harmless(&run, &format!("{words:?}"));
        if log.is_empty() {
            assert!(run.err.contains("\\x1b[2J") && run.err.contains("\\x9b31m"), "{}", run.err);
            assert!(run.err.contains("| 10 %\n") && run.err.contains("| 100 %\n"), "{}", run.err);
        }
        for line in run.err.lines().filter(|_| log == ["--log-format", "json"]) {
            assert!(
                serde_json::from_str::<Value>(line).is_ok() || !line.starts_with('{'),
                "{line}"
            );
        }
    }
    for words in [&["plan", "pipeline.toml"][..], &["plan", "pipeline.toml", "--json"]] {
        let run = folder.run(words);
        assert_harmless(&run, &format!("{words:?}"));
        assert_ne!(run.out, "");
    }
    // Arguments, and faults in files.
    let wrong = format!("--{SEQUENCES}");
    folder.write("wrong.toml", &format!("name = \"x\"\n\"{name}\" = 1\n"));
    let missing = format!("no{SEQUENCES}.toml");
    for words in [
        &["run", &wrong][..],
        &["env", "show", &wrong],
        &["env", "show", SEQUENCES],
        &["env", "create", "--uv", SEQUENCES],
        &["run", "wrong.toml"],
        &["run", &missing],
        &["run", "pipeline.toml", "--set", SEQUENCES],
        &["run", "pipeline.toml", "--backend", SEQUENCES],
    ] {
        let run = folder.run(words);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_harmless(&run, &format!("{words:?}"));
    }
}

/// Returns a folder of wheels whose one package describes itself with such sequences.
fn vicious_wheels(world: &World) -> String {
    let wheels = world.dir().join("wheels");
    fs::create_dir_all(&wheels).expect("a folder");
    let build = r#"
import json, pathlib, sys, zipfile
text = json.loads(sys.argv[2])
info = "vicious-1.0.dist-info/"
with zipfile.ZipFile(pathlib.Path(sys.argv[1], "vicious-1.0-py3-none-any.whl"), "w") as wheel:
    wheel.writestr("vicious.py", "")
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: vicious\nVersion: 1.0\nSummary: {text}\nAuthor: {text}\n")
    wheel.writestr(info + "WHEEL", f"Wheel-Version: 1.0\nGenerator: {text}\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "".join(f"{n},,\n" for n in ["vicious.py", info + "METADATA", info + "WHEEL", info + "RECORD"]))
"#;
    let text = json!(SEQUENCES).to_string();
    duct::cmd!("python3", "-I", "-c", build, &wheels, text).run().expect("a wheel");
    wheels.display().to_string()
}

#[test]
fn what_a_package_says_of_itself_steers_no_terminal() {
    let world = World::new();
    let wheels = vicious_wheels(&world);
    let find = format!("--find-links {wheels}");
    let create = ["env", "create", "--base", world.base(), "--uv", "vicious", "--uv", "--no-index"];
    let made = world.run(&[&create[..], &["--uv", &find, "--json"]].concat());
    assert_harmless(&made, "create");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    for words in [
        &["env", "list"][..],
        &["env", "show", &key],
        &["env", "why", &key, "vicious"],
        &["env", "verify"],
        &["env", "du"],
        &["doctor", "--base", world.base()],
    ] {
        for form in [&[][..], &["--json"]] {
            assert_harmless(&world.run(&[words, form].concat()), &format!("{words:?}"));
        }
    }
}
