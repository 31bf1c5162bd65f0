//! Bases that are no virtualenv: an environment has the distributions of all their site folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use venv_cache::testing::Snapshot;
use venv_cache::{Base, Interpreter, Kind, Strategy, create, create_bare};

use crate::setup::{Tool, assert_untouched, host, imports, open, run, seen, snapshot};

const NAMES: &str = "import importlib.metadata as m, json; \
    print(json.dumps(sorted({(d.metadata['Name'] or '').lower() for d in m.distributions()} - {''})))";

/// Every distribution of the base is in the environment once, and everything in the environment is
/// found there.
fn law(base: &Base) {
    let before: Vec<_> = base
        .interpreter()
        .site_dirs()
        .iter()
        .filter(|dir| dir.is_dir())
        .map(|dir| venv_cache::testing::Snapshot::of(dir).expect("to read a site folder"))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    for (strategy, tool) in [
        (Strategy::Hardlink, Tool::Pip),
        (Strategy::Symlink, Tool::Uv),
        (Strategy::Symlink, Tool::Pip),
    ] {
        let dir = folder.path().join(format!("{strategy}-{tool:?}"));
        let python = create(base, &dir, strategy).expect("an environment").python;
        let names = |python: &Path| run(python, &["-I", "-B", "-c", NAMES]);
        assert_eq!(names(&python), names(base.python()));
        tool.install(&python, &["alpha==1.0", "space_one"]);
        tool.install(&python, &["alpha==2.0"]);
        assert_eq!(seen(&python, &[("alpha", "alpha")])["alpha"], "2.0 2.0 1");
        assert!(imports(&python, "space.one"));
    }
    let site_dirs = base.interpreter().site_dirs().iter().filter(|dir| dir.is_dir());
    for (dir, before) in site_dirs.zip(before) {
        let after = venv_cache::testing::Snapshot::of(dir).expect("to read a site folder");
        let changes = before.difference(&after);
        assert!(changes.is_empty(), "the base has changed:\n{}", changes.join("\n"));
    }
}

#[test]
fn the_systems_python() {
    let base = open(Path::new("/usr/bin/python3"));
    assert_eq!(base.kind(), Kind::Installation);
    law(&base);
}

#[test]
fn a_python_of_ones_own() {
    // The interpreter behind the machine's `python3`: pyenv's, an unpacked one, or the system's
    // again.
    let base = open(host().base_executable());
    assert_eq!(base.kind(), Kind::Installation);
    let folder = tempfile::tempdir().unwrap();
    let choice = Strategy::probe(&base, folder.path(), venv_cache::Sharing::Allowed).unwrap();
    let dir = folder.path().join("env");
    let python = create(&base, &dir, choice.strategy).unwrap().python;
    run(&python, &["-m", "pip", "--version"]);
    let pip = fs::read_to_string(dir.join("bin/pip3")).unwrap();
    assert!(pip.starts_with(&format!("#!{}\n", python.display())), "{pip}");
    assert!(run(dir.join("bin/pip3"), &["--version"]).contains(dir.to_str().unwrap()));
}

#[test]
fn a_virtualenv_with_the_systems_packages() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let system = Interpreter::describe(Path::new("/usr/bin/python3"), None).unwrap();
    create_bare(&system, &dir).unwrap();
    let settings = fs::read_to_string(dir.join("pyvenv.cfg")).unwrap();
    let settings = settings.replace("system-site-packages = false", "system-site-packages = true");
    fs::write(dir.join("pyvenv.cfg"), settings).unwrap();
    Tool::Uv.install(&dir.join("bin/python"), &["kept"]);
    let base = open(&dir);
    assert_eq!(base.kind(), Kind::Virtualenv);
    assert!(base.interpreter().site_dirs().len() > 1);
    law(&base);
}

/// Adds packages of another folder to those of a site folder, as `include-system-site-packages` adds
/// the system's.
pub(crate) fn see_outer(site: &Path, outer_site: &Path) {
    let hook = "import site, sys
OUTER = [PATH]
site.getsitepackages = lambda *given, inner=site.getsitepackages: inner(*given) + OUTER
sys.path += OUTER
";
    let path = format!("{:?}", outer_site.to_str().expect("text"));
    fs::write(site.join("sitecustomize.py"), hook.replace("PATH", &path))
        .expect("a folder of ours");
}

/// The shapes that a name may have in one site folder.
const SHAPES: [&str; 6] = ["nothing", "module", "package", "namespace", "pkgutil", "pkg_resources"];

