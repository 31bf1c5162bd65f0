//! Private code whose name also belongs to a stranger's package on an index: a record and its
//! replay use the code that was installed, with pip and with uv.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backends::{EnvState, Error, Executor, LocalExecutor, Plan, Provisioner, RunRecord, RunReport};
use envspec::{LoadedEnv, RuntimeEnv, Tool};
use serde_json::{Value, json};
use stage::{BaseSpec, Isolation, Pipeline, Task};

use crate::index::Index;
use crate::support::python;
use crate::world::World;

const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

/// Builds wheels and editable installs, with nothing to download.
const BACKEND: &str = r#"
import os, zipfile
def _build(directory, files):
    info = NAME + "-1.0.dist-info/"
    head = "Metadata-Version: 2.1\nName: " + NAME + "\nVersion: 1.0\n"
    files[info + "METADATA"] = head + "".join("Requires-Dist: " + it + "\n" for it in REQUIRES)
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = "".join(path + ",,\n" for path in [*files, info + "RECORD"])
    name = NAME + "-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
def build_wheel(directory, config_settings=None, metadata_directory=None):
    return _build(directory, {NAME + ".py": open(NAME + ".py").read()})
def build_editable(directory, config_settings=None, metadata_directory=None):
    return _build(directory, {NAME + ".pth": os.getcwd() + "\n"})
"#;

/// An open index, private code, and two caches.
pub(crate) struct Setting {
    pub(crate) world: World,
    pub(crate) index: Index,
    /// Serves private wheels, which no index page lists.
    own: Index,
}

impl Setting {
    /// The index has a stranger's `secret` and `brought`, and `helper`, which has no private
    /// counterpart.
    pub(crate) fn new() -> Self {
        let world = World::new(&[], &[("helper", "1.0", &[])]);
        let foreign = |name| {
            let files = json!({ format!("{name}.py"): "WHOSE = 'public'\n" });
            json!({ "name": name, "version": "1.0", "files": files })
        };
        world.write_wheels(&json!([foreign("secret"), foreign("brought")]));
        let index = Index::new(&world.wheels());
        fs::create_dir(world.root.join("own")).expect("a folder");
        let own = Index::new(&world.root.join("own"));
        Self { world, index, own }
    }

    /// Writes private code into a folder of this name.
    fn project(&self, name: &str, requires: &[&str]) -> PathBuf {
        let dir = self.world.root.join(name);
        let name = name.rsplit('/').next().expect("a name");
        fs::create_dir_all(&dir).expect("a folder");
        let project = format!(
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
             [project]\nname = \"{name}\"\nversion = \"1.0\"\ndependencies = {}\n",
            json!(requires)
        );
        let requires = json!(requires);
        let backend = format!("NAME = {name:?}\nREQUIRES = {requires}\n{BACKEND}");
        fs::write(dir.join("pyproject.toml"), project).expect("a file");
        fs::write(dir.join("backend.py"), backend).expect("a file");
        fs::write(dir.join(format!("{name}.py")), "WHOSE = 'private'\n").expect("a file");
        dir
    }

    /// Makes a repository of the private code, with one commit.
    fn repository(&self, name: &str) -> PathBuf {
        let dir = self.project(name, &[]);
        git(&dir, &["init", "-q", "-b", "trunk"]);
        commit(&dir);
        dir
    }

    /// Writes a private wheel beside the index, not into it.
    pub(crate) fn archive(&self, name: &str, requires: &[&str]) -> PathBuf {
        let dir = self.world.root.join("own");
        fs::create_dir_all(&dir).expect("a folder");
        let public = self.world.wheel(name, "1.0");
        let kept = fs::read(&public).ok();
        let files = json!({ format!("{name}.py"): "WHOSE = 'private'\n" });
        let wheel = json!({ "name": name, "version": "1.0", "requires": requires, "files": files });
        self.world.write_wheels(&json!([wheel]));
        let own = dir.join(public.file_name().expect("a name"));
        fs::rename(&public, &own).expect("a wheel");
        if let Some(kept) = kept {
            fs::write(&public, kept).expect("the public wheel");
        }
        own
    }

