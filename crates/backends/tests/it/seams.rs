//! Programs of others build on this: a provisioner over tools of their own, and its keys.

use std::fs;

use backends::provision::environment_key;
use backends::{EnvState, Error, Provisioner};
use envspec::{Install, RuntimeEnv, Tool};
use installer::testing::FakeUv;
use installer::{Ambient, Package, Settings, Tools};
use stage::Isolation;
use venv_cache::Base;

use crate::world::{World, host};

/// With a test's own tools, no package manager runs, neither for a possible installation nor for an
/// impossible one.
#[test]
fn an_environment_takes_the_tools_that_it_is_given() {
    let world = World::new(&[], &[]);
    let fake = FakeUv::new().unwrap();
    let builder = || world.builder().tools(fake.tools());
    let provisioner = builder().open().unwrap();
    let spec = RuntimeEnv::uv(["no-such-package==1.5"]);

    fake.will_fail("error: no-such-package was not found in the package registry").unwrap();
    let error = provisioner.environment(&spec).unwrap_err();
    assert!(matches!(error, Error::Install(_)), "{}", error.report());

    fake.will_install(&[Package::new("no-such-package", "1.5")]).unwrap();
    let environment = provisioner.environment(&spec).unwrap();
    assert_eq!(environment.state(), EnvState::Built);
    assert_eq!(environment.report().added, ["no-such-package==1.5"]);
    let code = "from importlib.metadata import version; print(version('no-such-package'))";
    let seen = duct::cmd(environment.python(), ["-c", code]).read().unwrap();
    assert_eq!(seen, "1.5");

    let calls = fake.calls().unwrap().len();
    assert_eq!(builder().open().unwrap().environment(&spec).unwrap().state(), EnvState::Hit);
    assert_eq!(fake.calls().unwrap().len(), calls, "what is there is asked of no tool");
}

/// Everything that decides the contents is in the key, including the settings of the process and
/// the tools. A program that stores environments elsewhere gets the same key.
#[test]
fn a_key_holds_whatever_decides_what_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    let constraints = dir.path().join("constraints.txt");
    fs::write(&constraints, "packaging<24\n").unwrap();
    let plain = Ambient::from_env();
    let constrained = plain.clone().with_variable("UV_CONSTRAINT", &constraints);
    let install = Install::new(Tool::Uv, vec!["packaging".parse().unwrap()]);
    let mut spec = envspec::LoadedEnv::default();
    spec.install = Some(install.clone());
    let key = |ambient: &Ambient| {
        let tools = Tools::new(dir.path().join("tools")).with_ambient(ambient.clone());
        let builder =
            Provisioner::builder().base(host()).cache_dir(&*dir.path().join("cache")).tools(tools);
        let key = builder.open().unwrap().key(&spec, Isolation::Shared).unwrap().unwrap();

        let base = Base::open(&host(), None).unwrap();
        let own = Some(base.interpreter().prefix());
        let settings = Settings::read(&install, own, ambient).unwrap();
        assert_eq!(key, environment_key(&base, &install, Isolation::Shared, None, &settings));
        key
    };
    let before = key(&plain);
    assert_eq!(before, key(&plain));
    let under = key(&constrained);
    assert_ne!(before, under);
    fs::write(&constraints, "packaging<25\n").unwrap();
    assert_ne!(under, key(&constrained), "a file counts by what is in it");
}
