//! Settings of pip and uv from outside the spec take effect, and are part of an environment's key
//! if they decide its contents.

use std::fs;
use std::path::{Path, PathBuf};

use envspec::Tool;
use serde_json::{Value, json};

use crate::index::Index;
use crate::world::{World, run};

/// Returns a folder with `alpha` in one version, which holds a number.
fn wheels(world: &World, version: &str) -> PathBuf {
    let dir = world.root.join(version);
    fs::create_dir(&dir).expect("a folder");
    let files = json!({ "alpha.py": format!("VERSION = '{version}'\n") });
    world.write_wheels(&json!([{ "name": "alpha", "version": version, "files": files }]));
    let wheel = world.wheel("alpha", version);
    fs::rename(&wheel, dir.join(wheel.file_name().expect("a name"))).expect("to move it");
    dir
}

/// Returns whether the environment with `alpha` was built, and its version, in a process with this
/// settings file.
fn ask(world: &World, tool: Tool, file: &Path) -> String {
    let variable = match tool {
        Tool::Pip => "PIP_CONFIG_FILE",
        Tool::Uv => "UV_CONFIG_FILE",
    };
    let file = file.display().to_string();
    ask_with(world, &json!({ tool.as_str(): ["alpha"] }), &[(variable, &file)])
}

/// Returns the answer for a spec, in a process that runs in the world's folder with these
/// variables. That folder is also its home.
fn ask_with(world: &World, spec: &Value, variables: &[(&str, &str)]) -> String {
    let binary = std::env::current_exe().expect("the path of the test binary");
    let mut command =
        duct::cmd(binary, ["--exact", "settings::helper", "--ignored", "--nocapture"])
            .dir(&world.root)
            .env("SETTINGS_ROOT", &world.root)
            .env("SETTINGS_SPEC", spec.to_string())
            .env("HOME", &world.root)
            .env("NO_PROXY", "127.0.0.1")
            .stderr_capture()
            .stdout_capture()
            .unchecked();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        // The innermost change of a variable takes effect.
        let is_given = variables.iter().any(|(given, _)| *given == name);
        if !is_given && ["PIP_", "UV_", "XDG_"].iter().any(|start| name.starts_with(start)) {
            command = command.env_remove(name);
        }
    }
    let command = variables.iter().fold(command, |command, (name, value)| command.env(name, value));
    let output = command.run().expect("the helper");
    let out = String::from_utf8_lossy(&output.stdout);
    let told = out.lines().find_map(|line| line.split_once("told: "));
    let words = || format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    told.unwrap_or_else(|| panic!("{}", words())).1.to_owned()
}

#[test]
fn an_edit_of_a_configuration_file_builds_anew_and_a_comment_does_not() {
    let world = World::new(&[], &[]);
    // Fetched while the machine's own settings are in force.
    for tool in [Tool::Uv, Tool::Pip] {
        world.add_wheels(&[("warm", "1.0", &[])]);
        world.state(&world.spec(tool, &["warm"]));
    }
    let (one, two) = (Index::new(&wheels(&world, "1.0")), Index::new(&wheels(&world, "2.0")));
    for tool in [Tool::Uv, Tool::Pip] {
        let file = world.root.join(format!("{tool}.settings"));
        let (head, option) = match tool {
            Tool::Pip => ("[global]\nindex-url = ", "[install]\npre = true\n"),
            Tool::Uv => ("index-url = ", "[pip]\nprerelease = \"allow\"\n"),
        };
        let index = |index: &Index| match tool {
            Tool::Pip => format!("{head}{}\n", index.url()),
            Tool::Uv => format!("{head}\"{}\"\n", index.url()),
        };
        let told = |text: String| {
            fs::write(&file, text).unwrap();
            ask(&world, tool, &file)
        };
        assert_eq!(told(index(&one)), "Built 1.0", "{tool}");
        assert_eq!(told(format!("# why\n\n{}# and why not\n", index(&one))), "Hit 1.0", "{tool}");
        assert_eq!(told(index(&two)), "Built 2.0", "another index of {tool}");
        assert_eq!(told(format!("{}{option}", index(&two))), "Built 2.0", "an option of {tool}");
        assert_eq!(told(index(&one)), "Hit 1.0", "{tool}");
    }
}

/// Returns a world with two folders of wheels, `1.0` and `2.0`, and both tools at hand.
fn world_of_links() -> World {
    let world = World::new(&[], &[]);
    world.add_wheels(&[("warm", "1.0", &[])]);
    for tool in [Tool::Uv, Tool::Pip] {
        world.state(&world.spec(tool, &["warm"]));
    }
    for version in ["1.0", "2.0"] {
        wheels(&world, version);
    }
    world
}

