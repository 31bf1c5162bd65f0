//! Environment markers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::spelling::{Spelling, spelling};

/// The meaning of a marker, without its spelling.
#[derive(Clone, Debug)]
pub(super) enum MarkerModel {
    /// Variable, operator and text.
    Compare(&'static str, &'static str, &'static str),
    And(Vec<MarkerModel>),
    Or(Vec<MarkerModel>),
}

pub(super) fn marker_model() -> impl Strategy<Value = MarkerModel> {
    let order = select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let version_variable = select(&["python_version", "python_full_version"][..]);
    let version = select(&["3.8", "3.9", "3.10", "3.12.1", "4.0"][..]);
    let by_version = (version_variable, order, version)
        .prop_map(|(variable, operator, text)| MarkerModel::Compare(variable, operator, text));
    let text_variable = select(&["sys_platform", "os_name", "platform_machine", "extra"][..]);
    let text = select(&["linux", "win32", "posix", "x86_64", "dev"][..]);
    let by_text = (text_variable, select(&["==", "!="][..]), text)
        .prop_map(|(variable, operator, text)| MarkerModel::Compare(variable, operator, text));
    let by_part = (select(&["in", "not in"][..]), select(&["linux", "darwin"][..]))
        .prop_map(|(operator, text)| MarkerModel::Compare("sys_platform", operator, text));
    let leaf = prop_oneof![3 => by_version, 2 => by_text, 1 => by_part];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(MarkerModel::And),
            vec(inner, 2..4).prop_map(MarkerModel::Or),
        ]
    })
}

/// Generates an environment marker (PEP 508), such as `python_version >= '3.9' and os_name ==
/// 'posix'`.
pub fn marker() -> impl Strategy<Value = String> {
    (marker_model(), spelling()).prop_map(|(model, mut spelling)| model.spell(&mut spelling))
}

impl MarkerModel {
    pub(super) fn spell(&self, spelling: &mut Spelling) -> String {
        let (operands, word) = match self {
            Self::Compare(variable, operator, text) => {
                return compare(variable, operator, text, spelling);
            }
            Self::And(operands) => (operands, "and"),
            Self::Or(operands) => (operands, "or"),
        };
        let spelled: Vec<_> = spelling
            .reorder(operands)
            .iter()
            .map(|operand| {
                let text = operand.spell(spelling);
                let is_leaf = matches!(operand, Self::Compare(..));
                if is_leaf && spelling.choose(3) != 1 { text } else { format!("({text})") }
            })
            .collect();
        spelled.join(&format!(" {word}{} ", spelling.blank()))
    }
}

fn compare(variable: &str, operator: &str, text: &str, spelling: &mut Spelling) -> String {
    let quote = spelling.one_of(&["'", "\""]);
    let is_version = variable.starts_with("python");
    let zeros = if is_version { spelling.one_of(&["", ".0", ".0.0"]) } else { "" };
    let mut text = text.to_owned();
    if variable == "extra" {
        text = spelling.letters(&text);
    }
    let text = format!("{quote}{text}{zeros}{quote}");
    let variable = match variable {
        "os_name" => spelling.one_of(&["os_name", "os.name"]),
        "sys_platform" => spelling.one_of(&["sys_platform", "sys.platform"]),
        "platform_machine" => spelling.one_of(&["platform_machine", "platform.machine"]),
        other => other,
    };
    if operator.ends_with("in") {
        return format!("{text} {operator} {variable}");
    }
    let (blank, other_blank) = (spelling.blank(), spelling.blank());
    if spelling.choose(3) == 1 {
        let mirrored = match operator {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            symmetric => symmetric,
        };
        format!("{text}{blank}{mirrored}{other_blank}{variable}")
    } else {
        format!("{variable}{blank}{operator}{other_blank}{text}")
    }
}
