//! Whether uv works offline. An offline uv refuses every option for new queries.

use envspec::Tool;
use envspec::settings::Given;

use crate::error::Error;
use crate::request::Request;
use crate::settings::{Settings, is_on};

/// Options for new queries to indexes.
const ASKING: [&str; 2] = ["refresh", "refresh-package"];

/// Returns the setting or option that makes uv work offline, in words.
fn ordered_by(given: &[Given], in_force: &Settings) -> Option<String> {
    let options = given.iter().rev().map(|given| given.setting.name);
    match options.into_iter().find(|name| ["offline", "no-offline"].contains(name)) {
        Some("offline") => return Some("`--offline`".to_owned()),
        Some(_) => return None,
        None => {}
    }
    if in_force.variables.get("UV_OFFLINE").is_some_and(|value| is_on(value)) {
        return Some("`UV_OFFLINE`".to_owned());
    }
    let of_file = in_force.file.as_ref().and_then(|table| table.get("offline")?.as_bool());
    of_file.unwrap_or_default().then(|| "`offline` in `uv.toml`".to_owned())
}

/// Returns whether the tool is an offline uv; fails if the call also asks for new queries.
pub(crate) fn check(
    request: &Request<'_>,
    given: &[Given],
    in_force: &Settings,
) -> Result<bool, Error> {
    if request.install.tool != Tool::Uv {
        return Ok(false);
    }
    let Some(by) = ordered_by(given, in_force) else {
        return Ok(request.is_offline || request.known.is_some());
    };
    let asking = given.iter().map(|given| given.setting.name).find(|name| ASKING.contains(name));
    let what = match asking {
        _ if request.is_fresh => "a refresh".to_owned(),
        Some(option) => format!("`--{option}`"),
        None => return Ok(true),
    };
    Err(Error::Offline { what, by })
}
