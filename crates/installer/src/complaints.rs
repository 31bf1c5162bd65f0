//! Warnings of a package manager that succeeded: what it tells people, and what a run passes on.

use envspec::Tool;

use crate::outcome::normal_name;
use crate::transcript::tool_name;

/// Parts of warnings that say nothing of what was installed: of speed and the network, of who runs pip
/// and of what is on `PATH`. What is said of extras is found in the environment itself.
const PASSED_OVER: [&str; 12] = [
    "does not have an extra named",
    "does not provide the extra",
    "Running pip as the",
    "You are using pip version",
    "checking the latest version of pip",
    "Retrying (",
    "is installed in '",
    "are installed in '",
    "The cache has been disabled",
    "Cache entry deserialization failed",
    "Failed to hardlink files",
    "Connection timed out while downloading",
];

/// Returns what a successful run of a tool warned of, each once, in its order. Deprecations are left out:
/// they tell of later versions of the tool.
pub(crate) fn complaints(tool: Tool, output: &str) -> Vec<String> {
    let start = match tool {
        Tool::Pip => "WARNING: ",
        Tool::Uv => "warning: ",
    };
    let mut told = Vec::new();
    let mut lines = output.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let Some(warning) = line.strip_prefix(start) else { continue };
        if PASSED_OVER.iter().any(|part| warning.contains(part)) {
            continue;
        }
        let text = match tool {
            Tool::Pip => pip_yanked(warning).map(|pinned| {
                let reason =
                    lines.peek().and_then(|it| it.strip_prefix("Reason for being yanked: "));
                yanked(&pinned, reason.filter(|it| *it != "<none given>"))
            }),
            Tool::Uv => uv_yanked(warning),
        };
        let text = text.unwrap_or_else(|| format!("{} warned: {warning}", tool_name(tool)));
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told
}

/// A release that its authors took back (PEP 592): a package manager takes it only where nothing else
/// fits.
fn yanked(pinned: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if !reason.is_empty() => {
            format!("{pinned} was yanked from its index: {reason}")
        }
        _ => format!("{pinned} was yanked from its index"),
    }
}

/// `…is a yanked version: 'attrs' candidate (version 21.1.0 at https://…`
fn pip_yanked(warning: &str) -> Option<String> {
    let (_, candidate) = warning.split_once("is a yanked version: '")?;
    let (name, rest) = candidate.split_once("' candidate (version ")?;
    let version = rest.split([' ', ')']).next()?;
    Some(format!("{}=={version}", normal_name(name)))
}

/// `` `attrs==21.1.0` is yanked (reason: "…") ``
fn uv_yanked(warning: &str) -> Option<String> {
    let (pinned, rest) = warning.strip_prefix('`')?.split_once("` is yanked")?;
    let reason = rest.trim().strip_prefix("(reason: \"").and_then(|it| it.strip_suffix("\")"));
    Some(yanked(pinned, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_tell_of_a_yanked_release_in_one_sentence() {
        let pip = "Collecting attrs\nWARNING: The candidate selected for download or install is a \
                   yanked version: 'attrs' candidate (version 21.1.0 at https://h/attrs-21.1.0.whl \
                   (from https://h/attrs/))\nReason for being yanked: Not \"importable\".\n";
        let uv = "Resolved 1 package\nwarning: `attrs==21.1.0` is yanked (reason: \"Not \
                  \"importable\".\")\n";
        let told = ["attrs==21.1.0 was yanked from its index: Not \"importable\"."];
        assert_eq!(complaints(Tool::Pip, pip), told);
        assert_eq!(complaints(Tool::Uv, uv), told);
        let (pip, _) = pip.split_once("Not").unwrap();
        let told = ["attrs==21.1.0 was yanked from its index"];
        assert_eq!(complaints(Tool::Pip, &format!("{pip}<none given>")), told);
        assert_eq!(complaints(Tool::Uv, "warning: `attrs==21.1.0` is yanked"), told);
    }

    #[test]
    fn other_warnings_are_passed_on_once_and_noise_is_not() {
        let output = "WARNING: Location '/x' is ignored: it does not exist.\n  WARNING: Location '/x' \
                      is ignored: it does not exist.\nWARNING: Retrying (Retry(total=4)) after …\n\
                      DEPRECATION: pip 25 will enforce this\nWARNING: Running pip as the 'root' user\n\
                      WARNING: a 1.0 does not provide the extra 'b'\n";
        let told = ["pip warned: Location '/x' is ignored: it does not exist."];
        assert_eq!(complaints(Tool::Pip, output), told);
        assert_eq!(complaints(Tool::Uv, output), [""; 0]);
    }
}
