//! Detects from a stage's file alone whether the stage may declare settings. A stage that clearly
//! declares nothing costs no more than this check.

use stage::declarable;

/// Names of settings that much else has: they count where something is defined. Other names of
/// settings count wherever they stand.
const COMMON: [&str; 5] = ["name", "inputs", "outputs", "resources", "preload"];
/// Words of a file that may define names without a definition in the text.
const DYNAMIC: [&str; 9] = [
    "setattr",
    "__setattr__",
    "__getattr__",
    "__getattribute__",
    "__dict__",
    "exec",
    "globals",
    "vars",
    "type",
];
/// Base classes without settings.
const BARE: [&str; 4] = ["object", "ABC", "abc.ABC", "Protocol"];

/// Returns whether the class or function of this name may declare settings: its text has the name
/// of one, or the class has an imported base, decorator or metaclass, or is imported itself.
pub(crate) fn may_declare(text: &str, name: &str) -> bool {
    let mut todo = vec![name.split('.').next_back().unwrap_or(name).to_owned()];
    let mut seen = Vec::new();
    while let Some(class) = todo.pop() {
        let Some(bases) = bases(text, &class) else { return true };
        let others = bases.into_iter().filter(|base| !BARE.contains(&base.as_str()));
        seen.push(class);
        todo.extend(others.filter(|base| !seen.contains(base)));
    }
    text.lines().any(may_set)
}

/// Returns whether a line may set a setting.
fn may_set(line: &str) -> bool {
    let mut at = 0;
    for word in line.split(|letter: char| letter != '_' && !letter.is_alphanumeric()) {
        let start = at;
        at += word.len() + line[at + word.len()..].chars().next().map_or(0, char::len_utf8);
        let is_common = COMMON.contains(&word);
        if DYNAMIC.contains(&word) || !is_common && declarable().any(|setting| setting == word) {
            return true;
        }
        if is_common {
            let before = line[..start].trim_end();
            let after = line[start + word.len()..].trim_start();
            let is_set = after.starts_with('=') && !after.starts_with("==");
            let is_target = is_set || after.starts_with([':', ',']);
            let is_first = before.is_empty() || before.ends_with([';', ',', '.', '(', '*']);
            if before.ends_with("def") || before.ends_with("class") || is_first && is_target {
                return true;
            }
        }
    }
    false
}

/// Returns the bases of a class, none for a function; `None` if the text does not show them, or
/// does not show how the class is made.
fn bases(text: &str, name: &str) -> Option<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    for (number, line) in lines.iter().enumerate() {
        let words = line.trim_start();
        let rest = ["class ", "def ", "async def "].iter().find_map(|it| words.strip_prefix(it));
        let Some(rest) = rest.and_then(|rest| rest.trim_start().strip_prefix(name)) else {
            continue;
        };
        if rest.starts_with(|letter: char| letter == '_' || letter.is_alphanumeric()) {
            continue;
        }
        if found.is_some() || is_decorated(&lines[..number]) {
            return None;
        }
        found = Some(if words.starts_with("class") { in_parentheses(rest)? } else { Vec::new() });
    }
    // The name may be imported or assigned.
    found
}

/// Returns whether the last statement of these lines is a decorator.
fn is_decorated(lines: &[&str]) -> bool {
    let mut open = 0_usize;
    for line in lines.iter().rev().map(|line| line.trim()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        open += line.matches([')', ']', '}']).count();
        open = open.saturating_sub(line.matches(['(', '[', '{']).count());
        if line.starts_with('@') {
            return true;
        }
        if open == 0 {
            return false;
        }
    }
    false
}

/// Returns the names between the parentheses after a class's name, if all are plain.
fn in_parentheses(rest: &str) -> Option<Vec<String>> {
    let rest = rest.trim_start();
    if rest.starts_with(':') {
        return Some(Vec::new());
    }
    let (inner, _) = rest.strip_prefix('(')?.split_once(')')?;
    let names = inner.split(',').map(str::trim).filter(|name| !name.is_empty());
    let is_plain = |name: &str| {
        BARE.contains(&name) || name.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
    };
    names.map(|name| is_plain(name).then(|| name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::may_declare;

    #[test]
    fn what_plainly_declares_nothing_is_told_from_the_rest() {
        for text in [
            "class Stage:\n    def process(self, task):\n        return task\n",
            "def Stage(task):\n    task.data['name'] = name == 3\n    return task\n",
            "import os\n\nclass Base:\n    x = 1\n\nclass Stage(Base, object):\n    y = 2\n",
            "print(\n    1\n)\nclass Stage:\n    def process(self, task): pass\n",
            "class Stage:\n    def f(self): return self.rename(resources), [inputs for inputs in x]\n",
            "class Stage:\n    def process(self, task): return cache.preload(task)\n",
        ] {
            assert!(!may_declare(text, "Stage"), "{text}");
        }
        for text in [
            "class Stage:\n    runtime_env = {}\n",
            "class Stage:\n    name = 'x'\n",
            "class Stage:\n    name: str = 'x'\n",
            "class Stage:\n    def inputs(self): return []\n",
            "class Stage:\n    def __init__(self): self.resources = make()\n",
            "class Stage:\n    a, inputs = 1, 2\n",
            "class Stage:\n    preload = ['torch']\n",
            "class Stage:\n    def __init__(self): self.isolation = 'full'\n",
            "class Stage(Foreign):\n    pass\n",
            "class Stage(lib.Foreign):\n    pass\n",
            "class Stage(metaclass=Meta):\n    pass\n",
            "class Base(Foreign): pass\nclass Stage(Base): pass\n",
            "class Stage(\n    Foreign,\n):\n    pass\n",
            "@gpu\nclass Stage:\n    pass\n",
            "@gpu(\n    1,\n)\ndef Stage(task): pass\n",
            "from lib import Stage\n",
            "Stage = make()\n",
            "class Stage: pass\nsetattr(Stage, 'run' + 'time_env', {})\n",
            "if x:\n    class Stage: pass\nelse:\n    class Stage(Foreign): pass\n",
        ] {
            assert!(may_declare(text, "Stage"), "{text}");
        }
    }
}
