//! Project files in the place of a requirements file: groups of a `pyproject.toml` (PEP 735),
//! scripts (PEP 723) and lock files (PEP 751); and files that are none of them.

use std::path::Path;

use envspec::{Error, Install, MemorySource, RuntimeEnv, Tool};

use crate::{chain, install_with, load_with};

const PROJECT: &str = r#"
[project]
name = "nam"
[dependency-groups]
Test_All = ["pytest>7", { include-group = "typing" }, "./lib"]
typing = ["mypy==1.0 ; python_version > '3.8'"]
loop = [{ include-group = "pool" }]
pool = [{ include-group = "Loop" }]
wrong = [{ include = "typing" }]
missing = [{ include-group = "none" }]
"#;

fn source(path: &str, text: &str) -> MemorySource {
    MemorySource::new()
        .with_file(format!("/project/{path}"), text)
        .with_file("/project/lib/setup.py", "")
}

fn load(tool: Tool, path: &str, text: &str) -> Result<Install, Error> {
    let name = path.split('#').next().unwrap_or_default();
    let loaded = load_with(&RuntimeEnv::requirements_file(tool, path), &source(name, text))?;
    Ok(loaded.install.expect("packages"))
}

fn lines(install: &Install) -> Vec<String> {
    install.requirements.iter().map(ToString::to_string).collect()
}

#[test]
fn a_group_is_what_its_requirements_ask_for() {
    for tool in [Tool::Pip, Tool::Uv] {
        let group = load(tool, "pyproject.toml#test.all", PROJECT).unwrap();
        let expected = ["mypy==1.0 ; python_version > '3.8'", "pytest>7.0", "/project/lib"];
        assert_eq!(lines(&group), expected);
        // The file gives the key of the same list.
        let list = ["./lib", "pytest>7", "mypy==1.0; python_version>'3.8'"].map(str::to_owned);
        let spec = match tool {
            Tool::Pip => RuntimeEnv::pip(list),
            Tool::Uv => RuntimeEnv::uv(list),
        };
        assert_eq!(group.digest(), install_with(&spec, &source("x", "")).digest());
    }
    let spec = RuntimeEnv::uv(["six", "-r pyproject.toml#typing"]);
    assert_eq!(install_with(&spec, &source("pyproject.toml", PROJECT)).requirements.len(), 2);
}

#[test]
fn a_group_that_cannot_be_had_is_told() {
    for (path, text, message) in [
        ("pyproject.toml#loop", PROJECT, "the group `loop` includes itself"),
        ("pyproject.toml#wrong", PROJECT, "a table other than"),
        ("pyproject.toml#missing", PROJECT, "it has no group `none`; its groups are `loop`,"),
        ("pyproject.toml#a", "[dependency-groups]\na = 1", "the group `a` is no list"),
        ("pyproject.toml#a", "[dependency-groups]\na = [1]", "holds what is no text"),
        ("pyproject.toml#a", "[dependency-groups]\na-b = []\na_b = []", "more than one group"),
        ("pyproject.toml#a", "[project", "it is no TOML"),
        ("pyproject.toml#a", "[dependency-groups]\na = ['x=1']", "`x=1` is no requirement"),
        (
            "pyproject.toml#a",
            "[dependency-groups]\na = ['X_y>1']\n[tool.uv.sources]\nx-y = { path = 'x' }",
            "`tool.uv.sources` says where `X_y>1` comes from",
        ),
    ] {
        let error = load(Tool::Uv, path, text).unwrap_err();
        assert!(chain(&error).contains(message), "{}", chain(&error));
    }
}

#[test]
fn a_script_says_what_it_needs() {
    let script = "#!/usr/bin/env python3\n# /// script\n# requires-python = '>=3.9'\n\
                  # dependencies = [\n#   'six>1', # why\n#\n#   'idna',\n# ]\n# ///\nimport six\n";
    assert_eq!(lines(&load(Tool::Uv, "stages.py", script).unwrap()), ["idna", "six>1.0"]);
    for (text, message) in [
        ("import six\n", "it has no block"),
        ("# /// script\n# dependencies = 'six'\n# ///\n", "are no list of texts"),
        ("# /// script\n# dependencies = [\n# ///\n", "it is no TOML"),
        ("# /// script\n# ///\n\n# /// script\n# ///\n", "more than one block"),
    ] {
        let error = load(Tool::Uv, "stages.py", text).unwrap_err();
        assert!(chain(&error).contains(message), "{}", chain(&error));
    }
}

