//! The effect of each setting of pip and uv on an installation, in one table.
//!
//! A setting has one meaning in every form: as an option of a spec, as a variable of the spec or of
//! the process (`PIP_RETRIES`, `UV_HTTP_RETRIES`), or as a key of a configuration file. A setting
//! that no table here lists is refused by name in a spec, and left out with a warning on the
//! machine. A test asks real pips and uvs for all their settings.

mod command_line;
mod pip;
mod setting;
mod uv;

use crate::tool::Tool;

pub use command_line::{Given, parse};
pub use setting::{Effect, Instead, Named, Setting, Value, one_word};

/// Returns all settings of a tool.
#[must_use]
pub fn all(tool: Tool) -> &'static [Setting] {
    match tool {
        Tool::Pip => pip::SETTINGS,
        Tool::Uv => uv::SETTINGS,
    }
}

/// Returns the setting of a key in a configuration file, or of an option by its full name.
#[must_use]
pub fn by_name(tool: Tool, name: &str) -> Option<&'static Setting> {
    all(tool).iter().find(|setting| setting.is_option() && setting.names().any(|one| one == name))
}

/// Returns whether the tool reads a variable of this name.
#[must_use]
pub fn is_variable_of(tool: Tool, variable: &str) -> bool {
    match tool {
        Tool::Pip => variable.starts_with("PIP_"),
        Tool::Uv => variable.starts_with("UV_"),
    }
}

/// Returns the setting of a variable.
#[must_use]
pub fn by_variable(tool: Tool, variable: &str) -> Option<&'static Setting> {
    let exact = all(tool)
        .iter()
        .find(|setting| setting.variables.contains(&variable) || setting.name == variable);
    match tool {
        Tool::Pip => exact.or_else(|| {
            let name = variable.strip_prefix("PIP_")?;
            by_name(tool, &name.to_ascii_lowercase().replace('_', "-"))
        }),
        Tool::Uv => exact.or_else(|| uv::by_pattern(variable)),
    }
}

/// Returns the character between the items of a variable that holds several.
#[must_use]
pub fn separator(variable: &str) -> char {
    if variable == "UV_FIND_LINKS" { ',' } else { ' ' }
}
