//! Stages of Python code: the place of the code, its name, and its arguments.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use super::declared::Declared;
use crate::{Error, secret};

/// A Python class or function, by its place and name.
///
/// Its text form is `file.py:Name` or `package.module:Name`. Only a worker finds out whether the
/// code exists.
///
/// ```
/// use stage::PythonCode;
///
/// let code: PythonCode = "stages/clean.py:Clean".parse()?;
/// assert_eq!(code, PythonCode::from_file("stages/clean.py", "Clean"));
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct PythonCode {
    source: PythonSource,
    name: String,
    args: Value,
    declared: Declared,
}

/// The place of Python code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonSource {
    /// A `.py` file. Its folder is appended to `sys.path`, so that it can import its neighbours.
    File(PathBuf),
    /// A module that the stage's environment can import, by its dotted path.
    Module(String),
    /// The text of a module.
    Inline(String),
}

impl PythonCode {
    /// Names a class or function of a `.py` file; a relative path is relative to the pipeline's
    /// folder.
    pub fn from_file(file: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self::new(PythonSource::File(file.into()), name)
    }

    /// Names a class or function of a module that the stage's environment can import.
    pub fn from_module(module: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(PythonSource::Module(module.into()), name)
    }

    /// Names a class or function of a module given as text.
    pub fn from_source(text: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(PythonSource::Inline(text.into()), name)
    }

    fn new(source: PythonSource, name: impl Into<String>) -> Self {
        Self { source, name: name.into(), args: Value::Null, declared: Declared::Use }
    }

    /// Sets arguments for the class: a JSON object gives keyword arguments, an array positional
    /// ones.
    ///
    /// Default: `null`, which constructs the class without arguments. A function takes none.
    pub fn with_args(self, args: impl Into<Value>) -> Self {
        Self { args: args.into(), ..self }
    }

    /// Sets the policy for settings that the code declares. Default: [`Declared::Use`].
    pub fn with_declared(self, declared: Declared) -> Self {
        Self { declared, ..self }
    }

    /// Returns the code with a file's relative path put under `dir`.
    pub fn within(mut self, dir: &Path) -> Self {
        if let PythonSource::File(file) = &mut self.source {
            *file = dir.join(&*file);
        }
        self
    }

    /// Returns the place of the code.
    #[must_use]
    pub fn source(&self) -> &PythonSource {
        &self.source
    }

    /// Returns its name there; dotted for a class within a class.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the last part of the name, which is a stage's default name.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// Returns the arguments: `null`, an object or an array. Values may be secret.
    #[must_use]
    pub fn args(&self) -> &Value {
        &self.args
    }

    /// Returns the policy for settings that the code declares.
    #[must_use]
    pub fn declared(&self) -> Declared {
        self.declared
    }

    /// Fails if the text form is invalid.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |problem| {
            let text = self.to_string().chars().take(200).collect();
            Err(Error::PythonCode { text, problem })
        };
        if !is_dotted_name(&self.name) {
            return wrong("the name is not a Python identifier");
        }
        match &self.source {
            PythonSource::File(file) if !is_python_file(file) => {
                wrong("the file is not a `.py` file")
            }
            PythonSource::Module(module) if !is_dotted_name(module) => {
                wrong("the module is not a dotted path of Python identifiers")
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for PythonCode {
    type Err = Error;

    /// Reads `file.py:Name` or `package.module:Name`; any other text is [`Error::PythonCode`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((place, name)) = text.rsplit_once(':') else {
            let text = text.chars().take(200).collect();
            return Err(Error::PythonCode { text, problem: "there is no `:`" });
        };
        let is_file = place.contains(['/', '\\']) || is_python_file(Path::new(place));
        let code =
            if is_file { Self::from_file(place, name) } else { Self::from_module(place, name) };
        code.check()?;
        Ok(code)
    }
}

impl fmt::Display for PythonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            PythonSource::File(file) => write!(f, "{}:{}", file.display(), self.name),
            PythonSource::Module(module) => write!(f, "{module}:{}", self.name),
            PythonSource::Inline(_) => write!(f, "<source>:{}", self.name),
        }
    }
}

impl fmt::Debug for PythonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PythonCode({self}, {})", secret::redacted(&self.args))
    }
}

fn is_python_file(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "py")
        && file.file_stem().is_some_and(|stem| !stem.is_empty())
}

/// Rust's alphanumerics stand in for Python's `XID` classes, which differ in a handful of rare
/// letters.
pub(crate) fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut letters = part.chars();
        letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::PythonCode;
    use crate::Error;

    #[test]
    fn the_text_form_tells_files_from_modules() {
        for (text, code) in [
            ("a.py:B", PythonCode::from_file("a.py", "B")),
            ("C:\\x\\a.py:B", PythonCode::from_file("C:\\x\\a.py", "B")),
            ("./a.py:B.C", PythonCode::from_file("./a.py", "B.C")),
            ("a:B", PythonCode::from_module("a", "B")),
            ("a.b_2:größe", PythonCode::from_module("a.b_2", "größe")),
        ] {
            assert_eq!(text.parse::<PythonCode>().unwrap(), code);
            assert_eq!(code.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_hint() {
        for text in ["", "a.py", "a.py:", ":B", "./a:B", "a-b:B", "a:2", "a:B()", ".py:B", "a..b:B"]
        {
            let error = text.parse::<PythonCode>().unwrap_err();
            assert!(matches!(error, Error::PythonCode { .. }), "{text}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn debug_shows_no_secret_argument() {
        let code = PythonCode::from_module("a", "B").with_args(json!({ "token": "hush", "n": 1 }));
        let shown = format!("{code:?}");
        assert!(shown.contains(r#""n":1"#) && !shown.contains("hush"), "{shown}");
    }
}