    fn spec(&self, tool: Tool, requirements: &[&str]) -> Value {
        let option = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let options = ["--index-url", &self.index.url()];
        json!({ tool.as_str(): { "packages": requirements, option: options } })
    }

    fn load(&self, tool: Tool, requirements: &[&str]) -> LoadedEnv {
        self.world.load(&self.spec(tool, requirements))
    }

    fn plan(&self, tool: Tool, requirements: &[&str]) -> Result<Plan, Error> {
        let spec = self.spec(tool, requirements).to_string();
        let stage = python(STAGE).with_runtime_env(RuntimeEnv::from_json(&spec).expect("a spec"));
        let pipeline =
            Pipeline::new("private").with_base(BaseSpec::Python(self.world.base_python()));
        Plan::new(&pipeline.with_stage(stage))
    }

    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        let dir = self.world.root.join(name);
        if !dir.exists() {
            let tools = self.world.cache().join("tools").canonicalize().expect("the tools");
            fs::create_dir(&dir).expect("another cache");
            std::os::unix::fs::symlink(tools, dir.join("tools")).expect("a link");
        }
        dir
    }

    /// Records a run with these requirements.
    fn record(&self, tool: Tool, requirements: &[&str]) -> RunRecord {
        let record = self.try_record(tool, requirements);
        record.unwrap_or_else(|error| panic!("{tool}: {}", error.report()))
    }

    fn try_record(&self, tool: Tool, requirements: &[&str]) -> Result<RunRecord, Error> {
        let plan = self.plan(tool, requirements)?;
        let (report, whose) = execute(&plan, &self.world.cache())?;
        assert!(!whose.contains("public"), "{tool}: {whose}");
        let provisioner =
            Provisioner::builder().base_of(&plan).cache_dir(&*self.world.cache()).open()?;
        RunRecord::new(&plan, &provisioner, &report)
    }

    /// Returns the owner of the modules in a replay of a record, over a cache of this name.
    fn replay(
        &self,
        record: &RunRecord,
        cache: &str,
        tool: Tool,
        requirements: &[&str],
    ) -> Result<String, Error> {
        let cache = self.cache(cache);
        let plan = record.lock(&self.plan(tool, requirements)?, Some(&cache))?;
        record.verify(&plan, &Provisioner::builder().base_of(&plan).cache_dir(&*cache).open()?)?;
        Ok(execute(&plan, &cache)?.1)
    }
}

/// Returns the owner of the modules that it imports.
pub(crate) const STAGE: &str = "
class Stage:
    def process(self, task):
        whose = []
        for name in ['brought', 'secret']:
            try:
                whose.append(name + ' ' + __import__(name).WHOSE)
            except ImportError:
                pass
        return {'whose': ', '.join(whose)}
";

pub(crate) fn execute(plan: &Plan, cache: &Path) -> Result<(RunReport, String), Error> {
    let mut whose = String::new();
    let report = LocalExecutor::default().with_cache_dir(cache).execute(
        plan,
        &mut [Task::new(json!({}))].into_iter(),
        Arc::new(()),
        &mut |task| {
            let data = task.data.as_json().expect("JSON");
            whose.push_str(data["whose"].as_str().expect("a text"));
            Ok(())
        },
    )?;
    Ok((report, whose))
}

pub(crate) fn git(dir: &Path, words: &[&str]) -> String {
    let head = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    duct::cmd("git", head.iter().chain(words)).dir(dir).read().expect("git runs")
}

pub(crate) fn commit(dir: &Path) -> String {
    git(dir, &["add", "."]);
    git(dir, &["commit", "--allow-empty", "-qm", "one"]);
    git(dir, &["rev-parse", "HEAD"])
}

