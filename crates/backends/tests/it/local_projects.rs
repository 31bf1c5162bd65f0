//! The build of a local project reads files outside of its folder: projects that it depends on by
//! their paths, and the repository that determines its version.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use backends::EnvState;
use envspec::Tool;
use stage::Isolation;

use crate::local_builds::{TOOLS, project, told, write};
use crate::world::{World, run};

/// A backend that has the dependencies of the table `tool.backend`, and of the file that it names.
const NEEDS: &str = "
def requires():
    import tomllib
    table = tomllib.load(open('pyproject.toml', 'rb'))['tool']['backend']
    lines = table.get('needs', [])
    if 'file' in table:
        lines = open(table['file']).read().split('\\n')
    return ''.join(f'Requires-Dist: {line}\\n' for line in lines if line)
";

/// Writes a project with more lines in its `pyproject.toml`.
fn depending(dir: &Path, name: &str, more: &str) {
    project(dir, name, NEEDS);
    let text = fs::read_to_string(dir.join("pyproject.toml")).expect("a project");
    write(dir, "pyproject.toml", &(text + more));
}

/// Returns every file below a folder.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    entries.map(|entry| entry.expect("a folder of ours").into_path()).collect()
}

const VALUES: &str = "import a, b; print(a.VALUE, b.VALUE)";

#[test]
fn a_project_that_another_names_by_its_place_is_built_as_it_is_now() {
    let world = World::new(&[], &[]);
    let (a, b) = (world.root.join("projects/a"), world.root.join("projects/b"));
    project(&b, "b", "");
    let address = format!("b @ file://{}", b.display());
    let by_address = format!("[tool.backend]\nneeds = ['{address}']\n");
    let by_path = "[tool.backend]\nneeds = ['b']\n[tool.uv.sources]\nb = { path = '../b' }\n";
    for (tool, line, more) in [
        (Tool::Uv, "./projects/a", &*by_address),
        (Tool::Pip, "./projects/a", &*by_address),
        (Tool::Uv, "-e ./projects/a", &*by_address),
        (Tool::Pip, "-e ./projects/a", &*by_address),
        (Tool::Uv, "./projects/a", by_path),
        (Tool::Uv, "-e ./projects/a", by_path),
    ] {
        depending(&a, "a", more);
        let before = files_in(&world.root.join("projects"));
        for value in ["2", "3"] {
            let value = format!("{value}{}", tool.as_str().len() * 10 + line.len() + more.len());
            write(&b, "b/__init__.py", &format!("VALUE = {value}\n"));
            let spec = world.spec(tool, &[line]);
            let (found, state) = told(&world, &spec, VALUES);
            assert_eq!((found, state), (format!("1 {value}"), EnvState::Built), "{tool}: {line}");
            assert_eq!(world.state(&world.spec(tool, &[line])), EnvState::Hit);
            if line.starts_with("-e") {
                continue;
            }
            // Nothing mentions the removed copy, and no file is left in the folders.
            let program = "import importlib.metadata as m\n\
                           print(m.requires('a'), [f.read_text() for n in 'ab' for f in m.files(n)\n\
                           if f.name == 'direct_url.json'])";
            let env = world.prepare(&spec).unwrap();
            let said = run(env.python(), program);
            assert!(!said.contains("installer-"), "{tool}: {said}");
            assert!(said.contains(&format!("file://{}", b.display())), "{tool}: {said}");
            assert_eq!(files_in(&world.root.join("projects")), before, "{tool}: {more}");
        }
    }
}

#[test]
fn a_place_that_nothing_can_tell_beforehand_is_refused_by_name() {
    let world = World::new(&[], &[]);
    let (a, b) = (world.root.join("a"), world.root.join("b"));
    project(&b, "b", "");
    depending(&a, "a", "[tool.backend]\nfile = 'needs'\n");
    write(&a, "needs", &format!("b @ file://{}\n", b.display()));
    for tool in TOOLS {
        let error = world.prepare(&world.spec(tool, &["./a"])).unwrap_err();
        let said = error.report();
        assert!(said.contains("`b` came from"), "{tool}: {said}");
        assert!(said.contains(b.to_str().unwrap()), "{tool}: {said}");
    }
}

#[test]
fn an_editable_whose_dependencies_are_in_a_file_follows_it() {
    let world = World::new(&[], &[("one", "1.0", &[]), ("two", "1.0", &[])]);
    let dir = world.root.join("a");
    depending(&dir, "a", "[tool.backend]\nfile = 'requirements/all.in'\n");
    let program =
        "import importlib.util as u; print([n for n in ('one', 'two') if u.find_spec(n)])";
    for tool in TOOLS {
        for name in ["one", "two", "one"] {
            write(&dir, "requirements/all.in", name);
            let (found, state) = told(&world, &world.spec(tool, &["-e ./a"]), program);
            assert_eq!(found, format!("['{name}']"), "{tool} {state:?}");
        }
    }
}

