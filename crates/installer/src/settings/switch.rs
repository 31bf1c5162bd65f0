//! Values that turn a setting on or off, as both package managers read them.

/// Returns whether a value turns a setting on.
pub(crate) fn is_on(value: &str) -> bool {
    ["1", "y", "yes", "t", "true", "on"].contains(&&*value.to_ascii_lowercase())
}

/// Returns whether a value turns a setting off.
pub(super) fn is_off(value: &str) -> bool {
    ["0", "n", "no", "f", "false", "off"].contains(&&*value.to_ascii_lowercase())
}