/// Puts a package of this shape there, with its own modules, each of which names its owner.
fn put(folder: &Path, name: &str, shape: &str, owner: &str) {
    let owns = format!("OWNER = {owner:?}\n");
    let init = match shape {
        "nothing" => return,
        "module" => {
            return fs::write(folder.join(format!("{name}.py")), owns).expect("a folder of ours");
        }
        "namespace" => None,
        "pkgutil" => Some("__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"),
        // The file that setuptools wrote, with its own fallback for a missing `pkg_resources`.
        "pkg_resources" => Some(
            "try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n    \
             __path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        ),
        _ => Some(""),
    };
    let package = folder.join(name);
    fs::create_dir_all(&package).expect("a folder of ours");
    if let Some(init) = init {
        fs::write(package.join("__init__.py"), format!("{init}{owns}")).expect("a folder of ours");
    }
    for module in ["both", owner] {
        fs::write(package.join(format!("{module}.py")), &owns).expect("a folder of ours");
    }
}

/// Prints the owner of each module that can be imported: for every combination of shapes, also
/// below packages that both folders have.
const OWNERS: &str = "
import importlib, itertools, json
owners = {}
def look(name):
    try:
        owners[name] = getattr(importlib.import_module(name), 'OWNER', None)
    except ImportError:
        return
    if name.count('.') < 2:
        for below in ['both', 'own', 'outer', *(f'x{a}{b}' for a in range(6) for b in range(6))]:
            look(f'{name}.{below}')
for a, b in itertools.product(range(6), repeat=2):
    look(f'x{a}{b}')
print(json.dumps(owners))
";

/// Python joins two halves of a package, in the virtualenv and outside, for some shapes (PEP 420,
/// `pkgutil`, `pkg_resources`): there, both are visible. For the others, one shadows the other.
#[test]
fn what_both_folders_have_is_joined_or_shadowed_as_in_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let [own, outer] = ["base", "outer"].map(|name| {
        let python = create_bare(host(), &folder.path().join(name)).unwrap().python;
        (Interpreter::describe(&python, None).unwrap().purelib().to_path_buf(), python)
    });
    let (python, own, outer) = (own.1, own.0, outer.0);
    for (first, a) in SHAPES.iter().zip(0..) {
        for (second, b) in SHAPES.iter().zip(0..) {
            let name = format!("x{a}{b}");
            put(&own, &name, first, "own");
            put(&outer, &name, second, "outer");
            // And one level below, where both halves are folders.
            if a > 1 && b > 1 {
                for (inner, c) in SHAPES.iter().zip(0..) {
                    for (outer_inner, d) in SHAPES.iter().zip(0..) {
                        put(&own.join(&name), &format!("x{c}{d}"), inner, "own");
                        put(&outer.join(&name), &format!("x{c}{d}"), outer_inner, "outer");
                    }
                }
            }
        }
    }
    see_outer(&own, &outer);
    let base = open(&python);
    let owners = |python: &Path| -> BTreeMap<String, Option<String>> {
        serde_json::from_str(&run(python, &["-I", "-B", "-c", OWNERS])).unwrap()
    };
    let wanted = owners(base.python());
    assert!(wanted.len() > 1000, "{}", wanted.len());
    for strategy in [Strategy::Hardlink, Strategy::Symlink] {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        fs::remove_file(crate::setup::site(&python).join("sitecustomize.py")).unwrap();
        let found = owners(&python);
        // Python takes a later package with `__init__` before a folder without one, such as a
        // removed package leaves. Here they share one folder, and the first one's files are kept.
        let is_leftover =
            |name: &str| name.split('.').any(|it| ["x32", "x34", "x35"].contains(&it));
        let wrong: Vec<_> = wanted
            .iter()
            .filter(|(name, owner)| found.get(*name) != Some(owner) && !is_leftover(name))
            .collect();
        assert!(wrong.is_empty(), "{strategy}: {} of {}: {wrong:?}", wrong.len(), wanted.len());
    }
}

