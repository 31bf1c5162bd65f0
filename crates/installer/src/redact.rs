//! Removing credentials from text for people.

/// Replacement for credentials.
const MASK: &str = "****";

/// The credentials of one call, removed wherever a tool repeats them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Remembers the credentials of a URL: the password, or a user name that stands alone (a token).
    pub(crate) fn add_url(&mut self, url: &str) {
        let Some((_, rest)) = url.split_once("://") else { return };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((credentials, _)) = authority.rsplit_once('@') else { return };
        let secret = credentials.split_once(':').map_or(credentials, |(_, password)| password);
        // A shorter one would also match innocent text; inside a URL it is removed anyway.
        if secret.len() >= 6 {
            self.0.push(secret.to_owned());
        }
    }

    /// Returns the text without credentials.
    pub(crate) fn redact(&self, text: &str) -> String {
        let clean = envspec::redact(text).into_owned();
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
    fn a_password_is_cut_where_a_tool_repeats_it() {
        let mut secrets = Secrets::default();
        secrets.add_url("https://me:hunter22@host/simple");
        let told = "401 for me with hunter22 at https://me:hunter22@host/simple";
        assert_eq!(secrets.redact(told), "401 for me with **** at https://host/simple");
    }
}
