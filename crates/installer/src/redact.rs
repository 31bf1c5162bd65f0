//! Cutting credentials out of text that people read.

use std::borrow::Cow;

/// What stands in place of credentials.
const MASK: &str = "****";

/// Cuts `user:password@` from every URL in a text.
pub(crate) fn redact_urls(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(scheme_end) = rest.find("://").map(|at| at + 3) {
        let authority_len = rest[scheme_end..]
            .find(|c: char| {
                c == '/' || c == '?' || c == '#' || c.is_whitespace() || "\"'`<>".contains(c)
            })
            .unwrap_or(rest.len() - scheme_end);
        let authority = &rest[scheme_end..scheme_end + authority_len];
        clean.push_str(&rest[..scheme_end]);
        match authority.rsplit_once('@') {
            // `git` in `ssh://git@host` says nothing; anything else may be a token.
            Some(("git", host)) => clean.extend(["git@", host]),
            Some((_, host)) => clean.extend([MASK, "@", host]),
            None => clean.push_str(authority),
        }
        rest = &rest[scheme_end + authority_len..];
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// The credentials of one call, to be cut wherever a tool repeats them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Remembers the credentials of a URL: the password, or a user name that stands alone (a token).
    pub(crate) fn add_url(&mut self, url: &str) {
        let Some((_, rest)) = url.split_once("://") else { return };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((credentials, _)) = authority.rsplit_once('@') else { return };
        let secret = credentials.split_once(':').map_or(credentials, |(_, password)| password);
        // A shorter one would also cut innocent text; inside a URL it is cut all the same.
        if secret.len() >= 6 {
            self.0.push(secret.to_owned());
        }
    }

    /// The text without credentials.
    pub(crate) fn redact(&self, text: &str) -> String {
        let clean = redact_urls(text).into_owned();
        self.0.iter().fold(clean, |text, secret| text.replace(secret.as_str(), MASK))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_cut_and_the_rest_is_kept() {
        for (text, expected) in [
            ("see https://me:pw@host/simple, now", "see https://****@host/simple, now"),
            (
                "https://tok@h and http://a:b@c:80/x?y=1",
                "https://****@h and http://****@c:80/x?y=1",
            ),
            ("pkg @ git+ssh://git@host/x.git", "pkg @ git+ssh://git@host/x.git"),
            ("https://u:p@ss@host/", "https://****@host/"),
            ("mail me@host, https://host/@scope", "mail me@host, https://host/@scope"),
            ("`https://u:p@host`", "`https://****@host`"),
            ("no url: ://", "no url: ://"),
        ] {
            assert_eq!(redact_urls(text), expected);
        }
    }

    #[test]
    fn a_password_is_cut_where_a_tool_repeats_it() {
        let mut secrets = Secrets::default();
        secrets.add_url("https://me:hunter22@host/simple");
        assert_eq!(secrets.redact("401 for me with hunter22"), "401 for me with ****");
    }
}
