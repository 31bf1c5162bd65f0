//! Classification of failures by a tool's output.

use envspec::Tool;

/// Kinds of failure that a caller treats differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsatisfiable,
    NotFound { package: String },
    BuildFailed { package: Option<String> },
    Network { transient: bool },
    NoSpace,
    Other,
}

/// Signs of a connection that failed or broke.
const NETWORK: &[&str] = &[
    "error sending request",
    "dns error",
    "tcp connect error",
    "Connection refused",
    "Connection reset",
    "connection closed before message completed",
    "Failed to establish a new connection",
    "after connection broken by",
    "ReadTimeoutError",
    "ConnectTimeoutError",
    "IncompleteRead",
    "Temporary failure in name resolution",
    "operation timed out",
    "network timeout",
    "HTTP status server error",
    "500 Server Error",
    "502 Server Error",
    "503 Server Error",
    "too many 500 error responses",
    "too many 502 error responses",
    "too many 503 error responses",
    "504 Server Error",
    "429 Client Error",
    "429 Too Many Requests",
    "SSLError",
    "invalid peer certificate",
    "network was disabled",
];

/// Signs of a network failure that a retry would meet again.
const LASTING: &[&str] = &[
    "CERTIFICATE_VERIFY_FAILED",
    "SSLCertVerificationError",
    "invalid peer certificate",
    "Name or service not known",
    "nodename nor servname provided",
    "network was disabled",
];

/// Returns the kind of failure that a tool's output describes.
///
/// The order matters: a full disk shows as a failed build or a broken download, and a pip that
/// cannot reach its index ends by saying that the index has no such package.
pub(crate) fn classify(tool: Tool, words: &str) -> Kind {
    let has = |mark: &&str| words.contains(*mark);
    if ["No space left on device", "os error 28", "Disk quota exceeded"].iter().any(has) {
        return Kind::NoSpace;
    }
    let kind = match tool {
        Tool::Uv => classify_uv(words),
        Tool::Pip => classify_pip(words),
    };
    let network = NETWORK.iter().any(has);
    match kind {
        // Trust the tool's verdict, unless it rests on an index that did not answer.
        Some(kind @ (Kind::BuildFailed { .. } | Kind::Unsatisfiable)) => kind,
        Some(kind) if !network => kind,
        _ if network => Kind::Network { transient: !LASTING.iter().any(has) },
        _ => Kind::Other,
    }
}

fn classify_uv(words: &str) -> Option<Kind> {
    if words.contains("No solution found when resolving") {
        if words.contains("network was disabled") {
            return None;
        }
        for mark in [
            " was not found in the package registry",
            " was not found in the provided package locations",
        ] {
            if let Some((before, _)) = words.split_once(mark) {
                return Some(Kind::NotFound { package: last_word(before) });
            }
        }
        return Some(Kind::Unsatisfiable);
    }
    let failed = ["Failed to build", "Failed to download and build", "The build backend returned"];
    if failed.iter().any(|mark| words.contains(mark)) {
        let package = failed[..2].iter().find_map(|mark| quoted_after(words, mark));
        return Some(Kind::BuildFailed { package });
    }
    if words.contains("has no usable wheels") || words.contains("no wheels with a matching") {
        return Some(Kind::Unsatisfiable);
    }
    None
}

fn classify_pip(words: &str) -> Option<Kind> {
    if [
        "subprocess-exited-with-error",
        "metadata-generation-failed",
        "Failed building wheel for",
        "failed-wheel-build-for-install",
        "Failed to build installable wheels",
    ]
    .iter()
    .any(|mark| words.contains(mark))
    {
        return Some(Kind::BuildFailed { package: pip_build(words) });
    }
    if words.contains("ResolutionImpossible") {
        return Some(Kind::Unsatisfiable);
    }
    if let Some((_, requirement)) = words.rsplit_once("No matching distribution found for ") {
        if !words.contains("(from versions: none)")
            || words.contains("require a different python version")
        {
            return Some(Kind::Unsatisfiable);
        }
        let package = requirement.lines().next().unwrap_or_default().trim().to_owned();
        return Some(Kind::NotFound { package });
    }
    None
}

