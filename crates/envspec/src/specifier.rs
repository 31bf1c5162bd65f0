//! Version specifiers in normal form (PEP 440).

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

/// The comparison of a specifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Compatible,
    Arbitrary,
}

impl Operator {
    /// Longest first, so that no operator is taken for its prefix.
    const SPELLED: [(&'static str, Self); 8] = [
        ("===", Self::Arbitrary),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("~=", Self::Compatible),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Returns the operator that `text` starts with, and the rest of the text.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        Self::SPELLED
            .iter()
            .find_map(|(spelling, operator)| Some((*operator, text.strip_prefix(spelling)?)))
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Compatible => "~=",
            Self::Arbitrary => "===",
        }
    }

    /// Returns the comparison with its sides exchanged, if there is one.
    pub(crate) fn mirrored(self) -> Option<Self> {
        Some(match self {
            Self::Equal | Self::NotEqual | Self::Arbitrary => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Compatible => return None,
        })
    }
}

/// One version specifier in normal form: `>=1.0`, `==2.*`.
///
/// Trailing zeros of a release are insignificant to `==`, `!=`, `<`, `<=`, `>` and `>=`; the normal
/// form keeps two numbers (`==1` and `==1.0.0` are `==1.0`). They are significant to `~=` and
/// before `.*`, and are kept there. `===` compares text, ignoring case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specifier {
    operator: Operator,
    /// The version in normal form, without `.*`.
    version: String,
    is_prefix: bool,
}

impl Specifier {
    /// Returns the comparison: `==`, `!=`, `<`, `<=`, `>`, `>=`, `~=` or `===`.
    #[must_use]
    pub fn operator(&self) -> &'static str {
        self.operator.as_str()
    }

    /// Returns the version in normal form, without the `.*` of [`Specifier::is_prefix`].
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns whether only the start of the release is compared (`==1.2.*`).
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// Returns whether an installed `version` fits, by the rules of `packaging` 26 and of uv;
    /// pre-releases count as any other version. Older releases of `packaging` accept fewer around
    /// pre- and post-releases.
    ///
    /// Only `===` accepts a text that is no version (PEP 440).
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        if self.operator == Operator::Arbitrary {
            return version.trim().eq_ignore_ascii_case(&self.version);
        }
        let (Ok(found), Ok(asked)) =
            (Version::from_str(version.trim()), Version::from_str(&self.version))
        else {
            return false;
        };
        let public = found.clone().without_local();
        match self.operator {
            Operator::Equal if self.is_prefix => has_prefix(&found, &asked, asked.release().len()),
            Operator::NotEqual if self.is_prefix => {
                !has_prefix(&found, &asked, asked.release().len())
            }
            Operator::Equal if asked.is_local() => found == asked,
            Operator::Equal => public == asked,
            Operator::NotEqual if asked.is_local() => found != asked,
            Operator::NotEqual => public != asked,
            Operator::LessOrEqual => public <= asked,
            Operator::GreaterOrEqual => public >= asked,
            Operator::Less if asked.any_prerelease() => public < asked,
            // Pre-releases of the named version are excluded, too.
            Operator::Less => public < asked.with_dev(Some(0)),
            Operator::Greater if asked.is_post() || asked.is_dev() => public > asked,
            // Post-releases of the named version are excluded, too.
            Operator::Greater => {
                public > asked && !(compare_release(&found, &asked) && found.pre() == asked.pre())
            }
            Operator::Compatible => {
                public >= asked && has_prefix(&found, &asked, asked.release().len() - 1)
            }
            // Compared as text above.
            Operator::Arbitrary => false,
        }
    }

    /// Returns whether a `===` names the same version in another spelling.
    pub(crate) fn accepts_as_version(&self, version: &str) -> bool {
        let asked = Version::from_str(&self.version);
        self.operator == Operator::Arbitrary
            && asked.is_ok_and(|asked| Version::from_str(version.trim()) == Ok(asked))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (operator, rest) = Operator::split(text.trim())
            .ok_or_else(|| format!("`{}` starts with no comparison such as `==`", text.trim()))?;
        Self::new(operator, rest.trim())
    }

    pub(crate) fn new(operator: Operator, text: &str) -> Result<Self, String> {
        if operator == Operator::Arbitrary {
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !b",;()\"'#\\".contains(&byte);
            if text.is_empty() || !text.bytes().all(is_plain) {
                return Err(format!("`{text}` cannot follow `===`"));
            }
            return Ok(Self { operator, version: text.to_ascii_lowercase(), is_prefix: false });
        }
        let (release, is_prefix) = match text.strip_suffix(".*") {
            Some(release) => (release, true),
            None => (text, false),
        };
        // The version parser trims nothing, but surrounding blanks must not become part of it.
        let version = Version::from_str(release)
            .map_err(|_| format!("`{release}` is no version by PEP 440"))?;
        let may_be_prefix = matches!(operator, Operator::Equal | Operator::NotEqual);
        if is_prefix && !may_be_prefix {
            return Err(format!("`.*` cannot follow `{}`", operator.as_str()));
        }
        if is_prefix && (version.any_prerelease() || version.is_post() || version.is_local()) {
            return Err("`.*` can follow a plain release only".to_owned());
        }
        if version.is_local() && !may_be_prefix {
            return Err(format!("a local version cannot follow `{}`", operator.as_str()));
        }
        let version = match operator {
            Operator::Compatible if version.release().len() < 2 => {
                return Err("`~=` needs a version of two numbers or more".to_owned());
            }
            Operator::Compatible => version.to_string(),
            _ if is_prefix => version.to_string(),
            _ => without_trailing_zeros(&version).to_string(),
        };
        Ok(Self { operator, version, is_prefix })
    }

    /// Reads `>=1.0, <2.0` into a sorted set.
    pub(crate) fn parse_set(text: &str) -> Result<Vec<Self>, String> {
        // PEP 508 allows no trailing comma, but `packaging` and so pip do.
        let text = text.trim();
        let text = text.strip_suffix(',').unwrap_or(text);
        let mut set = text.split(',').map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        set.sort_unstable();
        set.dedup();
        Ok(set)
    }
}

