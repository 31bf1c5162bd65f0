//! Messages about settings that are left out.

use envspec::Tool;

pub(super) fn refused(name: &str, place: &str) -> String {
    format!(
        "`{name}` in {place} is left out: it says where packages go, or whether they are installed"
    )
}

pub(super) fn unknown(tool: Tool, name: &str, place: &str) -> String {
    format!(
        "`{name}` in {place} is left out: it is no setting that {tool} is known to have; \
         in force, give it as an option of the spec, or remove it"
    )
}
