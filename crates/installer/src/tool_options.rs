//! Options that a spec passes to the tool as they are.

use envspec::Install;

/// `pip_install_options` or `uv_pip_install_options`, with the addresses taken out.
///
/// They may hold credentials like those of the spec's index options, and are treated as such. What
/// would silence the tool is left out, for its words are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolOptions<'a> {
    pub(crate) kept: Vec<&'a str>,
    pub(crate) index_url: Option<&'a str>,
    pub(crate) extra_index_urls: Vec<&'a str>,
    pub(crate) find_links: Vec<&'a str>,
    pub(crate) proxy: Option<&'a str>,
}

impl<'a> ToolOptions<'a> {
    pub(crate) fn of(install: &'a Install) -> Self {
        let mut sorted = Self::default();
        let mut options = install.tool_options.iter().map(String::as_str);
        while let Some(option) = options.next() {
            let (name, attached) = match option.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (option, None),
            };
            let mut value = || attached.or_else(|| options.next());
            match name {
                "--index-url" | "-i" | "--pypi-url" | "--default-index" => {
                    sorted.index_url = value().or(sorted.index_url);
                }
                "--extra-index-url" | "--index" => sorted.extra_index_urls.extend(value()),
                "--find-links" | "-f" => sorted.find_links.extend(value()),
                "--proxy" => sorted.proxy = value().or(sorted.proxy),
                // How files get there is ours to say.
                "--link-mode" => drop(value()),
                "-q" | "-qq" | "-qqq" | "--quiet" => {}
                _ => sorted.kept.push(option),
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envspec::Tool;

    #[test]
    fn addresses_are_taken_out_and_the_rest_is_passed_on() {
        let mut install = Install::new(Tool::Pip, Vec::new());
        install.tool_options =
            "--index-url https://u:p@a -f /w --upgrade --extra-index-url=https://b \
                                --config-settings k=v --link-mode symlink --proxy http://u:p@proxy -q"
                .split_whitespace()
                .map(str::to_owned)
                .collect();
        let options = ToolOptions::of(&install);
        assert_eq!(options.kept, ["--upgrade", "--config-settings", "k=v"]);
        assert_eq!(options.index_url, Some("https://u:p@a"));
        assert_eq!(options.extra_index_urls, ["https://b"]);
        assert_eq!(options.find_links, ["/w"]);
        assert_eq!(options.proxy, Some("http://u:p@proxy"));
    }
}
