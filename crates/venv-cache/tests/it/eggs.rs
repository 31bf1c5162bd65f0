//! Eggs in a base: an environment has them where Python finds them, both tools see them, and a
//! replaced one is visible in one version only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use venv_cache::{Strategy, create, create_bare};

use crate::setup::{Tool, assert_untouched, host, open, run, seen, site, snapshot, virtualenv};

/// Makes an egg as `easy_install` does, as a folder or an archive.
const EGG: &str = r#"
import pathlib, sys, zipfile
kind, path, name, version = sys.argv[1:]
files = {
    f"{name}/__init__.py": f"__version__ = {version!r}\ndef main():\n    print(__version__)\n",
    f"{name}/only_in_egg.py": "",
    f"{name}/data.txt": "data",
    "EGG-INFO/PKG-INFO": f"Metadata-Version: 1.1\nName: {name}\nVersion: {version}\n\nVersion: 9\n",
    "EGG-INFO/top_level.txt": f"{name}\n",
    "EGG-INFO/requires.txt": "kept\n\n[more]\nno_such_package\n",
    "EGG-INFO/entry_points.txt": f"[console_scripts]\n{name}-egg = {name}:main\n",
}
if kind == "archive":
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
else:
    for inside, text in files.items():
        file = pathlib.Path(path, inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
"#;

fn egg(kind: &str, folder: &Path, name: &str, version: &str) -> PathBuf {
    let path = folder.join(format!("{name}-{version}-py3.11.egg"));
    let words = ["-c", EGG, kind, path.to_str().expect("text"), name, version];
    run(host().executable(), &words);
    path
}

/// A virtualenv with `kept` in it, and a script that an egg `alpha` asks for.
fn base(dir: &Path) -> PathBuf {
    let python = create_bare(host(), dir).expect("a virtualenv").python;
    Tool::Uv.install(&python, &["kept"]);
    let script = format!("#!{}\nimport alpha\nalpha.main()\n", python.display());
    fs::write(dir.join("bin/alpha-egg"), script).expect("a script");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.join("bin/alpha-egg"), mode).expect("a script of ours");
    python
}

/// The line that `easy_install` wrote so that eggs come before the site folder.
fn first(line: &str) -> String {
    format!(
        "import sys; sys.__plen = len(sys.path)\n{line}\nimport sys; new = sys.path[sys.__plen:]; \
         del sys.path[sys.__plen:]; p = getattr(sys, '__egginsert', 0); sys.path[p:p] = new; \
         sys.__egginsert = p + len(new)\n"
    )
}

#[test]
fn eggs_are_as_in_the_base_and_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for shape in
        ["folder", "archive", "folder first", "two", "archive elsewhere", "folder elsewhere"]
    {
        let dir = folder.path().join(shape.replace(' ', "-"));
        let python = base(&dir);
        let site_dir = site(&python);
        let inside = site_dir.strip_prefix(&dir).unwrap();
        let kind = if shape.starts_with("archive") { "archive" } else { "folder" };
        let place =
            if shape.ends_with("elsewhere") { elsewhere.join(kind) } else { site_dir.clone() };
        fs::create_dir_all(&place).unwrap();
        let path = egg(kind, &place, "alpha", "1.0");
        let name = path.file_name().unwrap().to_str().unwrap();
        let paths = match shape {
            "folder first" => {
                Tool::Uv.install(&python, &["alpha==2.0"]);
                first(&format!("./{name}"))
            }
            "two" => {
                egg("archive", &place, "alpha", "0.5");
                format!("./{name}\n./alpha-0.5-py3.11.egg\n")
            }
            _ if place == site_dir => format!("./{name}\n"),
            _ => format!("{}\n", path.display()),
        };
        fs::write(site_dir.join("easy-install.pth"), paths).unwrap();
        let base = open(&python);
        let is_twice = ["two", "folder first"].contains(&shape);
        if place == site_dir && !is_twice {
            assert_eq!(seen(base.python(), &[("alpha", "alpha")])["alpha"], "1.0 1.0 1", "{shape}");
        }
        let before = snapshot(&base);
        let others = venv_cache::testing::Snapshot::of(&elsewhere).unwrap();
        for (tool, strategy) in [
            (Tool::Uv, Strategy::Hardlink),
            (Tool::Pip, if is_twice { Strategy::Symlink } else { Strategy::Copy }),
        ] {
            let case = format!("{shape}, {tool:?}, {strategy}");
            let dir = folder.path().join(case.replace([' ', ','], "-"));
            let python = create(&base, &dir, strategy).unwrap().python;
            let alpha = || seen(&python, &[("alpha", "alpha")])["alpha"].clone();
            assert_eq!(alpha(), "1.0 1.0 1", "{case}");
            // The egg's files and scripts exist, and both tools know it and its requirements.
            let program = "import alpha.only_in_egg, importlib.metadata as m, pathlib; \
                           print(pathlib.Path(alpha.__file__).with_name('data.txt').read_text(), \
                           m.requires('alpha')[0])";
            assert_eq!(run(&python, &["-c", program]).trim(), "data kept", "{case}");
            assert_eq!(run(dir.join("bin/alpha-egg"), &[] as &[&str]).trim(), "1.0", "{case}");
            if matches!(tool, Tool::Uv) || is_twice {
                tool.install(&python, &["alpha"]);
                assert_eq!(alpha(), "1.0 1.0 1", "{case}");
            }
            tool.install(&python, &["alpha==2.0"]);
            assert_eq!(alpha(), "2.0 2.0 1", "{case}");
            let left = dir.join(inside).join(name).join("alpha/only_in_egg.py");
            assert!(!left.exists(), "{case}");
            assert!(!dir.join("bin/alpha-egg").exists(), "{case}");
        }
        assert_untouched(&base, &before);
        let changes = others.difference(&venv_cache::testing::Snapshot::of(&elsewhere).unwrap());
        assert!(changes.is_empty(), "{shape}: {changes:?}");
    }
}

