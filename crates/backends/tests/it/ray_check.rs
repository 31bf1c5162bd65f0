//! A base with Ray must still import it: the import is tried wherever what was installed can change it,
//! and nowhere else.

use backends::{EnvState, Error};
use envspec::Tool;
use serde_json::json;
use venv_cache::Budget;

use crate::world::World;

/// A Ray that notes each import, asks for a module that may be there or not, and reads the metadata of a
/// distribution.
fn world() -> World {
    let world = World::new(&[], &[("apart", "1.0", &[]), ("aside", "1.0", &[])]);
    let note = world.root.join("imports");
    let ray = format!(
        "open('{}', 'a').write('x')\ntry:\n    import extra\nexcept ModuleNotFoundError:\n    pass\n\
         import importlib.metadata\ntry:\n    importlib.metadata.version('Told_Of')\n\
         except importlib.metadata.PackageNotFoundError:\n    pass\n",
        note.display()
    );
    let list = json!([
        { "name": "ray", "version": "2.60.0", "files": { "ray.py": ray } },
        { "name": "extra", "version": "1.0" },
        { "name": "extra", "version": "2.0", "files": { "extra.py": "raise RuntimeError('moved')" } },
        { "name": "told_of", "version": "1.0", "files": { "other.py": "" } },
        { "name": "starts", "version": "1.0", "files": { "starts.pth": "import os" } },
    ]);
    world.write_wheels(&list);
    world.install_into_base(&[("ray", "2.60.0", &[])]);
    world
}

fn imports(world: &World) -> usize {
    std::fs::read_to_string(world.root.join("imports")).unwrap_or_default().len()
}

#[test]
fn ray_is_imported_again_only_where_an_installation_touched_what_it_asks_for() {
    let world = world();
    // In the first environment what it asks for is not known; then it is known, by the base.
    for (packages, expected) in [
        (["apart"], 1),
        (["aside"], 1),
        (["extra==1.0"], 2),
        (["told_of"], 3),
        (["starts"], 4),
        (["aside==1.0"], 4),
    ] {
        world.prepare(&world.spec(Tool::Uv, &packages)).expect("an environment");
        assert_eq!(imports(&world), expected, "{packages:?}");
    }
    let error = world.prepare(&world.spec(Tool::Uv, &["extra==2.0"])).expect_err("a refusal");
    assert!(matches!(&error, Error::RayBroken { words, .. } if words.contains("moved")), "{error}");
    // Another base is another question.
    world.install_into_base(&[("extra", "1.0", &[])]);
    world.prepare(&world.spec(Tool::Uv, &["apart"])).expect("an environment");
    assert_eq!(imports(&world), 6);
}

#[test]
fn what_ray_asks_for_where_it_was_touched_says_nothing_of_the_base() {
    let world = world();
    // With `extra` there Ray might ask for less than it does in the base.
    for (packages, expected) in [(["extra==1.0"], 1), (["apart"], 2), (["aside"], 2)] {
        world.prepare(&world.spec(Tool::Uv, &packages)).expect("an environment");
        assert_eq!(imports(&world), expected, "{packages:?}");
    }
}

/// What was imported beside some packages can be imported beside the same files again, so an
/// environment that is built anew costs no second import; other files under the same name and version
/// do.
#[test]
fn ray_is_not_imported_again_beside_the_same_files() {
    let world = world();
    let build = |expected: usize| {
        let all = Budget::default().with_max_bytes(0);
        world.provisioner().cache().prune(&all).expect("an empty cache");
        let environment = world.prepare(&world.spec(Tool::Uv, &["extra==1.0"])).expect("a build");
        assert_eq!((environment.state(), imports(&world)), (EnvState::Built, expected));
    };
    build(1);
    build(1);
    let other =
        json!([{ "name": "extra", "version": "1.0", "files": { "extra.py": "CHANGED = 1" } }]);
    world.write_wheels(&other);
    build(2);
    build(2);
}
