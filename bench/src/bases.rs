//! The bases of the measurements.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use curator::RuntimeEnv;
use curator::backends::Environment;
use curator::envspec::LoadedEnv;
use curator::stage::BaseSpec;
use curator::venv_cache::{BoxError, Interpreter, create_bare};
use walkdir::WalkDir;

use crate::disk::Contents;
use crate::progress::progress;
use crate::world::World;

/// The packages that Ray and Xenna need: about 640 MB.
const LARGE: [&str; 7] = [
    "ray[data,default]==2.60.0",
    "cosmos-xenna==0.2.0",
    "pandas",
    "pyarrow",
    "tqdm",
    "loguru",
    "virtualenv",
];

/// NeMo Curator and its requirements, except torch, whose wheels are several gigabytes and which
/// the example does not import; Ray's own environments need `pip` and `virtualenv`.
const NEMO: [&str; 5] =
    ["nemo_curator==1.4.0", "ray[data,default]==2.60.0", "packaging==26.0", "virtualenv", "pip"];

/// `torch`, and what versions of `transformers` need, except that and its `tokenizers`: over 5 GB.
const TORCH: [&str; 10] = [
    "torch",
    // The versions are from before the second one.
    "numpy<2",
    "filelock",
    "huggingface-hub<1",
    "packaging",
    "pyyaml",
    "regex",
    "requests",
    "safetensors",
    "tqdm",
];

/// The packages of the synthetic base that stands for a large one: 50 000 files.
const SYNTHETIC_PACKAGES: usize = 500;
const SYNTHETIC_FOLDERS: usize = 5;
const SYNTHETIC_MODULES: usize = 20;

/// A base, and its size on disk.
#[derive(Debug)]
pub(crate) struct MeasuredBase {
    pub(crate) name: String,
    pub(crate) python: PathBuf,
    pub(crate) contents: Contents,
    /// Keeps a managed base alive.
    _environment: Option<Environment>,
}

impl MeasuredBase {
    /// A base with one package.
    pub(crate) fn small(world: &World) -> Result<Self, BoxError> {
        Self::managed("small", &["packaging==26.0"], world)
    }

    /// A base as large as the one behind the peer's figures.
    pub(crate) fn large(world: &World) -> Result<Self, BoxError> {
        Self::managed("Ray's", &LARGE, world)
    }

    /// A base that also has what Ray's own environments need.
    pub(crate) fn engines(world: &World) -> Result<Self, BoxError> {
        let requirements: Vec<&str> = LARGE.into_iter().chain(["pip", "packaging==26.0"]).collect();
        Self::managed("Ray's", &requirements, world)
    }

    /// A base whose stages read tables.
    pub(crate) fn tables(world: &World) -> Result<Self, BoxError> {
        Self::managed("tables'", &["pyarrow"], world)
    }

    /// A base whose stages import what takes long.
    pub(crate) fn frames(world: &World) -> Result<Self, BoxError> {
        Self::managed("frames'", &["pandas", "pyarrow"], world)
    }

    /// The same packages in a virtualenv without bytecode, as uv installs them.
    pub(crate) fn frames_without_bytecode(world: &World) -> Result<Self, BoxError> {
        let compiled = Interpreter::describe(&Self::frames(world)?.python, None)?;
        let dir = world.root().join("frames-without-bytecode");
        drop(files::delete(&dir));
        let created = create_bare(&world.python()?, &dir)?;
        let plain = Interpreter::describe(&created.python, None)?;
        copy_sources(compiled.purelib(), plain.purelib())?;
        Self::new("frames' without bytecode", created.python, None, world)
    }

    /// A base whose stages compute with a model.
    pub(crate) fn torch(world: &World) -> Result<Self, BoxError> {
        Self::managed("torch's", &TORCH, world)
    }

    /// The peers' own.
    pub(crate) fn nemo(world: &World) -> Result<Self, BoxError> {
        let env = RuntimeEnv::uv(NEMO).with_overrides(["torch; python_version < '3'"]);
        Self::managed_by("peers'", &NEMO.join(" "), env, world)
    }

