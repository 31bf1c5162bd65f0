//! Feeds mutated inputs to every parser that reads what people or other programs wrote, until time is
//! up. A value and an error are both right; a panic is not.
//!
//! `fuzz SECONDS [SEED]` prints the seed, and what it has tried. The first panic ends it with exit code
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

/// A parser, and inputs that it knows.
struct Target {
    name: &'static str,
    parse: fn(&str),
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
    "--index-url https://host/simple\n-r requirements.txt\nsix==1.16.0 \\\n  --hash=sha256:00 # why\n",
    "\u{feff}-c constraints.txt\nidna; extra == 'a'\n--no-binary :all:\n",
];
const PROJECTS: &[&str] = &[
    "[dependency-groups]\na = ['six', { include-group = 'b' }]\nb = ['idna>3']\n",
    "[project]\nname = 'own'\ndependencies = ['six']\n[project.optional-dependencies]\na = ['idna']\n",
];
const LOCKS: &[&str] =
    &["lock-version = '1.0'\nrequires-python = '>=3.9'\n[[packages]]\nname = 'six'\n\
     version = '1.16.0'\nmarker = \"os_name == 'posix'\"\n[[packages.wheels]]\n\
     url = 'https://host/six-1.16.0-py2.py3-none-any.whl'\nhashes = { sha256 = '00' }\n"];
const SCRIPTS: &[&str] = &[
    "# /// script\n# requires-python = '>=3.9'\n# dependencies = ['six>1.0', 'idna']\n# ///\nx = 1\n",
];
const SPECS: &[&str] = &[
    r#"{"pip": {"packages": ["a==1"], "pip_version": "==24.0", "pip_check": true}}"#,
    r#"{"uv": ["a", "-r requirements.txt"], "env_vars": {"A": "${B}"}, "excludes": ["*.log"]}"#,
    "uv = ['a']\n[config]\nsetup_timeout_seconds = 600\nbuild_env = { CC = 'gcc' }\n",
];
const OPTIONS: &[&str] =
    &["--index-url https://host/simple --pre -v --only-binary=:all: --no-deps"];
const PIPELINES: &[&str] = &[
    "name = 'a'\nbase = '/usr/bin/python3'\n[[stage]]\npython = 'stages.py:Letters'\n\
     args = { field = 'city', n = [1.5, 2] }\nruntime_env = { uv = ['a'] }\nbatch_size = 2\n",
    "name = 'b'\n[[stage]]\nrust = 'x'\nname = 'y'\n[stage.resources]\ncpus = 2.0\n",
];
const MANIFESTS: &[&str] = &[
    r#"{"format": 1, "key": "00", "python": "bin/python", "strategy": "hardlink", "needs": [], "base": {}}"#,
];

/// What mutations put in: parts that some parser gives a meaning.
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

fn requirement(text: &str) {
    let _ = redact(text);
    let _ = text.parse::<Digest>();
    let _ = text.parse::<IndexUrl>().map(|it| it.to_string());
    for read in [text.parse::<Requirement>(), Requirement::parse_in(text, Path::new("/project"))] {
        match read {
            Ok(requirement) => {
                let _ = (requirement.to_string(), requirement.applies(|_| Some("1.0")));
            }
            Err(error) => told(&error),
        }
    }
}

/// A file in the place of a requirements file, which is read for pip and for uv.
fn file(reference: &str, text: &str) {
    let name = reference.split('#').next().unwrap_or(reference);
    for spec in
        [RuntimeEnv::pip([format!("-r {reference}")]), RuntimeEnv::uv([format!("-r {reference}")])]
    {
        load(&spec, name, text);
    }
}

/// Loads a spec where one file is readable.
fn load(spec: &RuntimeEnv, name: &str, text: &str) {
    let source = |path: &Path| {
        if path == Path::new("/project").join(name) {
            Ok(text.as_bytes().to_vec())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    };
    match spec.load(&source, Path::new("/project")) {
        Ok(loaded) => drop(loaded.install.map(|it| it.digest())),
        Err(error) => told(&error),
    }
}

fn spec(text: &str) {
    for read in [RuntimeEnv::from_json(text), RuntimeEnv::from_toml(text)] {
        match read {
            Ok(spec) => {
                let _ = format!("{spec:?}");
                load(&spec, "requirements.txt", "six\n");
            }
            Err(error) => told(&error),
        }
    }
}

fn options(text: &str) {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for tool in [Tool::Pip, Tool::Uv] {
        let _ = settings::parse(tool, &words).map_err(|error| told(&error));
    }
}

fn pipeline(text: &str) {
    for read in
        [PipelineFile::from_toml(text, "/project"), PipelineFile::from_json(text, "/project")]
    {
        if let Err(error) = read.and_then(|file| file.build()) {
            let _ = (error.to_string(), error.hint());
        }
    }
}

fn manifest(text: &str) {
    let _ = serde_json::from_str::<Manifest>(text).map(|it| format!("{it:?}"));
}

/// An error is printed like any other, whatever is in it.
fn told(error: &curator::envspec::Error) {
    let _ = (error.to_string(), error.hint(), format!("{error:?}"));
}

/// Numbers from a seed (xorshift): a run can be had again.
struct Numbers(u64);

impl Numbers {
    /// A number below `end`, which is at least 1.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end.max(1) as u64)).unwrap_or_default()
    }
}

/// One to eight changes to an input: bytes that differ, are gone or stand twice, parts that mean
/// something, the end of another input.
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
