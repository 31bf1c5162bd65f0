//! Locations of files and packages: paths and URLs, in one spelling.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Returns the scheme of a URL: `https` in `https://…`, `file` in `file:/…`.
pub(crate) fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && (rest.starts_with("//") || scheme.eq_ignore_ascii_case("file"))).then_some(scheme)
}

/// Returns the part between `://` and the path, query or fragment; `rest` is the text after `://`.
pub(crate) fn authority(rest: &str) -> &str {
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Returns the digits of a port after a host: `None` without a colon, and none if nothing follows
/// it.
pub(crate) fn port(host: &str) -> Result<Option<&str>, &'static str> {
    const REASON: &str = "what follows the colon behind its host is no port: a path starts with \
                          `/`, and `/`, `?` and `#` in a password are written `%2F`, `%3F`, `%23`";
    let after_address = host.rsplit(']').next().unwrap_or(host);
    let Some((host, port)) = after_address.rsplit_once(':') else {
        return Ok(None);
    };
    let is_port = !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { Ok(Some(port)) } else { Err(REASON) }
}

/// Refuses a URL that package managers read in different ways, since its credentials cannot be told
/// from its host.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let Some((_, rest)) = url.split_once("://") else {
        return Ok(());
    };
    let authority = authority(rest);
    if authority.contains('\\') {
        return Err("there is a backslash before its path");
    }
    port(authority.rsplit('@').next().unwrap_or(authority)).map(drop)
}

/// Returns the URL with its scheme and host in lower case, and without the scheme's default port.
pub(crate) fn normal_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(authority(rest).len());
    let (user, host) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    let mut host = host.to_ascii_lowercase();
    let own_port = match scheme.rsplit('+').next() {
        Some("https") => "443",
        Some("http") => "80",
        Some("ssh") => "22",
        _ => "",
    };
    if let Ok(Some(port)) = port(&host)
        && (port.is_empty() || port == own_port)
    {
        host.truncate(host.len() - port.len() - 1);
    }
    // A repository on this machine.
    if scheme.ends_with("+file") && host == "localhost" && user.is_empty() {
        host.clear();
    }
    format!("{scheme}://{user}{host}{path}")
}

/// Returns the URL of a repository on this machine with the host's name, without which a pip before
/// 24.1 reads no `name @ git+file:///folder`.
pub(crate) fn with_host(url: &str) -> Cow<'_, str> {
    match url.split_once("+file:///") {
        Some((kind, path)) if !kind.contains(':') => {
            Cow::from(format!("{kind}+file://localhost/{path}"))
        }
        _ => Cow::from(url),
    }
}

/// Returns whether the text starts with `file:`.
pub(crate) fn is_file_url(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"))
}

/// Returns the absolute path of a `file:` URL, and its fragment.
pub(crate) fn file_url(url: &str) -> Result<(PathBuf, Option<&str>), &'static str> {
    let rest = &url[5..];
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment).filter(|fragment| !fragment.is_empty())),
        None => (rest, None),
    };
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            rest.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(rest)
        }
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("a `file:` URL needs an absolute path");
    }
    let path = percent_decoded(path).ok_or("its percent codes are no UTF-8 text")?;
    Ok((clean(Path::new(&path)), fragment))
}

/// Returns the `file:` URL of an absolute path.
pub(crate) fn to_file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+!,=@".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Returns a user or password as it is written in a URL; percent codes that it already has are kept.
pub(crate) fn encoded_user_info(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (first, tail) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                bytes.push(u8::try_from(high << 4 | low).ok()?);
                rest = after;
                continue;
            }
        }
        bytes.push(*first);
    }
    String::from_utf8(bytes).ok()
}

/// Returns `path` relative to the absolute folder `dir`, without `.` and `..`.
pub(crate) fn absolute(dir: &Path, path: &str) -> PathBuf {
    clean(&dir.join(path))
}

/// Returns the path without `.` and `..`, by its text alone.
///
/// Paths of a spec are compared (to find a requirements file that includes itself), so each file
/// needs one spelling; this crate cannot follow links.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// Returns whether a path can be written on a line of a requirements file unchanged.
pub(crate) fn is_plain(path: &Path) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "/-._~+!,=@".contains(c);
    path.to_str().is_some_and(|path| path.chars().all(is_plain))
}

/// Like [`is_plain`], but allows blanks if the text after them looks like no comment or option.
pub(crate) fn is_plain_but_for_blanks(path: &Path) -> bool {
    path.to_str().is_some_and(|path| {
        is_plain(Path::new(&path.replace(' ', ""))) && !path.contains(" -") && !path.ends_with(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_its_url() {
        for path in ["/a/b.whl", "/a b/c#d;e[f]%20.whl", "/ü/$x"] {
            let url = to_file_url(Path::new(path));
            assert_eq!(file_url(&url), Ok((PathBuf::from(path), None)), "{url}");
        }
        assert_eq!(file_url("file:/a/../b#egg=x"), Ok((PathBuf::from("/b"), Some("egg=x"))));
        assert_eq!(file_url("file://localhost/b"), Ok((PathBuf::from("/b"), None)));
        assert!(file_url("file:a").is_err());
        assert!(file_url("file:///%ff").is_err());
    }

    #[test]
    fn one_address_has_one_spelling() {
        assert_eq!(normal_url("HTTPS://U:P@Host:443/A"), "https://U:P@host/A");
        assert_eq!(normal_url("http://host:8080?q"), "http://host:8080?q");
        assert_eq!(normal_url("git+https://Host:/a@v1"), "git+https://host/a@v1");
        assert_eq!(normal_url("git+ssh://git@host:22/a"), "git+ssh://git@host/a");
        assert_eq!(normal_url("https://[::1]:443/"), "https://[::1]/");
    }

    #[test]
    fn a_host_is_followed_by_a_port_or_by_nothing() {
        for url in ["https://h/", "https://h:/", "https://u:p@[::1]:80/", "git+ssh://git@h:22/a"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in ["git+ssh://git@h:org/a", "https://u:p/w@h/", "https://::1/", "https://h\\@i/"] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
