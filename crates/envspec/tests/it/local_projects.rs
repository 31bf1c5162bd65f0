//! Law: the files that the build of a local project reads are in the key, wherever they lie; files
//! that it cannot read are not.

use std::path::Path;

use envspec::{Digest, LocalProject, MemorySource, RuntimeEnv};

use crate::{chain, install_with, load_with};

/// A `pyproject.toml` with all metadata of a project.
const STATIC: &str = "[build-system]\nrequires = ['setuptools>=61', 'wheel']\n\
    build-backend = 'setuptools.build_meta'\n[project]\nname = 'lib'\nversion = '1'\n\
    readme = 'docs/about.md'\n[tool.setuptools.packages.find]\nwhere = ['src']\n";

fn digest(line: &str, source: &MemorySource) -> Digest {
    install_with(&RuntimeEnv::uv([line]), source).digest()
}

fn with(source: &MemorySource, path: &str, text: &str) -> MemorySource {
    source.clone().with_file(format!("/project/{path}"), text)
}

#[test]
fn of_an_editable_all_counts_that_its_build_may_read() {
    let text = STATIC.replace("version = '1'", "version = '1'\ndynamic = ['dependencies']");
    for (file, text) in [
        ("pyproject.toml", text.as_str()),
        ("pyproject.toml", &STATIC.replace("'wheel'", "'a-plugin'")),
        ("pyproject.toml", &STATIC.replace("[project]", "backend-path = ['.']\n[project]")),
        ("pyproject.toml", &format!("{STATIC}[tool.setuptools.cmdclass]\nbuild = 'x.y'\n")),
        ("setup.py", "import setuptools"),
        ("setup.cfg", "[options]\ninstall_requires = file: a.txt"),
    ] {
        let source = MemorySource::new()
            .with_file("/project/lib/pyproject.toml", STATIC)
            .with_file("/project/lib/src/lib/__init__.py", "")
            .with_file("/project/lib/requirements/base.in", "six");
        let source = with(&source, &format!("lib/{file}"), text);
        let before = digest("-e ./lib", &source);
        for path in ["requirements/base.in", "src/lib/__init__.py", "new.txt"] {
            let changed = with(&source, &format!("lib/{path}"), "changed");
            assert_ne!(digest("-e ./lib", &changed), before, "{text}: {path}");
        }
        for path in [".git/HEAD", "lib.egg-info/PKG-INFO", "src/lib/__pycache__/a.pyc"] {
            let changed = with(&source, &format!("lib/{path}"), "changed");
            assert_eq!(digest("-e ./lib", &changed), before, "{text}: {path}");
        }
    }
}

#[test]
fn modules_of_an_editable_that_no_build_reads_are_free_to_change() {
    let source = MemorySource::new()
        .with_file("/project/lib/pyproject.toml", STATIC)
        .with_file("/project/lib/docs/about.md", "about")
        .with_file("/project/lib/src/lib/__init__.py", "x = 1");
    let before = digest("-e ./lib", &source);
    for path in ["src/lib/__init__.py", "results.jsonl", "src/lib/table.csv"] {
        assert_eq!(
            digest("-e ./lib", &with(&source, &format!("lib/{path}"), "x")),
            before,
            "{path}"
        );
    }
    for path in ["src/other/__init__.py", "docs/about.md", "LICENSE.txt", "setup.py", "setup.cfg"] {
        let changed = with(&source, &format!("lib/{path}"), "[metadata]");
        assert_ne!(digest("-e ./lib", &changed), before, "{path}");
    }
}