    fn managed(name: &str, requirements: &[&str], world: &World) -> Result<Self, BoxError> {
        let env = RuntimeEnv::uv(requirements.iter().copied());
        Self::managed_by(name, &requirements.join(" "), env, world)
    }

    fn managed_by(
        name: &str,
        packages: &str,
        env: RuntimeEnv,
        world: &World,
    ) -> Result<Self, BoxError> {
        progress(&format!("making the {name} base: {packages}"));
        let base = BaseSpec::from(env);
        let provisioner = World::provisioner(&base, &world.cache_dir())?;
        let environment = provisioner.base_environment(&LoadedEnv::default())?;
        Self::new(name, environment.python().to_owned(), Some(environment), world)
    }

    /// A base of 50 000 small modules in 500 distributions.
    pub(crate) fn synthetic(world: &World) -> Result<Self, BoxError> {
        Self::synthetic_of(SYNTHETIC_PACKAGES, world)
    }

    /// A base of `packages` distributions with 100 small modules each.
    pub(crate) fn synthetic_of(packages: usize, world: &World) -> Result<Self, BoxError> {
        let dir = world.root().join(format!("synthetic-{packages}"));
        let whole = dir.join("whole");
        if !whole.is_file() {
            progress(&format!("making the synthetic base of {packages} packages"));
            drop(files::delete(&dir));
            let created = create_bare(&world.python()?, &dir)?;
            let interpreter = Interpreter::describe(&created.python, None)?;
            let site = interpreter.purelib();
            (0..packages).try_for_each(|number| write_distribution(site, number))?;
            fs::write(&whole, "")?;
        }
        Self::new("synthetic", dir.join("bin/python"), None, world)
    }

    fn new(
        name: &str,
        python: PathBuf,
        environment: Option<Environment>,
        world: &World,
    ) -> Result<Self, BoxError> {
        let dir = python.ancestors().nth(2).ok_or("an interpreter lies in a virtualenv")?;
        world.sync()?;
        let contents = Contents::of(dir)?;
        let megabytes = contents.bytes / 1_000_000;
        let name = format!("{name} base, {megabytes} MB, {} files", contents.files);
        Ok(Self { name, python, contents, _environment: environment })
    }

    /// Returns the base in the form that a provisioner takes.
    pub(crate) fn base(&self) -> BaseSpec {
        BaseSpec::from(self.python.clone())
    }

    /// Returns the path of the base's interpreter, for command lines.
    pub(crate) fn python_text(&self) -> Result<&str, BoxError> {
        Ok(self.python.to_str().ok_or("the folder's path is no text")?)
    }
}

/// Copies a folder of packages, without their bytecode.
fn copy_sources(from: &Path, to: &Path) -> Result<(), BoxError> {
    let found = WalkDir::new(from).min_depth(1).into_iter();
    for entry in found.filter_entry(|entry| entry.file_name() != "__pycache__") {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// One installed distribution, as a package manager leaves it.
fn write_distribution(site: &Path, number: usize) -> Result<(), BoxError> {
    let name = format!("synthetic_{number:03}");
    let mut record = String::new();
    for folder in 0..SYNTHETIC_FOLDERS {
        let folder = if folder == 0 { name.clone() } else { format!("{name}/part_{folder}") };
        fs::create_dir_all(site.join(&folder))?;
        for module in 0..SYNTHETIC_MODULES {
            let module =
                if module == 0 { "__init__".to_owned() } else { format!("module_{module:02}") };
            let path = format!("{folder}/{module}.py");
            fs::write(site.join(&path), format!("NAME = {path:?}\n").repeat(20))?;
            writeln!(record, "{path},,")?;
        }
    }
    let info = format!("{name}-1.0.dist-info");
    fs::create_dir_all(site.join(&info))?;
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    fs::write(site.join(&info).join("METADATA"), metadata)?;
    fs::write(site.join(&info).join("INSTALLER"), "bench\n")?;
    write!(record, "{info}/METADATA,,\n{info}/INSTALLER,,\n{info}/RECORD,,\n")?;
    fs::write(site.join(&info).join("RECORD"), record)?;
    Ok(())
}
