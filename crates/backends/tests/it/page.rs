//! The report of a run with 20 stages and 10 000 tasks, opened from disk in headless Chromium.
//!
//! With `REPORT_DIR` set, the page and its pictures stay there for inspection.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backends::{Executor, FailurePolicy, Plan, Recorder};
use serde_json::json;
use stage::{BoxError, Context, Pipeline, RustStage, Task};

use crate::support::{local, python};

/// The longest time that a page may take to be ready, in milliseconds.
const LONGEST: u64 = 1000;

/// Rust stages, and among them a Python stage that fails on some tasks, with a text that would end
/// a script element.
fn pipeline() -> Pipeline {
    let pass = |index: usize| {
        let pass = |task: Task, _: &mut Context| Ok::<_, BoxError>(task);
        RustStage::from_fn(format!("rust_{index:02}"), pass)
    };
    let picky = python(
        "class Stage:\n batch_size = 4\n recycle_after_tasks = 9000\n runtime_env = {'env_vars': {'NOTE': '<b id=evil>'}}\n def process(self, task):\n  if task.data['n'] % 1000 == 7:\n   raise ValueError('</script><h1 id=evil>')\n  return task",
    );
    Pipeline::new("twenty </title> stages")
        .with_stages((0..9).map(pass))
        .with_stage(picky.with_name("picky").with_batch_size(8))
        .with_stages((9..19).map(pass))
}

/// Runs Chromium on a page, and returns what it printed, and its messages about scripts.
fn chromium(profile: &Path, page: &Path, arguments: &[&str]) -> (String, String) {
    let chromium = which::which("chromium").expect("`chromium` on PATH (apt-get install chromium)");
    let profile = format!("--user-data-dir={}", profile.display());
    let url = format!("file://{}", page.display());
    let fixed = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
    ];
    let all = fixed.into_iter().chain(arguments.iter().copied()).chain([&*profile, &*url]);
    let output = duct::cmd(chromium, all).stdout_capture().stderr_capture().run();
    let output = output.expect("Chromium runs");
    let console = String::from_utf8_lossy(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE"));
    (String::from_utf8_lossy(&output.stdout).into_owned(), console.collect())
}

#[test]
fn a_page_opens_at_once_shows_its_tables_and_has_no_script_error() {
    let plan = Plan::new(&pipeline()).unwrap();
    let recorder = Arc::new(Recorder::from_env(&plan, "local"));
    let executor = local().with_failure_policy(FailurePolicy::Record);
    let mut tasks = (0..10_000).map(|n| Task::new(json!({ "n": n })));
    let mut sink = |task: Task| {
        recorder.see(&task);
        Ok(())
    };
    let result = executor.execute(&plan, &mut tasks, recorder.clone(), &mut sink);
    let page = recorder.finish(result.as_ref()).to_html();
    assert!(page.len() < 2 * 1024 * 1024, "{} bytes", page.len());

    let scratch = tempfile::tempdir().unwrap();
    let dir = env::var_os("REPORT_DIR").map_or(scratch.path().to_owned(), PathBuf::from);
    let file = dir.join("report.html");
    fs::write(&file, page).unwrap();
    let profile = scratch.path().join("profile");

    // The best of three, since the machine may be busy.
    let mut best = u64::MAX;
    for _ in 0..3 {
        let (dom, console) = chromium(&profile, &file, &["--dump-dom"]);
        assert_eq!(console, "");
        assert!(!dom.contains("id=\"evil\"") && dom.contains("</script>"), "it broke out");
        for (what, count) in [
            // In the table of stages, and in that of the way to the first output.
            ("<th scope=\"row\">rust_", 2 * 19),
            ("<div class=\"row stage", 20),
            ("Traceback</h4>", 10),
            ("<td class=\"left\">batch_size</td>", 1),
            ("in place of the class's <code>4</code>", 1),
            ("<code>8</code>", 1),
            ("<h1>twenty &lt;/title&gt; stages</h1>", 1),
        ] {
            assert_eq!(dom.matches(what).count(), count, "{what}");
        }
        for id in ["timeline", "stages", "waterfall", "declared", "environments", "failures"] {
            assert!(dom.contains(&format!("href=\"#{id}\"")), "{id}");
        }
        let (_, ready) = dom.split_once("data-ready=\"").expect("the script came to its end");
        let (ready, _) = ready.split_once('"').unwrap();
        best = best.min(ready.parse().unwrap());
    }
    assert!(best < LONGEST, "{best} ms");

    let mut pictures = Vec::new();
    for (name, colours) in [("light", 1), ("dark", 0)] {
        let picture = dir.join(format!("{name}.png"));
        let arguments = [
            format!("--screenshot={}", picture.display()),
            format!("--blink-settings=preferredColorScheme={colours}"),
            "--window-size=1280,2400".to_owned(),
        ];
        let (_, console) = chromium(&profile, &file, &arguments.each_ref().map(String::as_str));
        assert_eq!(console, "");
        pictures.push(fs::read(picture).unwrap());
    }
    assert!(pictures.iter().all(|picture| picture.starts_with(b"\x89PNG")));
    assert_ne!(pictures[0], pictures[1], "dark is as light");
}