/// An egg of a folder outside of the virtualenv, with a script of that folder's interpreter; and
/// one that the virtualenv's own distribution shadows.
#[test]
fn eggs_of_several_site_folders_are_gathered() {
    let folder = tempfile::tempdir().unwrap();
    let python = base(&folder.path().join("base"));
    let own = site(&python);
    let outer = site(&create_bare(host(), &folder.path().join("outer")).unwrap().python);
    Tool::Uv.install(&python, &["gone"]);
    let paths = ["alpha", "gone"].map(|name| {
        let path = egg(if name == "alpha" { "archive" } else { "folder" }, &outer, name, "0.1");
        format!("./{}\n", path.file_name().unwrap().to_str().unwrap())
    });
    fs::write(outer.join("easy-install.pth"), paths.concat()).unwrap();
    let hook = "import site, sys\nOUTER = [PATH]\n\
                site.getsitepackages = lambda *given, inner=site.getsitepackages: inner(*given) + OUTER\n\
                site.addsitedir(OUTER[0])\n";
    let hook = hook.replace("PATH", &format!("{:?}", outer.to_str().unwrap()));
    fs::write(own.join("sitecustomize.py"), hook).unwrap();
    let base = open(&python);
    let before = snapshot(&base);
    for (tool, strategy) in [(Tool::Uv, Strategy::Hardlink), (Tool::Pip, Strategy::Symlink)] {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        fs::remove_file(site(&python).join("sitecustomize.py")).unwrap();
        let all = || seen(&python, &[("alpha", "alpha"), ("gone", "gone")]);
        assert_eq!(all()["alpha"], "0.1 0.1 1", "{tool:?}");
        assert_eq!(all()["gone"], "1.0 1.0 1", "{tool:?}");
        tool.install(&python, &["alpha==2.0"]);
        assert_eq!(all()["alpha"], "2.0 2.0 1", "{tool:?}");
    }
    assert_untouched(&base, &before);
}

/// A leftover of `setup.py develop`: a link to a folder of sources, which stay unchanged.
#[test]
fn a_link_to_sources_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    for (path, text) in [
        ("alpha/__init__.py", "__version__ = '1.0'\n"),
        ("alpha.egg-info/PKG-INFO", "Metadata-Version: 1.1\nName: alpha\nVersion: 1.0\n"),
        ("alpha.egg-info/top_level.txt", "alpha\n"),
    ] {
        fs::create_dir_all(source.join(path).parent().unwrap()).unwrap();
        fs::write(source.join(path), text).unwrap();
    }
    let python = create_bare(host(), &folder.path().join("base")).unwrap().python;
    let line = format!("{}\n", source.display());
    fs::write(site(&python).join("easy-install.pth"), &line).unwrap();
    fs::write(site(&python).join("alpha.egg-link"), line + ".").unwrap();
    let base = open(&python);
    let (before, sources) = (snapshot(&base), venv_cache::testing::Snapshot::of(&source).unwrap());
    for tool in [Tool::Pip, Tool::Uv] {
        let dir = folder.path().join(format!("{tool:?}"));
        let python = create(&base, &dir, Strategy::Hardlink).unwrap().python;
        tool.install(&python, &["alpha==2.0"]);
        assert_eq!(seen(&python, &[("alpha", "alpha")])["alpha"], "2.0 2.0 1", "{tool:?}");
    }
    assert_untouched(&base, &before);
    let changes = sources.difference(&venv_cache::testing::Snapshot::of(&source).unwrap());
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn an_egg_that_is_replaced_in_place_changes_the_fingerprint() {
    for kind in ["folder", "archive"] {
        let folder = tempfile::tempdir().unwrap();
        let python = virtualenv(&folder.path().join("base"));
        let path = egg(kind, &site(&python), "beta", "1.0");
        let before = *open(&python).fingerprint();
        assert_eq!(*open(&python).fingerprint(), before, "{kind}");
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        egg(kind, &site(&python), "beta", "1.0");
        assert_ne!(*open(&python).fingerprint(), before, "{kind}");
    }
}
