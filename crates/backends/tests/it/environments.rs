//! How the cache treats specs: keys, eviction, locks, refreshes and explanations, with real package
//! managers over wheels of the test's own.

use std::fs;
use std::path::Path;

use backends::provision::{Origin, Problem};
use backends::{BuildPhase, EnvState, Error, Event, ExecutorExt, LocalExecutor, Provisioner};
use envspec::{LoadedEnv, RuntimeEnv, Tool};
use serde_json::json;
use stage::{BaseSpec, Isolation, Pipeline};
use venv_cache::{Budget, Strategy};

use crate::support::{numbers, python};
use crate::world::{World, run};

const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

fn report(error: &Error) -> String {
    error.report()
}

#[test]
fn an_environment_is_explained() {
    let base = [("alpha", "1.0", &[][..]), ("other", "1.0", &["alpha<2"])];
    let others = [
        ("alpha", "2.0", &[][..]),
        ("top", "1.0", &["middle[more]>=1", "absent; python_version < '3'"]),
        ("middle", "1.0", &["alpha>=2; extra == 'more'"]),
    ];
    let world = World::new(&base, &others);
    let (provisioner, events) = world.watched();
    let env = provisioner.prepare(&world.spec(Tool::Uv, &["top"]), Isolation::Shared);
    let env = env.unwrap_or_else(|error| panic!("{}", report(&error)));
    let details = env.details().unwrap();
    assert_eq!(details.tool, "uv");
    let added: Vec<_> = details.added.iter().map(|it| (&*it.name, &*it.version)).collect();
    assert_eq!(added, [("alpha", "2.0"), ("middle", "1.0"), ("top", "1.0")]);
    assert!(details.added.iter().all(|it| it.record.as_ref().is_some_and(|it| it.len() == 64)));
    assert_eq!((&*details.replaced[0].name, &*details.replaced[0].version), ("alpha", "1.0"));
    assert_eq!(details.packages["other"], "1.0");
    assert_eq!(details.expected["top"], "1.0");
    assert_eq!(details.warnings.len(), 1, "{:?}", details.warnings);
    assert!(details.seconds.contains_key("install"));

    let why = details.why("Alpha").unwrap();
    assert_eq!((why.origin, why.replaced.as_deref()), (Origin::Added, Some("1.0")));
    assert_eq!(why.requested_by, [""; 0]);
    assert_eq!(why.path, ["top", "middle==1.0", "alpha==2.0"]);
    let by: Vec<_> = why.required_by.iter().map(|by| &*by.package).collect();
    assert_eq!(by, ["middle==1.0", "other==1.0"]);
    assert_eq!(details.why("top").unwrap().requested_by, ["top"]);
    assert_eq!(details.why("other").unwrap().origin, Origin::Base);
    assert!(details.why("absent").is_none());

    let phases: Vec<BuildPhase> = events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::EnvironmentBuilding { phase, .. } => Some(*phase),
            _ => None,
        })
        .collect();
    assert!(phases.is_sorted(), "{phases:?}");
    assert!(phases.contains(&BuildPhase::Installing) && phases.contains(&BuildPhase::Compiling));
    let amounts: Vec<_> = events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::EnvironmentBuilding {
                phase: BuildPhase::Installing,
                packages: Some(packages),
                done: Some(done),
                ..
            } => Some((*done, *packages)),
            _ => None,
        })
        .collect();
    assert!(amounts.is_sorted() && amounts.iter().all(|(done, of)| done <= of), "{amounts:?}");
    assert_eq!(amounts.last().map(|(_, packages)| *packages), Some(3));
}

#[test]
fn two_environments_are_compared() {
    let world =
        World::new(&[("alpha", "1.0", &[])], &[("alpha", "2.0", &[]), ("beta", "1.0", &[])]);
    let details = |requirements: &[&str]| {
        world.prepare(&world.spec(Tool::Uv, requirements)).unwrap().details().unwrap()
    };
    let (left, right) = (details(&["alpha==2.0"]), details(&["beta"]));
    let diff = left.diff(&right);
    let changes: Vec<_> = diff
        .packages
        .iter()
        .map(|it| (&*it.name, it.left.as_deref(), it.right.as_deref()))
        .collect();
    assert_eq!(changes, [("alpha", Some("2.0"), Some("1.0")), ("beta", None, Some("1.0"))]);
    assert_eq!((diff.only_left, diff.only_right), (vec!["alpha==2.0".into()], vec!["beta".into()]));
    assert!(diff.settings.is_empty(), "{:?}", diff.settings);
    let same = left.diff(&left);
    assert!(same.packages.is_empty() && same.only_left.is_empty() && same.settings.is_empty());
}