impl fmt::Display for Specifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_prefix { ".*" } else { "" };
        write!(f, "{}{}{star}", self.operator.as_str(), self.version)
    }
}

/// Drops zeros from the end of a release down to two numbers, and adds one to a single number.
pub(crate) fn without_trailing_zeros(version: &Version) -> Version {
    let mut release = version.release().to_vec();
    while release.len() > 2 && release.last() == Some(&0) {
        release.pop();
    }
    if release.len() == 1 {
        release.push(0);
    }
    version.clone().with_release(release)
}

fn release_number(version: &Version, index: usize) -> u64 {
    version.release().get(index).copied().unwrap_or(0)
}

fn compare_release(one: &Version, other: &Version) -> bool {
    has_prefix(one, other, one.release().len().max(other.release().len()))
}

/// Returns whether the first `length` numbers of both releases agree; missing numbers are zero.
fn has_prefix(found: &Version, asked: &Version, length: usize) -> bool {
    found.epoch() == asked.epoch()
        && (0..length).all(|index| release_number(found, index) == release_number(asked, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        Specifier::parse(text).unwrap().to_string()
    }

    #[test]
    fn trailing_zeros_go_where_they_mean_nothing() {
        for (text, expected) in [
            ("== 1", "==1.0"),
            ("==1.0.0", "==1.0"),
            (">=v1.2.0", ">=1.2"),
            ("<1.0.0-RC.1", "<1.0rc1"),
            ("!=01.2+Ubuntu-1", "!=1.2+ubuntu.1"),
            ("~=1.0.0", "~=1.0.0"),
            ("~=1.0", "~=1.0"),
            ("==1.0.*", "==1.0.*"),
            ("==1.*", "==1.*"),
            ("===1.0.0-Local", "===1.0.0-local"),
            ("==2!1.0", "==2!1.0"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }

    #[test]
    fn what_pep_440_forbids_is_refused() {
        for text in ["1.0", "==", "=1.0", "~=1", ">=1.*", "==1.0rc1.*", ">=1.0+x", "==a", "==1 2"] {
            assert!(Specifier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn installed_versions_are_judged_as_packaging_does() {
        for (specifier, version, expected) in [
            ("==1.0", "1", true),
            ("==1.0", "1.0+local", true),
            ("==1.0+local", "1.0", false),
            ("==1.1.*", "1", false),
            ("==1.0.*", "1", true),
            ("!=1.*", "1.5", false),
            ("<1.0", "1.0rc1", false),
            ("<1.0rc1", "1.0a1", true),
            (">1.0", "1.0.post1", false),
            (">1.0", "1.0+local", false),
            (">=1.0", "1.0+local", true),
            ("<=1.0", "1.0+local", true),
            ("~=1.4.5", "1.4.9", true),
            ("~=1.4.5", "1.5", false),
            (">1.0", "1!0.5", true),
            ("===1.0", "1.0", true),
            ("===1.0", "1.0.0", false),
            ("==1.0", "unknown", false),
            (">1.0rc1", "1.0.post1", true),
            (">1.0rc1", "1.0rc1.post1", false),
            (">1.0rc1", "1.0+local", true),
            ("<1.0.post1", "1.0rc1", true),
            ("<1.0.post1", "1.0.post1.dev0", false),
        ] {
            let found = Specifier::parse(specifier).unwrap().accepts(version);
            assert_eq!(found, expected, "{specifier} and {version}");
        }
    }
}
