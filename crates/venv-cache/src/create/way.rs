//! The text of a symbolic link into the base, kept short.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::place::{INLINE_LINK, Placement};
use crate::error::Error;

/// The folder beside a site folder that holds the links to the base.
const ALIASES: &str = ".b";

/// How a symbolic link in a folder of the environment gets to the same folder of the base.
///
/// A link whose text is longer than 59 bytes takes a block of disk, and most would be. So a site
/// folder has a folder of links beside it, numbered: one to the base's site folder, and through
/// that one each to those of its folders whose files would need long texts otherwise.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// By the full name of the base's folder.
    Direct,
    /// Up to where the numbered links are, through one of them, and down again.
    Alias {
        /// The folder of numbered links.
        aliases: PathBuf,
        /// How many folders up its parent is.
        climb: usize,
        number: usize,
        rest: PathBuf,
    },
}

impl Way {
    /// Returns the way from the site folder `to` to the base's, `from`.
    pub(super) fn alias(placement: &Placement<'_>, from: &Path, to: &Path) -> Result<Self, Error> {
        let base = from.parent().unwrap_or(from);
        let beside = to.parent().unwrap_or(to);
        // The base may be an environment of ours and bring such a folder along.
        let is_free = |name: &String| fs::symlink_metadata(base.join(name)).is_err();
        let name = (0..u16::MAX).map(|number| format!("{ALIASES}{number}")).find(is_free);
        let aliases = beside.join(name.unwrap_or_default());
        placement.folder(&aliases)?;
        let number = placement.next_alias();
        placement.own_link(from, &aliases.join(number.to_string()))?;
        Ok(Self::Alias { aliases, climb: 1, number, rest: PathBuf::new() })
    }

    /// Returns the way one folder deeper.
    pub(super) fn child(&self, name: &OsStr) -> Self {
        match self {
            Self::Direct => Self::Direct,
            Self::Alias { aliases, climb, number, rest } => Self::Alias {
                aliases: aliases.clone(),
                climb: climb + 1,
                number: *number,
                rest: rest.join(name),
            },
        }
    }

    /// Returns this way, or one through a new link if any text to one of `names` would be too long.
    pub(super) fn shortened(
        self,
        placement: &Placement<'_>,
        names: &[OsString],
    ) -> Result<Self, Error> {
        let Self::Alias { aliases, climb, number, rest } = &self else { return Ok(self) };
        let longest = names.iter().map(|name| name.len()).max().unwrap_or_default();
        if rest.as_os_str().is_empty() || self.text().as_os_str().len() + 1 + longest <= INLINE_LINK
        {
            return Ok(self);
        }
        let next = placement.next_alias();
        let text = Path::new(&number.to_string()).join(rest);
        placement.own_link(&text, &aliases.join(next.to_string()))?;
        Ok(Self::Alias {
            aliases: aliases.clone(),
            climb: *climb,
            number: next,
            rest: PathBuf::new(),
        })
    }

    /// Returns what a link says before the name of the file.
    pub(super) fn text(&self) -> PathBuf {
        let Self::Alias { aliases, climb, number, rest } = self else { return PathBuf::new() };
        let mut text: PathBuf = std::iter::repeat_n("..", *climb).collect();
        text.extend(aliases.file_name());
        text.push(number.to_string());
        if !rest.as_os_str().is_empty() {
            text.push(rest);
        }
        text
    }
}