#[test]
fn a_lock_is_a_spec_that_gives_the_same_packages() {
    let base = [("alpha", "1.0", &[][..])];
    let others =
        [("alpha", "2.0", &[][..]), ("top", "1.0", &["alpha", "beta"]), ("beta", "3.0", &[])];
    let world = World::new(&base, &others);
    for tool in TOOLS {
        let provisioner = world.provisioner();
        let lines = provisioner
            .lock(&world.spec(tool, &["top"]))
            .unwrap_or_else(|error| panic!("{tool}: {}", report(&error)));
        let names: Vec<_> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
        // The base's version stays, since the spec allows it.
        assert_eq!(names, ["alpha==1.0", "beta==3.0", "top==1.0"], "{tool}");
        assert!(lines.iter().all(|line| line.contains(" --hash=sha256:")), "{tool}: {lines:?}");
        world.add_wheels(&[("beta", "4.0", &[])]);
        let mut requirements: Vec<&str> = lines.iter().map(String::as_str).collect();
        requirements.push("--require-hashes");
        let locked = world.spec(tool, &requirements);
        assert!(locked.install.as_ref().unwrap().index.require_hashes);
        let env = world.prepare(&locked).unwrap_or_else(|error| panic!("{}", report(&error)));
        assert_eq!(env.details().unwrap().packages["beta"], "3.0", "{tool}");
        fs::remove_file(world.wheel("beta", "4.0")).unwrap();
    }
}

#[test]
fn a_folder_cannot_be_locked_and_is_named() {
    let world = World::new(&[], &[]);
    let project = project(&world.root, "local");
    for tool in TOOLS {
        let env = world.spec(tool, &[project.to_str().unwrap()]);
        let error = world.provisioner().lock(&env).unwrap_err();
        assert!(matches!(error, Error::Unlockable { .. }), "{tool}: {}", report(&error));
        assert!(report(&error).contains(project.to_str().unwrap()), "{}", report(&error));
    }
}

#[test]
fn a_refresh_builds_anew_only_what_resolves_to_something_else() {
    let world = World::new(&[], &[("alpha", "1.0", &[])]);
    let provisioner = world.provisioner();
    let server = crate::index::Index::new(&world.wheels());
    let env = |requirement: &str| {
        world.load(&json!({ "uv": {
            "packages": [requirement],
            "uv_pip_install_options": ["--index-url", server.url()],
        }}))
    };
    let unpinned = env("alpha");
    let first = provisioner.refresh(&unpinned, Isolation::Shared).unwrap();
    assert_eq!(first.state(), EnvState::Built);
    let same = provisioner.refresh(&unpinned, Isolation::Shared).unwrap();
    assert_eq!(same.state(), EnvState::Hit);

    world.add_wheels(&[("alpha", "2.0", &[])]);
    let hit = provisioner.prepare(&unpinned, Isolation::Shared).unwrap();
    assert_eq!(hit.state(), EnvState::Hit, "the key names the question");
    let error = provisioner.refresh(&unpinned, Isolation::Shared).unwrap_err();
    let Error::RefreshInUse { changes, .. } = &error else { panic!("{}", report(&error)) };
    assert_eq!(*changes, ["-alpha==1.0", "+alpha==2.0"]);
    let key = *first.key().unwrap();
    drop((first, same, hit));
    let fresh = provisioner.refresh(&unpinned, Isolation::Shared).unwrap();
    assert_eq!((fresh.state(), fresh.key()), (EnvState::Built, Some(&key)));
    assert_eq!(run(fresh.python(), "import alpha; print(alpha.__version__)"), "2.0");
    let pinned = provisioner.refresh(&env("alpha==1.0"), Isolation::Shared).unwrap();
    assert_eq!(pinned.details().unwrap().packages["alpha"], "1.0");
}

