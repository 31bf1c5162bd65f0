//! A deadline covers all steps, and no process outlives it.

use std::fs;
use std::time::Duration;

use envspec::Tool;
use installer::{Deadline, Error, Limit, Request, Tools};

use crate::world::{
    Environment, eventually, in_a_process, install, installer, is_running, requirement_of,
    source_tree, without_uv,
};

/// A build that forks a child, prints both ids, and never ends. The child ignores SIGTERM.
fn hanging_build(pids: &std::path::Path) -> String {
    let pids = pids.display();
    format!(
        "import os, signal, time\n\
         child = os.fork()\n\
         if child == 0:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)\n\
         with open('{pids}.new', 'w') as file:\n    file.write('%d %d' % (os.getpid(), child))\n\
         os.rename('{pids}.new', '{pids}')\n\
         time.sleep(600)\n"
    )
}

fn pids_in(file: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_whole_process_group_is_killed_at_the_deadline() {
    for tool in [Tool::Pip, Tool::Uv] {
        let environment = Environment::bare();
        let python = environment.python();
        let installer = installer(tool, &python);
        let notes = tempfile::tempdir().unwrap();
        let pids = notes.path().join("pids");
        let tree = source_tree(&hanging_build(&pids));
        let install = install(tool, &[&requirement_of(&tree)]);

        // A slow machine needs longer until the build has started.
        let pids = [12, 24, 48, 96].into_iter().find_map(|seconds| {
            let deadline = Deadline::after(Duration::from_secs(seconds));
            let request = Request::new(&install, &python).with_deadline(deadline);
            let error = installer.install(&request).unwrap_err();
            assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
            Some(pids_in(&pids)).filter(|pids| pids.len() == 2)
        });
        let pids = pids.expect("the build starts before some deadline");
        for pid in pids {
            assert!(eventually(|| !is_running(&pid)), "{tool:?} left {pid}");
        }
    }
}

#[test]
fn a_deadline_that_has_passed_starts_nothing() {
    let environment = Environment::bare();
    let python = environment.python();
    let install = install(Tool::Uv, &["packaging==24.0"]);
    let request = Request::new(&install, &python).with_deadline(Deadline::after(Duration::ZERO));
    let error = installer(Tool::Uv, &python).install(&request).unwrap_err();
    assert!(matches!(error, Error::Late { .. }), "{error:?}");
}

#[test]
#[ignore = "runs in a process that is killed"]
fn an_installation_that_hangs() {
    let python = std::env::var_os("TEST_PYTHON").unwrap();
    let requirement = std::env::var("TEST_REQUIREMENT").unwrap();
    let install = install(Tool::Uv, &[&requirement]);
    let request = Request::new(&install, python.as_ref());
    installer(Tool::Uv, python.as_ref()).install(&request).unwrap();
}

#[test]
fn nothing_outlives_a_killed_caller() {
    let environment = Environment::bare();
    installer(Tool::Uv, &environment.python());
    let notes = tempfile::tempdir().unwrap();
    let pids = notes.path().join("pids");
    let tree = source_tree(&hanging_build(&pids));
    let temporary = tempfile::tempdir().unwrap();
    let caller = in_a_process("deadline::an_installation_that_hangs")
        .env("TEST_PYTHON", environment.python())
        .env("TEST_REQUIREMENT", requirement_of(&tree))
        .env("TMPDIR", temporary.path())
        .stdout_null()
        .unchecked()
        .start()
        .unwrap();
    assert!(eventually(|| pids.exists()), "the build starts");
    let pids = pids_in(&pids);
    assert!(pids.iter().all(|pid| is_running(pid)));
    caller.kill().unwrap();
    caller.wait().unwrap();
    for pid in pids {
        assert!(eventually(|| !is_running(&pid)), "{pid} outlived its caller");
    }
    let is_empty = || fs::read_dir(temporary.path()).unwrap().count() == 0;
    assert!(eventually(is_empty), "no requirements file is left, for it may hold credentials");
}

/// Returns a flag that is set after the first connection to this address, which never answers.
fn stopped_by_a_silent_server() -> (String, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("a socket");
    let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let flag = stop.clone();
    std::thread::spawn(move || {
        let connection = listener.accept();
        flag.store(true, std::sync::atomic::Ordering::Relaxed);
        std::thread::sleep(Duration::from_mins(10));
        drop(connection);
    });
    (format!("http://{address}"), stop)
}

#[test]
fn a_flag_ends_a_fetch_of_a_tool_through_a_dead_proxy() {
    let environment = Environment::bare();
    let (proxy, stop) = stopped_by_a_silent_server();
    let dir = tempfile::tempdir().unwrap();
    let ambient = without_uv()
        .with_variable("PIP_PROXY", proxy)
        .with_variable("PIP_INDEX_URL", "https://index.invalid/simple")
        .with_variable("PIP_TIMEOUT", "600");
    let tools = Tools::new(dir.path()).with_ambient(ambient);
    // A version that this machine does not have.
    let limit = Limit::from(Deadline::NEVER).with_stop(stop);
    let located = tools.locate(Tool::Uv, Some("==0.11.1"), &environment.python(), limit);
    // Without the stop, it would be a failure of the network, in an hour.
    let error = located.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. } | Error::Late { .. }), "{error:?}");
}

#[test]
fn a_flag_ends_the_wait_for_another_process_s_fetch() {
    let environment = Environment::bare();
    let dir = tempfile::tempdir().unwrap();
    let lock = fs::File::create(dir.path().join("bootstrap.lock")).unwrap();
    lock.lock().unwrap();
    let tools = Tools::new(dir.path()).with_ambient(without_uv());
    let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let limit = Limit::from(Deadline::NEVER).with_stop(stop.clone());
    std::thread::scope(|scope| {
        let python = environment.python();
        let waiting =
            scope.spawn(move || tools.locate(Tool::Pip, Some("==24.1.2"), &python, limit));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{error:?}");
    });
}
