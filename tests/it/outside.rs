//! The front page's program and the examples, built as a crate outside the workspace, and run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use crate::support::{base, folder, fresh_cache};

/// The programs of that crate.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(build);

const EXAMPLES: [(&str, &str); 3] = [
    ("environments", include_str!("../../crates/curator/examples/environments.rs")),
    ("own_build", include_str!("../../crates/curator/examples/own_build.rs")),
    ("own_executor", include_str!("../../crates/curator/examples/own_executor.rs")),
];

/// Builds the programs in the target folder of these tests, which has their dependencies. Returns
/// the folder of the programs.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let dir = target.join("tmp/outside");
    let sources = dir.join("src/bin");
    fs::create_dir_all(&sources).expect("a folder");
    let manifest = format!(
        "[package]\nname = \"outside\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         curator = {{ path = \"{}\" }}\nduct = \"1\"\nserde_json = \"1\"\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.sha2]\nopt-level = 3\n",
        root.join("crates/curator").display()
    );
    let write = |path: PathBuf, text: &str| {
        // An unchanged file is not written again, so that cargo does not rebuild it.
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(path, text).expect("a file of ours");
        }
    };
    write(dir.join("Cargo.toml"), &manifest);
    write(dir.join("Cargo.lock"), include_str!("../../Cargo.lock"));
    let readme = include_str!("../../README.md").split("```rust,no_run\n").nth(1);
    let front_page = readme.and_then(|text| text.split("```").next()).expect("a program");
    write(
        sources.join("front_page.rs"),
        &front_page.replace("unidecode==1.3.8", "unidecoed==1.3.8"),
    );
    for (name, text) in EXAMPLES {
        write(sources.join(format!("{name}.rs")), text);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--quiet", "--offline", "--target-dir"].map(OsString::from);
    let mut command = duct::cmd(cargo, arguments.into_iter().chain([target.into()])).dir(&dir);
    // Cargo's variables for these tests must not reach that crate.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG") || name == "CARGO_MANIFEST_DIR" {
            command = command.env_remove(name);
        }
    }
    let built = command.stderr_capture().unchecked().run().expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("debug")
}

fn run(name: &str, cache: &Path, arguments: &[&str], vars: &[(&str, &Path)]) -> Output {
    let dir = folder();
    let mut command = duct::cmd(PROGRAMS.join(name), arguments)
        .env("CURATOR_CACHE_DIR", cache)
        .env("VIRTUAL_ENV", base().ancestors().nth(2).expect("PREFIX/bin/python"))
        .dir(dir.path());
    for (name, value) in vars {
        command = command.env(name, value);
    }
    command.stdout_capture().stderr_capture().unchecked().run().expect("it starts")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Other settings make another environment, so a program never gets a stale one.
#[test]
fn an_environment_in_three_lines_is_never_stale() {
    let cache = fresh_cache();
    let constraints = cache.path().with_extension("constraints.txt");
    fs::write(&constraints, "tomli-w<1.1\n").expect("a file");
    let constrained = [("UV_CONSTRAINT", constraints.as_path())];
    let under = text(&run("environments", cache.path(), &["tomli-w"], &constrained));
    assert!(under.starts_with("Built") && under.contains("tomli_w==1.0.0"), "{under}");
    let free = text(&run("environments", cache.path(), &["tomli-w"], &[]));
    assert!(free.starts_with("Built") && !free.contains("tomli_w==1.0.0"), "{free}");
    let again = text(&run("environments", cache.path(), &["tomli-w"], &constrained));
    assert!(again.starts_with("Hit") && again.contains("tomli_w==1.0.0"), "{again}");
    fs::remove_file(constraints).expect("it is ours");
}

#[test]
fn a_build_and_an_executor_of_a_strangers_own_work() {
    let cache = fresh_cache();
    let module = cache.path().with_extension("module.py");
    fs::write(&module, "").expect("a file");
    let module_name = module.to_str().expect("a name of ours");
    for state in ["Built ", "Hit "] {
        let seen = text(&run("own_build", cache.path(), &[module_name], &[]));
        assert!(seen.starts_with(state) && seen.contains("own_module.py"), "{seen}");
    }
    fs::remove_file(module).expect("it is ours");
    text(&run("own_executor", cache.path(), &[], &[]));
}

/// With a misspelt package, the front page's program ends with a readable report and no struct.
#[test]
fn the_front_pages_program_tells_what_is_wrong() {
    let cache = fresh_cache();
    let output = run("front_page", cache.path(), &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("Error: no environment for stage `AsciiName`\n"), "{told}");
    assert!(told.contains("unidecoed") && told.contains("\n\nhint: check the spelling"), "{told}");
    assert!(!told.contains("Environment {") && !told.contains("NotFound"), "{told}");
}