/// Returns a URL of a repository that pip and uv read.
pub(crate) fn repository_url(dir: &Path, tool: Tool) -> String {
    // pip 23 needs a host in a `git+file` address.
    let host = if tool == Tool::Pip { "localhost" } else { "" };
    format!("git+file://{host}{}", dir.display())
}

/// Returns every way to ask for private code, alone or with other private code that it requires.
fn ways(setting: &Setting, tool: Tool) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let secret = setting.project("secret", &["helper"]);
    let brought = setting.project("brought", &[]);
    let top = setting.project("top", &[&format!("brought @ file://{}", brought.display())]);
    let repository = setting.repository("repository/secret");
    let url = repository_url(&repository, tool);
    let bringing = setting.project("bringing", &[&format!("secret @ {url}")]);
    let archive = setting.archive("secret", &["helper"]);
    let served =
        format!("http://127.0.0.1:{}/files/{}", setting.own.port(), "secret-1.0-py3-none-any.whl");
    let one = |text: &dyn std::fmt::Display| vec![text.to_string()];
    let name = "secret private";
    vec![
        ("a folder", one(&secret.display()), name),
        ("a folder with its name", one(&format!("secret @ file://{}", secret.display())), name),
        ("in place", one(&format!("-e {}", secret.display())), name),
        ("brought by a folder", one(&top.display()), "brought private"),
        ("a repository", one(&format!("secret @ {url}")), name),
        ("a repository without its name", one(&url), name),
        ("a repository brought by a folder", one(&bringing.display()), name),
        ("a wheel", one(&archive.display()), name),
        ("a wheel by its address", one(&format!("secret @ {served}")), name),
        ("two of them", vec![served, top.display().to_string()], "brought private, secret private"),
    ]
}

#[test]
fn what_is_private_is_made_again_from_where_it_came() {
    let setting = Setting::new();
    for tool in TOOLS {
        for (number, (way, requirements, whose)) in ways(&setting, tool).into_iter().enumerate() {
            // One tool for each way, unless everything is requested.
            let is_cut = std::env::var_os("CURATOR_TEST_ALL").is_none();
            if is_cut && TOOLS[number % 2] != tool {
                continue;
            }
            let requirements: Vec<&str> = requirements.iter().map(String::as_str).collect();
            let record = setting.record(tool, &requirements);
            let again = setting.replay(&record, &format!("{tool}{number}"), tool, &requirements);
            let again = again.unwrap_or_else(|error| panic!("{tool}, {way}: {}", error.report()));
            assert_eq!(again, whose, "{tool}, {way}");
            let record = serde_json::to_value(&record).unwrap();
            let pinned = record["stages"][0]["environment"]["requirements"].to_string();
            for name in ["secret", "brought"] {
                assert!(!pinned.contains(&format!("\"{name}==")), "{tool}, {way}: {pinned}");
            }
        }
    }
}

#[test]
fn what_is_private_and_changed_or_gone_is_refused_by_its_name() {
    let setting = Setting::new();
    for tool in TOOLS {
        let brought = setting.project("brought", &[]);
        let top = setting.project("top", &[&format!("brought @ file://{}", brought.display())]);
        let secret = setting.project("secret", &[]);
        let archive = setting.archive("secret", &[]);
        let repository = setting.repository(&format!("{tool}/secret"));
        let url = repository_url(&repository, tool);
        let bringing = setting.project("bringing", &[&format!("secret @ {url}")]);
        let edit = |path: PathBuf| fs::write(path, "WHOSE = 'edited'\n").unwrap();
        let refused = |requirement: &str, change: &dyn Fn(), words: &[&str]| {
            let record = setting.record(tool, &[requirement]);
            change();
            let error = setting.replay(&record, "empty", tool, &[requirement]).unwrap_err();
            let text = error.report();
            for word in words {
                assert!(text.contains(word), "{tool}, {requirement}: {text}");
            }
            error
        };
        let changed = |requirement: &str, path: &Path, change: &dyn Fn()| {
            let path = path.to_str().unwrap();
            let error = refused(requirement, change, &[path, "not what it was", "record again"]);
            assert!(matches!(error, Error::SourceChanged { .. }), "{}", error.report());
        };
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        changed(&text(&secret), &secret, &|| edit(secret.join("secret.py")));
        let in_place = format!("-e {}", secret.display());
        changed(&in_place, &secret, &|| fs::write(secret.join("more.py"), "").unwrap());
        changed(&text(&top), &brought, &|| edit(brought.join("brought.py")));
        changed(&text(&archive), &archive, &|| {
            drop(setting.archive("secret", &["helper"]));
        });
        // The record has the commit, and the project asks for the branch.
        refused(&text(&bringing), &|| drop(another_commit(&repository)), &["-secret==1.0 ("]);
        // The project is gone.
        let top = setting.project("top", &[&format!("brought @ file://{}", brought.display())]);
        refused(&text(&top), &|| fs::remove_dir_all(&brought).unwrap(), &[&text(&brought)]);
        refused(&text(&secret), &|| fs::remove_dir_all(&secret).unwrap(), &[&text(&secret)]);
    }
}

