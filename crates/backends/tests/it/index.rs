//! A package index on this machine: `http.server` of Python over a folder of wheels.

use std::io::{BufRead, BufReader};
use std::path::Path;

use duct::ReaderHandle;

/// Serves the simple pages (PEP 503) of the wheels that are in a folder at the time of a request,
/// and notes the request beside the folder. The files that `yanked` beside the folder names are yanked
/// releases, with its reasons. Each request must give a password that begins as
/// `LOGIN` says.
const PROGRAM: &str = r#"
import base64, http.server, json, os, pathlib, re, sys, time
folder, login = pathlib.Path(sys.argv[1]), os.environ["LOGIN"]
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        with open(folder.parent / "requests", "a") as file: print(self.path, file=file)
    def do_GET(self):
        if login:
            given = self.headers.get("Authorization", "Basic ").split(" ")[1]
            if not base64.b64decode(given).decode().partition(":")[2].startswith(login):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        parts = [part for part in self.path.split("?")[0].split("/") if part]
        if len(parts) == 2 and parts[0] == "simple":
            norm = lambda name: re.sub(r"[-_.]+", "-", name).lower()
            names = [p.name for p in folder.glob("*.whl") if norm(p.name.split("-")[0]) == norm(parts[1])]
            yanked = folder.parent / "yanked"
            reasons = json.loads(yanked.read_text()) if yanked.exists() else {}
            mark = lambda n: f' data-yanked="{reasons[n]}"' if n in reasons else ""
            body, kind = "".join(f'<a href="/files/{n}"{mark(n)}>{n}</a>\n' for n in sorted(names)).encode(), "text/html"
            status = 200 if names else 404
        elif len(parts) == 2 and parts[0] == "files":
            time.sleep(float(sys.argv[2]))
            body, kind, status = (folder / parts[1]).read_bytes(), "application/octet-stream", 200
        else:
            body, kind, status = b"", "text/plain", 404
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # Package managers keep pages as well where an index says so.
        is_kept = parts[:1] == ["files"] or (folder.parent / "kept-pages").exists()
        self.send_header("Cache-Control", "max-age=600" if is_kept else "max-age=0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// An index that runs until it is dropped.
pub(crate) struct Index {
    server: ReaderHandle,
    port: u16,
}

impl Index {
    /// An index without a login.
    pub(crate) fn new(wheels: &Path) -> Self {
        Self::start(wheels, "", "0")
    }

    /// An index that requires a password with this beginning; each file is delayed by `pause`
    /// seconds.
    pub(crate) fn start(wheels: &Path, login: &str, pause: &str) -> Self {
        let words = ["-I".as_ref(), "-c".as_ref(), PROGRAM.as_ref(), wheels.as_os_str()];
        let words = words.into_iter().chain([pause.as_ref()]);
        let server = duct::cmd(crate::world::host(), words).env("LOGIN", login);
        let server = server.stderr_null().unchecked();
        let server = server.reader().expect("an index");
        let mut line = String::new();
        BufReader::new(&server).read_line(&mut line).expect("its port");
        Self { server, port: line.trim().parse().expect("a port") }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/simple", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // The server ends with the test at the latest.
        let _ = self.server.kill();
    }
}
