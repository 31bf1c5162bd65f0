//! Acceptable versions of a package manager.

use std::str::FromStr;

use envspec::Tool;
use pep440_rs::{Version, VersionSpecifiers};

use crate::error::Error;
use crate::transcript::tool_name;

/// The acceptable versions of a package manager.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) tool: Tool,
    /// The spec's specifier; `None` accepts any sufficient version.
    specifiers: Option<VersionSpecifiers>,
    /// The specifier's marker (PEP 508), evaluated before the search begins.
    pub(crate) marker: Option<String>,
}

impl Wanted {
    /// Reads `==24.1.2`, `<24.2, >19` or, as in Ray's documentation, `==22.0.2;python_version<'3.9'`.
    pub(crate) fn parse(tool: Tool, version: Option<&str>) -> Result<Self, Error> {
        let Some(text) = version.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self { tool, specifiers: None, marker: None });
        };
        let (specifiers, marker) = text.split_once(';').unwrap_or((text, ""));
        let specifiers = VersionSpecifiers::from_str(specifiers.trim()).map_err(|source| {
            Error::ToolVersion { tool, version: text.to_owned(), source: Box::new(source) }
        })?;
        let marker = Some(marker.trim()).filter(|marker| !marker.is_empty()).map(str::to_owned);
        Ok(Self { tool, specifiers: Some(specifiers), marker })
    }

    /// Makes one without a specifier.
    pub(crate) fn any(tool: Tool) -> Self {
        Self { tool, specifiers: None, marker: None }
    }

    /// Returns the oldest version accepted without a specifier.
    ///
    /// pip 22.3 reports what it installed and can be run for another interpreter; uv 0.10.6 writes
    /// into no file that it finds (see [`Installer::replaces_files`](crate::Installer::replaces_files)).
    pub(crate) fn oldest(tool: Tool) -> Version {
        match tool {
            Tool::Pip => Version::new([22, 3]),
            Tool::Uv => Version::new([0, 10, 6]),
        }
    }

    /// Returns whether this version is acceptable. A version that the spec names may be older than
    /// the default minimum.
    pub(crate) fn accepts(&self, version: &Version) -> bool {
        match &self.specifiers {
            Some(specifiers) => specifiers.contains(version),
            None => *version >= Self::oldest(self.tool),
        }
    }

    /// Returns the versions as a specifier.
    pub(crate) fn specifier(&self) -> String {
        match &self.specifiers {
            Some(specifiers) => specifiers.to_string(),
            None => format!(">={}", Self::oldest(self.tool)),
        }
    }

    /// Returns the versions as a requirement.
    pub(crate) fn requirement(&self) -> String {
        format!("{}{}", tool_name(self.tool), self.specifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(tool: Tool, wanted: &str, version: &str) -> bool {
        Wanted::parse(tool, Some(wanted)).unwrap().accepts(&version.parse().unwrap())
    }

    #[test]
    fn versions_are_compared_by_pythons_rules() {
        assert!(accepts(Tool::Pip, "==24.1.2", "24.1.2"));
        assert!(accepts(Tool::Pip, "<24.2, >19", "24.1.2"));
        assert!(!accepts(Tool::Pip, "<24.2, >19", "24.2"));
        assert!(accepts(Tool::Uv, "==0.4.0", "0.4.0"));
        assert!(accepts(Tool::Uv, "", "0.13.9"));
        assert!(!accepts(Tool::Uv, " ", "0.10.5"));
    }

    #[test]
    fn what_is_no_specifier_is_refused() {
        let error = Wanted::parse(Tool::Pip, Some("24.1")).unwrap_err();
        assert_eq!(error.to_string(), "`24.1` is no version specifier for `pip`");
    }

    #[test]
    fn a_marker_is_set_apart() {
        let wanted = Wanted::parse(Tool::Pip, Some("==22.0.2; python_version<'3.9'")).unwrap();
        assert_eq!(wanted.requirement(), "pip==22.0.2");
        assert_eq!(wanted.marker.as_deref(), Some("python_version<'3.9'"));
    }
}
