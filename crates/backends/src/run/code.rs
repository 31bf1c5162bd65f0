//! Checks a stage's Python file without Python: whether the file exists, and may define the stage's
//! name.

use std::io::ErrorKind;

use stage::PythonSource;

use super::error::Error;
use super::plan::PlannedStage;

/// Words of a file that may define names without a definition in the text.
const DYNAMIC: [&str; 6] = ["__getattr__", "exec", "globals", "locals", "setattr", "vars"];

impl PlannedStage {
    /// Refuses a stage whose file is missing, or clearly does not define the stage's name. A worker
    /// would find that out too, but only after its environment is built. A stage that passes may
    /// still fail there.
    ///
    /// # Errors
    ///
    /// [`Error::NoCode`].
    pub fn check_code(&self) -> Result<(), Error> {
        let Some(code) = self.behaviour.as_python() else { return Ok(()) };
        let PythonSource::File(path) = code.source() else { return Ok(()) };
        let refused = |problem: String| {
            let (stage, path) = (self.settings.name.clone(), path.clone());
            Err(Error::NoCode { stage, path, problem })
        };
        let name = code.name().split('.').next().unwrap_or_default();
        match files::read_file(path, files::MOST_TEXT) {
            Ok(text) if may_define(&String::from_utf8_lossy(&text), name) => Ok(()),
            Ok(_) => refused(format!("defines no `{name}`")),
            Err(error) if error.kind() == ErrorKind::NotFound => refused("is not there".to_owned()),
            Err(error) => refused(format!("cannot be read: {error}")),
        }
    }
}

/// Returns whether a text may define this name: by `class`, `def`, an assignment or an import, or
/// in a way that the text does not show.
fn may_define(text: &str, name: &str) -> bool {
    let is_letter = |letter: char| letter == '_' || letter.is_alphanumeric();
    text.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split(|letter| !is_letter(letter));
        if words.any(|word| DYNAMIC.contains(&word)) || line.contains("import *") {
            return true;
        }
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            if before.ends_with(is_letter) || after.starts_with(is_letter) {
                return false;
            }
            let last = before.trim_end();
            let is_named = ["class", "def", "import", "as"].iter().any(|word| last.ends_with(word));
            // The name stands in a list of imports, or of assignment targets.
            let next = after.trim_start().chars().next();
            is_named || next.is_none_or(|next| matches!(next, '=' | ':' | ',' | ')' | ';' | '\\'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::may_define;

    #[test]
    fn definitions_are_told_from_uses() {
        for text in [
            "class Clean:",
            "x = 1; class  Clean(Base): pass",
            "async def Clean(task):",
            "from a import (\n    Other,\n    Clean,\n)",
            "from a import B as Clean",
            "Clean = make()",
            "Clean: type = make()",
            "A, Clean = 1, 2",
            "from a import *",
            "globals()['Cl' + 'ean'] = 1",
        ] {
            assert!(may_define(text, "Clean"), "{text}");
        }
        for text in ["", "class Cleaner:", "# class Clean:", "x = Clean()", "print(MyClean, 1)"] {
            assert!(!may_define(text, "Clean"), "{text}");
        }
    }
}
