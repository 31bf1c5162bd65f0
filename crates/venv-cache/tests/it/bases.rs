//! Virtualenvs of every maker, and with every change that people make to them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use venv_cache::{Base, Error, Kind, Strategy, create, create_bare};

use crate::installations::see_outer;
use crate::setup::{
    Tool, assert_untouched, host, imports, open, run, seen, site, snapshot, uv, virtualenv,
};

const ALL: [Strategy; 3] = [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy];

/// Makes a file and the folders above it.
fn file(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("to create a folder");
    fs::write(path, text).expect("to write");
}

#[test]
fn virtualenvs_of_every_make() {
    let folder = tempfile::tempdir().unwrap();
    let python = host().executable().to_str().unwrap();
    let makes: [(&str, &Path, &[&str]); 4] = [
        ("venv", host().executable(), &["-m", "venv", "--without-pip"]),
        ("venv-copies", host().executable(), &["-m", "venv", "--copies", "--without-pip"]),
        ("uv", uv(), &["venv", "--no-config", "--python", python]),
        ("uv-relocatable", uv(), &["venv", "--no-config", "--relocatable", "--python", python]),
    ];
    for (make, program, arguments) in makes {
        let dir = folder.path().join(make);
        run(program, &[arguments, &[dir.to_str().unwrap()]].concat());
        let tool = if make.starts_with("uv") { Tool::Uv } else { Tool::Pip };
        tool.install(&dir.join("bin/python"), &["kept"]);
        // The base is the same by its folder and by its interpreter.
        let base = open(&dir);
        assert_eq!(base.kind(), Kind::Virtualenv);
        assert_eq!(base.fingerprint(), open(&dir.join("bin/python3")).fingerprint(), "{make}");
        let before = snapshot(&base);
        for strategy in ALL {
            let dir = folder.path().join(format!("{make}-{strategy}"));
            let python = create(&base, &dir, strategy).unwrap().python;
            let said = run(dir.join("bin/kept-show"), &[] as &[&str]);
            assert_eq!(said.trim(), format!("1.0 {}", dir.display()), "{make}, {strategy}");
            let link = fs::read_link(&python).unwrap();
            assert_eq!(link, host().base_executable(), "{make}");
            let said = run(
                "sh",
                &["-c", ". \"$1/bin/activate\" && kept-show", "sh", dir.to_str().unwrap()],
            );
            assert_eq!(said.trim(), format!("1.0 {}", dir.display()), "{make}, {strategy}");
        }
        assert_untouched(&base, &before);
    }
}

#[test]
fn editables_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let base = open(&virtualenv(&dir));
    let site_dir = base.interpreter().purelib().to_path_buf();
    let outside = folder.path().join("checkout");
    file(outside.join("by_path.py"), "");
    file(outside.join("by_relative_path/by_relative_path.py"), "");
    file(outside.join("by_finder/__init__.py"), "");
    file(dir.join("src/inside/inside.py"), "");
    file(dir.join("src/inside_by_finder/__init__.py"), "");
    file(site_dir.join("path.pth"), &format!("{}\n", outside.display()));
    file(site_dir.join("relative.pth"), "../../../../checkout/by_relative_path\n");
    file(site_dir.join("inside.pth"), &format!("{}\n", dir.join("src/inside").display()));
    file(site_dir.join("inside.egg-link"), &format!("{}\n../", dir.join("src/inside").display()));
    file(
        site_dir.join("__editable__.finder.pth"),
        "import __editable___finder; __editable___finder.install()\n",
    );
    file(
        site_dir.join("__editable___finder.py"),
        &format!(
            "import importlib.util, sys
MAPPING = {{'by_finder': {:?}, 'inside_by_finder': {:?}}}
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(name, MAPPING[name] + '/__init__.py')
def install():
    sys.meta_path.append(Finder)
",
            outside.join("by_finder"),
            dir.join("src/inside_by_finder"),
        ),
    );
    // Bytecode of the finder exists; it must not be taken for that of the changed finder.
    run(
        base.python(),
        &["-c", "import by_path, by_finder, by_relative_path, inside, inside_by_finder"],
    );
    let before = snapshot(&base);
    for strategy in ALL {
        let env = folder.path().join("environments").join(strategy.to_string());
        let python = create(&base, &env, strategy).unwrap().python;
        let names = ["by_path", "by_relative_path", "by_finder", "inside", "inside_by_finder"];
        let program = format!(
            "import {}\nfor m in ({}): print(m.__file__)",
            names.join(", "),
            names.join(", ")
        );
        let said = run(&python, &["-c", &program]);
        let files: Vec<_> = said.lines().map(Path::new).collect();
        for outer in &files[..3] {
            assert!(outer.starts_with(&outside), "{strategy}: {}", outer.display());
        }
        for inner in &files[3..] {
            assert!(inner.starts_with(&env), "{strategy}: {}", inner.display());
        }
        let link = fs::read_to_string(site(&python).join("inside.egg-link")).unwrap();
        assert!(link.starts_with(env.to_str().unwrap()), "{link}");
    }
    assert_untouched(&base, &before);
}

