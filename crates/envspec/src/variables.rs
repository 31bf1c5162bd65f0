//! `${NAME}` in requirements.
//!
//! pip and uv replace it from their own environment, which would then affect the installed packages
//! without a trace in the key. So loading a spec replaces or refuses it:
//!
//! - In the user and password of a URL, and in a token or signature of its query, the spec's own
//!   `env_vars` replace it; otherwise it is kept for the package manager, since credentials are not
//!   in a key.
//! - `${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}`, which Ray documents for requirements files, becomes
//!   the spec's `working_dir`.
//! - Any other use is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;
use crate::location;
use crate::query;
use crate::read::excerpt;
use crate::redact::{Reading, user_infos};

const WORKING_DIR: &str = "RAY_RUNTIME_ENV_CREATE_WORKING_DIR";

pub(crate) struct Variables<'a> {
    pub(crate) env_vars: &'a BTreeMap<String, String>,
    pub(crate) working_dir: Option<&'a Path>,
}

impl Variables<'_> {
    pub(crate) fn expand<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Error> {
        let mut expanded = String::new();
        let mut copied = 0;
        let user_infos = user_infos(text, Reading::Text);
        let in_queries = query::credentials(text);
        // All of them are in order.
        let mut user_infos = user_infos.iter().map(|info| &info.range).peekable();
        let mut in_queries = in_queries.iter().peekable();
        for (start, name, end) in uses(text) {
            while user_infos.next_if(|range| range.end < end).is_some() {}
            while in_queries.next_if(|range| range.end < end).is_some() {}
            let hidden = [user_infos.peek().copied(), in_queries.peek().copied()];
            let value = if hidden.iter().flatten().any(|range| range.start <= start) {
                match self.env_vars.get(name) {
                    Some(value) => location::encoded_user_info(value),
                    None => continue,
                }
            } else {
                match self.working_dir.and_then(Path::to_str) {
                    Some(dir) if name == WORKING_DIR => dir.to_owned(),
                    _ => {
                        return Err(Error::Variable {
                            variable: name.to_owned(),
                            text: excerpt(text),
                        });
                    }
                }
            };
            expanded.push_str(&text[copied..start]);
            expanded.push_str(&value);
            copied = end;
        }
        if copied == 0 {
            return Ok(Cow::Borrowed(text));
        }
        expanded.push_str(&text[copied..]);
        Ok(Cow::Owned(expanded))
    }
}

/// Returns every `${NAME}` that pip and uv would replace, as start, name and end.
fn uses(text: &str) -> Vec<(usize, &str, usize)> {
    let mut uses = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find("${") {
        let start = from + offset;
        from = start + 2;
        let is_replaced = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let rest = &text[from..];
        let (name, rest) = rest.split_at(rest.find(|c| !is_replaced(c)).unwrap_or(rest.len()));
        if !name.is_empty() && rest.starts_with('}') {
            from += name.len() + 1;
            uses.push((start, name, from));
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_where_they_cannot_change_the_key() {
        let env_vars = BTreeMap::from([("TOKEN".to_owned(), "a/b".to_owned())]);
        let variables = Variables { env_vars: &env_vars, working_dir: Some(Path::new("/work")) };
        let expand =
            |text: &str| variables.expand(text).map(Cow::into_owned).map_err(|e| e.to_string());
        assert_eq!(expand("-i https://u:${TOKEN}@h/").unwrap(), "-i https://u:a%2Fb@h/");
        assert_eq!(expand("https://h/a?sig=${TOKEN}").unwrap(), "https://h/a?sig=a%2Fb");
        assert_eq!(expand("-i https://${OTHER}@h/").unwrap(), "-i https://${OTHER}@h/");
        assert_eq!(
            expand("-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/r.txt").unwrap(),
            "-r /work/r.txt"
        );
        assert_eq!(expand("$TOKEN ${lower} ${ TOKEN }").unwrap(), "$TOKEN ${lower} ${ TOKEN }");
        assert!(expand("pkg==${TOKEN}").is_err() && expand("https://h/a?b=${TOKEN}").is_err());
        assert!(expand("https://u:p@h/${TOKEN}").unwrap_err().contains("`https://h/${TOKEN}`"));
    }
}
