//! A secret stays secret: marked secrets stand in every source of credentials, and are searched for
//! in all outputs, files and processes of the commands.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{CURATOR, Run, World};

/// The beginning of every planted secret.
const MARK: &str = "hush-";

/// An index with `alpha`, for clients whose password starts with the mark. It delays its files, so
/// that the test sees the commands that fetch them.
const INDEX: &str = r#"
import base64, hashlib, http.server, io, os, time, zipfile
def wheel(version):
    info = f"alpha-{version}.dist-info/"
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("alpha.py", f"VERSION = {version!r}\n")
        archive.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: alpha\nVersion: {version}\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", f"alpha.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n")
    return held.getvalue()
FILES = {f"alpha-{v}-py3-none-any.whl": wheel(v) for v in ("1.0", "2.0", "3.0", "4.0", "5.0")}
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments): pass
    def do_GET(self):
        given = self.headers.get("Authorization", "Basic ").split(" ")[1]
        path = self.path.split("?")[0].strip("/").split("/")
        status, kind, body = 404, "text/plain", b""
        if not base64.b64decode(given).decode().partition(":")[2].startswith(os.environ["LOGIN"]):
            status = 401
        elif path == ["simple", "alpha"]:
            links = "".join(f'<a href="/files/{n}#sha256={hashlib.sha256(b).hexdigest()}">{n}</a>\n' for n, b in FILES.items())
            status, kind, body = 200, "text/html", links.encode()
        elif path[-1] in FILES:
            time.sleep(0.1)
            status, kind, body = 200, "application/octet-stream", FILES[path[-1]]
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// Returns the first marked secret in some bytes, with the text before it.
fn marked(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let end = bytes.len().min(at + 30);
    Some(String::from_utf8_lossy(&bytes[at.saturating_sub(60)..end]).into_owned())
}

/// Returns the command lines with a secret among all processes, until `over` is set, and how many
/// of the package managers' processes were seen.
fn watch(over: &AtomicBool) -> (Vec<String>, usize) {
    let (mut told, mut seen) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        for process in fs::read_dir("/proc").expect("a folder's list").flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&line).replace('\0', " ");
            if marked(&line).is_some() {
                told.push(text);
            } else if text.contains(" install ") && text.contains("requirements.txt") {
                seen += 1;
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    told.sort();
    told.dedup();
    (told, seen)
}

struct Planted<'w> {
    world: &'w World,
    home: PathBuf,
    vars: Vec<(&'static str, String)>,
}

impl<'w> Planted<'w> {
    /// Plants secrets in the home folder's files and in variables, for an index at a port.
    fn new(world: &'w World, port: &str) -> Self {
        let home = world.dir().join("home");
        for dir in [".config/pip", ".config/uv", "tmp"] {
            fs::create_dir_all(home.join(dir)).expect("a folder");
        }
        let url = |place: &str| format!("http://me:{MARK}{place}@127.0.0.1:{port}/simple");
        let write = |name: &str, text: &str| fs::write(home.join(name), text).expect("a file");
        write(".netrc", &format!("machine 127.0.0.1\nlogin me\npassword {MARK}netrc\n"));
        let pip = format!("[global]\nextra-index-url = {}\n", url("pip-conf"));
        write(".config/pip/pip.conf", &pip);
        write(".config/uv/uv.toml", &format!("[[index]]\nurl = \"{}\"\n", url("uv-toml")));
        let vars = vec![
            ("HOME", home.display().to_string()),
            ("TMPDIR", home.join("tmp").display().to_string()),
            ("UV_CACHE_DIR", home.join("uv-cache").display().to_string()),
            ("PIP_INDEX_URL", url("pip-variable")),
            ("UV_DEFAULT_INDEX", url("uv-variable")),
        ];
        Self { world, home, vars }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let vars: Vec<(&str, &str)> =
            self.vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = self.world.run_with(arguments, "", &vars);
        for (stream, text) in [("stdout", &run.out), ("stderr", &run.err)] {
            assert_eq!(marked(text.as_bytes()), None, "{stream} of {arguments:?}");
        }
        run
    }
}

#[test]
fn planted_secrets_are_in_nothing_that_is_printed_left_or_started() {
    let world = World::new();
    // The package managers are fetched from their usual places.
    world.run(&["env", "create", "--pip", "packaging==24.0", "--base", world.base()]).text();
    let server =
        duct::cmd("python3", ["-I", "-c", INDEX]).env("LOGIN", MARK).stderr_null().unchecked();
    let server = server.reader().expect("an index");
    let mut port = String::new();
    BufReader::new(&server).read_line(&mut port).unwrap();
    let port = port.trim();
    let planted = Planted::new(&world, port);
    let over = AtomicBool::new(false);
    let (told, seen) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&over));
        let outcome = scope.spawn(|| use_every_command(&planted, port)).join();
        over.store(true, Ordering::Relaxed);
        let watched = watcher.join().unwrap();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        watched
    });
    server.kill().unwrap();
    assert_eq!(told, [""; 0], "command lines");
    assert!(seen > 0, "no package manager was seen at work");
    let files =
        assert_no_file_tells(&world.cache()) + assert_no_file_tells(&planted.home.join("tmp"));
    assert!(files > 100, "{files}");
}

