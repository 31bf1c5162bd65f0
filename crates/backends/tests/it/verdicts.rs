//! Laws: for generated requirements, versions and interpreters, our verdicts on versions and
//! markers are those of `packaging` 26. The check after an installation never contradicts the
//! package manager.

use envspec::{Requirement, Tool, strategies};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use stage::Isolation;

use crate::world::World;

const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

/// Answers all questions in one process.
const JUDGE: &str = r"
import json, sys
from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement

def judge(line, versions, environments):
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    marker = requirement.marker
    try:
        holds = [marker is None or marker.evaluate(it) for it in environments]
    except UndefinedComparison:
        return None
    accepts = requirement.specifier.contains
    return [[accepts(version, prereleases=True) for version in versions], holds]

print(json.dumps([judge(*question) for question in json.load(sys.stdin)]))
";

/// Returns the verdicts of `packaging` on lines: `null` for an invalid line, else the versions that
/// it accepts, and the environments in which its marker holds.
fn packaging(questions: &Value) -> Vec<Value> {
    let world = World::new(&[], &[]);
    // Version 26.1 was the first with the same ranges as uv.
    let spec = world.load(&json!({ "uv": ["packaging==26.3"] }));
    let env = world.prepare(&spec).unwrap_or_else(|error| panic!("{}", error.report()));
    let script = world.root.join("judge.py");
    std::fs::write(&script, JUDGE).expect("a script");
    let judge = duct::cmd(env.python(), [script]).stdin_bytes(questions.to_string());
    serde_json::from_str(&judge.read().expect("answers")).expect("JSON")
}

/// Versions close to each other, so that cases hit boundaries.
fn version() -> impl Strategy<Value = String> {
    (
        select(&["", "", "", "1!"][..]),
        select(&["1", "1.0", "1.0.0", "1.1", "1.1.1", "2", "0"][..]),
        select(&["", "", "a1", "rc1", "rc2"][..]),
        select(&["", "", ".post0", ".post1", ".post2"][..]),
        select(&["", "", ".dev0", ".dev1"][..]),
    )
        .prop_map(|(epoch, release, pre, post, dev)| format!("{epoch}{release}{pre}{post}{dev}"))
}

fn specifier() -> impl Strategy<Value = String> {
    let operators = ["==", "!=", "<", "<=", ">", ">=", "~=", "==="];
    let ends = ["", "", "", ".*", "+l", "+L.1"];
    (select(operators.to_vec()), version(), select(ends.to_vec()))
        .prop_map(|(operator, version, end)| format!("{operator}{version}{end}"))
}

fn installed() -> impl Strategy<Value = String> {
    (version(), select(&["", "", "", "+l", "+l.1", "+1"][..]))
        .prop_map(|(version, local)| format!("{version}{local}"))
}

/// Returns a marker over the values that differ between the environments below.
fn marker() -> impl Strategy<Value = String> {
    let versions = ["3.11", "3.11.2", "3.11.7", "3.11.*", "3.9", "3.12.0rc1", "3.12", "4", "x"];
    let of_versions =
        ["python_version", "python_full_version", "implementation_version", "platform_release"];
    let by_version = (
        select(of_versions.to_vec()),
        select(vec!["==", "!=", "<", "<=", ">", ">=", "~=", "in", "not in"]),
        select(versions.to_vec()),
    );
    let by_text = (
        select(vec!["sys_platform", "os_name", "platform_machine", "platform_system", "extra"]),
        select(vec!["==", "!=", "<", ">=", "in", "not in"]),
        select(vec!["linux", "Linux", "posix", "x86_64", "arm64", "dev", "a, linux", ""]),
    );
    let one = prop_oneof![by_version, by_text,]
        .prop_map(|(variable, operator, text)| format!("{variable} {operator} '{text}'"));
    prop_oneof![
        3 => one.clone(),
        1 => (one.clone(), one).prop_map(|(one, other)| format!("{one} and {other}")),
        1 => strategies::marker(),
    ]
}

fn environment(full: &str, release: &str) -> Value {
    let version = full.split('.').take(2).collect::<Vec<_>>().join(".");
    json!({
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_release": release,
        "platform_system": "Linux",
        "platform_version": "#1 SMP",
        "python_full_version": full,
        "platform_python_implementation": "CPython",
        "python_version": version,
        "sys_platform": "linux",
        "extra": "dev",
    })
}