fn another_commit(dir: &Path) -> String {
    git(dir, &["commit", "-q", "--allow-empty", "-m", "two"]);
    git(dir, &["rev-parse", "HEAD"])
}

/// A branch that moved on is not what ran: the record's commit is.
#[test]
fn a_repository_is_made_again_at_its_commit() {
    let setting = Setting::new();
    for tool in TOOLS {
        let repository = setting.repository(&format!("{tool}/secret"));
        for (number, start) in ["secret @ ", ""].into_iter().enumerate() {
            let requirement = format!("{start}{}@trunk", repository_url(&repository, tool));
            git(&repository, &["checkout", "-q", "-B", "trunk"]);
            let record = setting.record(tool, &[&requirement]);
            fs::write(repository.join("secret.py"), "WHOSE = 'edited'\n").unwrap();
            commit(&repository);
            let again = setting.replay(&record, &format!("{tool}{number}"), tool, &[&requirement]);
            let again = again.unwrap_or_else(|error| panic!("{tool}: {}", error.report()));
            assert_eq!(again, "secret private", "{tool} {requirement}");
            fs::write(repository.join("secret.py"), "WHOSE = 'private'\n").unwrap();
            commit(&repository);
        }
    }
}

/// The other direction: a package from an index is not replaced by a folder of that name.
#[test]
fn what_is_public_is_not_made_again_from_private_code() {
    let setting = Setting::new();
    for tool in TOOLS {
        let secret = setting.project("secret", &[]);
        let plan = setting.plan(tool, &["secret"]).unwrap();
        let (report, whose) = execute(&plan, &setting.world.cache()).unwrap();
        assert_eq!(whose, "secret public", "{tool}");
        let provisioner = Provisioner::builder()
            .base_of(&plan)
            .cache_dir(&*setting.world.cache())
            .open()
            .unwrap();
        let record = RunRecord::new(&plan, &provisioner, &report).unwrap();
        let cache = tool.to_string();
        assert_eq!(setting.replay(&record, &cache, tool, &["secret"]).unwrap(), "secret public");
        let own = secret.to_str().unwrap();
        let error = setting.replay(&record, "empty", tool, &[own]).unwrap_err();
        assert!(matches!(error, Error::OtherSpec { .. }), "{}", error.report());
        // Now the index has other bytes under the same name and version.
        let wheel = setting.world.wheel("secret", "1.0");
        let public = fs::read(&wheel).unwrap();
        fs::rename(setting.archive("secret", &[]), &wheel).unwrap();
        // The package manager may still have the old bytes.
        match setting.replay(&record, "empty", tool, &["secret"]) {
            Ok(whose) => assert_eq!(whose, "secret public", "{tool}"),
            Err(error) => {
                assert!(error.report().to_lowercase().contains("hash"), "{}", error.report());
            }
        }
        fs::write(&wheel, public).unwrap();
    }
}

