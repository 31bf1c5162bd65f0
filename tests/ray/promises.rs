//! What per-stage environments promise, from Python: declared on the class, by `with_`, by pip and by
//! uv, additive, cached, the base where nothing is declared. A whole run has all engines.

use std::path::Path;

use crate::world;

#[test]
fn python_stages_have_what_is_promised_on_every_engine() {
    let cluster = world::cluster();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/curator/python");
    let engines: &[&str] = if world::tests_all() {
        &["local", "ray-data", "ray-actor-pool", "xenna"]
    } else {
        &["local"]
    };
    for engine in engines {
        let said = duct::cmd(world::base(), [&*world::script("promises.py"), engine.as_ref()])
            .env("CURATOR_PROGRAM", world::curator())
            .env("CURATOR_CACHE_DIR", world::cache())
            .env("RAY_TMPDIR", cluster.dir())
            .env("PYTHONPATH", &package)
            .read()
            .unwrap_or_else(|error| panic!("{engine}: {error}"));
        assert_eq!(said, format!("{engine} keeps its promises"));
    }
}