/// A backend whose version comes from `git describe`, as with the common version tools.
const DESCRIBED: &str = "
def built():
    import subprocess
    words = ['git', 'describe', '--tags', '--long', '--dirty']
    return f'DESCRIBED = {subprocess.check_output(words, text=True).strip()!r}'
";

fn git(dir: &Path, words: &[&str]) -> String {
    let head = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"];
    duct::cmd("git", head.iter().chain(words)).dir(dir).stderr_null().read().expect("git runs")
}

fn commit(dir: &Path, tag: &str) {
    git(dir, &["add", "-f", "."]);
    git(dir, &["commit", "-q", "--allow-empty", "-m", tag]);
    git(dir, &["tag", tag]);
}

/// pip clones a repository that is to be installed in place into the environment; uv takes none.
#[test]
fn a_repository_in_place_is_cloned_into_the_environment() {
    let world = World::new(&[], &[]);
    let dir = world.root.join("b");
    project(&dir, "b", "");
    git(&dir, &["init", "-q"]);
    commit(&dir, "v1");
    let spec = world.spec(Tool::Pip, &[&format!("-e git+file://{}#egg=b", dir.display())]);
    for state in [EnvState::Built, EnvState::Hit] {
        let (place, found) = told(&world, &spec, "import b, sys; print(b.__file__)");
        assert_eq!(found, state);
        let env = world.prepare(&spec).unwrap();
        let own = env.python().parent().and_then(Path::parent).expect("its folder");
        assert!(Path::new(&place).starts_with(own.join("src")), "{place}");
    }
}

/// A repository with a project in `packages/lib` or at its top, and with files that no copy of
/// sources has.
fn repository(dir: &Path, project_in: &str) {
    fs::create_dir_all(dir).expect("a folder of ours");
    git(dir, &["init", "-q"]);
    project(&dir.join(project_in), "lib", DESCRIBED);
    write(dir, "outside.txt", "one");
    write(&dir.join(project_in), "build/lib/left.py", "");
    symlink("outside.txt", dir.join("link")).expect("a folder of ours");
    symlink("lib", dir.join(project_in).join("also")).expect("a folder of ours");
    commit(dir, "v1");
}

#[test]
fn what_git_tells_a_build_is_what_it_tells_in_place() {
    let world = World::new(&[], &[]);
    let root = &world.root;
    repository(&root.join("top"), "");
    repository(&root.join("mono"), "packages/lib");
    git(&root.join("mono"), &["update-index", "--index-version", "4"]);
    git(&root.join("mono"), &["worktree", "add", "-q", "../tree"]);
    fs::create_dir(root.join("super")).unwrap();
    git(&root.join("super"), &["init", "-q"]);
    git(&root.join("super"), &["submodule", "add", "-q", "../top", "sub"]);
    commit(&root.join("super"), "s1");
    let program = "import built_lib; print(built_lib.DESCRIBED)";
    for (number, (tool, start, repository, folder)) in [
        (Tool::Pip, "./", "top", "top"),
        (Tool::Uv, "./", "mono", "mono/packages/lib"),
        (Tool::Uv, "-e ./", "mono", "mono/packages/lib"),
        (Tool::Uv, "./", "tree", "tree/packages/lib"),
        (Tool::Uv, "./", "super/sub", "super/sub"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!("{start}{folder}");
        let (repository, folder) = (root.join(repository), root.join(folder));
        let found = || {
            let (found, state) = told(&world, &world.spec(tool, &[&line]), program);
            let there = git(&folder, &["describe", "--tags", "--long", "--dirty"]);
            assert_eq!(found, there, "{tool}: {line}");
            (found, state)
        };
        let (clean, _) = found();
        assert!(!clean.ends_with("-dirty"), "{clean}");
        let key =
            || world.provisioner().key(&world.spec(tool, &[&line]), Isolation::Shared).unwrap();
        let same = key();
        // An empty commit, and its tag.
        commit(&repository, &format!("v2.{number}"));
        assert_ne!(key(), same);
        let (tagged, state) = found();
        assert_eq!(state, EnvState::Built);
        assert_ne!(tagged, clean);
        write(&repository, "outside.txt", "changed");
        let (dirty, state) = found();
        assert_eq!((dirty, state), (format!("{tagged}-dirty"), EnvState::Built));
        write(&repository, "outside.txt", "one");
        assert_eq!(found(), (tagged, EnvState::Hit));
    }
}
