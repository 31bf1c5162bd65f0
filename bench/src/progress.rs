//! What is being measured, for people who wait.

/// Reports progress on standard error.
pub(crate) fn progress(what: &str) {
    eprintln!("... {what}");
}
