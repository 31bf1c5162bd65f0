//! Environment markers (PEP 508) in normal form.
//!
//! `pep508_rs` is not used for markers: it reads versions without their pre-release part, and drops
//! comparisons that it does not understand; both change a marker's meaning. Our form keeps the
//! comparisons, sorts them, and writes each in one way.

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use crate::name;
use crate::specifier::{Operator, Specifier, without_trailing_zeros};

/// Maximum depth of parentheses.
const DEPTH: usize = 64;

/// The variables of PEP 508, with the older names that pip still reads.
const VARIABLES: [(&str, &str); 18] = [
    ("python_full_version", "python_full_version"),
    ("python_version", "python_version"),
    ("os_name", "os_name"),
    ("os.name", "os_name"),
    ("sys_platform", "sys_platform"),
    ("sys.platform", "sys_platform"),
    ("platform_release", "platform_release"),
    ("platform_system", "platform_system"),
    ("platform_version", "platform_version"),
    ("platform.version", "platform_version"),
    ("platform_machine", "platform_machine"),
    ("platform.machine", "platform_machine"),
    ("platform_python_implementation", "platform_python_implementation"),
    ("platform.python_implementation", "platform_python_implementation"),
    ("python_implementation", "platform_python_implementation"),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    ("extra", "extra"),
];

/// An environment marker in normal form: operands sorted, each once, and one spelling of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Marker {
    Compare { variable: &'static str, test: Test },
    And(Vec<Marker>),
    Or(Vec<Marker>),
}

/// A comparison with a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Test {
    /// `variable <operator> 'text'`.
    Is(Operator, String),
    /// `variable in 'text'`, or `not in`.
    In { negated: bool, text: String },
    /// `'text' in variable`, or `not in`.
    Contains { negated: bool, text: String },
}