/// Returns the package whose build failed, from any of pip's forms of the message.
fn pip_build(words: &str) -> Option<String> {
    for mark in ["Failed building wheel for ", "Failed to build ", "from versions of "] {
        if let Some((_, rest)) = words.split_once(mark) {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let name = name.trim_matches(['\'', '`', '"', ',', ':']);
            if !name.is_empty() && name != "installable" {
                return Some(name.to_owned());
            }
        }
    }
    // The build failed before pip knew the name: take the last one that pip named.
    let before =
        words.split_once("subprocess-exited-with-error").map_or(words, |(before, _)| before);
    let named = before.lines().rev().find_map(|line| {
        line.trim_start().strip_prefix("Processing ").or(line.strip_prefix("Collecting "))
    })?;
    named.split_whitespace().next().map(str::to_owned)
}

/// Returns the text in backticks after a mark.
fn quoted_after(words: &str, mark: &str) -> Option<String> {
    let (_, rest) = words.split_once(mark)?;
    let (_, rest) = rest.lines().next()?.split_once('`')?;
    rest.split_once('`').map(|(quoted, _)| quoted.to_owned())
}

fn last_word(text: &str) -> String {
    let word = text.split_whitespace().next_back().unwrap_or_default();
    word.trim_matches(['`', '\'', '"']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_uv_are_understood() {
        let not_found = |package: &str| Kind::NotFound { package: package.to_owned() };
        let failed = |package: &str| Kind::BuildFailed { package: Some(package.to_owned()) };
        for (words, kind) in [
            (
                "error: No solution found when resolving dependencies\n  cause: Because there is no \
                 version of packaging==99.9 and you require packaging==99.9, we can conclude that \
                 your requirements are unsatisfiable.",
                Kind::Unsatisfiable,
            ),
            (
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because packagin-g was not \
                 found in the package registry and you require packagin-g, we can conclude",
                not_found("packagin-g"),
            ),
            (
                "error: No solution found when resolving dependencies\n  cause: Because idna was not \
                 found in the cache and you require idna, we can conclude that your requirements are \
                 unsatisfiable.\n\nhint: Packages were unavailable because the network was disabled.",
                Kind::Network { transient: false },
            ),
            (
                "error: Request failed after 3 retries in 10.1s\n  cause: Failed to fetch: \
                 http://127.0.0.1:9/simple/idna/\n  cause: tcp connect error\n  cause: Connection \
                 refused (os error 111)",
                Kind::Network { transient: true },
            ),
            (
                "  cause: dns error\n  cause: failed to lookup address information: Name or service \
                 not known",
                Kind::Network { transient: false },
            ),
            (
                "  × Failed to build `broken @ file:///w/broken`\n  ├─▶ The build backend returned an \
                 error\n  [stderr] Connection refused",
                failed("broken @ file:///w/broken"),
            ),
            ("error: Failed to write: No space left on device (os error 28)", Kind::NoSpace),
            ("error: unexpected argument '--no-such' found", Kind::Other),
        ] {
            assert_eq!(classify(Tool::Uv, words), kind, "{words}");
        }
    }

    #[test]
    fn words_of_pip_are_understood() {
        const NONE: &str = "ERROR: Could not find a version that satisfies the requirement idna \
                            (from versions: none)\nERROR: No matching distribution found for idna\n";
        let retrying = "WARNING: Retrying (Retry(total=4)) after connection broken by \
                        'NewConnectionError(': Failed to establish a new connection: [Errno 111] \
                        Connection refused')': /simple/idna/\n"
            .to_owned();
        let failed = |package: &str| Kind::BuildFailed { package: Some(package.to_owned()) };
        for (words, kind) in [
            (NONE.to_owned(), Kind::NotFound { package: "idna".to_owned() }),
            (NONE.replace("none", "1.0, 2.0"), Kind::Unsatisfiable),
            (retrying + NONE, Kind::Network { transient: true }),
            (
                "ERROR: Cannot install packaging==24.0 because these package versions have \
                 conflicting dependencies.\nThe conflict is caused by:\n    The user requested \
                 packaging==24.0\nERROR: ResolutionImpossible: for help visit"
                    .to_owned(),
                Kind::Unsatisfiable,
            ),
            (
                "Processing /w/broken-1.0.tar.gz\n  Preparing metadata (setup.py): started\n  error: \
                 subprocess-exited-with-error\n  × python setup.py egg_info did not run successfully."
                    .to_owned(),
                failed("/w/broken-1.0.tar.gz"),
            ),
            ("x\n  ERROR: Failed building wheel for broken\n".to_owned(), failed("broken")),
            ("OSError: [Errno 28] No space left on device".to_owned(), Kind::NoSpace),
            ("ERROR: Invalid requirement".to_owned(), Kind::Other),
        ] {
            assert_eq!(classify(Tool::Pip, &words), kind, "{words}");
        }
    }
}
