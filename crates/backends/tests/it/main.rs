//! The local executor with real Python workers, over whatever `python3` the machine has.

mod arenas; // large payloads in shared memory, and workers that do harm to it
mod bytecode; // that of a base which came without
mod classes; // what a class declares, read before a run
#[cfg(feature = "arrow")]
mod columns; // Arrow tables in stages without `pyarrow`
mod corpus; // lines of JSON that Python writes
mod declared; // what a worker says that its code declares, against the plan
mod devices; // which processes see which devices
mod edited_base;
mod engine_fields;
mod environments; // what the cache makes of specs: keys, eviction, locks, refreshes, explanations
mod exact; // what stages do not change, of all JSON that Python writes
mod faults; // what breaks below the provisioner: disks, files, processes, clocks, permissions
mod flow; // many tasks: bounded memory, order, workers, devices
mod given_up; // copies of a base that end before their end
mod hooks; // setup_on_node, setup and teardown, each in its place and once
mod imports; // what packages do when they are imported, before a fork
mod index; // a package index on this machine
mod isolation; // what is edited in place stays where it was edited
mod known; // what is built again without an index
mod local_builds; // contents depend on what a spec names, and on no earlier build
mod local_projects; // what a build reads elsewhere
mod locking; // lock files that are written, read again and installed by others
mod modules; // what a stage may import of ours
mod nodes; // what is removed on the nodes of a cluster
mod outputs; // what a stage may return, and the ids that come of it
#[cfg(feature = "browser")]
mod page; // the report of a run, in a browser
mod plan; // what is read and refused before anything runs
mod private; // private code under a public name
mod private_index; // an index that asks for a login, beside a public one with the same names
mod processes; // what is left of workers and their children
mod ray_check; // where the import of a base's Ray is tried again
mod required_python; // files that say which Pythons they are for
mod roots; // stages that share what they begin with
mod rust_stages; // Rust and Python stages in one pipeline
mod same_version; // what is named by its place, over a base that has its version
mod seams;
mod secrets; // planted in every place, and looked for in every other
mod settings; // what is told to package managers, and which of it is in keys
mod stopping; // runs that end before their end: failures while something is built, stops
mod support;
mod templates; // workers that are forked from what has imported their packages
mod trouble; // stages that raise, exit, crash, hang, flood or lie
mod two_orders; // of the same specs, with nothing shared
mod values; // what becomes of Python values that JSON has no form for
mod verdicts; // the check after an installation, and the package managers' own
mod warm; // templates that stay after their run
mod world; // a base, wheels and a cache of one test
mod worst_moments; // turns at devices, panics, blame, data that changes, kills at random

/// A file of tests that no module names would never run.
#[test]
fn every_file_is_a_module() {
    let main = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