#[test]
fn projects_that_a_project_depends_on_by_their_places_count_in_turn() {
    let pyproject =
        |name: &str, more: &str| format!("[project]\nname = '{name}'\nversion = '1'\n{more}");
    for (line, file, more) in [
        ("./a", "a/pyproject.toml", "dependencies = ['b[x] @ file:///project/b']"),
        (
            "./a",
            "a/pyproject.toml",
            "dependencies = [\"b@file:///project/b ; os_name == 'posix'\"]",
        ),
        (
            "./a",
            "a/pyproject.toml",
            "[project.optional-dependencies]\nx = ['b @ file:///project/b']",
        ),
        ("./a", "a/setup.py", "setup(install_requires=[\"b @ file://localhost/project/b\"])"),
        ("./a", "a/setup.cfg", "[options]\ninstall_requires =\n  b @ file:///project/%62\n"),
        ("./a", "a/requirements.in", "six\nb @ file:///project/b\n"),
        ("-e ./a", "a/pyproject.toml", "[tool.uv.sources]\nb = { path = '../b' }"),
        ("./a", "a/pyproject.toml", "[tool.uv.sources]\nb = [{ path = '../b', marker = 'x' }]"),
        ("-e ./a", "a/pyproject.toml", "[tool.uv.sources]\nb = { workspace = true }"),
        ("-e ./a", "a/pyproject.toml", "dependencies = ['b']"),
        ("./a", "a/pyproject.toml", "[tool.poetry.dependencies]\nb = { path = '../b' }"),
    ] {
        let own = if file == "a/pyproject.toml" { more } else { "" };
        let dynamic = "[tool.setuptools.dynamic]\ndependencies = {file = ['requirements.in']}\n";
        let own = format!("{own}\n{dynamic}");
        let source = MemorySource::new()
            .with_file(format!("/project/{file}"), more)
            .with_file("/project/a/pyproject.toml", pyproject("a", &own))
            .with_file(
                "/project/b/pyproject.toml",
                pyproject("b", "dependencies = ['c @ file:///c']"),
            )
            .with_file("/project/b/b.py", "")
            .with_file(
                "/c/pyproject.toml",
                pyproject("c", "dependencies = ['a @ file:///project/a']"),
            )
            .with_file("/c/c.py", "")
            .with_file(
                "/project/pyproject.toml",
                "[tool.uv.workspace]\nmembers = ['*']\n[tool.uv.sources]\nb = { path = 'b' }",
            );
        let before = digest(line, &source);
        for changed in ["/project/b/b.py", "/c/c.py", "/project/b/new.py"] {
            let changed = source.clone().with_file(changed, "x = 1");
            assert_ne!(digest(line, &changed), before, "{line}: {more}");
        }
        for unchanged in ["/project/b/build/lib/b.py", "/project/d/pyproject.toml"] {
            let unchanged = source.clone().with_file(unchanged, "");
            assert_eq!(digest(line, &unchanged), before, "{line}: {more}");
        }
    }
}

#[test]
fn an_archive_that_a_project_depends_on_counts() {
    let digest = |text: &str| {
        let source = MemorySource::new()
            .with_file(
                "/project/a/setup.py",
                "install_requires='b @ file:///w/b-1-py3-none-any.whl'",
            )
            .with_file("/w/b-1-py3-none-any.whl", text);
        install_with(&RuntimeEnv::pip(["./a"]), &source).digest()
    };
    assert_ne!(digest("one"), digest("two"));
}

/// A repository in git's format, with the folder `lib` in it.
fn repository(pyproject: &str) -> MemorySource {
    let commit = "1".repeat(40);
    MemorySource::new()
        .with_file("/project/.git/HEAD", "ref: refs/heads/main\n")
        .with_file("/project/.git/refs/heads/main", format!("{commit}\n"))
        .with_file("/project/.git/packed-refs", format!("# pack-refs\n{commit} refs/tags/v1\n"))
        .with_file("/project/lib/pyproject.toml", pyproject)
        .with_file("/project/outside.txt", "")
}

const CHANGES: [(&str, &str); 4] = [
    (".git/refs/heads/main", "2222222222222222222222222222222222222222\n"),
    (".git/refs/tags/v2", "1111111111111111111111111111111111111111\n"),
    (".git/packed-refs", "1111111111111111111111111111111111111111 refs/tags/v3\n"),
    (".git/HEAD", "ref: refs/heads/other\n"),
];

