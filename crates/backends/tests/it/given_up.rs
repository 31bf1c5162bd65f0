//! Copies of a base that stop early, because the installation is impossible or the run is stopped.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backends::provision::ProvisionerBuilder;
use backends::{BuildPhase, Error, Event};
use envspec::Tool;
use stage::Isolation;

use crate::world::World;

/// Copying this many files takes longer than either tool takes to refuse.
const FILES: usize = 80_000;

/// A world whose base has many files that take almost no room: most are hard links to one file.
fn large() -> World {
    let world = World::new(&[], &[("alpha", "1.0", &[])]);
    let site = world.base_site();
    for folder in 0..FILES / 1000 {
        let folder = site.join(format!("package_{folder}"));
        fs::create_dir(&folder).expect("a folder");
        let first = folder.join("first.py");
        fs::write(&first, "x = 1\n".repeat(500)).expect("a file");
        for file in 0..1000 {
            fs::hard_link(&first, folder.join(format!("module_{file}.py"))).expect("a link");
        }
    }
    world
}

/// Returns the builder of a provisioner that records the phases of its builds and calls `at` for
/// each.
fn watching(
    world: &World,
    at: impl Fn(BuildPhase) + Send + Sync + 'static,
) -> (ProvisionerBuilder, Arc<Mutex<Vec<BuildPhase>>>) {
    let phases = Arc::<Mutex<Vec<BuildPhase>>>::default();
    let sink = phases.clone();
    let observer = move |event: &Event| {
        if let Event::EnvironmentBuilding { phase, .. } = event {
            sink.lock().expect("no panic").push(*phase);
            at(*phase);
        }
    };
    (world.builder().observer(Arc::new(observer)), phases)
}

/// The installation begins once all files are copied. A build that never reaches it stopped in the
/// middle of the copy.
#[test]
fn a_refusal_ends_a_copy_under_way_and_so_does_a_stop() {
    let world = large();
    for tool in [Tool::Uv, Tool::Pip] {
        let (builder, phases) = watching(&world, |_| ());
        let provisioner = builder.open().unwrap();
        let impossible = world.spec(tool, &["alpha==9.9"]);
        let error = provisioner.prepare(&impossible, Isolation::Full).unwrap_err();
        let is_refusal = matches!(
            &error,
            Error::Install(error) if matches!(
                **error,
                installer::Error::Unsatisfiable { .. } | installer::Error::NotFound { .. }
            )
        );
        assert!(is_refusal, "{tool}: {}", error.report());
        let phases = phases.lock().unwrap();
        assert_eq!(phases[..], [BuildPhase::Locating, BuildPhase::Creating], "{tool}");
        let key = provisioner.key(&impossible, Isolation::Full).unwrap().unwrap();
        assert!(!provisioner.cache().env_dir(&key).exists());
    }
    for isolation in [Isolation::Full, Isolation::Shared] {
        let stop = Arc::<AtomicBool>::default();
        let wanted = stop.clone();
        let (builder, phases) = watching(&world, move |phase| {
            wanted.fetch_or(phase == BuildPhase::Creating, Ordering::Relaxed);
        });
        let provisioner = builder.stop(stop).open().unwrap();
        let error = provisioner.prepare(&world.spec(Tool::Uv, &["alpha"]), isolation).unwrap_err();
        assert!(matches!(error, Error::Stopped), "{isolation:?}: {}", error.report());
        assert!(!phases.lock().unwrap().contains(&BuildPhase::Resolving), "{isolation:?}");
    }
}

/// A possible installation works as before, whichever of the two ends first.
#[test]
fn a_copy_over_which_all_is_well_is_whole() {
    let world = World::new(&[("kept", "1.0", &[])], &[("alpha", "1.0", &[])]);
    for tool in [Tool::Uv, Tool::Pip] {
        let spec = world.spec(tool, &["alpha"]);
        let environment = world.provisioner().prepare(&spec, Isolation::Full);
        let environment = environment.unwrap_or_else(|error| panic!("{}", error.report()));
        let words = "import alpha, kept; print(alpha.__name__)";
        assert_eq!(crate::world::run(environment.python(), words), "alpha");
    }
}