#[test]
fn an_installer_finds_no_link_to_write_through() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("base")));
    let site_dir = base.interpreter().purelib().to_path_buf();
    // A package that is a link to a checkout, and one that is a link inside the base.
    let checkout = folder.path().join("checkout");
    file(checkout.join("__init__.py"), "__version__ = 'checkout'\n");
    symlink(&checkout, site_dir.join("added")).unwrap();
    symlink(&checkout, checkout.join("itself")).unwrap();
    symlink(site_dir.join("kept"), site_dir.join("kept_too")).unwrap();
    symlink("kept", site_dir.join("kept_as_well")).unwrap();
    symlink("/nowhere", site_dir.join("dangling")).unwrap();
    let before = snapshot(&base);
    for strategy in ALL {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        let site = site(&python);
        assert!(fs::symlink_metadata(site.join("added")).unwrap().is_dir());
        assert_eq!(fs::canonicalize(site.join("kept_too")).unwrap(), site.join("kept"));
        assert_eq!(fs::read_link(site.join("kept_as_well")).unwrap(), Path::new("kept"));
        assert_eq!(fs::read_link(site.join("dangling")).unwrap(), Path::new("/nowhere"));
        fs::remove_file(site.join("added/__init__.py")).unwrap();
        fs::write(site.join("added/__init__.py"), "").unwrap();
        for entry in walkdir::WalkDir::new(&site) {
            let entry = entry.unwrap();
            let leads_out =
                fs::canonicalize(entry.path()).is_ok_and(|real| !real.starts_with(&dir));
            let is_own_folder =
                !leads_out || !entry.path().is_dir() || entry.path().ends_with("itself");
            assert!(is_own_folder, "{}", entry.path().display());
        }
    }
    assert!(fs::read_to_string(checkout.join("__init__.py")).unwrap().contains("checkout"));
    assert_untouched(&base, &before);
}

/// Whatever reads them would wait for the other end for ever.
#[test]
fn pipes_by_the_names_of_files_hold_nothing_up() {
    let (done, end) = mpsc::channel();
    thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        let inner = virtualenv(&folder.path().join("base"));
        let outer = virtualenv(&folder.path().join("outer"));
        let outer_site = site(&outer);
        for site_dir in [site(&inner), outer_site.clone()] {
            for name in ["piped-1.0.dist-info", "piped-2.0.dist-info", "linked-1.0.dist-info"] {
                file(site_dir.join(name).join("METADATA"), "Name: piped\n");
            }
            file(site_dir.join("old-1.0.egg-info/PKG-INFO"), "Name: old\nVersion: 1.0\n");
            file(site_dir.join("joined/module.py"), "");
            let pipes = [
                "piped-1.0.dist-info/RECORD",
                "piped-2.0.dist-info/RECORD",
                "piped-2.0.dist-info/entry_points.txt",
                "old-1.0.egg-info/top_level.txt",
                "older-1.0.egg-info",
                "joined/__init__.py",
            ]
            .map(|name| site_dir.join(name));
            duct::cmd("mkfifo", &pipes).run().unwrap();
            symlink(&pipes[0], site_dir.join("linked-1.0.dist-info/RECORD")).unwrap();
        }
        see_outer(&site(&inner), &outer_site);
        let base = open(&inner);
        for strategy in ALL {
            let dir = folder.path().join(strategy.to_string());
            let python = create(&base, &dir, strategy).unwrap().python;
            assert!(imports(&python, "kept"), "{strategy}");
            assert!(!site(&python).join("older-1.0.egg-info").exists(), "{strategy}");
        }
        done.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_mins(2)).expect("it ends well");
}

#[test]
fn links_into_the_base_are_short() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("a-base-with-quite-a-long-name".repeat(4))));
    let deep = "a_rather_long_package_name/with_a_long_subpackage/and_another_one";
    let site_dir = base.interpreter().purelib();
    for name in ["__init__.py", "module_with_a_name.py"] {
        file(site_dir.join(deep).join(name), "");
        file(site_dir.join(deep).join("tests/data").join(name), "");
    }
    let python = create(&base, &folder.path().join("env"), Strategy::Symlink).unwrap().python;
    let (mut links, env_site) = (0, site(&python));
    for entry in walkdir::WalkDir::new(&env_site) {
        let entry = entry.unwrap();
        if entry.path_is_symlink() {
            let text = fs::read_link(entry.path()).unwrap();
            assert!(text.as_os_str().len() < 60, "{}", text.display());
            let real = fs::canonicalize(entry.path()).unwrap();
            let inside = entry.path().strip_prefix(&env_site).unwrap();
            assert_eq!(real, site_dir.join(inside));
            links += 1;
        }
    }
    assert!(links > 10);
    run(&python, &["-c", &format!("import {}.module_with_a_name", deep.replace('/', "."))]);
}