impl Marker {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, depth: 0 };
        let marker = parser.or()?;
        let rest = parser.rest.trim();
        if rest.is_empty() { Ok(marker) } else { Err(format!("`{rest}` follows its marker")) }
    }

    /// Returns whether the marker holds if `lookup` returns the values of variables.
    ///
    /// A variable without a value counts as an empty text.
    pub(crate) fn holds<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Self::And(operands) => operands.iter().all(|operand| operand.holds(lookup)),
            Self::Or(operands) => operands.iter().any(|operand| operand.holds(lookup)),
            Self::Compare { variable, test } => {
                let value = lookup(variable).unwrap_or_default();
                match test {
                    Test::In { negated, text } => text.contains(value) != *negated,
                    Test::Contains { negated, text } => value.contains(text.as_str()) != *negated,
                    Test::Is(operator, text) => compare(variable, value, *operator, text),
                }
            }
        }
    }

    /// Joins operands, flattens nested joins of the same kind, sorts, and drops duplicates.
    fn join(operands: Vec<Self>, is_and: bool) -> Self {
        let mut flat = Vec::with_capacity(operands.len());
        for operand in operands {
            match (operand, is_and) {
                (Self::And(inner), true) | (Self::Or(inner), false) => flat.extend(inner),
                (operand, _) => flat.push(operand),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match (flat.len(), is_and) {
            (1, _) => flat.remove(0),
            (_, true) => Self::And(flat),
            (_, false) => Self::Or(flat),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operands, word) = match self {
            Self::Compare { variable, test } => return test.write(variable, f),
            Self::And(operands) => (operands, " and "),
            Self::Or(operands) => (operands, " or "),
        };
        for (index, operand) in operands.iter().enumerate() {
            if index > 0 {
                f.write_str(word)?;
            }
            // `and` binds more tightly than `or`, so only an `or` within an `and` needs them.
            match operand {
                Self::Or(_) => write!(f, "({operand})")?,
                _ => write!(f, "{operand}")?,
            }
        }
        Ok(())
    }
}

impl Test {
    fn write(&self, variable: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |negated: bool| if negated { "not in" } else { "in" };
        match self {
            Self::Is(operator, text) => {
                write!(f, "{variable} {} {}", operator.as_str(), Quoted(text))
            }
            Self::In { negated, text } => {
                write!(f, "{variable} {} {}", word(*negated), Quoted(text))
            }
            Self::Contains { negated, text } => {
                write!(f, "{} {} {variable}", Quoted(text), word(*negated))
            }
        }
    }
}

/// A text in quotes of the kind that it does not contain; PEP 508 has no escapes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') { '"' } else { '\'' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

fn is_version(variable: &str) -> bool {
    matches!(variable, "python_version" | "python_full_version" | "implementation_version")
}

fn compare(variable: &str, value: &str, operator: Operator, text: &str) -> bool {
    let is_version = is_version(variable) || variable == "platform_release";
    // As in `packaging`: a text that is no version is compared as text, and text has no order.
    if is_version && let Ok(specifier) = Specifier::new(operator, text) {
        return specifier.accepts(value);
    }
    let normal;
    let value = if variable == "extra" {
        normal = name::normal_name(value);
        normal.as_str()
    } else {
        value
    };
    match operator {
        Operator::Equal
        | Operator::Arbitrary
        | Operator::LessOrEqual
        | Operator::GreaterOrEqual => value == text,
        Operator::NotEqual => value != text,
        // Reading the marker refuses the last one for text.
        Operator::Less | Operator::Greater | Operator::Compatible => false,
    }
}

/// Returns the normal form of one comparison.
fn comparison(variable: &'static str, operator: Operator, text: &str) -> Result<Marker, String> {
    let text = if variable == "extra" {
        name::normal_name(text)
    } else if !is_version(variable) {
        let is_compared = variable == "platform_release" && Specifier::new(operator, text).is_ok();
        if operator == Operator::Compatible && !is_compared {
            return Err(format!("`{variable}` is no version, and `~=` compares versions only"));
        }
        text.to_owned()
    } else if operator == Operator::Arbitrary {
        Specifier::new(operator, text)?.version().to_owned()
    } else {
        match Specifier::new(operator, text.trim()) {
            // Exported lock files have `python_version >= '3.6.*'`. pip compares that as text, and
            // uv ignores the end.
            Err(_) if operator != Operator::Compatible => text.to_owned(),
            specifier => normal_version(&specifier?),
        }
    };
    Ok(Marker::Compare { variable, test: Test::Is(operator, text) })
}

/// Returns the version of a comparison, in one spelling.
fn normal_version(specifier: &Specifier) -> String {
    let version = specifier.version();
    if specifier.is_prefix() {
        return format!("{version}.*");
    }
    match Version::from_str(version) {
        Ok(version) if specifier.operator() != "~=" => without_trailing_zeros(&version).to_string(),
        _ => version.to_owned(),
    }
}

/// One side of a comparison.
enum Side<'a> {
    Variable(&'static str),
    Text(&'a str),
}

/// The operator between the sides.
#[derive(Clone, Copy)]
enum Relation {
    Operator(Operator),
    In { negated: bool },
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Marker, String> {
        self.operands("or", false, Self::and)
    }

    fn and(&mut self) -> Result<Marker, String> {
        self.operands("and", true, Self::operand)
    }

    fn operands(
        &mut self,
        word: &str,
        is_and: bool,
        operand: fn(&mut Self) -> Result<Marker, String>,
    ) -> Result<Marker, String> {
        let mut operands = vec![operand(self)?];
        while self.eat_word(word) {
            operands.push(operand(self)?);
        }
        Ok(Marker::join(operands, is_and))
    }

    fn operand(&mut self) -> Result<Marker, String> {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix('(') else {
            return self.comparison();
        };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("its marker has more than {DEPTH} parentheses in each other"));
        }
        self.rest = rest;
        let marker = self.or()?;
        self.rest = self
            .rest
            .trim_start()
            .strip_prefix(')')
            .ok_or_else(|| "a parenthesis in its marker is not closed".to_owned())?;
        self.depth -= 1;
        Ok(marker)
    }

    fn comparison(&mut self) -> Result<Marker, String> {
        let left = self.side()?;
        let relation = self.relation()?;
        let right = self.side()?;
        match (left, relation, right) {
            (Side::Variable(variable), Relation::Operator(operator), Side::Text(text)) => {
                comparison(variable, operator, text)
            }
            (Side::Text(text), Relation::Operator(operator), Side::Variable(variable)) => {
                let operator = operator
                    .mirrored()
                    .ok_or_else(|| "`~=` needs its version on the right".to_owned())?;
                comparison(variable, operator, text)
            }
            (Side::Variable(variable), Relation::In { negated }, Side::Text(text)) => {
                let text = text.to_owned();
                Ok(Marker::Compare { variable, test: Test::In { negated, text } })
            }
            (Side::Text(text), Relation::In { negated }, Side::Variable(variable)) => {
                let text = text.to_owned();
                Ok(Marker::Compare { variable, test: Test::Contains { negated, text } })
            }
            (Side::Variable(_), _, Side::Variable(_)) | (Side::Text(_), _, Side::Text(_)) => {
                Err("its marker must compare a variable with a quoted text".to_owned())
            }
        }
    }

    fn side(&mut self) -> Result<Side<'a>, String> {
        let rest = self.rest.trim_start();
        let missing = || "its marker ends before its comparison does".to_owned();
        let quote = rest.chars().next().ok_or_else(missing)?;
        if matches!(quote, '\'' | '"') {
            let (text, rest) = rest[1..]
                .split_once(quote)
                .ok_or_else(|| "a quoted text in its marker is not closed".to_owned())?;
            self.rest = rest;
            return Ok(Side::Text(text));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let (word, rest) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        self.rest = rest;
        VARIABLES
            .iter()
            .find(|(spelling, _)| *spelling == word)
            .map(|(_, variable)| Side::Variable(variable))
            .ok_or_else(|| format!("`{word}` is no variable of a marker"))
    }

    fn relation(&mut self) -> Result<Relation, String> {
        if self.eat_word("not") {
            return if self.eat_word("in") {
                Ok(Relation::In { negated: true })
            } else {
                Err("`not` in its marker is not followed by `in`".to_owned())
            };
        }
        if self.eat_word("in") {
            return Ok(Relation::In { negated: false });
        }
        let (operator, rest) = Operator::split(self.rest.trim_start())
            .ok_or_else(|| "its marker lacks a comparison such as `==`".to_owned())?;
        self.rest = rest;
        Ok(Relation::Operator(operator))
    }

    /// Takes `word` if it comes next and is not the start of a longer word.
    fn eat_word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(word) else {
            return false;
        };
        let goes_on = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'));
        if !goes_on {
            self.rest = rest;
        }
        !goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        Marker::parse(text).unwrap().to_string()
    }

    #[test]
    fn one_meaning_has_one_form() {
        for (text, expected) in [
            ("python_version>='3.8.0'", "python_version >= '3.8'"),
            ("'3.8' <= python_version", "python_version >= '3.8'"),
            ("os.name == \"nt\"", "os_name == 'nt'"),
            ("python_version == '3.8.*'", "python_version == '3.8.*'"),
            (
                "sys_platform == 'b' or (sys_platform == 'a' or (sys_platform == 'b'))",
                "sys_platform == 'a' or sys_platform == 'b'",
            ),
            (
                "(os_name == 'x' or os_name == 'a') and extra == 'A_b'",
                "extra == 'a-b' and (os_name == 'a' or os_name == 'x')",
            ),
            ("'linux' not  in sys_platform", "'linux' not in sys_platform"),
            ("platform_version == \"it's\"", "platform_version == \"it's\""),
            ("python_version>='3.6.*'", "python_version >= '3.6.*'"),
            ("platform_release ~= '5.0'", "platform_release ~= '5.0'"),
            ("python_full_version < '3.13.0rc1'", "python_full_version < '3.13rc1'"),
        ] {
            let found = normal(text);
            assert_eq!(normal(&found), found, "{text}");
            let mut words: Vec<_> = found.split(' ').collect();
            let mut expected: Vec<_> = expected.split(' ').collect();
            words.sort_unstable();
            expected.sort_unstable();
            assert_eq!(words, expected, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "python_version",
            "python_version ~= 'x'",
            "python_version >= '3' and",
            "os_name ~= 'nt'",
            "'a' == 'a'",
            "os_name == sys_platform",
            "pythonversion == '3'",
            "(os_name == 'nt'",
            "os_name == 'nt' x",
            &"(".repeat(100_000),
        ] {
            assert!(Marker::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_marker_is_judged_by_the_interpreter() {
        let lookup = |variable: &str| match variable {
            "python_version" => Some("3.11"),
            "sys_platform" => Some("linux"),
            _ => None,
        };
        let holds = |text: &str| Marker::parse(text).unwrap().holds(&lookup);
        assert!(holds("python_version >= '3.9' and sys_platform == 'linux'"));
        assert!(!holds("python_version < '3.9' or sys_platform == 'win32'"));
        assert!(holds("'lin' in sys_platform and sys_platform not in 'darwin win32'"));
        assert!(!holds("extra == 'dev'"));
    }
}
