//! How far a tool has come, by what it says while it runs.

use envspec::Tool;

/// What an installation has come to. Each comes once and in this order; one may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// It is known what to install, and what is not at hand is fetched. pip fetches while it
    /// resolves, and never says this.
    Downloading {
        /// How many packages the requirements resolved to, those included that are installed.
        packages: usize,
    },
    /// All is at hand, and is put into the environment.
    Installing {
        /// How many packages that are.
        packages: usize,
    },
}

/// What a line of a tool tells about its progress.
pub(crate) fn read(tool: Tool, line: &str) -> Option<Progress> {
    match tool {
        Tool::Uv => {
            let count =
                |verb: &str| line.strip_prefix(verb)?.split(' ').next()?.parse::<usize>().ok();
            count("Resolved ")
                .map(|packages| Progress::Downloading { packages })
                // Where nothing had to be fetched, only the end of it is said.
                .or_else(|| {
                    let packages = count("Prepared ").or_else(|| count("Installed "))?;
                    Some(Progress::Installing { packages })
                })
        }
        Tool::Pip => {
            let names = line.strip_prefix("Installing collected packages: ")?;
            Some(Progress::Installing { packages: names.split(", ").count() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_tell_when_they_begin_to_install() {
        let three = Some(Progress::Installing { packages: 3 });
        assert_eq!(read(Tool::Uv, "Prepared 3 packages in 12ms"), three);
        assert_eq!(read(Tool::Pip, "Installing collected packages: a, b, c"), three);
        let resolved = read(Tool::Uv, "Resolved 5 packages in 313ms");
        assert_eq!(resolved, Some(Progress::Downloading { packages: 5 }));
        assert_eq!(read(Tool::Uv, "Installed 3 packages in 1ms"), three);
        assert_eq!(read(Tool::Uv, " + packaging==24.0"), None);
    }
}