#[test]
fn a_version_that_comes_from_git_is_in_the_key() {
    let dynamic = "[project]\nname = 'lib'\ndynamic = ['version']\n";
    for (more, file, text) in [
        ("[build-system]\nrequires = ['Setuptools_SCM[toml]>=6', 'setuptools']\n", "x", ""),
        ("[build-system]\nrequires = ['hatchling', 'hatch-vcs']\n", "x", ""),
        ("[tool.pdm.version]\nsource = \"scm\"\n", "x", ""),
        ("", "setup.py", "import versioneer"),
        ("", "setup.py", "run(['git', 'describe'])"),
        ("[build-system]\nbackend-path = ['tools']\n", "tools/backend.py", "run('git describe')"),
        ("[build-system]\nrequires = ['setuptools-git-versioning']\n", "x", ""),
        ("[build-system]\nrequires = ['poetry-dynamic-versioning']\n", "x", ""),
        ("[build-system]\nrequires = ['setupmeta']\n", "x", ""),
        ("", "setup.py", "setup(setup_requires=['setupmeta'])"),
        ("", "setup.py", "os.popen('cd . && git describe --tags')"),
        ("", "setup.py", "from git import Repo"),
        ("", "setup.py", "from dulwich.repo import Repo"),
        ("", "meson.build", "project('lib', version: run_command('git', 'describe'))"),
        ("", "CMakeLists.txt", "execute_process(COMMAND ${GIT_EXECUTABLE} describe)"),
        ("", "Cargo.toml", "[build-dependencies]\nvergen = '8'"),
    ] {
        let pyproject = format!("{dynamic}{more}");
        let source = with(&repository(&pyproject), &format!("lib/{file}"), text);
        for line in ["./lib", "-e ./lib"] {
            let before = digest(line, &source);
            for (path, text) in CHANGES {
                assert_ne!(
                    digest(line, &with(&source, path, text)),
                    before,
                    "{line}: {more}: {path}"
                );
            }
            for (path, text) in [(".git/refs/heads/side", "x"), ("outside.txt", "x")] {
                assert_eq!(
                    digest(line, &with(&source, path, text)),
                    before,
                    "{line}: {more}: {path}"
                );
            }
        }
    }
}

#[test]
fn a_commit_is_nothing_to_a_project_that_asks_nothing_of_git() {
    for pyproject in [STATIC, "[project]\nname = 'lib'\ndynamic = ['version']\n"] {
        let source = repository(pyproject);
        for line in ["./lib", "-e ./lib"] {
            let before = digest(line, &source);
            for (path, text) in CHANGES {
                assert_eq!(digest(line, &with(&source, path, text)), before, "{line}: {path}");
            }
        }
    }
}

/// Mercurial, Subversion and Bazaar tell versions, too; what no copy can take along is refused.
#[test]
fn a_version_that_comes_from_another_system_is_in_the_key() {
    let dirstate = format!("{}times", "p".repeat(40));
    for (file, text, other) in [
        (".hg/store/00changelog.i", "one", "two"),
        (".hg/dirstate", &*dirstate, &*format!("{}times", "q".repeat(40))),
        (".hg/localtags", "one", "two"),
        (".svn/wc.db", "one", "two"),
        (".bzr/branch/last-revision", "one", "two"),
    ] {
        let asking = "[build-system]\nrequires = ['setuptools_scm']\n";
        for (line, folder) in [("./lib", "lib/"), ("-e ./lib", "lib/"), ("-e ./lib", "")] {
            let path = format!("{folder}{file}");
            let of = |pyproject: &str, text: &str| {
                let source = with(&MemorySource::new(), "lib/pyproject.toml", pyproject);
                digest(line, &with(&source, &path, text))
            };
            assert_ne!(of(asking, text), of(asking, other), "{line}: {path}");
            assert_eq!(of("", text), of("", other), "{line}: {path}");
            if file == ".hg/dirstate" {
                assert_eq!(
                    of(asking, text),
                    of(asking, &format!("{text} later")),
                    "{line}: {path}"
                );
            }
        }
        let source = with(&MemorySource::new(), "lib/pyproject.toml", asking);
        let error = load_with(&RuntimeEnv::uv(["./lib"]), &with(&source, file, text)).unwrap_err();
        assert!(chain(&error).contains("a copy of the project is no part of it"));
    }
}

