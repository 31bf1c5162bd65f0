//! Names of secret values.

/// Parts of a name that make its value a secret, at any place in the name without its separators.
const SECRET_PARTS: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
];

/// Words that make a value a secret if they are a whole word of its name.
const SECRET_WORDS: [&str; 10] =
    ["key", "pat", "pwd", "pass", "auth", "dsn", "cookie", "bearer", "signature", "username"];

/// Returns whether a variable or an argument of this name probably holds a secret: `HF_TOKEN`,
/// `AWS_SECRET_KEY`, `UV_INDEX_INTERNAL_PASSWORD`.
///
/// ```
/// assert!(envspec::names_a_secret("hfToken"));
/// assert!(!envspec::names_a_secret("TOKENIZERS_PARALLELISM"));
/// ```
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let words = || lower.split(|letter: char| !letter.is_alphanumeric());
    let joined: String = words().collect();
    // A tokenizer is no token, and is one word: `TOKEN_IZ` is none.
    let without_tokenizers: String = words().map(|word| word.replace("tokeniz", "")).collect();
    without_tokenizers.contains("token")
        || SECRET_PARTS.iter().any(|part| joined.contains(part))
        || words().any(|word| SECRET_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::names_a_secret;

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for name in [
            "HF_TOKEN",
            "TOKEN_IZ",
            "hftoken",
            "AWS_SECRET_ACCESS_KEY",
            "api-key",
            "Password",
            "KEY",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["tokenizer", "MONKEY", "PATH", "keyword", "author", "compass", ""] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
