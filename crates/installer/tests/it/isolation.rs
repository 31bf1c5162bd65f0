//! The parts of the caller's environment that reach a tool, and the parts that do not.

use std::fs;
use std::path::Path;

use envspec::Tool;
use installer::{Ambient, Deadline, Request, Tools};

use crate::world::{
    Environment, LIMIT, in_a_process, install, installer, requirement_of, source_tree, tools_dir,
    without_uv,
};

const TOOLS: [Tool; 2] = [Tool::Pip, Tool::Uv];

/// Configuration files that would send every tool to an index that does not exist.
fn litter(folder: &Path) {
    let dead = "index-url = \"http://127.0.0.1:9/simple\"\n";
    let project = format!(
        "[project]\nname = \"stray\"\nversion = \"1\"\n[tool.uv]\n{dead}\
         override-dependencies = [\"packaging==20.0\"]\n[tool.uv.pip]\n{dead}"
    );
    for (name, text) in [
        ("pyproject.toml", project.as_str()),
        ("uv.toml", dead),
        ("pip.conf", "[global]\nindex-url = http://127.0.0.1:9/simple\n"),
        ("setup.cfg", "[install]\nprefix = /nowhere\n"),
        (".python-version", "2.7\n"),
        ("packaging.py", "raise RuntimeError('imported from the caller')\n"),
        ("pip.py", "raise RuntimeError('imported from the caller')\n"),
    ] {
        fs::write(folder.join(name), text).expect("a writable folder");
    }
}

#[test]
#[ignore = "runs in a folder full of stray files"]
fn an_installation_with_both_tools() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let wanted = install(tool, &["packaging==24.0"]);
        let installer = installer(tool, &python);
        installer.resolve(&Request::new(&wanted, &python)).unwrap();
        installer.install(&Request::new(&wanted, &python)).unwrap();
        assert_eq!(environment.version_of("packaging"), "24.0");
    }
}

#[test]
fn stray_files_in_the_callers_folder_and_above_the_temporary_one_change_nothing() {
    installer(Tool::Uv, &Environment::bare().python());
    let caller = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    litter(caller.path());
    litter(temporary.path());
    let output = in_a_process("isolation::an_installation_with_both_tools")
        .dir(caller.path())
        .env("TMPDIR", temporary.path())
        .stdout_capture()
        .unchecked()
        .run()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
    let left = fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 7, "only what was strewn is left in the folder for temporary files");
}

#[test]
fn the_operators_settings_reach_the_tool_and_what_decides_a_build_does_not() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        // Fetched first, since a variable below would prevent it.
        installer(tool, &python);
        let notes = tempfile::tempdir().unwrap();
        let seen = notes.path().join("seen");
        let tree = source_tree(&format!(
            "import os\nwith open({seen:?}, 'w') as file:\n    \
             file.writelines('%s=%s\\n' % item for item in os.environ.items())"
        ));
        let mut ambient = Ambient::from_env();
        for name in ["PIP_UPGRADE_STRATEGY", "UV_HTTP_RETRIES"] {
            ambient = ambient.with_variable(name, if tool == Tool::Pip { "eager" } else { "2" });
        }
        for name in ["LC_MARK", "GIT_MARK", "no_proxy"] {
            ambient = ambient.with_variable(name, "reaches");
        }
        for name in ["PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET", "PIP_MARK"] {
            ambient = ambient.with_variable(name, "/stray-path");
        }
        // Variables that affect a build must come from the spec.
        for name in ["CC", "CFLAGS", "CMAKE_ARGS", "MAKEFLAGS", "SETUPTOOLS_SCM_PRETEND_VERSION"] {
            ambient = ambient.with_variable(name, "/stray-path");
        }
        let mut wanted = install(tool, &[&requirement_of(&tree)]);
        wanted.build_env.insert("SPEC_MARK".to_owned(), "reaches".to_owned());
        let tools = Tools::new(tools_dir()).with_ambient(ambient);
        let installer = tools.locate(tool, None, &python, installer::Deadline::NEVER).unwrap();
        installer.install(&Request::new(&wanted, &python)).unwrap();
        assert_eq!(environment.version_of("local"), "1.0");
        let seen = fs::read_to_string(&seen).unwrap();
        let own = match tool {
            Tool::Pip => "PIP_UPGRADE_STRATEGY=eager",
            Tool::Uv => "UV_HTTP_RETRIES=2",
        };
        assert!(seen.contains(own), "{tool:?}\n{seen}");
        for name in ["LC_MARK", "GIT_MARK", "no_proxy", "SPEC_MARK"] {
            assert!(seen.contains(&format!("{name}=reaches\n")), "{tool:?} {name}\n{seen}");
        }
        assert!(!seen.contains("/stray-path"), "{tool:?}\n{seen}");
    }
}