#[test]
fn a_repository_may_lie_elsewhere() {
    let source = repository("[build-system]\nrequires = ['setuptools-scm']\n");
    let found = |source: &MemorySource| {
        let all = LocalProject::all(Path::new("/project/lib"), source).unwrap();
        all.into_iter().next().unwrap().repository.unwrap()
    };
    let outer = found(&source);
    assert_eq!(
        (outer.root.as_path(), outer.git_dir),
        ("/project".as_ref(), "/project/.git".into())
    );
    let submodule = source
        .clone()
        .with_file("/project/lib/.git", "gitdir: ../.git/modules/lib\n")
        .with_file("/project/.git/modules/lib/HEAD", "x");
    let inner = found(&submodule);
    assert_eq!(inner.root, Path::new("/project/lib"));
    assert_eq!(inner.common_dir, Path::new("/project/.git/modules/lib"));
    let linked = source
        .with_file("/project/lib/.git", "gitdir: /main/.git/worktrees/lib\n")
        .with_file("/main/.git/worktrees/lib/HEAD", "x")
        .with_file("/main/.git/worktrees/lib/commondir", "../..\n");
    assert_eq!(found(&linked).common_dir, Path::new("/main/.git"));
}

#[test]
fn an_index_that_is_not_understood_is_refused() {
    for index in ["", "DIRC", "DIRC\0\0\0\x09\0\0\0\0", "DIRC\0\0\0\x02\0\0\0\x09"] {
        let source = repository("[build-system]\nrequires = ['setuptools-scm']\n");
        let source = source.with_file("/project/.git/index", index);
        let spec = RuntimeEnv::from_json(r#"{ "pip": ["./lib"] }"#).unwrap();
        let error = spec.load(&source, Path::new("/project")).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("the repository in `/project` tells a version"), "{said}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn what_no_copy_can_follow_is_refused_by_name_with_a_way_out() {
    let sources = |source: &str| format!("[project]\nname = 'a'\n[tool.uv.sources]\nb = {source}");
    let in_place = sources("{ path = '../b', editable = true }");
    let member = sources("{ workspace = true }");
    let source = |pyproject: &str| {
        MemorySource::new()
            .with_file("/project/pyproject.toml", "[tool.uv.workspace]\nmembers = ['*']")
            .with_file("/project/a/pyproject.toml", pyproject)
            .with_file("/project/b/pyproject.toml", "[project]\nname = 'b'")
    };
    let error = |spec: &RuntimeEnv, pyproject: &str| {
        spec.load(&source(pyproject), Path::new("/project")).map(drop).err()
    };
    for pyproject in [&in_place, &member] {
        let refused = error(&RuntimeEnv::uv(["./a"]), pyproject).expect("no copy");
        let said = refused.to_string();
        assert!(said.starts_with("`tool.uv.sources.b` of `/project/a` names `b`"), "{said}");
        assert!(refused.hint().unwrap().contains("--no-sources-package b"));
        for options in [&["--no-sources"][..], &["--no-sources-package", "b"]] {
            let spec = RuntimeEnv::uv(["./a"]).with_tool_options(options.iter().copied());
            assert!(error(&spec, pyproject).is_none(), "{options:?}");
        }
        let spec = RuntimeEnv::uv(["./a"]).with_env_var("UV_NO_SOURCES", "1");
        assert!(error(&spec, pyproject).is_none());
        assert!(error(&RuntimeEnv::pip(["./a"]), pyproject).is_none());
        assert!(error(&RuntimeEnv::uv(["-e ./a"]), pyproject).is_none());
    }
    let versioned = "[build-system]\nrequires = ['setuptools-scm']\n[project]\nname = 'a'\n\
                     dependencies = ['b @ file:///project/b']\n";
    let in_git = source(versioned).with_file("/project/.git/HEAD", "1");
    let spec = RuntimeEnv::pip(["./a"]);
    let refused = spec.load(&in_git, Path::new("/project")).unwrap_err();
    assert!(
        refused.to_string().starts_with("`b @ file:///project/b` of `/project/a`"),
        "{refused}"
    );
}
