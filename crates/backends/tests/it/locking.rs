//! Law: reading a lock file that was written asks for exactly what the spec resolved to, and other
//! tools install from the file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use envspec::Tool;
use serde_json::json;

use crate::index::Index;
use crate::local_builds::project;
use crate::world::{World, host, run};

const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

/// The uv that tests share; preparing any environment with uv fetches it.
fn uv(world: &World) -> PathBuf {
    let tools = fs::read_dir(world.cache().join("tools")).expect("a folder of tools").flatten();
    let programs = tools.map(|entry| entry.path().join("bin/uv"));
    programs.filter(|path| path.is_file()).max().expect("uv was fetched")
}

/// Returns all packages that a real `uv pip install -r` of a lock file puts into a new virtualenv.
fn installed(world: &World, lock: &Path, name: &str) -> String {
    let venv = world.root.join(name);
    duct::cmd!(host(), "-m", "venv", "--without-pip", &venv).run().expect("a virtualenv");
    let python = venv.join("bin/python");
    let install = duct::cmd!(uv(world), "pip", "install", "--python", &python, "-r", lock);
    install.env("UV_NO_CONFIG", "1").stderr_capture().run().expect("uv installs it");
    let list = "import importlib.metadata as m; \
        print(sorted((d.name, d.version) for d in m.distributions()))";
    run(&python, list)
}

#[test]
fn a_lock_file_that_is_written_is_read_again_as_the_same() {
    let world = World::new(
        &[],
        &[("top", "1.0", &["dep"]), ("dep", "1.0", &[]), ("dep", "2.0", &[]), ("arch", "1.0", &[])],
    );
    project(&world.root.join("folder"), "folder", "");
    let repo = world.root.join("repo");
    project(&repo, "repo", "");
    let git = |words: &[&str]| {
        let head = ["-c", "user.name=t", "-c", "user.email=t@t"];
        duct::cmd("git", head.iter().chain(words)).dir(&repo).read().expect("git runs")
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let requirements = [
        "top".to_owned(),
        "./folder".to_owned(),
        format!("repo @ git+file://localhost{}", repo.display()),
        format!("arch @ file://{}", world.wheel("arch", "1.0").display()),
    ];
    let server = Index::new(&world.wheels());
    let index = server.url().replacen("://", "://me:hunter2@", 1);
    for tool in TOOLS {
        let option = format!("{}pip_install_options", if tool == Tool::Uv { "uv_" } else { "" });
        let spec = |packages| {
            world.load(&json!({ tool.as_str(): {
                "packages": packages, (&option): ["--index-url", index],
            }}))
        };
        let env = spec(json!(requirements));
        let text =
            world.provisioner().lock_file(&env).unwrap_or_else(|it| panic!("{}", it.report()));
        assert!(text.contains(&commit) && text.contains("sha256"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let named = format!("index = \"{}\"", server.url());
        assert!(text.contains(&named) && text.contains("sys_platform == "), "{text}");
        let lock = world.root.join(format!("pylock.{tool}.toml"));
        fs::write(&lock, &text).unwrap();
        // pip itself wants hashes for all requirements or for none, and folders and repositories
        // have none.
        let again = json!({ "uv": {
            "packages": lock.file_name().unwrap().to_str(),
            "uv_pip_install_options": ["--index-url", index],
        }});
        let again = world.load(&again);
        let [first, second] = [&env, &again].map(|env| {
            let env = world.prepare(env).unwrap_or_else(|error| panic!("{}", error.report()));
            env.details().unwrap().packages
        });
        assert_eq!(first, second, "{tool}");
        if tool == Tool::Uv {
            assert_eq!(world.provisioner().lock_file(&again).unwrap(), text);
        }
        assert_eq!(
            installed(&world, &lock, &format!("venv-{tool}")),
            "[('arch', '1.0'), ('dep', '2.0'), ('folder', '1.0'), ('repo', '1.0'), ('top', '1.0')]",
            "{text}"
        );
        let hashed = spec(json!([requirements[0], requirements[3]]));
        let text = world.provisioner().lock_file(&hashed).unwrap();
        fs::write(&lock, &text).unwrap();
        let again = spec(json!(lock.file_name().unwrap().to_str()));
        assert_eq!(world.provisioner().lock_file(&again).unwrap(), text, "{tool}");
    }
}

/// A lock names files in folders beside it (PEP 751). They are what is installed, not what an index has
/// under their names.
#[test]
fn files_that_a_lock_names_by_their_paths_are_installed() {
    let world = World::new(&[], &[("single", "1.0", &[]), ("several", "1.0", &[])]);
    let own = world.root.join("own files");
    fs::create_dir(&own).unwrap();
    let mut text = "lock-version = '1.0'\ncreated-by = 'tests'\n".to_owned();
    for (name, tags) in [("single", &["py3"][..]), ("several", &["py2", "py3"])] {
        let indexed = world.wheel(name, "1.0");
        write!(text, "[[packages]]\nname = '{name}'\nversion = '1.0'\nwheels = [\n").unwrap();
        for tag in tags {
            // The same package with another text than the index has.
            let file = own.join(format!("{name}-1.0-{tag}-none-any.whl"));
            let change = "import sys, zipfile\n\
                with zipfile.ZipFile(sys.argv[1]) as old, zipfile.ZipFile(sys.argv[2], 'w') as new:\n\
                \u{20}   for it in old.namelist():\n\
                \u{20}       new.writestr(it, '' if it.endswith('/RECORD') else old.read(it))\n";
            duct::cmd!(host(), "-c", change, &indexed, &file).run().expect("a wheel");
            let hash = envspec::Digest::of(&fs::read(&file).unwrap());
            write!(text, "{{ path = 'own files/{}', ", file.file_name().unwrap().display())
                .unwrap();
            writeln!(text, "hashes = {{ sha256 = '{hash}' }} }},").unwrap();
        }
        text += "]\n";
    }
    // pip chooses among several files of one version, and refuses one with another digest.
    fs::remove_file(world.wheel("several", "1.0")).unwrap();
    fs::write(world.root.join("pylock.toml"), &text).unwrap();
    let server = Index::new(&world.wheels());
    for tool in TOOLS {
        let option = format!("{}pip_install_options", if tool == Tool::Uv { "uv_" } else { "" });
        let env = world.load(&json!({ tool.as_str(): {
            "packages": "pylock.toml", (&option): ["--index-url", server.url()],
        }}));
        let env = world.prepare(&env).unwrap_or_else(|error| panic!("{}", error.report()));
        let packages = env.details().unwrap().packages;
        let found: Vec<_> =
            packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found, ["several 1.0", "single 1.0"], "{tool}");
    }
}
