//! Files in a project's folder that are not among its sources.

use std::path::{Component, Path, PathBuf};

/// Returns whether a file, relative to a project's folder, is not among its sources. These are
/// version control, bytecode that Python keeps, and at the top a virtualenv, a tool's cache
/// (`CACHEDIR.TAG`) and the leftovers of a build, which would give the project another key after
/// each build.
///
/// `has` returns whether the project has a file at a relative path. Names alone prove little: a
/// package may be named `venv`, and hold a folder `node_modules` that it serves.
pub fn is_by_product(below: &Path, has: impl Fn(&Path) -> bool) -> bool {
    let names: Vec<_> = below
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    let Some((_file, folders)) = names.split_last() else { return false };
    if folders.iter().any(|name| [".git", ".hg", ".svn", ".bzr", "__pycache__"].contains(&&**name))
    {
        return true;
    }
    let Some(first) = folders.first().map(|first| &**first) else { return false };
    let holds = |folders: &[&str], file: &str| {
        has(&folders.iter().copied().chain([file]).collect::<PathBuf>())
    };
    // setuptools leaves its metadata where the packages are: beside them, or in `src`.
    let is_metadata = match folders {
        [first, ..] if first.ends_with(".egg-info") => true,
        [first, second, ..] if second.ends_with(".egg-info") => !holds(&[first], "__init__.py"),
        _ => false,
    };
    let is_build = first == "build"
        && folders.get(1).is_some_and(|second| {
            &**second == "lib"
                || ["bdist.", "lib.", "temp."].iter().any(|start| second.starts_with(start))
        })
        && !holds(&[first], "__init__.py");
    is_metadata
        || is_build
        || first == ".eggs"
        || ["pyvenv.cfg", "CACHEDIR.TAG"].iter().any(|mark| holds(&[first], mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_or_a_tool_leaves_is_no_part_of_a_project() {
        let marks = ["env/pyvenv.cfg", ".mypy_cache/CACHEDIR.TAG"];
        let has = |path: &Path| marks.iter().any(|mark| path == Path::new(mark));
        for path in [
            "build/lib/pkg/a.py",
            "build/lib.linux-x86_64-cpython-311/pkg/a.so",
            "build/bdist.linux-x86_64/x",
            "pkg.egg-info/PKG-INFO",
            "src/pkg.egg-info/PKG-INFO",
            "pkg/__pycache__/a.cpython-311.pyc",
            ".git/HEAD",
            "vendor/lib/.git/HEAD",
            ".eggs/x/y.py",
            "env/pyvenv.cfg",
            "env/lib/python3.11/site-packages/x.py",
            ".mypy_cache/3.11/x.json",
        ] {
            assert!(is_by_product(Path::new(path), has), "{path}");
        }
    }

    #[test]
    fn a_name_alone_makes_no_by_product() {
        let marks =
            ["build/__init__.py", "pkg/__init__.py", "pkg/venv/pyvenv.cfg", "pkg/c/CACHEDIR.TAG"];
        let has = |path: &Path| marks.iter().any(|mark| path == Path::new(mark));
        for path in [
            "pyproject.toml",
            "venv.py",
            "venv/__init__.py",
            ".venv/data.txt",
            "node_modules/a.js",
            ".idea/a.xml",
            ".tox/a.py",
            "pkg/venv/__init__.py",
            "pkg/venv/pyvenv.cfg",
            "pkg/c/CACHEDIR.TAG",
            "pkg/node_modules/a.js",
            "pkg/.idea/a.xml",
            "pkg/fixture.egg-info/PKG-INFO",
            "pkg/data/fixture.egg-info/PKG-INFO",
            "pkg/sourceless.pyc",
            "build/__init__.py",
            "build/lib/x.py",
            "build/library.py",
            "pkg/build/lib/x.py",
        ] {
            assert!(!is_by_product(Path::new(path), has), "{path}");
        }
        assert!(!is_by_product(Path::new("build/library/x.py"), |_| false));
    }
}