#[test]
fn a_strategy_by_request_is_used_and_has_a_key_of_its_own() {
    let world = World::new(&[("alpha", "1.0", &[])], &[("beta", "1.0", &[])]);
    let env = world.spec(Tool::Uv, &["beta"]);
    let mut keys = Vec::new();
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        let provisioner = world.builder().strategy(strategy).open().expect("a provisioner");
        let environment = provisioner.prepare(&env, Isolation::Shared).unwrap();
        let details = environment.details().unwrap();
        assert_eq!(details.strategy, strategy.to_string());
        keys.push(details.key);
        assert_eq!(Some(details.key), provisioner.key(&env, Isolation::Shared).unwrap());
    }
    let full = world.provisioner().prepare(&env, Isolation::Full).unwrap();
    assert_eq!(full.key(), keys.last(), "to ask for copies is to ask for full isolation");
    assert_eq!(full.state(), EnvState::Hit);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn an_edit_of_what_a_spec_refers_to_builds_anew_and_a_comment_does_not() {
    let wheels = [("alpha", "1.0", &[][..]), ("alpha", "2.0", &[]), ("beta", "1.0", &[])];
    let world = World::new(&[], &wheels);
    let write = |name: &str, text: &str| fs::write(world.root.join(name), text).unwrap();
    let local = world.root.join("local-1.0-py3-none-any.whl");
    let write_local = |text: &str| {
        let files = json!({ "local.py": text });
        world.write_wheels(&json!([{ "name": "local", "version": "1.0", "files": files }]));
        fs::rename(world.wheel("local", "1.0"), &local).unwrap();
    };
    write_local("VALUE = 1\n");
    write("nested.txt", "alpha\n");
    write("constraints.txt", "alpha<2\n");
    let head = format!("--no-index\n--find-links {}\n", world.wheels().display());
    let requirements = format!("{head}-r nested.txt\n-c constraints.txt\n{}\n", local.display());
    write("requirements.txt", &requirements);
    let load = || world.load(&json!({ "uv": "requirements.txt" }));
    let version = |env: &LoadedEnv| {
        let environment = world.prepare(env).unwrap_or_else(|error| panic!("{}", report(&error)));
        let program = "import alpha, local; print(alpha.__version__, local.VALUE)";
        (environment.state(), run(environment.python(), program))
    };
    assert_eq!(version(&load()), (EnvState::Built, "1.0 1".to_owned()));

    for (file, text) in [
        ("nested.txt", "# why\nAlpha  # this one\n"),
        ("constraints.txt", "\n\nALPHA < 2.0.0\n"),
        (
            "requirements.txt",
            &format!("{}\n-c ./constraints.txt\n-r nested.txt\n{head}", local.display()),
        ),
    ] {
        write(file, text);
        assert_eq!(version(&load()).0, EnvState::Hit, "{file}");
    }
    write("constraints.txt", "alpha<3\n");
    assert_eq!(version(&load()), (EnvState::Built, "2.0 1".to_owned()));
    write("nested.txt", "alpha\nbeta\n");
    assert_eq!(version(&load()).0, EnvState::Built);
    write_local("VALUE = 2\n");
    assert_eq!(version(&load()), (EnvState::Built, "2.0 2".to_owned()));
    write_local("VALUE = 1\n");
    assert_eq!(version(&load()), (EnvState::Hit, "2.0 1".to_owned()));
}

#[test]
fn fifty_environments_run_under_a_budget_for_five() {
    let world = World::new(&[("alpha", "1.0", &[])], &[]);
    let list: Vec<_> = (0..50)
        .map(|number| {
            let files = json!({ "many.py": format!("NUMBER = {number}\n{}", "#".repeat(50_000)) });
            json!({ "name": "many", "version": format!("{number}"), "files": files })
        })
        .collect();
    world.write_wheels(&json!(list));
    let one = world.prepare(&world.spec(Tool::Uv, &["many==0"])).unwrap();
    let bytes = one.details().unwrap().own_bytes;
    drop(one);
    let text = "import many\nclass Stage:\n def process(self, task): return dict(task.data, n=task.data['n'] + many.NUMBER)";
    let mut pipeline = Pipeline::new("fifty");
    for number in 0..50 {
        let env = json!({ "uv": {
            "packages": [format!("many=={number}")],
            "uv_pip_install_options": ["--no-index", "--find-links", world.wheels()],
        }});
        let env = RuntimeEnv::from_json(&env.to_string()).unwrap();
        let stage = python(text).with_name(format!("stage_{number}")).with_runtime_env(env);
        pipeline = pipeline.with_stage(stage);
    }
    let budget = bytes * 5 + bytes / 2;
    let executor = LocalExecutor::default()
        .with_base(world.base_python())
        .with_cache_dir(world.cache())
        .with_budget(Some(Budget::default().with_max_bytes(budget)));
    let report =
        executor.run(&pipeline, numbers(3)).unwrap_or_else(|error| panic!("{}", report(&error)));
    let outputs: Vec<_> =
        report.outputs.iter().map(|task| task.data.as_json().unwrap()["n"].clone()).collect();
    let sum: u64 = (0..50).sum();
    assert_eq!(outputs, [json!(sum), json!(sum + 1), json!(sum + 2)]);
    assert_eq!(report.environments.len(), 50);
    let kept = world.provisioner().cache().list().unwrap();
    let total: u64 = kept.iter().map(|listed| listed.manifest.own_bytes).sum();
    assert!(total <= budget, "{total} of {budget}");
    assert_eq!(kept.len(), 5);
}

