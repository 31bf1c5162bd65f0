//! Law: the cost of reading a spec grows linearly with it. Nothing here measures time: if each line
//! searched all lines before it, one of these tests would take hours.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use envspec::{MemorySource, Requirement, RuntimeEnv, Source, Tool};

use crate::{install_with, load, load_with};

const MANY: usize = 30_000;

fn lines(line: impl Fn(usize) -> String) -> Vec<String> {
    (0..MANY).map(line).collect()
}

#[test]
fn of_distinct_addresses_names_and_options() {
    let mut all = vec!["six".to_owned()];
    all.extend(lines(|index| format!("--extra-index-url https://u:p{index}@h/{index}")));
    all.extend(lines(|index| format!("--find-links https://h/{index}")));
    all.extend(lines(|index| format!("--no-binary a{index}")));
    all.extend(lines(|index| format!("--only-binary b{index}")));
    all.extend(lines(|index| format!("--trusted-host h{index}")));
    let install = install_with(&RuntimeEnv::pip(all), &MemorySource::new());
    assert_eq!(install.index.extra_index_urls.len(), MANY);
    assert_eq!(install.index.find_links.len(), MANY);
    assert_eq!((install.index.no_binary.len(), install.index.only_binary.len()), (MANY, MANY));
    assert_eq!(install.tool_options.len(), 2 * MANY);
    assert_eq!(install.digest(), install.clone().digest());
}

#[test]
fn of_distinct_requirements_and_lines() {
    let text =
        lines(|index| format!("a{index}==1 \\\n  ; os_name == '{index}' # {index}")).join("\n");
    let source = MemorySource::new().with_file("/project/r.txt", text.clone() + "\n-c c.txt");
    let source = source.with_file("/project/c.txt", text);
    let install = install_with(&RuntimeEnv::requirements_file(Tool::Pip, "r.txt"), &source);
    assert_eq!((install.requirements.len(), install.constraints.len()), (MANY, MANY));
}

#[test]
fn of_one_long_line() {
    for (start, part, end) in [
        ("a ; ", "os_name == 'x' or ", "os_name == 'y'"),
        ("a ; ", "(os_name == 'x' and extra == 'y') or ", "os_name == 'y'"),
        ("a", ">=1,", "<2"),
        ("a[", "x,", "x]"),
        ("a @ https://h/", "a;b:c@d/", ""),
        ("a @ https://h/", "${A}@", ""),
        ("-i https://h/", "${A}@", ""),
        ("./", "a/../", "b"),
        ("a ", "--hash=x ", ""),
        ("a ", "\\\n", "==1"),
        ("", "-", "a"),
        ("--", "pre=", "x"),
        ("-r '", "\\' ", "'"),
        ("a #", " #", ""),
        ("a ; ", "(", "os_name == 'x'"),
        ("git+https://h/a.git#", "egg=a&", ""),
    ] {
        // A few of the parts are no requirement: the error costs no more.
        let line = format!("{start}{}{end}", part.repeat(MANY));
        for spec in [RuntimeEnv::pip([&line]), RuntimeEnv::uv([&line])] {
            drop(load(&spec));
            drop(format!("{spec:?}"));
        }
        drop(line.parse::<Requirement>());
    }
}

/// Counts the reads of a source.
struct Counted {
    files: MemorySource,
    reads: Cell<usize>,
}

impl Source for Counted {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.reads.set(self.reads.get() + 1);
        self.files.read(path)
    }

    fn list(&self, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.files.list(dir)
    }
}

#[test]
fn of_files_that_are_named_again_and_again() {
    // Each file includes all later ones: two to the power of forty paths.
    let mut files = MemorySource::new().with_file("/project/lib/setup.py", "");
    for index in 0..40 {
        let includes: Vec<_> = (index + 1..40).map(|next| format!("-r {next}.txt")).collect();
        let text = format!("a{index}\n./lib[x{index}]\n-e ./lib\n{}", includes.join("\n"));
        files = files.with_file(format!("/project/{index}.txt"), text);
    }
    let source = Counted { files, reads: Cell::new(0) };
    let spec = RuntimeEnv::uv(["-r 0.txt"]);
    let install = spec.load(&source, Path::new("/project")).unwrap().install.unwrap();
    assert_eq!(install.requirements.len(), 40 + 40 + 1);
    // The project's few files are looked at for the editable, and for the others, however many.
    assert_eq!(source.reads.get(), 40 + 30);
}

#[test]
fn of_a_default_under_many_stages() {
    let mut default = RuntimeEnv::pip(["a"]);
    for index in 0..MANY {
        default = default.with_env_var(format!("A{index}"), "x");
    }
    let merged = RuntimeEnv::uv(["b"]).with_env_var("A1", "y").over(&default);
    assert_eq!(load_with(&merged, &MemorySource::new()).unwrap().env_vars.len(), MANY);
}
