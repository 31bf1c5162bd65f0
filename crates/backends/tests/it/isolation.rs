//! No environment changes another one through a package manager's cache: an edit in place affects
//! only the edited environment.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use backends::{Environment, Provisioner};
use envspec::{LoadedEnv, RuntimeEnv, Tool};
use serde_json::json;
use stage::{BaseSpec, Isolation};

use crate::world::{World, host, run};

/// As long as the module that it overwrites.
const EDIT: &[u8] = b"edited = 'in place'\n";

/// Returns the path of an environment's module.
fn module(env: &Environment, name: &str) -> PathBuf {
    run(env.python(), &format!("import {name}; print({name}.__file__)")).into()
}

/// Overwrites the beginning of a file, as an editor does that does not replace files.
fn edit(file: &Path) {
    let mut file = OpenOptions::new().write(true).open(file).expect("a file of the environment");
    file.write_all(EDIT).expect("it can be edited");
}

fn is_edited(file: &Path) -> bool {
    fs::read(file).expect("a file").starts_with(EDIT)
}

#[test]
fn an_edit_in_place_comes_back_in_no_later_environment() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    let provisioner = world.provisioner();
    for (tool, wish) in
        [(Tool::Uv, ""), (Tool::Uv, "hardlink"), (Tool::Uv, "symlink"), (Tool::Pip, "")]
    {
        let more = match wish {
            "" => json!({}),
            wish => json!({ "env_vars": { "UV_LINK_MODE": wish } }),
        };
        let spec = world.spec_with(tool, &["alpha"], &more);
        let neighbour = world.prepare(&world.spec_with(tool, &["alpha", "beta"], &more)).unwrap();
        let env = world.prepare(&spec).unwrap();
        let file = module(&env, "alpha");
        let meta = fs::symlink_metadata(&file).unwrap();
        assert!(meta.is_file() && meta.nlink() == 1, "{tool} {wish}: {meta:?}");
        edit(&file);
        assert!(!env.damage().unwrap().is_empty(), "{tool} {wish}");
        assert!(!is_edited(&module(&neighbour, "alpha")), "{tool} {wish}");
        let key = *env.key().unwrap();
        drop((env, neighbour));
        provisioner.cache().remove(&key).unwrap();
        let env = world.prepare(&spec).unwrap();
        assert_eq!(env.damage().unwrap(), [], "{tool} {wish}");
        assert!(!is_edited(&module(&env, "alpha")), "{tool} {wish}");
        drop(env);
        provisioner.cache().remove(&key).unwrap();
    }
}

#[test]
fn an_edit_in_a_managed_base_comes_back_in_no_other_base() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    let options = json!(["--no-index", "--find-links", world.wheels()]);
    let base = |packages: &[&str]| {
        let spec = json!({ "uv": { "packages": packages, "uv_pip_install_options": options } });
        let base = BaseSpec::Managed(Box::new(RuntimeEnv::from_json(&spec.to_string()).unwrap()));
        let provisioner =
            Provisioner::builder().base(base.clone()).cache_dir(&*world.cache()).open().unwrap();
        provisioner.prepare(&LoadedEnv::default(), Isolation::Shared).unwrap()
    };
    let first = base(&["alpha"]);
    edit(&module(&first, "alpha"));
    assert!(is_edited(&module(&first, "alpha")));
    assert!(!is_edited(&module(&base(&["alpha", "beta"]), "alpha")));
}

/// Virtualenvs that uv makes share their files with its cache. An edit there concerns us only when
/// it reaches one of our environments through that cache.
#[test]
fn an_edit_that_others_left_in_uvs_cache_is_not_installed() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &["alpha"])]);
    // This also fetches uv if it is missing.
    let first = world.prepare(&world.spec(Tool::Uv, &["beta"])).unwrap();
    let original = fs::read(module(&first, "alpha")).unwrap();
    let uv = first.details().unwrap();
    assert_eq!(uv.tool, "uv");
    let venv = world.root.join("theirs");
    let words = ["-m".as_ref(), "venv".as_ref(), "--without-pip".as_ref(), venv.as_os_str()];
    duct::cmd(host(), words).run().unwrap();
    let python = venv.join("bin/python");
    let words =
        ["pip", "install", "--link-mode", "hardlink", "--no-index", "alpha", "--find-links"];
    let words = words.map(std::ffi::OsString::from).into_iter();
    let words = words.chain([world.wheels().into(), "--python".into(), python.clone().into()]);
    duct::cmd(uv_program(&world), words).stderr_null().run().unwrap();
    let theirs = PathBuf::from(run(&python, "import alpha; print(alpha.__file__)"));
    if fs::metadata(&theirs).unwrap().nlink() == 1 {
        // uv's cache is on another file system.
        return;
    }
    edit(&theirs);
    let env = world.prepare(&world.spec(Tool::Uv, &["alpha"])).unwrap();
    assert_eq!(fs::read(module(&env, "alpha")).unwrap(), original);
    assert_eq!(env.damage().unwrap(), []);
    // The virtualenv of uv keeps its own files.
    assert!(is_edited(&theirs));
}

fn uv_program(world: &World) -> PathBuf {
    let tools = installer::Tools::new(world.cache().join("tools"));
    let uv = tools.locate(Tool::Uv, None, &host(), installer::Deadline::NEVER).expect("uv");
    uv.program().to_owned()
}