#[test]
fn what_is_kept_does_not_move_and_the_error_says_for_whom_it_would() {
    let base = [("ray", "2.9.0", &[][..]), ("held", "1.0", &[]), ("free", "1.0", &[])];
    let others = [
        ("ray", "3.0.0", &[][..]),
        ("held", "2.0", &[]),
        ("free", "2.0", &[]),
        ("consumer", "1.0", &["ray>=3"]),
        ("innocent", "1.0", &["free>=2"]),
        ("mover", "1.0", &["held>=2"]),
    ];
    let world = World::new(&base, &others);
    for tool in TOOLS {
        let fails = |requirements: &[&str], more| {
            let error = world.prepare(&world.spec_with(tool, requirements, &more)).unwrap_err();
            assert!(matches!(error, Error::Kept { .. }), "{tool}: {}", report(&error));
            assert_eq!(world.provisioner().cache().list().unwrap().len(), 0);
            error
        };
        let error = fails(&["ray>=3"], json!({}));
        assert_eq!(
            error.to_string(),
            "`ray` is kept at the base's 2.9.0, but `ray>=3.0` asks for another"
        );
        let error = fails(&["innocent", "consumer"], json!({}));
        let Error::Kept { package, requirement, wanted, source, .. } = &error else { panic!() };
        assert_eq!((&**package, &**requirement), ("ray", "consumer"), "{tool}");
        let wanted = wanted.as_deref().unwrap();
        assert!(wanted.contains("ray>=3` for `consumer") && source.is_some(), "{tool}: {wanted}");
        assert!(error.hint().unwrap().contains("cluster"));
        let error = fails(&["mover"], json!({ "keep": ["Held"] }));
        assert!(error.to_string().contains("`held` is kept at the base's 1.0"), "{error}");
    }
    // Packages that no requirement keeps may change.
    let env = world.prepare(&world.spec(Tool::Uv, &["innocent", "mover"])).unwrap();
    let packages = env.details().unwrap().packages;
    assert_eq!(
        (&*packages["held"], &*packages["free"], &*packages["ray"]),
        ("2.0", "2.0", "2.9.0")
    );
}

/// A project whose build leaves a file in its folder, as setuptools does, and packs what it finds
/// there into the wheel.
fn project(root: &Path, name: &str) -> std::path::PathBuf {
    let dir = root.join(name);
    fs::create_dir_all(&dir).expect("a folder");
    let project = format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"{name}\"\nversion = \"1.0\"\n"
    );
    fs::write(dir.join("pyproject.toml"), project).expect("a file");
    let backend = r#"
import os, pathlib, zipfile
NAME = "@NAME@"
def build_wheel(directory, config_settings=None, metadata_directory=None):
    left = pathlib.Path("build/lib/left")
    leftovers = sorted(str(path) for path in pathlib.Path(".").rglob("left*"))
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("left")
    pathlib.Path(NAME + ".egg-info").mkdir(exist_ok=True)
    pathlib.Path(NAME + ".egg-info", "SOURCES.txt").write_text("left")
    pathlib.Path("other_leftover").write_text("left")
    name = NAME + "-1.0-py3-none-any.whl"
    info = NAME + "-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr(NAME + ".py", "LEFTOVERS = %r\n" % leftovers + pathlib.Path("value.py").read_text())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: " + NAME + "\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
"#;
    fs::write(dir.join("backend.py"), backend.replace("@NAME@", name)).expect("a file");
    fs::write(dir.join("value.py"), "VALUE = 1\n").expect("a file");
    dir
}

