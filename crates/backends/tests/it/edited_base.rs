//! What `docs/how-it-works.md` says of a module that is edited by hand in a base.

use std::fs;

use backends::EnvState;
use envspec::Tool;
use serde_json::json;
use stage::Isolation;

use crate::world::{World, run};

#[test]
fn a_module_edited_by_hand_in_the_base_is_seen_when_the_environment_is_removed() {
    let world = World::new(&[], &[("beta", "1.0", &[])]);
    let files = json!({ "alpha/__init__.py": "__version__ = '1.0'\n" });
    world.write_wheels(&json!([{ "name": "alpha", "version": "1.0", "files": files }]));
    world.install_into_base(&[("alpha", "1.0", &[])]);
    let env = world.spec(Tool::Uv, &["beta"]);
    let now = || {
        let environment = world.prepare(&env).unwrap();
        let code = "import alpha; print(alpha.__version__)";
        (environment.state(), run(environment.python(), code))
    };
    assert_eq!(now(), (EnvState::Built, "1.0".to_owned()));
    // As an editor does: a new file takes the place of the old one.
    let module = world.base_site().join("alpha/__init__.py");
    let text = fs::read_to_string(&module).unwrap();
    let draft = module.with_extension("new");
    fs::write(&draft, text.replace("1.0", "1.0+edited")).unwrap();
    fs::rename(&draft, &module).unwrap();
    assert_eq!(now(), (EnvState::Hit, "1.0".to_owned()));
    let provisioner = world.provisioner();
    let refreshed = provisioner.refresh(&env, Isolation::Shared).unwrap();
    assert_eq!(refreshed.state(), EnvState::Hit);
    let key = *refreshed.key().unwrap();
    drop(refreshed);
    assert!(provisioner.cache().remove(&key).unwrap());
    assert_eq!(now(), (EnvState::Built, "1.0+edited".to_owned()));
}
