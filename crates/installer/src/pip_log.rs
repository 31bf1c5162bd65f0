//! Messages that pip writes only to its log.
//!
//! With a log, pip does not print the output of a failed build; without one, it does not report an
//! index that did not answer. An error needs both.

/// Returns the part of pip's log to append to its output about a failure.
pub(crate) fn untold(log: &str, is_build: bool) -> String {
    let lines: Vec<&str> = log.lines().map(without_time).collect();
    let mut words: String = lines.iter().copied().filter_map(unanswered).collect();
    if is_build {
        words.extend(build_words(&lines));
    }
    words
}

/// Returns the message about an index that did not answer, or failed. A missing page for a name
/// (404) is an answer.
fn unanswered(line: &str) -> Option<String> {
    let (_, failure) = line.split_once("Could not fetch URL ")?;
    (!failure.contains("404 Client Error"))
        .then(|| format!("\nWARNING: Could not fetch URL {failure}"))
}

/// Returns the output of the last command of a build.
fn build_words<'a>(lines: &[&'a str]) -> Option<String> {
    let is_start = |line: &&'a str| line.trim_start().starts_with("Running command ");
    let start = lines.iter().rposition(is_start)?;
    let is_end = |line: &&'a str| line.trim_start().starts_with("ERROR: ");
    let output: Vec<&str> =
        lines[start..].iter().copied().take_while(|line| !is_end(line)).collect();
    Some("\n".to_owned() + &output.join("\n"))
}

/// Returns `2026-11-23T19:00:47,173 words` without the time.
fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, words)) if time.len() == 23 && time.as_bytes()[10] == b'T' => words,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_did_not_answer_is_told() {
        let log = "2026-11-23T19:00:47,173 Could not fetch URL http://a/: too many 503 error \
                   responses - skipping\n2026-11-23T19:00:48,345 Could not fetch URL http://b/: 404 \
                   Client Error: Not Found for url: http://b/ - skipping\n";
        assert_eq!(
            untold(log, false),
            "\nWARNING: Could not fetch URL http://a/: too many 503 error responses - skipping"
        );
    }

    #[test]
    fn the_last_build_is_told() {
        let log = "2026-11-23T19:02:38,852   Running command pip subprocess\n\
                   2026-11-23T19:02:38,853   Collecting setuptools\n\
                   2026-11-23T19:02:38,852   Running command Getting requirements to build wheel\n\
                   2026-11-23T19:02:39,009   Traceback (most recent call last):\n\
                   2026-11-23T19:02:39,010   RuntimeError: no compiler\n\
                   2026-11-23T19:02:39,037   ERROR: [present-rich] exited with 1\n";
        assert_eq!(
            untold(log, true),
            "\n  Running command Getting requirements to build wheel\n  \
             Traceback (most recent call last):\n  RuntimeError: no compiler"
        );
        assert_eq!(untold(log, false), "");
    }
}