#[test]
fn a_lock_file_pins_all_and_brings_nothing_else() {
    let hash = "a".repeat(64);
    let lock = format!(
        r#"lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "idna"
version = "3.7"
marker = "python_version >= '3.8'"
index = "https://pypi.example/simple"
sdist = {{ url = "https://h/idna-3.7.tar.gz", hashes = {{ sha256 = "{hash}" }} }}
wheels = [{{ url = "https://h/idna-3.7-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]
[[packages]]
name = "own"
vcs = {{ type = "git", url = "https://h/own.git", commit-id = "abc", subdirectory = "py" }}
[[packages]]
name = "here"
directory = {{ path = "lib" }}
[[packages]]
name = "single"
version = "1.0"
wheels = [{{ path = "w/single-1.0-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]
[[packages]]
name = "several"
version = "1.0"
wheels = [
    {{ path = "two words/several-1.0-cp311-none-any.whl", hashes = {{ sha256 = "{hash}" }} }},
    {{ path = "/w/several-1.0-cp312-none-any.whl", hashes = {{ sha256 = "{hash}" }} }},
]
"#
    );
    for tool in [Tool::Pip, Tool::Uv] {
        let source = source("pylock.dev.toml", &lock)
            .with_file("/project/w/single-1.0-py3-none-any.whl", "x")
            .with_file("/project/two words/several-1.0-cp311-none-any.whl", "x")
            .with_file("/w/several-1.0-cp312-none-any.whl", "x");
        let spec = RuntimeEnv::requirements_file(tool, "pylock.dev.toml");
        let install = load_with(&spec, &source).unwrap().install.unwrap();
        let links = install.index.find_links.iter().map(|it| it.path().unwrap());
        assert!(links.eq([Path::new("/project/two words"), Path::new("/w")]), "{install:?}");
        assert_eq!(
            lines(&install),
            [
                format!("idna==3.7 ; python_version >= '3.8' --hash=sha256:{hash}"),
                format!("several==1.0 --hash=sha256:{hash}"),
                "own @ git+https://h/own.git@abc#subdirectory=py".to_owned(),
                "/project/lib".to_owned(),
                format!(
                    "single @ file:///project/w/single-1.0-py3-none-any.whl --hash=sha256:{hash}"
                ),
            ]
        );
        assert_eq!(install.tool_options, ["--no-deps"]);
    }
    let error =
        load_with(&RuntimeEnv::uv(["six", "-r pylock.toml"]), &source("pylock.toml", &lock));
    let error = error.unwrap_err();
    assert!(chain(&error).contains("a lock file is all that a spec asks for"), "{}", chain(&error));
    for (text, message) in [
        ("lock-version = '2.0'", "its `lock-version` is `2.0`"),
        ("lock-version = '1.0'", "it has no `packages`"),
        ("lock-version = '1.0'\n[[packages]]\nname = 'a'", "its package `a` has no `version`"),
        (
            "lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\n\
             wheels = [{ url = 'https://h/a-1-py3-none-any.whl' }]",
            "its package `a` has a file without `hashes`",
        ),
    ] {
        let error = load(Tool::Uv, "pylock.toml", text).unwrap_err();
        assert!(chain(&error).contains(message), "{}", chain(&error));
    }
}

#[test]
fn what_is_no_requirements_file_is_told_with_the_way_out() {
    for (path, way_out) in [
        ("pyproject.toml", "name a group of it, as in `pyproject.toml#loop`"),
        ("setup.py", "name the project's folder"),
        ("uv.lock", "uv export"),
        ("poetry.lock", "poetry export"),
        ("Pipfile", "pipenv requirements"),
        ("environment.yml", "conda"),
        ("lock.toml", "of TOML files"),
    ] {
        for tool in [Tool::Pip, Tool::Uv] {
            let error = load(tool, path, PROJECT).unwrap_err();
            assert!(chain(&error).contains("cannot be read as requirements"), "{}", chain(&error));
            assert!(error.hint().unwrap().contains(way_out), "{path}: {:?}", error.hint());
        }
    }
}

/// uv installs nothing of a group for another Python, without a word. pip knows no such setting.
#[test]
fn the_pythons_of_groups_are_those_of_what_they_name() {
    let project = "[dependency-groups]\ndev = ['six', { include-group = 'In-ner' }]\ninner = ['idna']\n\
        in-ner = []\nother = ['foo']\n[tool.uv.dependency-groups]\n\
        Dev = { requires-python = '>=3.14' }\nin_ner = { requires-python = '<4' }\n\
        other = { requires-python = '>=9' }\n";
    let pythons = |tool, group: &str| {
        let source = MemorySource::new().with_file("/project/pyproject.toml", project);
        let spec = RuntimeEnv::requirements_file(tool, format!("pyproject.toml#{group}"));
        let loaded = load_with(&spec, &source).unwrap();
        let found = loaded.requires_python.into_iter();
        let mut found: Vec<String> = found.map(|it| it.versions).collect();
        found.sort();
        found
    };
    assert_eq!(pythons(Tool::Uv, "dev"), ["<4", ">=3.14"]);
    assert_eq!(pythons(Tool::Uv, "inner"), [""; 0]);
    assert_eq!(pythons(Tool::Uv, "other"), [">=9"]);
    assert_eq!(pythons(Tool::Pip, "dev"), [""; 0]);
    for (settings, words) in [
        ("dev = 1", "`tool.uv.dependency-groups.dev` is no table"),
        ("dev = { requires-python = 3 }", "its `requires-python` is no text"),
        ("dev = { requires-python = 'x' }", "is no list of specifiers"),
    ] {
        let text =
            format!("[dependency-groups]\ndev = []\n[tool.uv.dependency-groups]\n{settings}\n");
        let error = load(Tool::Uv, "pyproject.toml#dev", &text).unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}

/// Of a group and of a script, as uv has them in force where it reads the file; pip reads none of them.
#[test]
fn the_settings_of_uv_in_a_file_hold_for_what_it_names() {
    let settings = "exclude-newer = '2024-01-01T00:00:00Z'\nno-build-package = ['a', 'b']\n\
        link-mode = 'symlink'\nmanaged = true\nconstraint-dependencies = ['six<2']\n\
        override-dependencies = ['idna==3.7']\nfind-links = ['wheels']\nindex-url = 'https://h/one'\n\
        INDEX prerelease = 'allow'\nconfig-settings = { debug = 'yes' }\nno-binary = false\n\
        PIP prerelease = 'never'\nsystem = true\n";
    let index = "[[tool.uv.index]]\nname = 'own'\nurl = 'https://own/simple'\n\
        [[tool.uv.index]]\nname = 'cpu'\nurl = 'https://cpu/simple'\nexplicit = true\n";
    let project = settings.replace("INDEX", "").replace("PIP", "[tool.uv.pip]\n");
    let project = format!("[dependency-groups]\ndev = ['six']\n[tool.uv]\n{project}{index}");
    let script = project.replace("[dependency-groups]\ndev", "dependencies");
    let script: String = script.lines().flat_map(|line| ["# ", line, "\n"]).collect();
    let script = format!("# /// script\n{script}# ///\n");
    for (name, path, text) in [
        ("pyproject.toml", "pyproject.toml#dev", project.as_str()),
        ("run.py", "run.py", script.as_str()),
    ] {
        let source = MemorySource::new()
            .with_file(format!("/project/{name}"), text)
            .with_file("/project/wheels/six-1.0-py3-none-any.whl", "x");
        let load = |tool| {
            let spec = RuntimeEnv::requirements_file(tool, path);
            load_with(&spec, &source).unwrap().install.unwrap()
        };
        let install = load(Tool::Uv);
        assert_eq!(lines(&install), ["six"]);
        assert_eq!(install.constraints[0].to_string(), "six<2.0");
        assert_eq!(install.overrides[0].to_string(), "idna==3.7");
        let mut options = install.tool_options.clone();
        options.sort();
        assert_eq!(
            options,
            [
                "--config-settings=debug=yes",
                "--exclude-newer=2024-01-01T00:00:00Z",
                "--index=own=https://own/simple",
                "--no-build-package=a",
                "--no-build-package=b",
                "--prerelease=never",
            ]
        );
        assert_eq!(install.index.index_url.as_ref().unwrap().to_string(), "https://h/one");
        assert_eq!(install.index.find_links[0].path().unwrap(), Path::new("/project/wheels"));
        assert!(install.contents.contains_key(Path::new("/project/wheels")));
        // What the spec itself says comes first.
        let spec = format!(
            r#"{{"uv": {{"packages": "{path}", "uv_pip_install_options": ["--prerelease=allow"]}}}}"#
        );
        let spec = RuntimeEnv::from_json(&spec).unwrap();
        let options = load_with(&spec, &source).unwrap().install.unwrap().tool_options;
        assert_eq!(options.iter().filter(|it| it.starts_with("--prerelease")).count(), 1);
        assert!(options.contains(&"--prerelease=allow".to_owned()), "{options:?}");
        let install = load(Tool::Pip);
        assert!(install.tool_options.is_empty() && install.constraints.is_empty());
        assert!(install.index.find_links.is_empty() && install.index.index_url.is_none());
    }
    for (setting, words) in [
        ("dependency-metadata = []", "`tool.uv.dependency-metadata` in it decides"),
        ("nothing = 1", "`tool.uv.nothing` in it is no setting"),
        ("index = [{ name = 'x' }]", "has no `url`"),
        ("constraint-dependencies = 'six'", "is no list of texts"),
        ("sources = { six = { path = '../six' } }", "says where `six` comes from"),
    ] {
        let block = format!("dependencies = ['six']\n[tool.uv]\n{setting}");
        let block: String = block.lines().flat_map(|line| ["# ", line, "\n"]).collect();
        let error = load(Tool::Uv, "run.py", &format!("# /// script\n{block}# ///\n"));
        let error = error.unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}
