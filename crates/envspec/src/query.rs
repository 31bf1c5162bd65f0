//! Credentials in the query of a URL: tokens, and signatures with all their parameters.
//!
//! In a signed address, only the signature and its parameters (method, signer, expiry) are
//! credentials; the parameters that name the object are not.
//!
//! A signature never names the object. Any other credential may: `?key=wheels/a` is the name of a
//! file on one server and a password on the next. So it is hidden, and still tells two URLs apart.

use std::borrow::Cow;
use std::ops::Range;

use crate::digest::Digest;
use crate::location::percent_decoded;
use crate::secret_name::names_a_secret;

/// Prefixes of one signer's parameters, in lower case; they all belong to a signature.
const SIGNERS: [&str; 7] = ["x-amz-", "x-goog-", "x-oss-", "x-obs-", "x-cos-", "x-ms-", "x-tos-"];

/// Parameters that are a signature, besides those with the word in their name.
const SIGNATURES: [&str; 7] = ["sig", "hmac", "jwt", "sas", "hdnts", "hdnea", "hdntl"];

/// Parameters that are a credential, besides signatures and those with the name of a secret.
const CREDENTIALS: [&str; 2] = ["code", "verify"];

/// Parameters that describe a signature, and count only beside one.
const OF_A_SIGNATURE: [&str; 30] = [
    "awsaccesskeyid",
    "date",
    "exp",
    "expire",
    "expires",
    "expires-in",
    "expiry",
    "googleaccessid",
    "key-pair-id",
    "ossaccesskeyid",
    "policy",
    "saoid",
    "sdd",
    "se",
    "ses",
    "si",
    "sip",
    "ske",
    "skoid",
    "sks",
    "skt",
    "sktid",
    "skv",
    "sp",
    "spr",
    "sr",
    "srt",
    "ss",
    "st",
    "sv",
];

/// A kind of parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A signature or a parameter of one, which decides who may fetch the object, and nothing else.
    Signature,
    /// Any other credential, which may also name the object.
    Token,
    /// No credential.
    Open,
}

/// The kinds of credentials.
const HIDDEN: [Kind; 2] = [Kind::Signature, Kind::Token];

/// Returns the parameters of these kinds in the queries of all URLs in `text`, in order. Each comes
/// with one separator, so that the rest is a query. The time is linear in the length of the text.
pub(crate) fn parameters(text: &str, kinds: &[Kind]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find("://") {
        let start = from + offset + 3;
        let rest = &text[start..];
        let end = start + rest.find(ends_word).unwrap_or(rest.len());
        // One word may hold several URLs, each in the query of the previous one.
        in_word(text, start..end, kinds, &mut found);
        from = end;
    }
    found
}