#[test]
fn an_environment_is_a_base_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(&virtualenv(&folder.path().join("base")));
    for outer in ALL {
        for inner in ALL {
            let first = folder.path().join(format!("{outer}-{inner}-1"));
            let base = open(&create(&root, &first, outer).unwrap().python);
            Tool::Uv.install(base.python(), &["alpha==2.0"]);
            let before = snapshot(&base);
            let second = folder.path().join(format!("{outer}-{inner}-2"));
            let python = create(&base, &second, inner).unwrap().python;
            Tool::Uv.install(&python, &["alpha==1.0", "added"]);
            assert_untouched(&base, &before);
            let said = run(second.join("bin/alpha-show"), &[] as &[&str]);
            assert_eq!(said.trim(), format!("1.0 {}", second.display()));
        }
    }
}

#[test]
fn a_base_that_cannot_be_one_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let conda = folder.path().join("conda");
    create_bare(host(), &conda).unwrap();
    fs::create_dir(conda.join("conda-meta")).unwrap();
    let error = Base::open(&conda, None).unwrap_err();
    assert!(matches!(&error, Error::Conda { prefix } if *prefix == conda), "{error:?}");
    assert!(error.hint().unwrap().contains("virtualenv"));

    let broken = folder.path().join("broken");
    create_bare(host(), &broken).unwrap();
    fs::remove_file(broken.join("bin/python")).unwrap();
    symlink("/nowhere/python3", broken.join("bin/python")).unwrap();
    let error = Base::open(&broken, None).unwrap_err();
    assert!(matches!(error, Error::InterpreterGone { .. }), "{error:?}");
}

#[test]
fn an_environment_inside_its_base_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("base")));
    let before = snapshot(&base);
    let dir = base.interpreter().prefix().join("environment");
    let error = create(&base, &dir, Strategy::Copy).unwrap_err();
    assert!(matches!(error, Error::InsideBase { .. }), "{error:?}");
    assert!(!dir.exists());
    assert_untouched(&base, &before);
}

#[test]
fn a_failed_attempt_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("base")));
    // A module in the place of a folder makes the walk fail half-way.
    fs::remove_dir_all(base.interpreter().purelib()).unwrap();
    fs::write(base.interpreter().purelib(), "no folder").unwrap();
    let dir = folder.path().join("env");
    for strategy in ALL {
        assert!(create(&base, &dir, strategy).is_err(), "{strategy}");
        assert!(!dir.exists());
    }
}

/// Programs keep texts beside the packages that name the virtualenv, such as the kernels of Jupyter
/// (`ipykernel install --sys-prefix`). An environment's texts name the environment.
#[test]
fn texts_beside_the_packages_name_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let base = open(&virtualenv(&dir));
    let program = dir.join("bin/python").display().to_string();
    let kernel = format!(
        "{{\"argv\": [{program:?}, \"-m\", \"ipykernel_launcher\", \"-f\", \"{{connection_file}}\"]}}"
    );
    let prefix = dir.display().to_string();
    let texts = [
        ("share/jupyter/kernels/python3/kernel.json", kernel.as_str()),
        ("etc/tool/settings.conf", &format!("home = {prefix}\n")),
        ("lib/pkgconfig/tool.pc", &format!("prefix={prefix}\n")),
        ("tool.toml", &format!("home = '{prefix}'\n")),
    ];
    let shared = [
        ("share/plain.txt", "names nothing"),
        ("share/neighbour.txt", &format!("{prefix}-2")),
        ("share/binary.mo", &format!("\0{prefix}")),
        ("include/tool.h", &format!("// {prefix}\n")),
    ];
    for (path, text) in texts.iter().chain(&shared) {
        file(dir.join(path), text);
    }
    let before = snapshot(&base);
    for strategy in ALL {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        for (path, text) in texts {
            let found = fs::read_to_string(dir.join(path)).unwrap();
            assert_eq!(found, text.replace(&prefix, dir.to_str().unwrap()), "{strategy}: {path}");
        }
        for (path, text) in shared {
            assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), text, "{strategy}: {path}");
        }
        let kernel = fs::read(dir.join(texts[0].0)).unwrap();
        let kernel: serde_json::Value = serde_json::from_slice(&kernel).unwrap();
        assert_eq!(Path::new(kernel["argv"][0].as_str().unwrap()), python);
    }
    assert_untouched(&base, &before);
}