#[test]
fn the_base_whose_pip_is_used_stays_as_it_is() {
    let base = Environment::with_pip();
    // As in an image without bytecode.
    let removed =
        "__import__('shutil').rmtree(__import__('pip').__path__[0] + '/_internal/__pycache__')";
    base.eval(removed);
    let before = base.snapshot();
    let environment = Environment::bare();
    let python = environment.python();
    let pip = installer(Tool::Pip, &base.python());
    assert!(pip.program().starts_with(base.root()));
    let tree = source_tree("");
    let wanted = install(Tool::Pip, &[&requirement_of(&tree), "packaging==24.0"]);
    pip.install(&Request::new(&wanted, &python)).unwrap();
    assert_eq!(environment.version_of("packaging"), "24.0");
    assert!(before == base.snapshot(), "the base has changed");
}

/// The bytecode of a pip that came without lies in the folder of fetched tools: it is that afterwards,
/// so that a uv can be fetched. In a folder that is not ours nothing is written.
#[test]
fn what_pip_compiles_is_kept_in_a_folder_of_tools_and_nowhere_else() {
    let base = Environment::with_pip();
    base.eval(
        "__import__('shutil').rmtree(__import__('pip').__path__[0] + '/_internal/__pycache__')",
    );
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("notes.txt"), "mine").unwrap();
    let own = tempfile::tempdir().unwrap();
    for (dir, entries) in [(foreign.path(), 1), (own.path(), 2)] {
        let tools = Tools::new(dir).with_ambient(without_uv());
        let pip = tools.locate(Tool::Pip, None, &base.python(), Deadline::after(LIMIT)).unwrap();
        let environment = Environment::bare();
        let wanted = install(Tool::Pip, &["packaging==24.0"]);
        pip.install(&Request::new(&wanted, &environment.python())).unwrap();
        assert_eq!(environment.version_of("packaging"), "24.0");
        assert_eq!(fs::read_dir(dir).unwrap().count(), entries);
    }
    let tools = Tools::new(own.path()).with_ambient(without_uv());
    tools.locate(Tool::Uv, None, &base.python(), Deadline::after(LIMIT)).unwrap();
}

#[test]
fn offline_uv_installs_from_its_cache_and_nothing_else() {
    let environment = Environment::bare();
    let python = environment.python();
    let uv = installer(Tool::Uv, &python);
    let cached = install(Tool::Uv, &["packaging==24.0"]);
    uv.install(&Request::new(&cached, &python)).unwrap();
    let fresh = Environment::bare();
    let outcome = uv.install(&Request::new(&cached, &fresh.python()).offline()).unwrap();
    assert_eq!(outcome.added.len(), 1);
    let absent = install(Tool::Uv, &["packagin-g-no-such-name"]);
    let error = uv.install(&Request::new(&absent, &python).offline()).unwrap_err();
    let installer::Error::Network { transient, .. } = error else { panic!("{error:?}") };
    assert!(!transient, "another attempt is not worth making");
}
