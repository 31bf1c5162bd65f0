//! Requirements, and spellings of one.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::marker::{MarkerModel, marker_model};
use super::spelling::{Spelling, spelling};

/// Generates a distribution's name, such as `Foo.bar-2`; not in normal form.
pub fn package_name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?"
}

/// Generates a version (PEP 440), such as `1!2.0.1rc3.post4.dev5`; without a local part.
pub fn version() -> impl Strategy<Value = String> {
    version_model().prop_map(|version| version.plain())
}

/// Generates a requirement for a distribution from an index, as a line of a requirements file.
pub fn requirement() -> impl Strategy<Value = String> {
    spellings(1).prop_map(|mut spellings| spellings.remove(0))
}

/// Generates `count` spellings of one requirement: case, separators, blanks, order, duplicates,
/// quotes, zeros at the end of versions, comments.
pub fn spellings(count: usize) -> impl Strategy<Value = Vec<String>> {
    (requirement_model(), vec(spelling(), count)).prop_map(|(model, spellings)| {
        spellings.into_iter().map(|mut spelling| model.spell(&mut spelling)).collect()
    })
}

/// Generates a requirement with one character dropped, doubled or replaced.
///
/// About a third of them are still valid.
pub fn nearly_valid_requirement() -> impl Strategy<Value = String> {
    let replacement =
        select(&['-', '[', ']', ';', '=', ',', '@', '\'', '(', ' ', '#', 'é', '\0'][..]);
    (requirement(), any::<Index>(), 0..3, replacement).prop_map(
        |(requirement, index, change, replacement)| {
            let mut characters: Vec<_> = requirement.chars().collect();
            let index = index.index(characters.len());
            match change {
                0 => drop(characters.remove(index)),
                1 => characters.insert(index, characters[index]),
                _ => characters[index] = replacement,
            }
            characters.into_iter().collect()
        },
    )
}

/// The meaning of a requirement, without its spelling.
#[derive(Clone, Debug)]
pub(super) struct RequirementModel {
    /// Parts of the name, in lower case, between separators.
    name: Vec<String>,
    pub(super) extras: Vec<String>,
    specifiers: Vec<(&'static str, VersionModel)>,
    marker: Option<MarkerModel>,
    hash: Option<String>,
}

pub(super) fn requirement_model() -> impl Strategy<Value = RequirementModel> {
    let name = vec("[a-z0-9]{1,4}", 1..4);
    let extras = vec("[a-z]{1,4}", 0..3);
    let specifiers = vec(specifier_model(), 0..4);
    let hash = option::weighted(0.2, "[0-9a-f]{64}");
    (name, extras, specifiers, option::weighted(0.3, marker_model()), hash).prop_map(
        |(name, extras, specifiers, marker, hash)| RequirementModel {
            name,
            extras,
            specifiers,
            marker,
            hash,
        },
    )
}

fn specifier_model() -> impl Strategy<Value = (&'static str, VersionModel)> {
    let operators = ["==", "!=", "<", "<=", ">", ">=", "~=", "==*", "!=*", "==="];
    (select(operators.to_vec()), version_model()).prop_map(|(operator, mut version)| {
        match operator {
            // Needs two numbers.
            "~=" => version.release.push(1),
            // Follows a release only.
            "==*" | "!=*" => (version.pre, version.post, version.dev) = (None, None, None),
            _ => {}
        }
        (operator, version)
    })
}

#[derive(Clone, Debug)]
struct VersionModel {
    epoch: Option<u8>,
    release: Vec<u16>,
    pre: Option<(&'static str, u8)>,
    post: Option<u8>,
    dev: Option<u8>,
}

fn version_model() -> impl Strategy<Value = VersionModel> {
    (
        option::weighted(0.1, 1_u8..3),
        vec(prop_oneof![3 => 0_u16..4, 1 => 0_u16..3000], 1..4),
        option::weighted(0.2, (select(&["a", "b", "rc"][..]), 0_u8..4)),
        option::weighted(0.1, 0_u8..4),
        option::weighted(0.1, 0_u8..4),
    )
        .prop_map(|(epoch, release, pre, post, dev)| VersionModel {
            epoch,
            release,
            pre,
            post,
            dev,
        })
}

impl VersionModel {
    fn plain(&self) -> String {
        self.spell("===", &mut Spelling::plain())
    }