#[test]
fn a_build_of_a_folder_leaves_nothing_in_it_and_what_others_left_changes_nothing() {
    let world = World::new(&[], &[]);
    let project = project(&world.root, "local");
    // A build by hand left these.
    fs::create_dir_all(project.join("build/lib")).unwrap();
    fs::write(project.join("build/lib/left_before"), "").unwrap();
    let before = tree(&project);
    for tool in TOOLS {
        let load = || world.spec(tool, &["./local"]);
        let env = world.prepare(&load()).unwrap_or_else(|error| panic!("{}", report(&error)));
        assert_eq!(env.state(), EnvState::Built);
        assert_eq!(tree(&project), before, "{tool}");
        let program = "import local; print(local.LEFTOVERS, local.VALUE)";
        assert_eq!(run(env.python(), program), "[] 1", "{tool}");
        let details = env.details().unwrap();
        let source = details.added[0].source.as_deref().unwrap();
        assert_eq!(source, format!("file://{}", project.display()), "{tool}");
        let verify = "import hashlib, base64, pathlib, importlib.metadata as m\n\
            d = m.distribution('local')\n\
            f = [f for f in d.files if f.name == 'direct_url.json'][0]\n\
            digest = hashlib.sha256(pathlib.Path(d.locate_file(f)).read_bytes()).digest()\n\
            print(base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == f.hash.value)";
        assert_eq!(run(env.python(), verify), "True", "{tool}");
        assert_eq!(world.state(&load()), EnvState::Hit);
        fs::write(project.join("build/lib/left_later"), "").unwrap();
        assert_eq!(world.state(&load()), EnvState::Hit, "{tool}");
        fs::remove_file(project.join("build/lib/left_later")).unwrap();
    }
    fs::write(project.join("value.py"), "VALUE = 2\n").unwrap();
    assert_eq!(world.state(&world.spec(Tool::Uv, &["./local"])), EnvState::Built);
}

fn tree(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().flatten();
    let read = |entry: walkdir::DirEntry| {
        (entry.path().to_owned(), fs::read(entry.path()).unwrap_or_default())
    };
    files.map(read).collect()
}

