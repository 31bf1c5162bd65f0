//! A requirement that names a path or an address installs that file, even if the base has the same
//! version. A requirement that names no file accepts the base's version.

use std::fs;
use std::path::Path;

use envspec::{LoadedEnv, Tool};
use serde_json::{Value, json};

use crate::index::Index;
use crate::local_builds::{project, sdist};
use crate::private::{commit, git, repository_url};
use crate::world::{World, run};

const KINDS: [&str; 10] = [
    "wheel",
    "renamed",
    "address",
    "unnamed",
    "archive",
    "archive_there",
    "folder",
    "repository",
    "unnamed_repository",
    "constrained",
];

/// Writes a wheel whose module has this value.
fn wheel(world: &World, name: &str, value: &str) {
    let files = json!({ format!("{name}.py"): format!("VALUE = {value:?}\n") });
    world.write_wheels(&json!([{ "name": name, "version": "1.0", "files": files }]));
}

/// Writes the files for a kind of requirement, and returns its lines.
fn lines(world: &World, tool: Tool, kind: &str, address: &str) -> Vec<String> {
    let path = world.wheel(kind, "1.0");
    let file = format!("{kind}-1.0-py3-none-any.whl");
    let dir = world.root.join("source").join(kind);
    let is_project = ["archive", "archive_there", "folder", "repository", "unnamed_repository"];
    if is_project.contains(&kind) {
        project(&dir, kind, "");
        fs::write(dir.join(kind).join("__init__.py"), "VALUE = 'named'\n").expect("it is there");
    } else {
        wheel(world, kind, "named");
    }
    let repository = |dir: &Path| {
        git(dir, &["init", "-q", "-b", "trunk"]);
        commit(dir);
        repository_url(dir, tool)
    };
    vec![match kind {
        "wheel" => path.display().to_string(),
        "renamed" => format!("renamed @ file://{}", path.display()),
        "address" => format!("address @ {address}/{file}"),
        "unnamed" => format!("{address}/{file}"),
        "archive" => sdist(world, &dir).display().to_string(),
        "archive_there" => {
            let path = sdist(world, &dir);
            let file = path.file_name().and_then(|it| it.to_str()).expect("a name");
            format!("archive_there @ {address}/{file}")
        }
        "folder" => dir.display().to_string(),
        "repository" => format!("repository @ {}", repository(&dir)),
        "unnamed_repository" => repository(&dir),
        _ => {
            let line = format!("constrained @ file://{}\n", path.display());
            fs::write(world.root.join("constraints.txt"), line).expect("it is there");
            return vec!["constrained".to_owned(), "-c constraints.txt".to_owned()];
        }
    }]
}

/// Returns the values of these modules in the environment of a spec.
fn values(world: &World, env: &LoadedEnv, names: &[&str]) -> Value {
    let env = world.prepare(env);
    let env = env.unwrap_or_else(|error| panic!("{}", error.report()));
    let program = format!(
        "import importlib, importlib.metadata as m, json\n\
         count = [d.metadata['Name'].replace('-', '_') for d in m.distributions()].count\n\
         print(json.dumps({{n: [importlib.import_module(n).VALUE, count(n)] for n in {names:?}}}))"
    );
    serde_json::from_str(&run(env.python(), &program)).expect("it is there")
}

#[test]
fn what_is_named_takes_the_place_of_the_bases_in_the_same_version() {
    for tool in [Tool::Uv, Tool::Pip] {
        let world = World::new(&[], &[]);
        let index = Index::new(&world.wheels());
        let address = index.url().replace("/simple", "/files");
        for kind in KINDS {
            wheel(&world, kind, "base");
        }
        world.install_into_base(&KINDS.map(|kind| (kind, "1.0", &[][..])));
        let lines: Vec<_> =
            KINDS.iter().flat_map(|kind| lines(&world, tool, kind, &address)).collect();
        // The base has some packages from the same path, where other files lay at the time.
        let repository = world.root.join("source/repository");
        let commit = json!({ "vcs": "git", "commit_id": "1".repeat(40) });
        for (kind, url, key, value) in [
            (
                "wheel",
                format!("file://{}", world.wheel("wheel", "1.0").display()),
                "archive_info",
                json!({}),
            ),
            (
                "address",
                format!("{address}/address-1.0-py3-none-any.whl"),
                "archive_info",
                json!({}),
            ),
            ("repository", format!("file://{}", repository.display()), "vcs_info", commit),
        ] {
            let info = world.base_site().join(format!("{kind}-1.0.dist-info"));
            let origin = json!({ "url": url, key: value }).to_string();
            fs::write(info.join("direct_url.json"), origin).unwrap();
        }
        let option = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        // The builds here need no packages, and isolation takes time.
        let spec = json!({ tool.as_str(): {
            "packages": lines, option: ["--no-build-isolation"],
        }});
        let found = values(&world, &world.load(&spec), &KINDS);
        for kind in KINDS {
            assert_eq!(found[kind], json!(["named", 1]), "{tool}: {found:#}");
        }
        // A requirement without a path accepts the base's version, wherever other files of it lie.
        for kind in ["folder", "unnamed"] {
            wheel(&world, kind, "offered");
        }
        let bare = world.spec(tool, &["folder", "unnamed==1.0"]);
        let bare = values(&world, &bare, &["folder", "unnamed"]);
        assert_eq!(bare, json!({ "folder": ["base", 1], "unnamed": ["base", 1] }), "{tool}");
    }
}

/// pip is content with the base's version of it, which the check does not contradict; uv refuses it.
#[test]
fn an_archive_that_a_package_asks_for_is_there_or_told() {
    for tool in [Tool::Uv, Tool::Pip] {
        let world = World::new(&[], &[]);
        let index = Index::new(&world.wheels());
        let address = index.url().replace("/simple", "/files");
        let names = ["dep", "optional", "unasked", "same"];
        for name in names {
            wheel(&world, name, "base");
            world.install_into_base(&[(name, "1.0", &[])]);
            wheel(&world, name, "named");
        }
        let line = |name: &str| format!("{name} @ {address}/{name}-1.0-py3-none-any.whl");
        let asks = [
            line("dep"),
            format!("{} ; extra == 'more'", line("optional")),
            format!("{} ; extra == 'other'", line("unasked")),
            line("same"),
        ];
        let files = json!({ "top.py": "" });
        let extras = ["more", "other"];
        world.write_wheels(&json!([{
            "name": "top", "version": "1.0", "files": files, "requires": asks, "extras": extras,
        }]));
        let origin =
            json!({ "url": format!("{address}/same-1.0-py3-none-any.whl"), "archive_info": {} });
        let info = world.base_site().join("same-1.0.dist-info");
        fs::write(info.join("direct_url.json"), origin.to_string()).unwrap();
        let env = world.spec(tool, &["top[more]"]);
        let env = match world.prepare(&env) {
            Ok(env) => env,
            Err(error) => {
                let is_of_uv = error.report().contains("was included as a URL dependency");
                assert!(tool == Tool::Uv && is_of_uv, "{}", error.report());
                continue;
            }
        };
        let warnings = env.details().unwrap().warnings;
        let modules = "import dep, optional; print(dep.VALUE, optional.VALUE)";
        let found = run(env.python(), modules);
        assert_eq!(found.trim(), "base base");
        for (warning, name) in warnings.iter().zip(["dep", "optional"]) {
            let words = format!("top asks for {name} @ {address}/{name}-1.0-py3-none-any.whl");
            assert!(warning.starts_with(&words), "{warning}");
            assert!(warning.contains(&format!("the base's {name} 1.0 stays")), "{warning}");
        }
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
