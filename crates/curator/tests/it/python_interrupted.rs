//! `import curator`: Ctrl-C during a stream.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Ctrl-C while a stream is waited for ends the run, also where the exception is held for long.
#[test]
fn ctrl_c_ends_a_stream_whose_exception_is_held() {
    passes(
        &Folder::new(""),
        r#"
import os, signal, threading, time
from curator import Pipeline

def stuck(task):
    open(f"pid-{os.getpid()}", "w").close()
    while True:
        time.sleep(0.02)

def worker():
    return [name[4:] for name in os.listdir(".") if name.startswith("pid-")]

def until(what):
    for _ in range(1200):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("in vain")

def interrupt():
    until(worker)
    os.kill(os.getpid(), signal.SIGINT)

# These tests may have been started with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt).start()
held = None
try:
    for task in Pipeline([stuck]).stream([1]):
        pass
except KeyboardInterrupt as error:
    held = error
assert held is not None and held.__traceback__ is not None
[pid] = worker()
until(lambda: not os.path.exists(f"/proc/{pid}"))
"#,
    );
}
