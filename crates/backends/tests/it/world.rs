//! A base, wheels and a cache of one test: only the package managers themselves are downloaded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use backends::provision::ProvisionerBuilder;
use backends::{DiskSource, EnvState, Environment, Error, Event, Provisioner};
use envspec::{LoadedEnv, RuntimeEnv, Tool};
use serde_json::{Value, json};
use stage::Isolation;

const WHEELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/wheels.py");

pub(crate) struct World {
    _dir: Option<tempfile::TempDir>,
    pub(crate) root: PathBuf,
}

/// A wheel: its name, its version, and what it requires.
pub(crate) type Wheel<'a> = (&'a str, &'a str, &'a [&'a str]);

impl World {
    /// A base with these wheels in it, and an index with these and others.
    pub(crate) fn new(base: &[Wheel<'_>], others: &[Wheel<'_>]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("its path");
        Self::at(dir, root, base, others)
    }

    /// The world in a folder of this name.
    pub(crate) fn named(name: &str, base: &[Wheel<'_>], others: &[Wheel<'_>]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("its path").join(name);
        std::fs::create_dir_all(&root).expect("a folder of that name");
        Self::at(dir, root, base, others)
    }

    /// Returns the world that another process made and keeps.
    pub(crate) fn again(root: &Path) -> Self {
        Self { _dir: None, root: root.to_owned() }
    }

    fn at(dir: tempfile::TempDir, root: PathBuf, base: &[Wheel<'_>], others: &[Wheel<'_>]) -> Self {
        let world = Self { _dir: Some(dir), root };
        std::fs::create_dir(world.wheels()).expect("a folder of wheels");
        world.add_wheels(base);
        let prefix = world.root.join("base");
        let words = ["-m".as_ref(), "venv".as_ref(), "--without-pip".as_ref(), prefix.as_os_str()];
        duct::cmd(host(), words).run().expect("a virtualenv");
        world.install_into_base(base);
        world.add_wheels(others);
        // Package managers are fetched once for all tests.
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
        std::fs::create_dir_all(&tools).expect("a folder of tools");
        std::fs::create_dir(world.cache()).expect("a cache");
        std::os::unix::fs::symlink(tools, world.cache().join("tools")).expect("a link to it");
        world
    }

    /// Returns the folder of the base's packages.
    pub(crate) fn base_site(&self) -> PathBuf {
        let lib = std::fs::read_dir(self.root.join("base/lib")).expect("its lib");
        lib.flatten().next().expect("its Python").path().join("site-packages")
    }

    /// Unpacks wheels of the index into the base.
    pub(crate) fn install_into_base(&self, wheels: &[Wheel<'_>]) {
        let mut words = vec![WHEELS.into(), "--install".into(), self.base_site()];
        words.extend(wheels.iter().map(|(name, version, _)| self.wheel(name, version)));
        duct::cmd(host(), words).run().expect("the base's packages");
    }

    pub(crate) fn add_wheels(&self, wheels: &[Wheel<'_>]) {
        let list: Vec<Value> = wheels
            .iter()
            .map(|(name, version, requires)| {
                json!({ "name": name, "version": version, "requires": requires })
            })
            .collect();
        self.write_wheels(&Value::from(list));
    }

    /// Writes wheels from the input of `wheels.py`.
    pub(crate) fn write_wheels(&self, list: &Value) {
        let words = [WHEELS.into(), self.wheels()];
        duct::cmd(host(), words).stdin_bytes(list.to_string()).run().expect("wheels");
    }

    pub(crate) fn wheels(&self) -> PathBuf {
        self.root.join("wheels")
    }

    pub(crate) fn wheel(&self, name: &str, version: &str) -> PathBuf {
        self.wheels().join(format!("{name}-{version}-py3-none-any.whl"))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub(crate) fn base_python(&self) -> PathBuf {
        self.root.join("base/bin/python")
    }

    pub(crate) fn builder(&self) -> ProvisionerBuilder {
        Provisioner::builder().base(self.base_python()).cache_dir(&*self.cache())
    }

    pub(crate) fn provisioner(&self) -> Provisioner {
        self.builder().open().expect("a provisioner")
    }

    /// Returns a provisioner, and the events that it sends.
    pub(crate) fn watched(&self) -> (Provisioner, Arc<Mutex<Vec<Event>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let observer = move |event: &Event| sink.lock().expect("no panic").push(event.clone());
        (self.builder().observer(Arc::new(observer)).open().expect("a provisioner"), events)
    }

    /// Returns a spec that uses only the wheels.
    pub(crate) fn spec(&self, tool: Tool, requirements: &[&str]) -> LoadedEnv {
        self.spec_with(tool, requirements, &json!({}))
    }

    /// Returns such a spec with more fields.
    pub(crate) fn spec_with(&self, tool: Tool, requirements: &[&str], more: &Value) -> LoadedEnv {
        let option = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let mut spec = more.clone();
        spec[tool.as_str()] = json!({
            "packages": requirements,
            option: ["--no-index", "--find-links", self.wheels()],
        });
        self.load(&spec)
    }

    pub(crate) fn load(&self, spec: &Value) -> LoadedEnv {
        let env = RuntimeEnv::from_json(&spec.to_string()).expect("a spec");
        env.load(&DiskSource, &self.root).expect("a spec that can be read")
    }

    pub(crate) fn prepare(&self, env: &LoadedEnv) -> Result<Environment, Error> {
        self.provisioner().prepare(env, Isolation::Shared)
    }

    pub(crate) fn state(&self, env: &LoadedEnv) -> EnvState {
        match self.prepare(env) {
            Ok(environment) => environment.state(),
            Err(error) => panic!("{}", error.report()),
        }
    }
}

/// Returns the machine's Python.
pub(crate) fn host() -> PathBuf {
    which::which("python3").expect("python3 on PATH")
}

/// Returns what an interpreter prints for a program.
pub(crate) fn run(python: &Path, program: &str) -> String {
    duct::cmd(python, ["-I", "-c", program]).read().expect("it runs")
}
