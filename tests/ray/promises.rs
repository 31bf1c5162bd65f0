//! What per-stage environments promise, from Python: declared on the class, by `with_`, by pip and by
//! uv, additive, cached, the base where nothing is declared. A whole run has all engines.

use std::path::Path;

use crate::world;

/// The sections of the documentation of such environments that hold on every engine.
const SECTIONS: [&str; 8] = [
    "class_variable",
    "overrides",
    "three_versions",
    "additive",
    "caching",
    "no_runtime_env",
    "container",
    "refusals",
];

#[test]
fn python_stages_have_what_is_promised_on_every_engine() {
    // A whole run starts Ray.
    let cluster = world::tests_all().then(world::cluster);
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/curator/python");
    let engines: &[&str] = if world::tests_all() {
        &["local", "ray-data", "ray-actor-pool", "xenna"]
    } else {
        &["local"]
    };
    for engine in engines {
        let run = duct::cmd(world::base(), [&*world::script("promises.py"), engine.as_ref()])
            .env("CURATOR_PROGRAM", world::curator())
            .env("CURATOR_CACHE_DIR", world::cache())
            .env("PYTHONPATH", &package);
        let run = match &cluster {
            Some(cluster) => run.env("RAY_TMPDIR", cluster.dir()),
            None => run,
        };
        let said = run.read().unwrap_or_else(|error| panic!("{engine}: {error}"));
        let sections = SECTIONS.map(|section| format!("{engine} {section}"));
        assert_eq!(said.lines().collect::<Vec<_>>(), sections);
    }
}
