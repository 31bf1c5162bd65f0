//! Where `pep508_rs` (uv's parser) can read a requirement, it reads our input and our output alike:
//! name, extras and versions. Markers are compared by their verdict on released Pythons, since the
//! parser forgets the pre-release part of a version.

use std::str::FromStr;

use envspec::{Requirement, strategies};
use pep508_rs::{
    MarkerEnvironment, MarkerEnvironmentBuilder, Requirement as Theirs, VerbatimUrl, VersionOrUrl,
};
use proptest::prelude::*;

fn theirs(line: &str) -> Option<Theirs<VerbatimUrl>> {
    // The parser knows neither comments nor hashes, and reads a name like `a.zip` as a path.
    let line = line.split(" --hash").next()?.split(" #").next()?.split("\t#").next()?;
    Theirs::from_str(line.trim()).ok()
}

fn environment(python: &str, platform: &str) -> MarkerEnvironment {
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: "cpython",
        implementation_version: python,
        os_name: "posix",
        platform_machine: "x86_64",
        platform_python_implementation: "CPython",
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: python,
        python_version: &python[..python.rfind('.').expect("three numbers")],
        sys_platform: platform,
    })
    .expect("valid versions")
}

proptest! {
    #[test]
    fn the_parts_are_read_alike(line in strategies::requirement()) {
        let ours: Requirement = line.parse().unwrap();
        let (Some(given), Some(written)) = (theirs(&line), theirs(&ours.to_string())) else {
            // The parser takes only versions after `===`, no repeated extras, and so on.
            return Ok(());
        };
        prop_assert_eq!(ours.name(), Some(given.name.as_ref()));
        prop_assert_eq!(&given.name, &written.name);
        let mut extras: Vec<_> = given.extras.iter().map(ToString::to_string).collect();
        extras.sort();
        extras.dedup();
        prop_assert_eq!(ours.extras().collect::<Vec<_>>(), extras);
        for version in ["0", "1", "1.0.1", "1.1", "2.0rc1", "2.0", "2.0.post1", "3.5.dev1", "1!1"] {
            let accepts = |requirement: &Theirs<VerbatimUrl>| match &requirement.version_or_url {
                Some(VersionOrUrl::VersionSpecifier(versions)) => {
                    versions.contains(&version.parse().unwrap())
                }
                _ => true,
            };
            prop_assert_eq!(accepts(&given), accepts(&written), "{} for {}", line, version);
        }
    }

    #[test]
    fn markers_are_judged_alike(
        marker in strategies::marker(),
        python in proptest::sample::select(&["3.8.0", "3.9.7", "3.10.2", "3.12.1", "3.13.0"][..]),
        platform in proptest::sample::select(&["linux", "win32", "darwin"][..]),
    ) {
        let line = format!("a ; {marker}");
        let ours: Requirement = line.parse().unwrap();
        let environment = environment(python, platform);
        let lookup = |variable: &str| Some(match variable {
            "python_version" => &python[..python.rfind('.').unwrap()],
            "python_full_version" => python,
            "sys_platform" => platform,
            "os_name" => "posix",
            "platform_machine" => "x86_64",
            _ => return None,
        });
        let given = Theirs::<VerbatimUrl>::from_str(&line).unwrap();
        let written = Theirs::<VerbatimUrl>::from_str(&ours.to_string()).unwrap();
        prop_assert_eq!(ours.applies(lookup), given.evaluate_markers(&environment, &[]), "{}", marker);
        prop_assert_eq!(ours.applies(lookup), written.evaluate_markers(&environment, &[]), "{}", marker);
    }
}