fn use_every_command(planted: &Planted<'_>, port: &str) {
    let base = planted.world.base();
    let url = |place: &str| format!("http://me:{MARK}{place}@127.0.0.1:{port}/simple");
    for (tool, options) in [("uv", "uv_pip_install_options"), ("pip", "pip_install_options")] {
        let spec = |name: &str, version: &str, option: serde_json::Value| {
            let spec = json!({
                tool: { "packages": [format!("alpha=={version}")], options: option },
                "env_vars": { "HF_TOKEN": format!("{MARK}token"), "SHOWN": "shown" },
            });
            let file = planted.world.dir().join(format!("{tool}-{name}.json"));
            fs::write(&file, spec.to_string()).expect("a file");
            file.display().to_string()
        };
        let listed = spec("options", "1.0", json!(["--index-url", url("option")]));
        let ambient = spec("ambient", "2.0", json!([]));
        let file = format!("http://127.0.0.1:{port}/files/alpha-3.0-py3-none-any.whl");
        let keys = ["one", "two"].map(|signature| {
            let query = format!("X-Amz-Date={MARK}{signature}&X-Amz-Signature={MARK}{signature}");
            let spec = json!({ tool: [format!("alpha @ {file}?{query}")] });
            let path = planted.world.dir().join(format!("{tool}-signed.json"));
            fs::write(&path, spec.to_string()).expect("a file");
            let path = path.display().to_string();
            let made = planted.run(&["env", "create", "--spec", &path, "--base", base, "--json"]);
            made.json()["key"].as_str().expect("a key").to_owned()
        });
        assert_eq!(keys[0], keys[1], "a fresh signature is no other environment");
        let missing = spec("missing", "9.9", json!(["--index-url", url("missing")]));
        let keys = [&listed, &ambient].map(|file| {
            let made = ["env", "create", "--spec", file, "--base", base, "--json"];
            let made = planted.run(&made).json();
            assert_eq!(made["state"], "built", "{made}");
            made["key"].as_str().expect("a key").to_owned()
        });
        planted.run(&["env", "create", "--spec", &missing, "--base", base]).fails(1, "9.9");
        planted.run(&["env", "lock", "--spec", &missing, "--base", base]).fails(1, "9.9");
        for form in [&[][..], &["--json"]] {
            for (words, target) in [
                (&["env", "create", "--base", base, "--spec"][..], &listed),
                (&["env", "lock", "--base", base, "--spec"], &listed),
                (&["env", "lock", "--spec"], &keys[1]),
                (&["env", "refresh", "--base", base, "--spec"], &listed),
                (&["env", "refresh", "--spec"], &keys[1]),
                (&["env", "show"], &keys[0]),
                (&["env", "why", &keys[0]], &"alpha".to_owned()),
                (&["env", "diff", &keys[0]], &keys[1]),
                (&["env", "verify"], &keys[0]),
            ] {
                let arguments = [words, &[target.as_str()], form].concat();
                assert_ne!(planted.run(&arguments).text(), "", "{arguments:?}");
            }
            for words in [
                &["env", "list"][..],
                &["env", "du"],
                &["env", "prune", "--dry-run", "--all"],
                &["doctor", "--base", base],
            ] {
                let run = planted.run(&[words, form].concat());
                assert_ne!(run.out, "", "{words:?}: {}", run.err);
            }
        }
        // The variable does reach the command, which may print it.
        let exec = ["env", "exec", "--spec", &listed, "--base", base, "--"];
        let print = ["sh", "-c", "echo ${#HF_TOKEN} $SHOWN"];
        assert_eq!(planted.run(&[&exec[..], &print].concat()).text(), "10 shown\n");
        for form in [&[][..], &["--json"]] {
            let key = if form.is_empty() { &keys[0] } else { &keys[1] };
            planted.run(&[&["env", "remove", key.as_str()], form].concat()).text();
        }
        planted.run(&["env", "create", "--spec", &ambient, "--base", base]).text();
    }
}

/// Returns the number of files that it has searched.
fn assert_no_file_tells(dir: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(dir).expect("a folder's list").flatten() {
        let path = entry.path();
        assert_eq!(marked(path.as_os_str().as_encoded_bytes()), None);
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            count += assert_no_file_tells(&path);
        } else {
            assert_eq!(marked(&fs::read(&path).expect("a file")), None, "{}", path.display());
            count += 1;
        }
    }
    count
}

#[test]
fn the_search_finds_a_secret() {
    assert!(marked(b"x hush-y").is_some() && marked(b"nothing").is_none());
    assert!(Path::new(CURATOR).is_file() && Path::new("/proc/self/cmdline").is_file());
}
