//! Law: two URLs that differ in more than credentials ask for different packages, and two that
//! differ in credentials alone ask for the same. No output of them shows the credentials.

use envspec::{Digest, MemorySource, Requirement, RuntimeEnv};
use proptest::prelude::*;
use proptest::sample::select;

use crate::{chain, install_with, load};

fn digest(line: &str) -> Digest {
    install_with(&RuntimeEnv::pip(["six", line]), &MemorySource::new()).digest()
}

#[test]
fn what_follows_a_colon_without_a_port_is_no_password() {
    for [one, other] in [
        ["git+https://github.com:/org/repoA.git@v1", "git+https://github.com:/org/repoB.git@v1"],
        ["a @ https://h:/x/one.whl#x=@", "a @ https://h:/x/two.whl#x=@"],
        ["a @ https://h/https://u@x/one.whl", "a @ https://h/https://u@x/two.whl"],
        ["a @ https://h/x://y:z/one.whl#@", "a @ https://h/x://y:z/two.whl#@"],
        ["a @ https://u@h/?to=://b:c/one.whl@2", "a @ https://u@h/?to=://b:c/two.whl@2"],
    ] {
        assert_ne!(digest(one), digest(other), "{one}");
        let [one, other] =
            [one, other].map(|line| format!("-i {}", line.trim_start_matches("a @ ")));
        assert_ne!(digest(&one), digest(&other), "{one}");
    }
    let requirement: Requirement =
        "git+https://me:pw@github.com:/org/repoA.git@v1".parse().unwrap();
    assert_eq!(requirement.to_string(), "git+https://github.com/org/repoA.git@v1");
    let requirement: Requirement = "a @ https://h/x://y:z/one.whl#@".parse().unwrap();
    assert_eq!(requirement.to_string(), "a @ https://h/x://y:z/one.whl#@");
}

#[test]
fn both_of_two_repositories_are_asked_for() {
    let lines = ["git+https://github.com:/org/a.git@v1", "git+https://github.com:/org/b.git@v1"];
    assert_eq!(load(&RuntimeEnv::uv(lines)).unwrap().install.unwrap().requirements.len(), 2);
}

#[test]
fn a_url_whose_host_cannot_be_told_is_refused() {
    for line in [
        "git+ssh://git@github.com:org/repo.git@v1",
        "a @ https://me:hunter2/x@h/a.whl",
        "a @ https://me:hunter2\\@h/a.whl",
        "-i https://me:hunter2/x@h/simple",
        "--extra-index-url https://me:hunter2#x@h/simple",
        "-f https://me:hunter2?x@h/links",
    ] {
        let error = load(&RuntimeEnv::pip(["six", line])).unwrap_err();
        let text = chain(&error);
        assert!(text.contains("no port") || text.contains("backslash"), "{line}: {text}");
        assert!(!format!("{text}{error:?}").contains("hunter2"), "{text}");
    }
}

/// The parts of a URL besides credentials.
#[derive(Clone, Debug, PartialEq)]
struct Url {
    scheme: &'static str,
    host: &'static str,
    port: &'static str,
    rest: String,
}

fn url() -> impl Strategy<Value = Url> {
    // A path, a query or a fragment, which may contain URLs with and without a user.
    let rest = "/(one|two|@|:|/|://|y:z/|https://h|\\?|#egg=a&){0,6}x";
    (
        select(&["https", "http", "git+https", "git+http"][..]),
        select(&["h", "h.example", "[::1]"][..]),
        select(&["", ":8080", ":1"][..]),
        rest,
    )
        .prop_map(|(scheme, host, port, rest)| Url { scheme, host, port, rest })
        .prop_filter("its nested URLs have no user", |url| {
            url.rest.match_indices("://").all(|(at, _)| {
                let nested = &url.rest[at + 3..];
                !nested.split(['/', '?', '#']).next().unwrap_or_default().contains('@')
            })
        })
}

fn line(url: &Url, credentials: &str) -> String {
    let Url { scheme, host, port, rest } = url;
    format!("a @ {scheme}://{credentials}{host}{port}{rest}")
}

proptest! {
    #[test]
    fn the_digest_is_over_all_but_the_credentials(one in url(), other in url()) {
        let same = one == other;
        prop_assert_eq!(digest(&line(&one, "")) == digest(&line(&other, "")), same);
        prop_assert_eq!(digest(&line(&one, "me:pw@")), digest(&line(&one, "you@")));
        prop_assert_eq!(digest(&line(&one, "me:pw@")), digest(&line(&one, "")));
        let shown = line(&one, "me:hunter2@").parse::<Requirement>().unwrap().to_string();
        prop_assert_eq!(&shown, &line(&one, "").parse::<Requirement>().unwrap().to_string());
        prop_assert!(shown.ends_with(&one.rest), "{}", shown);
    }
}

#[test]
fn a_long_text_of_urls_is_read_in_one_go() {
    // If each URL searched the rest of the text, these would take minutes.
    for part in ["://x:y", "://x:y@", "a://${A}:b/", "://@", "https://h/"] {
        let text = part.repeat((1 << 18) / part.len());
        assert!(envspec::redact(&text).len() <= text.len());
        let _ = load(&RuntimeEnv::pip([format!("-i https://{text}")]));
        let _ = load(&RuntimeEnv::pip([format!("a @ https://h/{text}")]));
    }
}

#[test]
fn a_slash_at_the_end_is_a_part_of_links_and_none_of_an_index() {
    let index = |line: &str| {
        let spec = RuntimeEnv::pip(["six".to_owned(), line.to_owned()]);
        let index = install_with(&spec, &MemorySource::new()).index;
        let found = index.index_url.iter().chain(&index.extra_index_urls).chain(&index.find_links);
        found.map(|url| url.expose().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(index("-f http://h/links/"), "http://h/links/");
    assert_eq!(index("-f http://h/links"), "http://h/links");
    assert_ne!(digest("-f http://h/links/"), digest("-f http://h/links"));
    for option in ["-i", "--extra-index-url"] {
        for (given, expected) in [
            ("http://h/simple/", "http://h/simple"),
            ("http://h/simple", "http://h/simple"),
            ("http://h/", "http://h"),
            // The slash is a part of the value.
            ("http://h/simple?of=a/", "http://h/simple?of=a/"),
            // The tools add one slash alone.
            ("http://h/simple//", "http://h/simple//"),
        ] {
            assert_eq!(index(&format!("{option} {given}")), expected, "{option} {given}");
        }
    }
    // What is kept of them is read back as it was.
    let spec = RuntimeEnv::pip(["six", "-f http://h/links/", "-i http://h/simple/"]);
    let loaded = load(&spec).unwrap();
    let again: envspec::LoadedEnv = serde_json::from_value(loaded.expose()).unwrap();
    assert_eq!(again, loaded);
}