#[test]
fn the_bases_own_file_is_in_force_and_counts() {
    let world = world_of_links();
    let file = world.root.join("base/pip.conf");
    let spec = json!({ "pip": { "packages": ["alpha"], "pip_install_options": ["--no-index"] } });
    let say = |links: &str| {
        let links = world.root.join(links);
        fs::write(&file, format!("[global]\nfind-links = {}\n", links.display())).unwrap();
        ask_with(&world, &spec, &[])
    };
    assert_eq!(say("1.0"), "Built 1.0");
    assert_eq!(say("2.0"), "Built 2.0");
    assert_eq!(say("1.0"), "Hit 1.0");
}

#[test]
fn relative_paths_of_variables_and_files_start_at_the_callers_folder() {
    let world = world_of_links();
    let pip = json!({ "pip": { "packages": ["alpha"], "pip_install_options": ["--no-index"] } });
    let uv = json!({ "uv": { "packages": ["alpha"], "uv_pip_install_options": ["--no-index"] } });
    let (absolute, list) = (world.root.join("1.0"), world.root.join("list.txt"));
    let absolute = absolute.to_str().unwrap();
    fs::write(world.root.join("pip.conf"), "[global]\nfind-links = 2.0\n").unwrap();
    fs::write(world.root.join("uv.toml"), "find-links = ['2.0']\n").unwrap();
    fs::write(&list, "alpha==2.0\n").unwrap();
    for (spec, links, file, name, constraint) in [
        (&pip, "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "pip.conf", "PIP_CONSTRAINT"),
        (&uv, "UV_FIND_LINKS", "UV_CONFIG_FILE", "uv.toml", "UV_CONSTRAINT"),
    ] {
        assert_eq!(ask_with(&world, spec, &[(links, "1.0")]), "Built 1.0", "{links}");
        assert_eq!(ask_with(&world, spec, &[(links, absolute)]), "Hit 1.0", "{links}");
        assert_eq!(ask_with(&world, spec, &[(file, name)]), "Built 2.0", "{file}");
        let constrained = [(file, name), (constraint, "list.txt")];
        assert_eq!(ask_with(&world, spec, &constrained), "Built 2.0", "{constraint}");
    }
}

/// Law: settings that reach a build are in the key, and settings that do not change the contents
/// are not.
#[test]
fn keys_differ_in_what_decides_the_contents_alone() {
    let world = world_of_links();
    for tool in [Tool::Pip, Tool::Uv] {
        let options =
            if tool == Tool::Pip { "pip_install_options" } else { "uv_pip_install_options" };
        let spec = |more: Value| {
            let mut spec = json!({ tool.as_str(): {
                "packages": ["alpha"], options: ["--no-index", "--find-links", "1.0"],
            }});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        let plain = spec(json!({}));
        assert_eq!(ask_with(&world, &plain, &[]), "Built 1.0", "{tool}");
        let without_effect = [
            ("UV_PYTHON", "/nowhere"),
            ("UV_PROJECT", "/nowhere"),
            ("UV_SYSTEM_PYTHON", "1"),
            ("UV_HTTP_RETRIES", "7"),
            ("UV_LINK_MODE", "symlink"),
            ("PIP_USER", "1"),
            ("PIP_RETRIES", "7"),
            ("PIP_TARGET", "/nowhere"),
            ("PIP_IGNORE_INSTALLED", "1"),
            ("PIP_NOT_KNOWN", "1"),
            ("CMAKE_ARGS", "-DX=1"),
            ("CFLAGS", "-O0"),
            ("MAKEFLAGS", "-j9"),
            ("SETUPTOOLS_SCM_PRETEND_VERSION", "9"),
        ];
        assert_eq!(ask_with(&world, &plain, &without_effect), "Hit 1.0", "{tool}");
        let auth = |value: &str| {
            let more = json!({
                "env_vars": { "USE_AUTH": value }, "config": { "build_env": ["USE_AUTH"] },
            });
            ask_with(&world, &spec(more), &[])
        };
        assert_eq!((&*auth("0"), &*auth("1")), ("Built 1.0", "Built 1.0"), "{tool}");
        assert_eq!(auth("0"), "Hit 1.0", "{tool}");
        for (name, value) in
            [("PIP_TARGET", "/nowhere"), ("UV_PYTHON", "/nowhere"), ("PIP_RETRIES", "1")]
        {
            let own = spec(json!({ "env_vars": { name: value } }));
            assert_eq!(ask_with(&world, &own, &[]), "Hit 1.0", "{tool} {name}");
        }
    }
}

#[test]
#[ignore = "the process that `an_edit_of_a_configuration_file_builds_anew_and_a_comment_does_not` starts"]
#[expect(clippy::print_stdout, reason = "the test that starts it reads it")]
fn helper() {
    let Some(root) = std::env::var_os("SETTINGS_ROOT").map(PathBuf::from) else { return };
    let world = World::again(&root);
    let spec = std::env::var("SETTINGS_SPEC").unwrap();
    let env = world.load(&serde_json::from_str(&spec).unwrap());
    let environment = world.prepare(&env).unwrap_or_else(|error| panic!("{}", error.report()));
    let version = run(environment.python(), "import alpha; print(alpha.VERSION)");
    println!("told: {:?} {version}", environment.state());
}
