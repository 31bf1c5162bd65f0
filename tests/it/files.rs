//! The files of a crate: none is too long, and none form a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A longer file gives its reason at its head, in a line that begins with this.
const MOST_LINES: usize = 500;
const REASON: &str = "//! Long because ";

fn crates() -> PathBuf {
    workspace().join("crates")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Returns the folders of source of every member of the workspace, those of programs by themselves.
fn source_folders() -> Vec<PathBuf> {
    let members = fs::read_dir(crates()).expect("the crates").map(|it| it.expect("a crate").path());
    let members = members.chain(["bench", "tests"].map(|member| workspace().join(member)));
    let mut folders: Vec<PathBuf> = members.map(|member| member.join("src")).collect();
    folders.push(crates().join("curator/src/bin/curator"));
    assert!(folders.iter().all(|folder| folder.is_dir()), "{folders:?}");
    folders
}

/// Collects the Rust files below a folder.
fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn a_long_file_says_why_it_is_long() {
    let mut count = 0;
    for folder in source_folders() {
        let mut files = Vec::new();
        sources(&folder, &mut files);
        count += files.len();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let mut head = text.lines().take_while(|line| line.starts_with("//!"));
            let lines = text.lines().count();
            let is_fine = lines <= MOST_LINES || head.any(|line| line.starts_with(REASON));
            assert!(is_fine, "{} has {lines} lines", file.display());
        }
    }
    assert!(count > 200, "{count} files");
}

/// The page that says where things are names files that there are.
#[test]
fn the_files_that_the_architecture_names_are_there() {
    let page = include_str!("../../ARCHITECTURE.md");
    let named = page.split('`').skip(1).step_by(2).filter(|text| text.starts_with("crates/"));
    let named: BTreeSet<&str> = named.filter(|text| !text.contains(['<', '*'])).collect();
    let missing: Vec<_> = named.iter().filter(|path| !workspace().join(path).exists()).collect();
    assert!(named.len() > 20 && missing.is_empty(), "{missing:?} of {}", named.len());
}

/// A module by the names on the way to it; the crate itself has none.
type Module = Vec<String>;

/// The paths that a module uses, and whether it hands them on.
type Uses = Vec<(bool, String)>;

/// The modules that each module needs.
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

/// The modules of a crate, with what each uses outside its tests.
struct Modules(BTreeMap<Module, Uses>);

impl Modules {
    fn of(src: &Path) -> Self {
        let mut files = Vec::new();
        sources(src, &mut files);
        // A program beside a library is a crate of its own.
        files.retain(|file| !file.starts_with(src.join("bin")));
        let modules = files.into_iter().map(|file| {
            let path = file.strip_prefix(src).expect("a file in it").with_extension("");
            let mut names: Module =
                path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            let is_root = path.iter().count() == 1;
            names.pop_if(|name| name == "mod" || is_root && (name == "lib" || name == "main"));
            let text = fs::read_to_string(&file).expect("text");
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            (names, uses(text))
        });
        Self(modules.collect())
    }

    /// The module that a path leads to from another one, and the name in it; none if it leads out of
    /// the crate.
    fn resolve(&self, from: &Module, path: &str) -> Option<(Module, Option<String>)> {
        let mut names = path.split("::").map(str::trim).peekable();
        let mut module = from.clone();
        match *names.peek()? {
            "crate" => {
                module.clear();
                names.next();
            }
            "self" => drop(names.next()),
            "super" => {
                while names.next_if_eq(&"super").is_some() {
                    module.pop();
                }
            }
            first => {
                let child = [&module[..], &[first.to_owned()]].concat();
                self.0.get(&child)?;
            }
        }
        while let Some(name) = names.peek() {
            let child = [&module[..], &[(*name).to_owned()]].concat();
            if !self.0.contains_key(&child) {
                break;
            }
            module = child;
            names.next();
        }
        Some((module, names.next().map(str::to_owned)))
    }

    /// Returns the module that defines a name, behind all re-exports.
    fn home(&self, module: Module, name: Option<&str>, depth: usize) -> Module {
        let Some(name) = name.filter(|_| depth < 8) else { return module };
        let handed_on = self.0[&module].iter().find(|(is_public, path)| {
            *is_public && path.rsplit("::").next().is_some_and(|last| last == name)
        });
        match handed_on.and_then(|(_, path)| self.resolve(&module, path)) {
            Some((next, name)) => self.home(next, name.as_deref(), depth + 1),
            None => module,
        }
    }

    /// Returns the modules that each one needs. A front page's re-export of a module below it is no
    /// arrow.
    fn arrows(&self) -> Arrows {
        let arrows = self.0.iter().map(|(module, uses)| {
            let mut needs = BTreeSet::new();
            for (is_public, path) in uses {
                let Some((target, name)) = self.resolve(module, path) else { continue };
                let home = self.home(target, name.as_deref(), 0);
                if home != *module && !(*is_public && home.starts_with(module)) {
                    needs.insert(home);
                }
            }
            (module.clone(), needs)
        });
        arrows.collect()
    }
}

