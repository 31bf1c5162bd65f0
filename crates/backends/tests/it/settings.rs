//! What the configuration files of pip and uv say is a part of an environment's key: the index and
//! the options, and not the comments.

use std::fs;
use std::path::{Path, PathBuf};

use envspec::Tool;
use serde_json::json;

use crate::index::Index;
use crate::world::{World, run};

/// A folder with `alpha` in one version, which holds a number.
fn wheels(world: &World, version: &str) -> PathBuf {
    let dir = world.root.join(version);
    fs::create_dir(&dir).expect("a folder");
    let files = json!({ "alpha.py": format!("VERSION = '{version}'\n") });
    world.write_wheels(&json!([{ "name": "alpha", "version": version, "files": files }]));
    let wheel = world.wheel("alpha", version);
    fs::rename(&wheel, dir.join(wheel.file_name().expect("a name"))).expect("to move it");
    dir
}

/// How an environment with `alpha` was come by, and which one it has, in a process for which this
/// file is in force.
fn ask(world: &World, tool: Tool, file: &Path) -> String {
    let binary = std::env::current_exe().expect("the path of the test binary");
    let variable = match tool {
        Tool::Pip => "PIP_CONFIG_FILE",
        Tool::Uv => "UV_CONFIG_FILE",
    };
    let output = duct::cmd(binary, ["--exact", "settings::helper", "--ignored", "--nocapture"])
        .env("SETTINGS_ROOT", &world.root)
        .env("SETTINGS_TOOL", tool.as_str())
        .env(variable, file)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("PIP_INDEX_URL")
        .env_remove("PIP_EXTRA_INDEX_URL")
        .env_remove("UV_DEFAULT_INDEX")
        .env_remove("UV_INDEX_URL")
        .env_remove("UV_INDEX")
        .stderr_capture()
        .stdout_capture()
        .unchecked()
        .run()
        .expect("the helper");
    let out = String::from_utf8_lossy(&output.stdout);
    let told = out.lines().find_map(|line| line.split_once("told: "));
    let words = || format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    told.unwrap_or_else(|| panic!("{}", words())).1.to_owned()
}

#[test]
fn an_edit_of_a_configuration_file_builds_anew_and_a_comment_does_not() {
    let world = World::new(&[], &[]);
    // Fetched while the settings are those of the machine.
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

#[test]
#[ignore = "the process that `an_edit_of_a_configuration_file_builds_anew_and_a_comment_does_not` starts"]
#[expect(clippy::print_stdout, reason = "the test that starts it reads it")]
fn helper() {
    let Some(root) = std::env::var_os("SETTINGS_ROOT").map(PathBuf::from) else { return };
    let world = World::again(&root);
    let tool = std::env::var("SETTINGS_TOOL").unwrap();
    let env = world.load(&json!({ tool: ["alpha"] }));
    let environment = world.prepare(&env).unwrap_or_else(|error| panic!("{}", error.report()));
    let version = run(environment.python(), "import alpha; print(alpha.VERSION)");
    println!("told: {:?} {version}", environment.state());
}
