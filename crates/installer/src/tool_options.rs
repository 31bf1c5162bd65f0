//! Options that a spec passes to the tool.

use envspec::settings::{self, Effect, Given};
use envspec::{Install, Tool};

use crate::error::Error;
use crate::mode::Mode;

/// Options that `uv pip compile` lacks, and a resolution does not need.
const NOT_OF_COMPILE: [&str; 6] = [
    "no-verify-hashes",
    "reinstall",
    "reinstall-package",
    "require-hashes",
    "strict",
    "verify-hashes",
];

/// `pip_install_options` or `uv_pip_install_options`, with the addresses taken out.
///
/// They may hold credentials like the spec's index options, and are treated alike. Options that are
/// never in force are dropped here, too, since an [`Install`] may be made by hand.
#[derive(Debug)]
pub(crate) struct ToolOptions {
    tool: Tool,
    given: Vec<Given>,
}

/// The options that may hold credentials.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses<'a> {
    pub(crate) index_url: Option<&'a str>,
    pub(crate) extra_index_urls: Vec<&'a str>,
    pub(crate) find_links: Vec<&'a str>,
    pub(crate) proxy: Option<&'a str>,
}

impl ToolOptions {
    pub(crate) fn of(install: &Install) -> Result<Self, Error> {
        let tool = install.tool;
        let given = settings::parse(tool, &install.tool_options)
            .map_err(|source| Error::Option { source: Box::new(source) })?;
        let checked = given.iter().try_for_each(Given::check);
        checked.map_err(|source| Error::Option { source: Box::new(source) })?;
        Ok(Self { tool, given })
    }

    pub(crate) fn addresses(&self) -> Addresses<'_> {
        let mut found = Addresses::default();
        for Given { setting, value } in &self.given {
            let value = value.as_deref();
            match setting.name {
                "index-url" | "default-index" => found.index_url = value,
                "extra-index-url" | "index" => found.extra_index_urls.extend(value),
                "find-links" => found.find_links.extend(value),
                "proxy" => found.proxy = value,
                _ => {}
            }
        }
        found
    }

    /// The other options, in order, each as one word.
    pub(crate) fn words(&self, mode: Mode) -> impl Iterator<Item = String> {
        let addresses =
            ["index-url", "default-index", "extra-index-url", "index", "find-links", "proxy"];
        // The settings handle these, not the tool.
        let files = ["config-file", "no-config"];
        let not_of_mode = match (self.tool, mode) {
            (Tool::Uv, Mode::Lock) => &NOT_OF_COMPILE[..],
            _ => &[],
        };
        let passed_over = [&addresses[..], &files, not_of_mode].concat();
        self.given
            .iter()
            .filter(move |Given { setting, .. }| {
                setting.effect != Effect::Ours && !passed_over.contains(&setting.name)
            })
            .map(Given::word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(tool: Tool, line: &str) -> Install {
        let mut install = Install::new(tool, Vec::new());
        install.tool_options = line.split_whitespace().map(str::to_owned).collect();
        install
    }

    #[test]
    fn addresses_are_taken_out_in_any_spelling_and_the_rest_is_passed_on() {
        let install = with(
            Tool::Pip,
            "--index-url https://u:p@a -f/w --upgrade --extra-index https://u:p@b -qC k=v \
             --prox http://u:p@proxy --no-col",
        );
        let options = ToolOptions::of(&install).unwrap();
        let words: Vec<_> = options.words(Mode::Install).collect();
        assert_eq!(words, ["--upgrade", "--config-settings=k=v"]);
        let addresses = options.addresses();
        assert_eq!(addresses.index_url, Some("https://u:p@a"));
        assert_eq!(addresses.extra_index_urls, ["https://u:p@b"]);
        assert_eq!(addresses.find_links, ["/w"]);
        assert_eq!(addresses.proxy, Some("http://u:p@proxy"));
    }

    #[test]
    fn an_install_that_was_made_by_hand_is_held_to_the_same() {
        for line in ["--targ /x", "-Ut/x", "--dry", "-I", "--what", "six", "--no-comp"] {
            let error = ToolOptions::of(&with(Tool::Pip, line)).unwrap_err();
            assert!(matches!(error, Error::Option { .. }), "{line}");
        }
    }
}