/// Returns `text` without its credentials.
pub(crate) fn without_credentials(text: Cow<'_, str>) -> Cow<'_, str> {
    replaced(text, &HIDDEN, |_| String::new())
}

/// Returns `text` without its signatures, and with digests in place of its other credentials.
pub(crate) fn with_digests(text: Cow<'_, str>) -> Cow<'_, str> {
    let unsigned = replaced(text, &[Kind::Signature], |_| String::new());
    // No URL holds such brackets, so no URL is mistaken for one with a digest.
    replaced(unsigned, &[Kind::Token], |token| format!("<{}>", Digest::of(token.as_bytes())))
}

fn replaced<'t>(
    text: Cow<'t, str>,
    kinds: &[Kind],
    replacement: impl Fn(&str) -> String,
) -> Cow<'t, str> {
    let found = parameters(&text, kinds);
    if found.is_empty() {
        return text;
    }
    let mut whole = String::with_capacity(text.len());
    let mut copied = 0;
    for range in found {
        whole.push_str(&text[copied..range.start]);
        whole.push_str(&replacement(&text[range.clone()]));
        copied = range.end;
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
}

fn in_word(text: &str, word: Range<usize>, kinds: &[Kind], found: &mut Vec<Range<usize>>) {
    let Some(query) = text[word.clone()].find(['?', '#']) else { return };
    let mut from = word.start + query;
    // Punctuation at the end of a sentence is not part of the URL.
    let end = word.start + text[word].trim_end_matches(['.', ',', ':', ')', ']']).len();
    // Each query begins with its `?`, and ends at a fragment or the next query.
    while from < end {
        let rest = &text[from + 1..end];
        let length = rest.find(['?', '#']).unwrap_or(rest.len());
        in_query(text, from..from + 1 + length, kinds, found);
        from += 1 + length;
    }
}

/// Finds the parameters of these kinds in a query, which begins with its `?`, or in a fragment, which
/// begins with its `#`.
fn in_query(text: &str, query: Range<usize>, kinds: &[Kind], found: &mut Vec<Range<usize>>) {
    let mut parameters = Vec::new();
    let mut from = query.start + 1;
    while from <= query.end {
        let rest = &text[from..query.end];
        let length = rest.find(['&', ';']).unwrap_or(rest.len());
        parameters.push(from..from + length);
        from += length + 1;
    }
    let read: Vec<(String, &str)> = parameters.iter().map(|it| read(&text[it.clone()])).collect();
    let is_signed = read.iter().any(|(name, _)| is_signature(name));
    let is_found: Vec<bool> =
        read.iter().map(|(name, value)| kinds.contains(&kind(name, value, is_signed))).collect();
    if is_found.iter().all(|is| *is) {
        // A URL without parameters is written without the `?`, too.
        found.push(query);
        return;
    }
    let mut is_first = true;
    for (parameter, is_found) in parameters.into_iter().zip(is_found) {
        match (is_found, is_first) {
            (false, _) => is_first = false,
            (true, true) => found.push(parameter.start..parameter.end + 1),
            (true, false) => found.push(parameter.start - 1..parameter.end),
        }
    }
}

fn kind(name: &str, value: &str, is_signed: bool) -> Kind {
    if is_signature(name) || is_signed && OF_A_SIGNATURE.contains(&name) {
        Kind::Signature
    } else if CREDENTIALS.contains(&name) || names_a_secret(name) || is_web_token(value) {
        Kind::Token
    } else {
        Kind::Open
    }
}

/// Returns the name of a parameter in lower case, and its value.
fn read(parameter: &str) -> (String, &str) {
    let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
    let name = percent_decoded(name).unwrap_or_else(|| name.to_owned());
    (name.to_lowercase(), value)
}

fn is_signature(name: &str) -> bool {
    SIGNERS.iter().any(|signer| name.starts_with(signer))
        || SIGNATURES.contains(&name)
        || name.split(|c: char| !c.is_alphanumeric()).any(|word| word == "signature")
}

/// Returns whether a value is a signed token (RFC 7519), whatever its name.
fn is_web_token(value: &str) -> bool {
    value.starts_with("eyJ") && value.matches('.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> String {
        without_credentials(Cow::from(text)).into_owned()
    }

    #[test]
    fn credentials_are_cut_from_every_query() {
        for (text, expected) in [
            ("https://b/x.whl?X-Amz-Signature=a1", "https://b/x.whl"),
            (
                "https://b/x.whl?versionId=3&X-Amz-Date=1&X-Amz-Expires=2&X%2Damz-Signature=3#sha256=c0",
                "https://b/x.whl?versionId=3#sha256=c0",
            ),
            ("https://b/x?sv=2&st=3&se=4&sr=b&sp=r&sig=5%3D", "https://b/x"),
            ("https://b/x?Expires=1&Signature=2&Key-Pair-Id=3&a=b", "https://b/x?a=b"),
            ("https://b/x?a=1&token=2&b=3&api_key=4", "https://b/x?a=1&b=3"),
            ("https://b/x?token=1;a=2", "https://b/x?a=2"),
            ("https://b/x?t=eyJhbGciOi.eyJzdWIi.c2ln", "https://b/x"),
            (
                "git+https://h/r.git?private_token=s#egg=n&subdirectory=d",
                "git+https://h/r.git#egg=n&subdirectory=d",
            ),
            ("https://p/?u=https://b/x?sig=1&a=2", "https://p/?u=https://b/x?a=2"),
            (
                "403 for 'https://b/x?token=s', and (https://b/y?sig=s).",
                "403 for 'https://b/x', and (https://b/y).",
            ),
            ("https://b/x#access_token=s", "https://b/x"),
            // Parameters that name the object stay.
            ("https://b/x?versionId=3&expires=never", "https://b/x?versionId=3&expires=never"),
            ("https://b/x?tokenizer=1&sort=st", "https://b/x?tokenizer=1&sort=st"),
            ("https://b/x?", "https://b/x?"),
            ("a?token=1 is no URL", "a?token=1 is no URL"),
        ] {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    #[test]
    fn what_may_name_the_object_tells_two_urls_apart() {
        let key = |text: &str| with_digests(Cow::from(text)).into_owned();
        for (one, other) in [
            ("https://b/x?key=a", "https://b/x?key=b"),
            ("https://b/x?key=a", "https://b/x"),
            ("https://b/x?key=a", "https://b/x?code=a"),
            ("https://b/x?a=1&verify=2&b=3", "https://b/x?a=1&verify=4&b=3"),
            ("https://b/x?token=s&sig=1", "https://b/x?token=t&sig=1"),
            ("https://b/x?t=eyJhbGciOi.eyJzdWIi.c2ln", "https://b/x?t=eyJhbGciOi.eyJzdWIj.c2ln"),
            ("https://b/x#pass=a", "https://b/x#pass=b"),
            // It describes a signature only beside one.
            ("https://b/x?code=1&sp=a", "https://b/x?code=1&sp=b"),
            ("https://b/x?key-pair-id=a", "https://b/x?key-pair-id=b"),
        ] {
            assert_ne!(key(one), key(other), "{one}");
        }
        assert!(!key("https://b/x?key=hunter2").contains("hunter2"));
        for (signed, expected) in [
            ("https://b/x?sv=2&se=4&sp=r&sig=5%3D", "https://b/x"),
            ("https://b/x?X-Amz-Security-Token=1&X-Amz-Signature=2&v=3", "https://b/x?v=3"),
            ("https://b/x?Expires=1&Signature=2&Key-Pair-Id=3", "https://b/x"),
        ] {
            assert_eq!(key(signed), expected);
        }
    }

    #[test]
    fn many_of_them_take_no_longer_than_one_long_text() {
        let text = "https://b/x?a=://y?b&".repeat(20_000);
        assert_eq!(cut(&text), text);
    }
}
