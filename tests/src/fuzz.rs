//! Feeds mutated inputs to every parser of files by people or other programs, until time is up. A
//! value and an error are both correct; a panic is not.
//!
//! `fuzz SECONDS [SEED]` prints the seed and the number of inputs. The first panic ends the program
//! with exit code 1 and prints the parser and the input, for a test beside that parser.
//! 1, and the parser and the input are printed: a test beside that parser takes it from there.

#![expect(clippy::print_stdout, reason = "its answer goes to stdout")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use curator::envspec::settings;
use curator::envspec::{Digest, IndexUrl, Requirement, RuntimeEnv, Tool, redact};
use curator::stage::PipelineFile;
use curator::venv_cache::Manifest;
use serde_json::json;

/// A parser, and inputs that it accepts.
struct Target {
    name: &'static str,
    /// Returns whether the parser accepts the text, in at least one of its readings.
    parse: fn(&str) -> bool,
    corpus: &'static [&'static str],
}

const TARGETS: &[Target] = &[
    Target { name: "requirement", parse: requirement, corpus: REQUIREMENTS },
    Target { name: "requirements file", parse: |it| file("requirements.txt", it), corpus: LISTS },
    Target { name: "pyproject.toml", parse: |it| file("pyproject.toml#a", it), corpus: PROJECTS },
    Target { name: "pylock.toml", parse: |it| file("pylock.toml", it), corpus: LOCKS },
    Target { name: "script", parse: |it| file("script.py", it), corpus: SCRIPTS },
    Target { name: "spec", parse: spec, corpus: SPECS },
    Target { name: "options", parse: options, corpus: OPTIONS },
    Target { name: "pipeline file", parse: pipeline, corpus: PIPELINES },
    Target { name: "manifest", parse: manifest, corpus: MANIFESTS },
];

