//! Requirements files that include each other.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::requirement::requirement_model;
use super::spelling::{Spelling, spelling};
use crate::memory_source::MemorySource;

/// Requirements files below `/project`, and their combined contents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequirementsTree {
    /// Holds the files, in several folders.
    pub source: MemorySource,
    /// The file that includes all others, directly or not: by `-r`, or by `-c`.
    pub root: PathBuf,
    /// The requirements in all files, in other spellings and another order.
    pub requirements: Vec<String>,
    /// The constraints in all files.
    pub constraints: Vec<String>,
}

/// Generates requirements files with nested ones, comments and continued lines; none includes
/// itself.
pub fn requirements_tree() -> impl Strategy<Value = RequirementsTree> {
    files().prop_map(|(files, spelling)| build(&files, spelling, None))
}

/// Generates such files, but the last one includes itself or a file that includes it.
pub fn cyclic_requirements_tree() -> impl Strategy<Value = RequirementsTree> {
    (files(), any::<Index>())
        .prop_map(|((files, spelling), target)| build(&files, spelling, Some(target)))
}

/// One file: its folder, its lines, the earlier file that includes it, and whether as constraints.
#[derive(Clone, Debug)]
struct File {
    folder: &'static str,
    lines: Vec<super::requirement::RequirementModel>,
    parent: Index,
    is_constraint: bool,
}

fn files() -> impl Strategy<Value = (Vec<File>, Spelling)> {
    let folder = proptest::sample::select(&["", "a/", "a/b/", "c d/"][..]);
    let line = requirement_model().prop_map(|mut model| {
        // Constraints have none.
        model.extras.clear();
        model
    });
    let file = (folder, vec(line, 0..4), any::<Index>(), proptest::bool::weighted(0.3)).prop_map(
        |(folder, lines, parent, is_constraint)| File { folder, lines, parent, is_constraint },
    );
    (vec(file, 1..6), spelling())
}

fn build(files: &[File], mut spelling: Spelling, cycle: Option<Index>) -> RequirementsTree {
    let spelling = &mut spelling;
    let path = |index: usize| format!("{}r{index}.txt", files[index].folder);
    let parent = |index: usize| (index > 0).then(|| files[index].parent.index(index));
    let ancestors = |index: usize| std::iter::successors(Some(index), |index| parent(*index));
    let mut tree = RequirementsTree {
        source: MemorySource::new(),
        root: PathBuf::from("/project").join(path(0)),
        requirements: Vec::new(),
        constraints: Vec::new(),
    };
    for (index, file) in files.iter().enumerate() {
        let mut lines = vec!["# a comment".to_owned(), String::new()];
        for line in &file.lines {
            lines.push(continued(&line.spell(spelling), spelling));
            let is_constraint =
                ancestors(index).any(|index| index > 0 && files[index].is_constraint);
            let list = if is_constraint { &mut tree.constraints } else { &mut tree.requirements };
            list.insert(0, line.spell(spelling));
        }
        // The path up to `/project` from the file's own folder.
        let up = "../".repeat(file.folder.matches('/').count());
        let mut include = |option: &str, target: usize| {
            lines.push(format!(
                "{option} \"{}{}\"",
                spelling.one_of(&["", "./"]),
                up.clone() + &path(target)
            ));
        };
        for child in (index + 1..files.len()).filter(|child| parent(*child) == Some(index)) {
            include(if files[child].is_constraint { "-c" } else { "-r" }, child);
        }
        if let Some(cycle) = cycle
            && index == files.len() - 1
        {
            let above: Vec<_> = ancestors(index).collect();
            include("-r", above[cycle.index(above.len())]);
        }
        let end = spelling.one_of(&["\n", "\r\n"]);
        let path = PathBuf::from("/project").join(path(index));
        tree.source = tree.source.with_file(path, lines.join(end));
    }
    tree
}

/// Returns the line, possibly broken at one of its blanks.
fn continued(line: &str, spelling: &mut Spelling) -> String {
    match line.find(' ') {
        Some(blank) if spelling.choose(3) == 1 && !line[..blank].contains(['#', '\'', '"']) => {
            format!("{}\\\n{}", &line[..blank], &line[blank..])
        }
        _ => line.to_owned(),
    }
}