/// What a text uses.
fn uses(text: &str) -> Uses {
    let mut uses = Vec::new();
    let statements = text.split(';').filter_map(|statement| {
        let line = statement.rfind("\nuse ").map(|at| (false, at + 5));
        let public = |word: &str| {
            statement.rfind(&format!("\n{word} use ")).map(|at| (true, at + word.len() + 6))
        };
        let found = public("pub").or(public("pub(crate)")).or(public("pub(super)")).or(line);
        found.map(|(is_public, at)| (is_public, &statement[at..]))
    });
    for (is_public, tree) in statements {
        let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paths = Vec::new();
        expand(String::new(), &tree, &mut paths);
        uses.extend(paths.into_iter().map(|path| (is_public, path)));
    }
    uses.extend(named(text).map(|path| (false, path)));
    uses
}

/// Returns the paths that stand in full in a text, outside of `use`.
fn named(text: &str) -> impl Iterator<Item = String> {
    let code = text.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("use ") && !line.contains(" use ")
    });
    code.flat_map(|line| {
        let is_letter = |it: char| it.is_alphanumeric() || it == '_';
        line.match_indices("::").filter_map(move |(at, _)| {
            let start = line[..at].rfind(|it| !is_letter(it)).map_or(0, |at| at + 1);
            let before = &line[..start];
            let path = line[start..].split(|it: char| !is_letter(it) && it != ':').next()?;
            let is_part = before.ends_with([':', '$']) || before.ends_with("in ");
            (!is_part && start < at).then(|| path.trim_end_matches(':').to_owned())
        })
    })
}

/// The paths of a tree of `use`.
fn expand(before: String, tree: &str, into: &mut Vec<String>) {
    let Some((start, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            into.push(before + name);
        }
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let before = before + start.trim();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, character) in inner.char_indices().chain([(inner.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(before.clone(), &inner[from..at], into);
                from = (at + 1).min(inner.len());
            }
            _ => {}
        }
    }
}

/// The modules that need each other, on whatever way, with what each needs of the others.
fn circles(mut arrows: Arrows) -> Vec<String> {
    // What needs nothing that is left goes, and what nothing left needs, until only circles are left.
    loop {
        let before = arrows.len();
        let left: BTreeSet<Module> = arrows.keys().cloned().collect();
        let needed: BTreeSet<Module> = arrows.values().flatten().cloned().collect();
        arrows.retain(|module, needs| {
            needed.contains(module) && needs.iter().any(|need| left.contains(need))
        });
        if arrows.len() == before {
            break;
        }
    }
    let lines = arrows.iter().map(|(module, needs)| {
        let needs = needs.iter().filter(|need| arrows.contains_key(*need));
        let needs: Vec<String> = needs.map(|need| need.join("/")).collect();
        format!("{} needs {}", module.join("/"), needs.join(", "))
    });
    lines.collect()
}

/// Each file can be read after those that it needs.
#[test]
fn no_files_of_a_crate_need_each_other_in_a_circle() {
    let (mut found, mut count) = (Vec::new(), 0);
    for src in source_folders() {
        let arrows = Modules::of(&src).arrows();
        count += arrows.values().map(BTreeSet::len).sum::<usize>();
        found.extend(circles(arrows).iter().map(|line| format!("{}: {line}", src.display())));
    }
    assert!(count > 600, "only {count} arrows were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Prints each module of a folder, and each that it imports, wherever in it: by a statement, or by
/// `shared("curator_json")` of the package. What is imported for type checkers alone does not count.
const IMPORTS: &str = r#"
import ast, pathlib, sys

root = pathlib.Path(sys.argv[1])
files = {}
for file in root.rglob("*.py"):
    names = file.relative_to(root).with_suffix("").parts
    if "_vendor" not in names:
        files[names[:-1] if names[-1] == "__init__" else names] = file

def imported(node):
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for inner in node.orelse:
            yield from imported(inner)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"{ast.unparse(node)}: this test reads no dots"
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "shared":
        yield from (argument.value for argument in node.args)
    for inner in ast.iter_child_nodes(node):
        yield from imported(inner)

for module, file in files.items():
    for name in imported(ast.parse(file.read_text("utf-8"))):
        name = tuple(name.split("."))
        if name in files and name != module:
            print(".".join(module), ".".join(name))
"#;

/// A file that is imported late, within a function, is needed all the same.
#[test]
fn no_python_files_need_each_other_in_a_circle() {
    let (mut found, mut count) = (Vec::new(), 0);
    for folder in ["backends/python", "curator/python"] {
        let folder = crates().join(folder);
        let printed = duct::cmd!("python3", "-c", IMPORTS, &folder).read().expect("a Python");
        let mut arrows = Arrows::new();
        for line in printed.lines() {
            let (module, needed) = line.split_once(' ').expect("two modules");
            let [module, needed] = [module, needed].map(|it| it.split('.').map(str::to_owned));
            arrows.entry(module.collect()).or_default().insert(needed.collect());
        }
        count += arrows.values().map(BTreeSet::len).sum::<usize>();
        found.extend(circles(arrows).iter().map(|line| format!("{}: {line}", folder.display())));
    }
    assert!(count > 100, "only {count} arrows were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