const REQUIREMENTS: &[&str] = &[
    "packaging==24.0",
    "a[x,y] >=1.0,!=1.2.*,~=1.1; python_version < '3.12' and os_name == 'posix'",
    "own @ https://user:secret@host/own-1.0-py3-none-any.whl#sha256=00",
    "-e git+ssh://host/own.git@main#egg=own&subdirectory=a",
    "./wheels/own-1.0-py3-none-any.whl",
];
const LISTS: &[&str] = &[
    "--index-url https://host/simple\n--require-hashes\nsix==1.16.0 \\\n  --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
    "\u{feff}idna; extra == 'a'\n--no-binary :all:\n",
];
const PROJECTS: &[&str] = &[
    "[dependency-groups]\na = ['six', { include-group = 'b' }]\nb = ['idna>3']\n",
    "[project]\nname = 'own'\n[dependency-groups]\na = ['six; os_name == \"nt\"', 'idna[x] >=3,<4']\n",
];
const LOCKS: &[&str] = &[r#"lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "idna"
version = "3.7"
marker = "python_version >= '3.8'"
index = "https://host/simple"
sdist = { url = "https://host/idna-3.7.tar.gz", hashes = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000" } }
wheels = [{ url = "https://host/idna-3.7-py3-none-any.whl", hashes = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000" } }]
"#];
const SCRIPTS: &[&str] = &[
    "# /// script\n# requires-python = '>=3.9'\n# dependencies = ['six>1.0', 'idna']\n# ///\nx = 1\n",
];
const SPECS: &[&str] = &[
    r#"{"pip": {"packages": ["a==1"], "pip_version": "==24.0", "pip_check": true}}"#,
    r#"{"uv": ["a", "-r requirements.txt"], "env_vars": {"A": "${B}"}, "excludes": ["*.log"]}"#,
    "uv = ['a']\n[config]\nsetup_timeout_seconds = 600\nbuild_env = ['CC']\n",
];
const OPTIONS: &[&str] =
    &["--index-url https://host/simple --pre -v --only-binary=:all: --no-deps"];
const PIPELINES: &[&str] = &[
    "name = 'a'\nbase = '/usr/bin/python3'\n[[stage]]\npython = 'stages.py:Letters'\n\
     args = { field = 'city', n = [1.5, 2] }\nruntime_env = { uv = ['a'] }\nbatch_size = 2\n",
    "name = 'b'\n[[stage]]\npython = 'a.py:B'\nresources = { cpus = 0.5, gpu_memory_gb = 8 }\n\
     num_workers = 2\ninputs = ['text']\ntask_timeout_seconds = 1.5\nisolation = 'full'\n",
];
const MANIFESTS: &[&str] = &[
    r#"{"format": 1, "key": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "build": "00", "python": "bin/python", "strategy": "hardlink",
    "base": {"python": "/usr/bin/python3", "fingerprint": "00", "key": null}, "created": 1,
    "needs": [{"key": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "build": "01"}], "boot": null, "other_boots": ["a"],
    "build_millis": 1, "files": 2, "bytes": 3, "own_files": 4, "own_bytes": 5, "details": {}}"#,
];

/// Texts that mutations insert: each has a meaning for some parser.
const PARTS: &[&str] = &[
    "==",
    "~=",
    "!",
    ".*",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "\\",
    "\n",
    "\r",
    "#",
    "@",
    ";",
    "(",
    ")",
    "${A}",
    "${",
    "../",
    "/",
    "file:",
    "-r ",
    "-e ",
    "--",
    "=",
    "99999999999999999999",
    "1e999",
    "-0",
    "null",
    "é",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "%ff",
    "[[",
    "'''",
    "# ///",
    "name",
    ",",
    ":",
];

fn requirement(text: &str) -> bool {
    let _ = redact(text);
    let _ = text.parse::<Digest>();
    let _ = text.parse::<IndexUrl>().map(|it| it.to_string());
    let plain = text.parse::<Requirement>();
    any([plain, Requirement::parse_in(text, Path::new("/project"))].map(|read| {
        let read = read.map_err(|error| told(&error));
        read.is_ok_and(|it| it.applies(|_| Some("1.0")) || !it.to_string().is_empty())
    }))
}

/// Reads a file in the place of a requirements file, for pip and for uv.
fn file(reference: &str, text: &str) -> bool {
    let name = reference.split('#').next().unwrap_or(reference);
    any(["pip", "uv"].map(|tool| {
        let spec = RuntimeEnv::from_value(json!({ tool: reference }));
        spec.is_ok_and(|spec| load(&spec, name, text))
    }))
}

/// Loads a spec where one file is readable.
fn load(spec: &RuntimeEnv, name: &str, text: &str) -> bool {
    let source = |path: &Path| {
        if path == Path::new("/project").join(name) {
            Ok(text.as_bytes().to_vec())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    };
    let loaded = spec.load(&source, Path::new("/project")).map_err(|error| told(&error));
    loaded.map(|it| it.install.map(|it| it.digest())).is_ok()
}

fn spec(text: &str) -> bool {
    any([RuntimeEnv::from_json(text), RuntimeEnv::from_toml(text)].map(|read| {
        let read = read.map_err(|error| told(&error));
        read.is_ok_and(|it| !format!("{it:?}").is_empty() && load(&it, "requirements.txt", "six\n"))
    }))
}

fn options(text: &str) -> bool {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let parse = |tool| settings::parse(tool, &words).map_err(|error| told(&error)).is_ok();
    any([Tool::Pip, Tool::Uv].map(parse))
}

fn pipeline(text: &str) -> bool {
    let dir = "/project";
    any([PipelineFile::from_toml(text, dir), PipelineFile::from_json(text, dir)].map(|read| {
        let built = read.and_then(|file| file.build());
        built
            .map_err(|error| (error.to_string(), error.hint().map(std::borrow::Cow::into_owned)))
            .is_ok()
    }))
}

fn manifest(text: &str) -> bool {
    serde_json::from_str::<Manifest>(text).is_ok_and(|it| !format!("{it:?}").is_empty())
}

fn any<const N: usize>(answers: [bool; N]) -> bool {
    answers.contains(&true)
}

/// Prints an error, whatever it contains.
fn told(error: &curator::envspec::Error) {
    let _ = (error.to_string(), error.hint(), format!("{error:?}"));
}

/// Pseudo-random numbers from a seed (xorshift), so that a run can be repeated.
struct Numbers(u64);

impl Numbers {
    /// Returns a number below `end`, which is at least 1.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end.max(1) as u64)).unwrap_or_default()
    }
}

/// Makes one to eight changes to an input: changed, removed or repeated bytes, parts with a
/// meaning, the end of another input.
fn mutate(numbers: &mut Numbers, corpus: &[&str]) -> String {
    let mut bytes = corpus[numbers.below(corpus.len())].as_bytes().to_vec();
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(bytes.len() + 1);
        let end = at + numbers.below((bytes.len() - at).min(16) + 1);
        match numbers.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].repeat(1 + numbers.below(3));
                bytes.splice(at..at, part);
            }
            3 => {
                let other = corpus[numbers.below(corpus.len())].as_bytes();
                bytes.truncate(at);
                bytes.extend(&other[numbers.below(other.len() + 1)..]);
            }
            _ => {
                let part = PARTS[numbers.below(PARTS.len())];
                bytes.splice(at..at, part.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|it| it.parse::<u64>());
    let (Some(Ok(seconds)), seed) = (arguments.next(), arguments.next()) else {
        println!("usage: fuzz SECONDS [SEED]");
        return ExitCode::from(2);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |it| it.as_secs());
    let seed = seed.and_then(Result::ok).unwrap_or(now).max(1);
    println!("seed {seed}");
    let (mut numbers, mut tried) = (Numbers(seed), 0_u64);
    // A parser would refuse an unsound text, and its mutations, at the first word.
    let mut is_sound = true;
    for target in TARGETS {
        for text in target.corpus.iter().filter(|text| !(target.parse)(text)) {
            println!("{} does not accept {text:?}, which changes are made of", target.name);
            is_sound = false;
        }
    }
    if !is_sound {
        return ExitCode::FAILURE;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for target in TARGETS {
            let text = mutate(&mut numbers, target.corpus);
            if catch_unwind(AssertUnwindSafe(|| (target.parse)(&text))).is_err() {
                println!("{} panics at {text:?}", target.name);
                return ExitCode::FAILURE;
            }
            tried += 1;
        }
    }
    println!("{tried} inputs to {} parsers, and no panic", TARGETS.len());
    ExitCode::SUCCESS
}