/// Returns values of a strategy, generated anew in each run.
fn sample<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    (0..count).map(|_| strategy.new_tree(runner).expect("a value").current()).collect()
}

fn count() -> usize {
    if std::env::var_os("CURATOR_TEST_ALL").is_some() { 20_000 } else { 1500 }
}

/// Returns the lines on which our verdict differs, with both verdicts.
fn differences(questions: &[Value]) -> Vec<String> {
    let theirs = packaging(&json!(questions));
    let mut differences = Vec::new();
    for (question, theirs) in questions.iter().zip(&theirs) {
        let line = question[0].as_str().expect("a line");
        let ours = line.parse::<Requirement>().map_or(Value::Null, |requirement| {
            let versions = question[1].as_array().into_iter().flatten();
            let environments = question[2].as_array().into_iter().flatten();
            json!([
                versions
                    .map(|it| requirement.accepts(it.as_str().unwrap_or_default()))
                    .collect::<Vec<_>>(),
                environments
                    .map(|it| requirement.applies(|variable| it[variable].as_str()))
                    .collect::<Vec<_>>(),
            ])
        });
        if ours != *theirs {
            differences.push(format!("{question}\n  ours:   {ours}\n  theirs: {theirs}"));
        }
    }
    differences
}

#[test]
fn versions_are_accepted_as_packaging_accepts_them() {
    let mut runner = TestRunner::default();
    let lines = sample(&mut runner, &proptest::collection::vec(specifier(), 1..3), count());
    let versions = sample(&mut runner, &installed(), 400);
    let picks = sample(&mut runner, &proptest::collection::vec(any::<Index>(), 40), lines.len());
    let mut questions: Vec<Value> = lines
        .iter()
        .zip(&picks)
        .map(|(set, picks)| {
            let versions: Vec<_> = picks.iter().map(|pick| pick.get(&versions)).collect();
            json!([format!("p{}", set.join(",")), versions, []])
        })
        .collect();
    // `packaging` before 26.1 and uv disagreed here.
    questions.push(json!(["p>1.0rc1", ["1.0.post1", "1.0rc1.post1", "1.0", "1.0+l"], []]));
    questions.push(json!(["p<1.0.post1", ["1.0rc1", "1.0.dev1", "1.0", "1.0.post1.dev0"], []]));
    let differences = differences(&questions);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn markers_hold_where_packaging_says_so() {
    let mut runner = TestRunner::default();
    let environments = [
        environment("3.11.7", "6.1.0-generic"),
        environment("3.9.0", "5.15"),
        environment("3.12.0rc1", "3.11"),
    ];
    let questions: Vec<Value> = sample(&mut runner, &marker(), count())
        .into_iter()
        .map(|marker| json!([format!("p ; {marker}"), [], environments]))
        .collect();
    let differences = differences(&questions);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn an_override_takes_the_place_of_what_is_asked_for() {
    let world = World::new(&[], &[("idna", "3.4", &[]), ("idna", "3.7", &[])]);
    let overridden = json!({ "overrides": ["idna==3.7"] });
    let spec = world.spec_with(Tool::Uv, &["idna==3.4"], &overridden);
    let env = world.prepare(&spec).unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(env.details().unwrap().packages["idna"], "3.7");
    // The base has the package already, so nothing is installed.
    let world = World::new(&[("idna", "3.7", &[])], &[("idna", "3.4", &[])]);
    let spec = world.spec_with(Tool::Uv, &["idna==3.4"], &overridden);
    let env = world.prepare(&spec).unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(env.details().unwrap().packages["idna"], "3.7");
}

#[test]
fn what_the_package_manager_took_is_taken() {
    let versions = ["1.0.post1", "1.0rc1", "1.0+local", "1.0.dev1"];
    let cases = [
        ("p>1.0rc1", "1.0.post1"),
        ("p<1.0.post1", "1.0rc1"),
        ("p>1.0rc1", "1.0+local"),
        ("p==1.0", "1.0+local"),
        ("p<=1.0", "1.0+local"),
        ("p===1.0.0+LOCAL", "1.0+local"),
        ("p<1.0.post1", "1.0.dev1"),
        ("p>1.0rc1 ; python_full_version > '3.0'", "1.0.post1"),
    ];
    let world = World::new(&[], &versions.map(|version| ("p", version, &[][..])));
    for (index, (requirement, version)) in cases.into_iter().enumerate() {
        let links = world.root.join(index.to_string());
        std::fs::create_dir(&links).unwrap();
        let wheel = world.wheel("p", version);
        std::fs::copy(&wheel, links.join(wheel.file_name().unwrap())).unwrap();
        let spec = json!({ "uv": ["--no-index", format!("-f {}", links.display()), "--pre", requirement] });
        let env = world.prepare(&world.load(&spec));
        let env = env.unwrap_or_else(|error| panic!("{requirement}: {}", error.report()));
        assert_eq!(env.details().unwrap().packages["p"], version, "{requirement}");
    }
}

#[test]
fn a_requirement_with_a_marker_is_judged_by_the_real_version() {
    let (host, major) = (crate::world::host(), "import platform; print(platform.python_version())");
    let full = crate::world::run(&host, major);
    let full = full.trim();
    let asks = [
        format!("dep<2; python_full_version == '{full}'"),
        format!("other<2; python_full_version != '{full}'"),
        "dep<2; implementation_version < '3.0'".to_owned(),
    ];
    let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
    let base = [("dep", "1.0", &[][..]), ("other", "1.0", &[]), ("top", "1.0", &asks)];
    let world = World::new(&base, &[("dep", "2.0", &[]), ("other", "2.0", &[])]);
    for tool in TOOLS {
        let env = world.prepare(&world.spec(tool, &["dep==2.0", "other==2.0"]));
        let env = env.unwrap_or_else(|error| panic!("{}", error.report()));
        let details = env.details().unwrap();
        let [warning] = &details.warnings[..] else { panic!("{:?}", details.warnings) };
        assert!(warning.contains("top 1.0 of the base asks for dep<2.0"), "{warning}");
        let why = details.why("dep").unwrap();
        let requires: Vec<_> = why.required_by.iter().map(|it| &*it.requires).collect();
        assert_eq!(requires, [format!("dep<2.0 ; python_full_version == '{full}'")]);
        assert!(details.why("other").unwrap().required_by.is_empty());
    }
}

/// However a spec spells an extra (PEP 685), a package's own spelling is found. An extra that a package
/// does not have is told; pip and uv pass over it.
#[test]
fn an_extra_is_found_in_any_spelling_or_told() {
    let world = World::new(&[], &[]);
    world.write_wheels(&json!([
        { "name": "under", "version": "1.0" },
        { "name": "dotted", "version": "1.0" },
        { "name": "top", "version": "1.0", "extras": ["fast_er", "so.fast"],
            "requires": ["under ; extra == 'fast_er'", "dotted ; extra == 'so.fast'"] },
    ]));
    for tool in TOOLS {
        for spelling in
            ["top[fast_er,so-fast]", "top[FAST-er,So_Fast]", "top[fast.er,so.fast,nope]"]
        {
            let spec = world.spec(tool, &[spelling, "under[any]; python_version < '3'"]);
            let env = world.prepare(&spec).unwrap_or_else(|error| panic!("{}", error.report()));
            let details = env.details().unwrap();
            let found: Vec<&str> = details.packages.keys().map(String::as_str).collect();
            assert_eq!(found, ["dotted", "top", "under"], "{tool}: {spelling}");
            let words = "asks for the extra `nope`, which top 1.0 does not have; its extras: \
                         fast-er, so-fast";
            let is_told = matches!(&details.warnings[..], [told] if told.contains(words));
            assert_eq!(is_told, spelling.contains("nope"), "{:?}", details.warnings);
        }
    }
}

#[test]
fn what_a_package_manager_warns_of_is_told_also_of_an_environment_that_is_there() {
    let world = World::new(&[], &[]);
    world.write_wheels(&json!([
        { "name": "back", "version": "1.0" },
        { "name": "back", "version": "2.0" },
        { "name": "gone", "version": "1.0" },
    ]));
    let yanked = json!({
        "back-2.0-py3-none-any.whl": "it loses data",
        "gone-1.0-py3-none-any.whl": "",
    });
    std::fs::write(world.root.join("yanked"), yanked.to_string()).unwrap();
    let index = crate::index::Index::new(&world.wheels());
    let provisioner = world.provisioner();
    for tool in TOOLS {
        let spec = |pinned: &str| {
            let options = match tool {
                Tool::Pip => "pip_install_options",
                Tool::Uv => "uv_pip_install_options",
            };
            let index = json!(["--index-url", index.url()]);
            world.load(&json!({ tool.as_str(): { "packages": [pinned], options: index } }))
        };
        let told = |pinned: &str| {
            let env = provisioner.prepare(&spec(pinned), Isolation::Shared);
            env.unwrap_or_else(|error| panic!("{}", error.report())).report().warnings
        };
        let words = ["back==2.0 was yanked from its index: it loses data"];
        for round in ["built", "found", "built again"] {
            assert_eq!(told("back==2.0"), words, "{tool}, {round}");
            if round == "found" {
                let key = provisioner.key(&spec("back==2.0"), Isolation::Shared).unwrap().unwrap();
                assert!(provisioner.cache().remove(&key).unwrap());
            }
        }
        assert_eq!(told("back"), [""; 0], "{tool}");
        assert_eq!(told("gone==1.0"), ["gone==1.0 was yanked from its index"], "{tool}");
    }
}

#[test]
fn bytecode_that_a_package_brought_is_compared_with_what_the_build_left() {
    let world = World::new(&[], &[]);
    let tag =
        crate::world::run(&crate::world::host(), "import sys; print(sys.implementation.cache_tag)");
    let bytecode = format!("brought/__pycache__/it.{}.pyc", tag.trim());
    // Bytecode of another Python, which no installer compiles.
    let foreign = "brought/__pycache__/it.cpython-20.pyc";
    world.write_wheels(&json!([{ "name": "brought", "version": "1.0", "files": {
        "brought/__init__.py": "",
        "brought/it.py": "x = 1\n",
        (&bytecode): "compiled somewhere else",
        (foreign): "for another Python",
    } }]));
    for tool in TOOLS {
        let env = world.prepare(&world.spec(tool, &["brought"]));
        let env = env.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(env.damage().unwrap(), [], "{tool}");
        let site = env.python().parent().unwrap().parent().unwrap().join("lib");
        let site = std::fs::read_dir(site).unwrap().flatten().next().unwrap().path();
        let site = site.join("site-packages");
        for file in [&*bytecode, foreign] {
            let path = site.join(file);
            let before = std::fs::read(&path).unwrap();
            assert_eq!(file == foreign, before == b"for another Python");
            // The file is replaced, since the package manager's cache may share it.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, [b"x", &before[1..]].concat()).unwrap();
            let damage = env.damage().unwrap();
            assert_eq!(damage.len(), 1, "{tool}: {damage:?}");
            assert!(damage[0].path.ends_with(file), "{damage:?}");
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, before).unwrap();
        }
    }
}

#[test]
fn a_lock_file_is_installed_as_it_stands() {
    let world =
        World::new(&[], &[("top", "1.0", &["dep"]), ("dep", "1.0", &[]), ("dep", "2.0", &[])]);
    let hash = |name: &str, version: &str| {
        envspec::Digest::of(&std::fs::read(world.wheel(name, version)).unwrap()).to_string()
    };
    let package = |name: &str, version: &str, hash: &str| {
        let file = format!("{{ name = \"x.whl\", hashes = {{ sha256 = \"{hash}\" }} }}");
        format!("[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\nwheels = [{file}]\n")
    };
    let write = |packages: &[String]| {
        let text = format!("lock-version = \"1.0\"\ncreated-by = \"t\"\n{}", packages.concat());
        std::fs::write(world.root.join("pylock.toml"), text).unwrap();
    };
    let options = json!(["--no-index", "--find-links", world.wheels()]);
    let specs = [
        json!({ "uv": { "packages": "pylock.toml", "uv_pip_install_options": options } }),
        json!({ "pip": { "packages": "pylock.toml", "pip_install_options": options } }),
    ];
    for spec in specs {
        write(&[
            package("top", "1.0", &hash("top", "1.0")),
            package("dep", "1.0", &hash("dep", "1.0")),
        ]);
        let env = world.prepare(&world.load(&spec)).unwrap_or_else(|it| panic!("{}", it.report()));
        let packages = env.details().unwrap().packages;
        assert_eq!((&*packages["top"], &*packages["dep"]), ("1.0", "1.0"), "{spec}");
        // An unnamed package is not installed, and a file with another hash is refused.
        write(&[package("top", "1.0", &hash("top", "1.0"))]);
        let env = world.prepare(&world.load(&spec)).unwrap_or_else(|it| panic!("{}", it.report()));
        assert!(!env.details().unwrap().packages.contains_key("dep"), "{spec}");
        write(&[package("dep", "1.0", &hash("dep", "2.0"))]);
        assert!(world.prepare(&world.load(&spec)).is_err(), "{spec}");
    }
}