#[test]
fn the_commit_of_a_repository_is_recorded_and_a_refresh_moves_it() {
    let world = World::new(&[], &[]);
    let project = project(&world.root, "local");
    let git = |words: &[&str]| {
        let head = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
        duct::cmd("git", head.iter().chain(words)).dir(&project).read().expect("git runs")
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    for tool in TOOLS {
        let requirement = format!("local @ git+file://{}", project.display());
        let env = world.spec(tool, &[&requirement]);
        let provisioner = world.provisioner();
        let commit = || {
            let environment = provisioner.refresh(&env, Isolation::Shared);
            let environment = environment.unwrap_or_else(|error| panic!("{}", report(&error)));
            (environment.state(), environment.details().unwrap().added[0].commit.clone().unwrap())
        };
        assert_eq!(commit(), (EnvState::Built, git(&["rev-parse", "HEAD"])), "{tool}");
        assert_eq!(commit().0, EnvState::Hit, "{tool}");
        git(&["commit", "-q", "--allow-empty", "-m", "two"]);
        assert_eq!(commit(), (EnvState::Built, git(&["rev-parse", "HEAD"])), "{tool}");
    }
}

#[test]
fn a_managed_base_is_refreshed_by_itself_or_from_what_stands_on_it() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    // uv remembers a folder's contents, but asks an index again.
    let server = crate::index::Index::new(&world.wheels());
    for tool in TOOLS {
        let option = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let spec = |name: &str| {
            json!({ tool.as_str(): {
                "packages": [name],
                option: ["--index-url", server.url()],
            }})
        };
        let base = RuntimeEnv::from_json(&spec("alpha").to_string()).unwrap();
        let base = BaseSpec::Managed(Box::new(base));
        let cache = world.cache();
        let provisioner =
            || Provisioner::builder().base(base.clone()).cache_dir(&*cache).open().unwrap();
        let refresh = |provisioner: &Provisioner, env: &LoadedEnv| {
            let refreshed = provisioner.refresh(env, Isolation::Shared);
            refreshed.unwrap_or_else(|error| panic!("{tool}: {}", report(&error)))
        };
        let (itself, beta) = (LoadedEnv::default(), world.load(&spec("beta")));
        let over = provisioner().prepare(&beta, Isolation::Shared).unwrap();
        let first = refresh(&provisioner(), &itself);
        assert!(first.is_managed_base() && !over.is_managed_base());
        assert_eq!(
            (first.state(), first.key().copied()),
            (EnvState::Hit, provisioner().base_key().unwrap())
        );

        // From the environments alone, without opening their base.
        let alone = || Provisioner::builder().cache_dir(&*cache).open().unwrap();
        {
            let like = alone().like(&over).unwrap();
            assert_eq!(
                like.key(&over.spec().unwrap(), Isolation::Shared).unwrap().as_ref(),
                over.key()
            );
            let lines = like.lock(&over.spec().unwrap()).unwrap();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(refresh(&like, &beta).state(), EnvState::Hit);
            let like = alone().like(&first).unwrap();
            assert_eq!(like.base_key().unwrap().as_ref(), first.key());
            assert_eq!(refresh(&like, &itself).state(), EnvState::Hit);
        }

        world.add_wheels(&[("alpha", "2.0", &[])]);
        let error = alone().like(&first).unwrap().refresh(&itself, Isolation::Shared).unwrap_err();
        let Error::RefreshInUse { changes, .. } = &error else { panic!("{}", report(&error)) };
        assert_eq!(*changes, ["-alpha==1.0", "+alpha==2.0"], "{tool}");
        let (key, above) = (*first.key().unwrap(), *over.key().unwrap());
        let like = alone().like(&first).unwrap();
        drop(first);
        drop(over);
        let fresh = refresh(&like, &itself);
        assert_eq!((fresh.state(), fresh.key()), (EnvState::Built, Some(&key)), "{tool}");
        assert_eq!(run(fresh.python(), "import alpha; print(alpha.__version__)"), "2.0");
        assert!(like.find(&above).unwrap().is_none(), "an environment over the old base");
        let again = provisioner().prepare(&beta, Isolation::Shared).unwrap();
        assert_eq!((again.state(), again.key()), (EnvState::Built, Some(&above)), "{tool}");
        assert_eq!(run(again.python(), "import alpha; print(alpha.__version__)"), "2.0");
        fs::remove_file(world.wheel("alpha", "2.0")).unwrap();
    }
}

#[test]
fn a_refresh_from_an_environment_keeps_the_strategy_that_was_asked_for() {
    let world = World::new(&[("alpha", "1.0", &[])], &[("beta", "1.0", &[])]);
    let env = world.spec(Tool::Uv, &["beta"]);
    for strategy in [None, Some(Strategy::Symlink), Some(Strategy::Copy)] {
        let builder = match strategy {
            Some(strategy) => world.builder().strategy(strategy),
            None => world.builder(),
        };
        let provisioner = builder.open().unwrap();
        let made = provisioner.prepare(&env, Isolation::Shared).unwrap();
        let like =
            Provisioner::builder().cache_dir(&*world.cache()).open().unwrap().like(&made).unwrap();
        let refreshed = like.refresh(&made.spec().unwrap(), Isolation::Shared).unwrap();
        assert_eq!(
            (refreshed.state(), refreshed.key()),
            (EnvState::Hit, made.key()),
            "{strategy:?}"
        );
    }
}

#[test]
fn a_managed_base_is_kept_by_what_needs_it_and_evicted_after_it() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    let options = json!(["--no-index", "--find-links", world.wheels()]);
    let spec = json!({ "uv": { "packages": ["alpha"], "uv_pip_install_options": options } });
    let base = BaseSpec::Managed(Box::new(RuntimeEnv::from_json(&spec.to_string()).unwrap()));
    let provisioner = Provisioner::builder()
        .base(base.clone())
        .cache_dir(&*world.cache())
        .budget(Some(Budget::default().with_max_bytes(1)))
        .open()
        .unwrap();
    let env = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared).unwrap();
    assert_eq!(provisioner.cache().list().unwrap().len(), 2);
    let details = env.details().unwrap();
    assert_eq!(details.why("alpha").unwrap().origin, Origin::Base);
    let cache = provisioner.cache().clone();
    drop((env, provisioner));
    let report = cache.prune(&Budget::default().with_max_bytes(1)).unwrap();
    assert_eq!(report.removed.len(), 2);
}