/// Packages that other tools installed, without the list of files that pip and uv need, are
/// replaced all the same, and only one version is left.
#[test]
fn distributions_without_a_list_of_their_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let header = "Metadata-Version: 1.1\nName: alpha\nVersion: 1.0\n\nVersion: 9\n";
    for shape in ["dist-info", "distutils", "egg-info"] {
        let dir = folder.path().join(shape);
        let base = virtualenv(&dir);
        let site_dir = site(&base);
        let info = site_dir.join("alpha-1.0.dist-info");
        match shape {
            "dist-info" => fs::remove_file(info.join("RECORD")).unwrap(),
            "distutils" => {
                fs::remove_dir_all(&info).unwrap();
                file(site_dir.join("alpha-1.0-py3.11.egg-info"), header);
            }
            _ => {
                fs::remove_dir_all(&info).unwrap();
                file(site_dir.join("alpha-1.0.egg-info/PKG-INFO"), header);
            }
        }
        let base = open(&base);
        assert_eq!(seen(base.python(), &[("alpha", "alpha")])["alpha"], "1.0 1.0 1", "{shape}");
        let before = snapshot(&base);
        for (tool, strategy) in [
            (Tool::Pip, Strategy::Hardlink),
            (Tool::Uv, Strategy::Hardlink),
            (Tool::Uv, Strategy::Symlink),
        ] {
            let dir = folder.path().join(format!("{shape}-{tool:?}-{strategy}"));
            let python = create(&base, &dir, strategy).unwrap().python;
            let alpha = || seen(&python, &[("alpha", "alpha")])["alpha"].clone();
            assert_eq!(alpha(), "1.0 1.0 1", "{shape}, {tool:?}");
            tool.install(&python, &["alpha==2.0"]);
            assert_eq!(alpha(), "2.0 2.0 1", "{shape}, {tool:?}");
            let is_known = shape == "dist-info";
            assert!(!is_known || !dir.join("bin/alpha-old").exists(), "{shape}, {tool:?}");
        }
        assert_untouched(&base, &before);
    }
}

/// What an installation leaves that was cut short, or one that was copied over another.
#[test]
fn distributions_with_damaged_metadata_are_replaced_and_are_there_once() {
    let folder = tempfile::tempdir().unwrap();
    // Each package manager goes wrong in its own way, and each of these takes its time.
    for (shape, tools) in [
        ("empty", &[Tool::Uv, Tool::Pip][..]),
        ("cut", &[Tool::Uv]),
        ("cut at a line", &[Tool::Pip]),
        ("no METADATA", &[Tool::Uv]),
        ("older", &[Tool::Pip]),
        ("newer", &[Tool::Pip]),
    ] {
        let dir = folder.path().join(shape);
        let base = virtualenv(&dir);
        let site_dir = site(&base);
        let info = site_dir.join("alpha-1.0.dist-info");
        let list = fs::read_to_string(info.join("RECORD")).unwrap();
        let kept = match shape {
            "empty" => String::new(),
            "cut" => list[..list.len() / 2].trim_end_matches(['\n', ',']).to_owned(),
            "cut at a line" => list.lines().next().unwrap().to_owned() + "\n",
            _ => list.clone(),
        };
        fs::write(info.join("RECORD"), kept).unwrap();
        match shape {
            "no METADATA" => fs::remove_file(info.join("METADATA")).unwrap(),
            "older" | "newer" => {
                let version = if shape == "older" { "0.9" } else { "3.0" };
                let other = site_dir.join(format!("alpha-{version}.dist-info"));
                let own = |text: &str| text.replace("alpha-1.0", &format!("alpha-{version}"));
                let metadata = fs::read_to_string(info.join("METADATA")).unwrap();
                let metadata = metadata.replace("Version: 1.0", &format!("Version: {version}"));
                file(other.join("METADATA"), &metadata);
                // Its files have been overwritten, but for one.
                let lengths: Vec<_> = own(&list).lines().map(|it| format!("{it}9")).collect();
                let record = format!("alpha_left.py,,\n{}\n", lengths.join("\n"));
                file(other.join("RECORD"), &record);
                file(site_dir.join("alpha_left.py"), "");
            }
            _ => {}
        }
        let base = open(&base);
        let before = snapshot(&base);
        for tool in tools {
            let strategy = if shape == "cut" { Strategy::Symlink } else { Strategy::Hardlink };
            let dir = folder.path().join(format!("{shape}-{tool:?}"));
            let python = create(&base, &dir, strategy).unwrap().python;
            let alpha = || seen(&python, &[("alpha", "alpha")])["alpha"].clone();
            assert_eq!(alpha(), "1.0 1.0 1", "{shape}, {tool:?}");
            tool.install(&python, &["alpha==2.0"]);
            assert_eq!(alpha(), "2.0 2.0 1", "{shape}, {tool:?}");
            assert!(!imports(&python, "alpha_left"), "{shape}, {tool:?}");
        }
        assert_untouched(&base, &before);
    }
}