/// A virtualenv that sees its installation's packages is gathered into one folder: its own packages
/// shadow the outer ones, and only one version is visible.
#[test]
fn a_virtualenv_that_sees_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let python = create_bare(host(), &dir).unwrap().python;
    let outer = folder.path().join("outer");
    let outer_python = create_bare(host(), &outer).unwrap().python;
    Tool::Uv.install(&outer_python, &["alpha==1.0", "kept", "space_one"]);
    Tool::Uv.install(&python, &["alpha==2.0", "space_two"]);
    let outer_site = Interpreter::describe(&outer_python, None).unwrap().purelib().to_path_buf();
    let site = Interpreter::describe(&python, None).unwrap().purelib().to_path_buf();
    fs::write(outer_site.join("same.pth"), "/one\n").unwrap();
    fs::write(site.join("same.pth"), "/two\n").unwrap();
    see_outer(&site, &outer_site);

    let base = open(&python);
    assert_eq!(base.interpreter().site_dirs(), [site, outer_site]);
    let before = snapshot(&base);
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        let site = crate::setup::site(&python);
        fs::remove_file(site.join("sitecustomize.py")).unwrap();
        let all = [
            ("alpha", "alpha"),
            ("kept", "kept"),
            ("space_one", "space.one"),
            ("space_two", "space.two"),
        ];
        let there = seen(&python, &all);
        assert_eq!(there["alpha"], "2.0 2.0 1", "{strategy}");
        for name in ["kept", "space_one", "space_two"] {
            assert_eq!(there[name], "1.0 1.0 1", "{strategy}: {name}");
        }
        assert_eq!(
            run(dir.join("bin/alpha-show"), &[] as &[&str]).trim(),
            format!("2.0 {}", dir.display())
        );
        run(dir.join("bin/kept-show"), &[] as &[&str]);
        let paths =
            ["same.pth", "same.1.pth"].map(|name| fs::read_to_string(site.join(name)).unwrap());
        assert_eq!(paths, ["/two\n", "/one\n"]);
    }
    assert_untouched(&base, &before);
}

/// Moves entries of a folder elsewhere and leaves links to them, as stow and similar programs do.
fn link_elsewhere(site: &Path, elsewhere: &Path) {
    for entry in fs::read_dir(site).expect("a site folder") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "sitecustomize.py" {
            let to = elsewhere.join(entry.file_name());
            fs::rename(entry.path(), &to).expect("folders of ours");
            symlink(&to, entry.path()).expect("a folder of ours");
        }
    }
}

/// Packages, metadata and `.pth` files that are links count as their targets: in the virtualenv
/// itself, and in a folder outside that it sees.
#[test]
fn packages_that_are_linked_folders_work_and_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for is_outer in [false, true] {
        let root = folder.path().join(if is_outer { "outer" } else { "own" });
        let python = create_bare(host(), &root.join("base")).unwrap().python;
        let from_python = create_bare(host(), &root.join("from")).unwrap().python;
        let [site, from] = [&python, &from_python].map(|python| crate::setup::site(python));
        let linked = if is_outer { &from } else { &site };
        Tool::Uv.install(if is_outer { &from_python } else { &python }, &["alpha==1.0", "kept"]);
        fs::write(linked.join("more.pth"), format!("{}\nbeside\n", linked.display())).unwrap();
        fs::create_dir(linked.join("beside")).unwrap();
        fs::write(linked.join("beside/in_beside.py"), "").unwrap();
        symlink("/nowhere.pth", linked.join("dangling.pth")).unwrap();
        symlink("/nowhere", linked.join("gone-1.0.dist-info")).unwrap();
        for name in ["itself", "itself.pth"] {
            symlink(name, linked.join(name)).unwrap();
        }
        let elsewhere = root.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        link_elsewhere(linked, &elsewhere);
        if is_outer {
            see_outer(&site, linked);
        }
        let base = open(&python);
        let before = Snapshot::of(&root).unwrap();
        let made = tempfile::tempdir().unwrap();
        for (strategy, tool) in [
            (Strategy::Hardlink, Tool::Pip),
            (Strategy::Symlink, Tool::Uv),
            (Strategy::Copy, Tool::Pip),
        ] {
            let what = format!("{is_outer} {strategy}");
            let dir = made.path().join(strategy.to_string());
            let python = create(&base, &dir, strategy).unwrap().python;
            if is_outer {
                fs::remove_file(crate::setup::site(&python).join("sitecustomize.py")).unwrap();
            }
            let all = [("alpha", "alpha"), ("kept", "kept")];
            let there = seen(&python, &all);
            assert_eq!((&*there["alpha"], &*there["kept"]), ("1.0 1.0 1", "1.0 1.0 1"), "{what}");
            assert!(imports(&python, "in_beside"), "{what}");
            assert!(dir.join("bin/alpha-show").is_file(), "{what}");
            let paths = run(&python, &["-c", "import sys; print(sys.path)"]);
            assert!(!paths.contains(linked.to_str().unwrap()), "{what}: {paths}");
            tool.install(&python, &["alpha==2.0"]);
            assert_eq!(seen(&python, &all)["alpha"], "2.0 2.0 1", "{what}");
            assert!(!imports(&python, "alpha.old"), "{what}");
        }
        let changes = before.difference(&Snapshot::of(&root).unwrap());
        assert!(changes.is_empty(), "{}", changes.join("\n"));
    }
}
