//! The fields of a pipeline file, as the errors of its readers name them.

use std::fmt::Write as _;

use serde_path_to_error::{Path, Segment};

use crate::task::Step;

/// A field of a pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// The number of the stage that it is in, from 0, if it is in one.
    pub(super) stage: Option<usize>,
    /// The way to it, from that stage or else from the whole file, as in `args.n`; empty for the
    /// stage or the file itself.
    pub(super) field: String,
}

impl Field {
    fn at(steps: &[Step]) -> Self {
        match steps {
            [Step::Key(key), Step::Index(index), rest @ ..] if key == "stage" => {
                Self { stage: Some(*index), field: text(rest) }
            }
            steps => Self { stage: None, field: text(steps) },
        }
    }
}

impl From<Vec<Step>> for Field {
    fn from(steps: Vec<Step>) -> Self {
        Self::at(&steps)
    }
}

impl From<&Path> for Field {
    fn from(path: &Path) -> Self {
        let steps = path.iter().map(|segment| match segment {
            Segment::Seq { index } => Step::Index(*index),
            Segment::Map { key } | Segment::Enum { variant: key } => Step::Key(key.clone()),
            Segment::Unknown => Step::Key("?".to_owned()),
        });
        Self::at(&steps.collect::<Vec<_>>())
    }
}

fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for (at, step) in steps.iter().enumerate() {
        // Writing to a string does not fail.
        _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) if at == 0 => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
        };
    }
    // An end that leads nowhere says nothing.
    text.truncate(text.trim_end_matches(['?', '.']).len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field is in a stage by its place, and not by how a key is written.
    #[test]
    fn a_field_knows_its_stage() {
        let key = |key: &str| Step::Key(key.to_owned());
        let at = |steps: &[Step]| {
            let Field { stage, field } = Field::at(steps);
            (stage, field)
        };
        assert_eq!(at(&[]), (None, String::new()));
        assert_eq!(at(&[key("stage")]), (None, "stage".to_owned()));
        assert_eq!(at(&[key("stage"), Step::Index(2)]), (Some(2), String::new()));
        let deep = [key("stage"), Step::Index(0), key("args"), Step::Index(1), key("n")];
        assert_eq!(at(&deep), (Some(0), "args[1].n".to_owned()));
        assert_eq!(at(&[key("stage[0]"), key("name")]), (None, "stage[0].name".to_owned()));
    }
}
