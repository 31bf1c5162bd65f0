//! Law 12, a secret stays secret: credentials reach no file of the cache, no report, no event and
//! no error.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use curator::{LocalExecutor, RuntimeEnv};
use serde_json::json;

use crate::local_packages::Package;
use crate::support::{base, folder, fresh_cache, pipeline, value_of, watched};

const PASSWORD: &str = "pa55w0rd-in-url";
const TOKEN: &str = "t0ken-in-variable";
const SPEC_URL: &str = "ur1-variable-secret";

/// Serves an index with one wheel, protected by the password; returns its address.
fn serve_index(wheel: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let name = wheel.file_name().expect("a name").to_string_lossy().into_owned();
    let contents = std::fs::read(wheel).expect("a wheel");
    // The server runs until the tests' process ends.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(count) if count > 0 => request.extend_from_slice(&part[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            // `user:pa55w0rd-in-url`.
            let allowed = request.to_ascii_lowercase().contains(
                &"authorization: Basic dXNlcjpwYTU1dzByZC1pbi11cmw=".to_ascii_lowercase(),
            );
            let page = format!(
                "<!DOCTYPE html><html><body><a href=\"/files/{name}\">{name}</a></body></html>"
            );
            let (status, kind, body) = if !allowed {
                ("401 Unauthorized", "text/plain", b"no".to_vec())
            } else if path.ends_with(&name) {
                ("200 OK", "application/octet-stream", contents.clone())
            } else if path.contains("/simple/localpkg") {
                ("200 OK", "text/html", page.into_bytes())
            } else {
                ("404 Not Found", "text/plain", b"no such project".to_vec())
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
                 WWW-Authenticate: Basic realm=\"index\"\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // The client may have closed the connection.
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
        }
    });
    address
}

fn assert_tells_nothing(what: &str, bytes: &[u8]) {
    for secret in [PASSWORD, TOKEN, SPEC_URL] {
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{what} holds the secret {secret}");
    }
}

fn assert_files_tell_nothing(dir: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_symlink() {
            continue;
        }
        assert_tells_nothing("a name", path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            count += assert_files_tell_nothing(&path);
        } else {
            assert_tells_nothing(
                &path.display().to_string(),
                &std::fs::read(&path).expect("a readable file"),
            );
            count += 1;
        }
    }
    count
}

#[test]
fn credentials_reach_no_file_report_event_or_error() {
    let place = folder();
    let address = serve_index(&Package::new("localpkg", "3.0").wheel(place.path()));
    let index = format!("http://user:{PASSWORD}@{address}/simple/");
    let cache = fresh_cache();
    let executor =
        LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(cache.path());
    let secret = |spec: RuntimeEnv| {
        spec.with_env_var("API_TOKEN", TOKEN)
            .with_env_var("PIP_EXTRA_INDEX_URL", format!("http://u:{SPEC_URL}@{address}/simple/"))
            .with_env_var("UV_EXTRA_INDEX_URL", format!("http://u:{SPEC_URL}@{address}/simple/"))
    };
    for tool in ["pip", "uv"] {
        let lines = [format!("--index-url {index}"), "localpkg==3.0".to_owned()];
        let good = if tool == "pip" { RuntimeEnv::pip(lines) } else { RuntimeEnv::uv(lines) };
        let good = good.with_env_var("API_TOKEN", TOKEN);
        // The stage does get its variable, and its package from the index.
        let stage =
            value_of(tool, "[len(os.environ['API_TOKEN']), __import__('localpkg').__version__]");
        let (result, events) = watched(&executor, &pipeline([stage.with_runtime_env(good)]));
        let report = result.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(crate::support::output(&report)[tool], json!([TOKEN.len(), "3.0"]));
        assert_tells_nothing("the report", json!(report).to_string().as_bytes());
        assert_tells_nothing("the report", format!("{report:?}").as_bytes());
        assert_tells_nothing("the events", json!(events).to_string().as_bytes());

        let lines = [format!("--index-url {index}"), "no-such-package-here==1".to_owned()];
        let bad = if tool == "pip" { RuntimeEnv::pip(lines) } else { RuntimeEnv::uv(lines) };
        let bad = pipeline([value_of(tool, "1").with_runtime_env(secret(bad))]);
        assert_tells_nothing("the pipeline", bad.describe().as_bytes());
        let (result, events) = watched(&executor, &bad);
        let error = result.unwrap_err();
        assert!(error.report().contains("no-such-package-here"), "{}", error.report());
        assert_tells_nothing("the error", error.report().as_bytes());
        assert_tells_nothing("the error", format!("{error:?}").as_bytes());
        assert_tells_nothing("the events", json!(events).to_string().as_bytes());
    }
    assert!(assert_files_tell_nothing(cache.path()) > 20, "files were looked at");
}