/// A provisioner that is kept for long sees the base as it is at each request.
#[test]
fn a_provisioner_outlives_a_change_of_its_base() {
    let base = [("alpha", "1.0", &[][..])];
    let others = [("alpha", "2.0", &[][..]), ("beta", "1.0", &[]), ("gamma", "1.0", &[])];
    let world = World::new(&base, &others);
    let provisioner = world.provisioner();
    let alpha = |requirement: &str| {
        let env = provisioner.prepare(&world.spec(Tool::Uv, &[requirement]), Isolation::Shared);
        let env = env.unwrap_or_else(|error| panic!("{}", report(&error)));
        (run(env.python(), "import alpha; print(alpha.__version__)"), env.state())
    };
    assert_eq!(alpha("beta"), ("1.0".to_owned(), EnvState::Built));
    fs::remove_dir_all(world.base_site().join("alpha-1.0.dist-info")).unwrap();
    world.install_into_base(&[("alpha", "2.0", &[])]);
    assert_eq!(alpha("gamma"), ("2.0".to_owned(), EnvState::Built), "a miss");
    assert_eq!(alpha("beta"), ("2.0".to_owned(), EnvState::Built), "what was a hit");
    assert_eq!(alpha("beta"), ("2.0".to_owned(), EnvState::Hit));
}

/// A key finds an environment without its base. An environment made of links into a changed base no
/// longer is what was built, so it is not found.
#[test]
fn links_into_a_base_that_has_changed_are_not_used() {
    let base = [("alpha", "1.0", &[][..])];
    let world = World::new(&base, &[("beta", "1.0", &[]), ("gamma", "1.0", &[])]);
    for strategy in [Strategy::Symlink, Strategy::Hardlink, Strategy::Copy] {
        let provisioner = world.builder().strategy(strategy).open().expect("a provisioner");
        let made = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared);
        let key = *made.unwrap_or_else(|error| panic!("{}", report(&error))).key().unwrap();
        assert!(provisioner.find(&key).unwrap().is_some(), "{strategy}");
        assert_eq!(provisioner.inspect(&key).unwrap().unwrap().damage().unwrap(), [], "{strategy}");

        world.install_into_base(&[("gamma", "1.0", &[])]);
        let damage = provisioner.inspect(&key).unwrap().unwrap().damage().unwrap();
        if strategy == Strategy::Symlink {
            let error = provisioner.find(&key).unwrap_err();
            assert!(matches!(error, Error::StaleLinks { .. }), "{}", report(&error));
            assert!(error.hint().is_some_and(|hint| hint.contains("by its spec")));
            assert_eq!(damage.iter().map(|it| it.problem).collect::<Vec<_>>(), [Problem::Base]);
            // By its spec, it is built over the base as it is now.
            let env = world.spec(Tool::Uv, &["beta"]);
            let again = provisioner.prepare(&env, Isolation::Shared).unwrap();
            assert_ne!(again.key(), Some(&key));
        } else {
            assert!(provisioner.find(&key).unwrap().is_some(), "{strategy}");
            assert_eq!(damage, [], "{strategy}");
        }
        fs::remove_dir_all(world.base_site().join("gamma-1.0.dist-info")).unwrap();
    }
}

#[test]
fn a_managed_base_may_stand_on_an_interpreter_of_ones_own() {
    let world = World::new(&[], &[("alpha", "1.0", &[]), ("beta", "1.0", &[])]);
    let spec = RuntimeEnv::uv(["alpha"])
        .with_tool_options(["--no-index", "--find-links", world.wheels().to_str().unwrap()])
        .with_python(crate::world::host());
    let provisioner =
        Provisioner::builder().base(spec.clone()).cache_dir(&*world.cache()).open().unwrap();
    let env = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared);
    let env = env.unwrap_or_else(|error| panic!("{}", report(&error)));
    assert_eq!(run(env.python(), "import alpha, beta; print('both')"), "both");
    let base = env.details().unwrap().base.unwrap();
    assert!(base.key.is_some(), "{base:?}");

    // Without packages, nothing is built: the environment is the base.
    let alone = BaseSpec::from(RuntimeEnv::python(world.base_python()));
    let provisioner =
        Provisioner::builder().base(alone.clone()).cache_dir(&*world.cache()).open().unwrap();
    let env = provisioner.prepare(&world.spec(Tool::Uv, &["beta"]), Isolation::Shared).unwrap();
    assert!(env.details().unwrap().base.unwrap().key.is_none());
}