    fn spell(&self, operator: &str, spelling: &mut Spelling) -> String {
        // `===` compares text, which has one spelling.
        let mut plain = Spelling::plain();
        let is_text = operator == "===";
        let spelling = if is_text { &mut plain } else { spelling };
        let mut text = spelling.one_of(&["", "v", "V"]).to_owned();
        if let Some(epoch) = self.epoch {
            text.extend([&epoch.to_string(), "!"]);
        }
        let release: Vec<_> = self
            .release
            .iter()
            .map(|number| format!("{}{number}", spelling.one_of(&["", "0"])))
            .collect();
        text.push_str(&release.join("."));
        if matches!(operator, "==" | "!=" | "<" | "<=" | ">" | ">=") {
            text.push_str(spelling.one_of(&["", ".0", ".0.00"]));
        }
        if let Some((kind, number)) = self.pre {
            let kind = match kind {
                "a" => spelling.one_of(&["a", "-alpha.", "_A"]),
                "b" => spelling.one_of(&["b", ".Beta-", "BETA"]),
                _ => spelling.one_of(&["rc", "c", "-pre-", ".Preview_"]),
            };
            text.extend([kind, &number.to_string()]);
        }
        if let Some(number) = self.post {
            let kind = spelling.one_of(&[".post", "-", "rev", "_R."]);
            text.extend([kind, &number.to_string()]);
        }
        if let Some(number) = self.dev {
            let kind = spelling.one_of(&[".dev", "-DEV", "_dev."]);
            text.extend([kind, &number.to_string()]);
        }
        text
    }
}

impl RequirementModel {
    pub(super) fn spell(&self, spelling: &mut Spelling) -> String {
        let mut line = String::new();
        for (index, part) in self.name.iter().enumerate() {
            if index > 0 {
                line.push_str(spelling.one_of(&["-", "_", ".", "--", "._"]));
            }
            line.push_str(&spelling.letters(part));
        }
        // A name with an archive's suffix would be read as a path.
        if self.extras.is_empty() && self.specifiers.is_empty() && line.contains('.') {
            line = line.replace('.', "-");
        }
        if !self.extras.is_empty() {
            let blank = spelling.blank();
            let extras: Vec<_> = spelling
                .reorder(&self.extras)
                .iter()
                .map(|extra| format!("{}{}", spelling.blank(), spelling.letters(extra)))
                .collect();
            line.extend([blank, "[", &extras.join(","), "]"]);
        }
        if !self.specifiers.is_empty() {
            let specifiers: Vec<_> = spelling
                .reorder(&self.specifiers)
                .iter()
                .map(|(operator, version)| {
                    let star = if operator.ends_with('*') { ".*" } else { "" };
                    let (before, after) = (spelling.blank(), spelling.blank());
                    let version = version.spell(operator, spelling);
                    format!("{before}{}{after}{version}{star}", operator.trim_end_matches('*'))
                })
                .collect();
            let specifiers = specifiers.join(&format!("{},", spelling.blank()));
            let is_text = self.specifiers.iter().any(|(operator, _)| *operator == "===");
            if !is_text && spelling.choose(5) == 1 {
                line.extend([" (", &specifiers, ")"]);
            } else {
                line.push_str(&specifiers);
            }
        }
        if let Some(marker) = &self.marker {
            line.extend([spelling.blank(), ";", spelling.blank()]);
            line.push_str(&marker.spell(spelling));
        }
        if let Some(hash) = &self.hash {
            let separator = spelling.one_of(&["=", " "]);
            line.extend([" --hash", separator, "sha256:", &spelling.letters(hash)]);
        }
        line.push_str(spelling.one_of(&["", " ", "  # a comment", "\t#"]));
        line
    }
}
