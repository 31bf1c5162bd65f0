//! The nearest known name to an unknown one.

/// Maximum length of a name that is compared. Longer texts are no misspelt names, and a comparison
/// takes quadratic time.
const LONGEST: usize = 64;

/// Returns the candidate that `name` most likely means, for errors about unknown names. About a
/// third of the letters may differ.
///
/// ```
/// assert_eq!(envspec::nearest("bacth_size", ["batch_size", "resources"]), Some("batch_size"));
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= name.len().max(candidate.len()) / 3 + 1)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the distance between two names. Differences in case, and between `-` and `_`, cost the
/// least.
fn distance(left: &str, right: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    strsim::damerau_levenshtein(&plain(left), &plain(right))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["batch_size", "resources", "runtime_env"];
        assert_eq!(nearest("bacth_size", names), Some("batch_size"));
        assert_eq!(nearest("Runtime-Env", names), Some("runtime_env"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"x".repeat(100_000), names), None);
    }
}