/// A folder that was moved and holds the same files is the same folder.
#[test]
fn a_moved_folder_is_made_again_from_its_new_place() {
    let setting = Setting::new();
    for tool in TOOLS {
        let secret = setting.project("secret", &[]);
        let record = setting.record(tool, &[secret.to_str().unwrap()]);
        let moved = setting.world.root.join("moved");
        fs::rename(&secret, &moved).unwrap();
        let again = setting.replay(&record, tool.as_str(), tool, &[moved.to_str().unwrap()]);
        assert_eq!(again.unwrap(), "secret private", "{tool}");
        fs::remove_dir_all(&moved).unwrap();
    }
}

#[test]
fn a_package_without_a_name_in_the_spec_is_explained_with_its_place() {
    let setting = Setting::new();
    let brought = setting.project("brought", &[]);
    let top = setting.project("top", &[&format!("brought @ file://{}", brought.display())]);
    let repository = setting.repository("repository/secret");
    for tool in TOOLS {
        let url = repository_url(&repository, tool);
        let env = setting.load(tool, &[top.to_str().unwrap(), &url]);
        let details = setting.world.prepare(&env).unwrap().details().unwrap();
        let asked = |name: &str| {
            let why = details.why(name).unwrap();
            (why.requested_by, why.path.len(), why.source.unwrap())
        };
        let (by, steps, source) = asked("top");
        assert_eq!((by, steps), (vec![top.display().to_string()], 1), "{tool}");
        assert!(source.ends_with(top.to_str().unwrap()), "{source}");
        let (by, steps, source) = asked("brought");
        assert_eq!((by.len(), steps), (0, 2), "{tool}");
        assert!(source.ends_with(brought.to_str().unwrap()), "{source}");
        let (by, steps, _) = asked("secret");
        assert_eq!((by.len(), steps), (1, 1), "{tool}");
    }
}

/// A package that the base has from a folder would be a stranger's package by its name.
#[test]
fn what_the_base_has_from_a_folder_is_not_locked_by_its_name() {
    let setting = Setting::new();
    setting.world.add_wheels(&[("user", "1.0", &["secret"])]);
    setting.world.install_into_base(&[("secret", "1.0", &[])]);
    let info = setting.world.base_site().join("secret-1.0.dist-info");
    fs::write(info.join("direct_url.json"), r#"{"url":"file:///src/secret","dir_info":{}}"#)
        .unwrap();
    for tool in TOOLS {
        let error = setting.world.provisioner().lock(&setting.load(tool, &["user"])).unwrap_err();
        assert!(matches!(error, Error::Unlockable { .. }), "{tool}: {}", error.report());
        assert!(error.report().contains("file:///src/secret"), "{tool}: {}", error.report());
    }
}

#[test]
fn a_refresh_sees_what_a_folder_brings() {
    let setting = Setting::new();
    for tool in TOOLS {
        let brought = setting.project("brought", &[]);
        let repository = setting.repository(&format!("{tool}/secret"));
        let requires = [
            format!("brought @ file://{}", brought.display()),
            format!("secret @ {}", repository_url(&repository, tool)),
        ];
        let top = setting.project("top", &[&requires[0], &requires[1]]);
        let env = setting.load(tool, &[top.to_str().unwrap()]);
        let state = || {
            let environment = setting.world.provisioner().refresh(&env, Isolation::Shared);
            environment.unwrap_or_else(|error| panic!("{tool}: {}", error.report())).state()
        };
        assert_eq!((state(), state()), (EnvState::Built, EnvState::Hit), "{tool}");
        fs::write(brought.join("brought.py"), "WHOSE = 'edited'\n").unwrap();
        assert_eq!((state(), state()), (EnvState::Built, EnvState::Hit), "{tool}");
        another_commit(&repository);
        assert_eq!((state(), state()), (EnvState::Built, EnvState::Hit), "{tool}");
    }
}
