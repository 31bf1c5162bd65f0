//! `${NAME}` in requirements.
//!
//! pip and uv replace it from their own environment, which would then affect the installed packages
//! without a trace in the key. So loading a spec replaces or refuses it:
//!
//! - In the user and password of a URL, and in a signature of its query, the spec's own `env_vars`
//!   replace it; otherwise it is kept for the package manager, since these are in no key.
//! - In any other credential of a query, which is in the key as a digest, `env_vars` replace it.
//! - `${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}`, which Ray documents for requirements files, becomes
//!   the spec's `working_dir`.
//! - Any other use is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Range;
use std::path::Path;

use crate::error::Error;
use crate::location;
use crate::query;
use crate::read::excerpt;
use crate::redact::{Reading, user_infos};

const WORKING_DIR: &str = "RAY_RUNTIME_ENV_CREATE_WORKING_DIR";

type Ranges = Peekable<std::vec::IntoIter<Range<usize>>>;

pub(crate) struct Variables<'a> {
    pub(crate) env_vars: &'a BTreeMap<String, String>,
    pub(crate) working_dir: Option<&'a Path>,
}

impl Variables<'_> {
    pub(crate) fn expand<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Error> {
        let mut expanded = String::new();
        let mut copied = 0;
        // All of them are in order.
        let users = user_infos(text, Reading::Text).into_iter().map(|info| info.range);
        let mut in_no_key = [users.collect(), query::parameters(text, &[query::Kind::Signature])]
            .map(|ranges: Vec<_>| ranges.into_iter().peekable());
        let mut tokens = query::parameters(text, &[query::Kind::Token]).into_iter().peekable();
        for (start, name, end) in uses(text) {
            let is_in = |ranges: &mut Ranges| {
                while ranges.next_if(|range| range.end < end).is_some() {}
                ranges.peek().is_some_and(|range| range.start <= start)
            };
            let is_in_key = !in_no_key.iter_mut().any(is_in);
            let is_hidden = is_in(&mut tokens) || !is_in_key;
            let value = match (self.env_vars.get(name), self.working_dir.and_then(Path::to_str)) {
                (Some(value), _) if is_hidden => location::encoded_user_info(value),
                (None, _) if !is_in_key => continue,
                (_, Some(dir)) if !is_hidden && name == WORKING_DIR => dir.to_owned(),
                _ => {
                    return Err(Error::Variable { variable: name.to_owned(), text: excerpt(text) });
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
        for text in ["-i https://${OTHER}@h/", "https://h/a?sig=${OTHER}&key=k"] {
            assert_eq!(expand(text).unwrap(), text);
        }
        // The key holds a digest of it, so its value must be known.
        assert_eq!(expand("https://h/a?key=${TOKEN}&b").unwrap(), "https://h/a?key=a%2Fb&b");
        assert!(expand("https://h/a?key=${OTHER}&sig=c").is_err());
        assert_eq!(
            expand("-r ${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/r.txt").unwrap(),
            "-r /work/r.txt"
        );
        assert_eq!(expand("$TOKEN ${lower} ${ TOKEN }").unwrap(), "$TOKEN ${lower} ${ TOKEN }");
        assert!(expand("pkg==${TOKEN}").is_err() && expand("https://h/a?b=${TOKEN}").is_err());
        assert!(expand("https://u:p@h/${TOKEN}").unwrap_err().contains("`https://h/${TOKEN}`"));
    }
}
