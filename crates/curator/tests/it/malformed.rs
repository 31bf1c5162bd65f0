//! Lines of the input that are no tasks.

use serde_json::{Value, json};

use crate::pipelines::{Folder, lines, sorted};

const RUN: [&str; 4] = ["run", "pipeline.toml", "-i", "in.jsonl"];

fn folder(input: &[u8]) -> Folder {
    let folder = Folder::numbers(0, "{}");
    std::fs::write(folder.path("in.jsonl"), input).expect("a file of ours");
    folder
}

#[test]
fn a_malformed_line_is_a_failed_task_and_the_others_are_done() {
    let folder =
        folder(b"{\"n\":0}\n\n{\"n\": \n{\"n\":1}\nnot json\n{\"n\":\xff}\n{\"n\":2}\n{\"n\":3");
    let run = folder.run(&[&RUN[..], &["--failed", "failed.jsonl", "--whole-tasks"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    let out = lines(&run.out);
    let data: Vec<Value> = out.iter().map(|task| task["data"]["json"].clone()).collect();
    assert_eq!(sorted(&data, "n"), [0, 1, 2]);
    // The numbers are those of the lines, so that they stay when a line is repaired.
    let mut ids: Vec<&str> = out.iter().filter_map(|task| task["id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["0_0_0", "0_2_0", "0_5_0"]);
    let failed = folder.lines("failed.jsonl");
    let numbers: Vec<u64> = failed.iter().filter_map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, [3, 5, 6, 8]);
    assert_eq!(failed[0]["malformed"], json!({ "text": "{\"n\": " }));
    assert_eq!(failed[0]["id"], "0_1");
    let message = failed[0]["failures"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("in.jsonl, line 3: no task"), "{message}");
    assert_eq!(failed[2]["malformed"], json!({ "base64": "eyJuIjr/fQ==" }));
    for words in ["in.jsonl, line 3: no task", "in.jsonl, line 6: it is not UTF-8", "4 failed"] {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
}

#[test]
fn only_the_spaces_of_json_make_a_blank_line() {
    let folder = folder("{\"n\":0}\r\n \t\r\n\r\n\u{a0}\n\u{2028}\n\u{c}\n".as_bytes());
    let run = folder.run(&[&RUN[..], &["--failed", "failed.jsonl"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(lines(&run.out), [json!({ "n": 0 })]);
    let failed = folder.lines("failed.jsonl");
    let numbers: Vec<&Value> = failed.iter().map(|line| &line["line"]).collect();
    assert_eq!(numbers, [4, 5, 6]);
}

#[test]
fn the_failed_file_is_an_input_whose_lines_can_be_mended() {
    let folder = folder(b"{\"n\":0}\n{\"n\":1\n{\"n\":2\n");
    let run = folder.run(&[&RUN[..], &["--failed", "failed.jsonl"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    let mended = folder.read("failed.jsonl").replace("{\\\"n\\\":1", "{\\\"n\\\":1}");
    folder.write("in.jsonl", &mended);
    let run = folder.run(&[&RUN[..], &["--failed", "again.jsonl"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(lines(&run.out), [json!({ "n": 1 })]);
    let again = folder.lines("again.jsonl");
    assert_eq!((again.len(), &again[0]["malformed"]["text"]), (1, &json!("{\"n\":2")));
}

#[test]
fn a_malformed_line_goes_by_the_failure_policy() {
    let folder = folder(b"{\"n\":0}\n{\n{\"n\":1}\n");
    // Recorded, without a file.
    let run = folder.run(&[&RUN[..], &["--failure-policy", "record"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(sorted(&lines(&run.out), "n"), [0, 1]);
    assert!(run.err.contains("in.jsonl, line 2: no task"), "{}", run.err);
    // With a stop at the first failure.
    let fast = ["--failure-policy", "fail-fast", "--failed", "failed.jsonl"];
    let run = folder.run(&[&RUN[..], &fast].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(lines(&run.out), [json!({ "n": 0 })]);
    assert!(run.err.contains("error: in.jsonl, line 2: no task"), "{}", run.err);
    assert_eq!(folder.lines("failed.jsonl").len(), 1);
}

#[test]
fn a_line_that_is_mended_in_its_place_is_all_that_a_checkpoint_does_again() {
    let folder = folder(b"{\"n\":0}\n{\n{\"n\":2}\n");
    let run = [&RUN[..], &["--failed", "f.jsonl", "--checkpoint", "kept"]].concat();
    assert_eq!(folder.run(&run).code, Some(1));
    folder.write("in.jsonl", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
    let again = folder.run(&run);
    assert!(again.err.contains("2 tasks finished by earlier runs"), "{}", again.err);
    let numbers: Vec<Value> = lines(&again.text());
    assert_eq!(numbers, [json!({ "n": 0 }), json!({ "n": 1 }), json!({ "n": 2 })]);
}

/// Law: a task is in the results or in the file of failed tasks, whichever line breaks behind the
/// back of a checkpoint that has finished it.
#[test]
fn a_finished_line_that_is_no_task_any_more_has_changed() {
    const LINES: [&str; 3] = ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"];
    let run = [&RUN[..], &["--failed", "f.jsonl", "--checkpoint", "kept", "-o", "o.jsonl"]];
    let run = run.concat();
    for broken in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
        let folder = folder(LINES.join("\n").as_bytes());
        assert_eq!(folder.run(&run).code, Some(0));
        let mut lines = LINES;
        for at in broken {
            lines[*at] = "{\"n\":";
        }
        folder.write("in.jsonl", &lines.join("\n"));
        let refused = folder.run(&run);
        refused.fails(2, "--checkpoint-accept-changes");
        assert_eq!(folder.lines("o.jsonl").len(), 3, "older results are as they were: {broken:?}");
        assert!(folder.lines("f.jsonl").is_empty(), "they have a result: {broken:?}");

        let accepted = folder.run(&[&run[..], &["--checkpoint-accept-changes"]].concat());
        assert_eq!(accepted.code, Some(1), "{}", accepted.err);
        let left: Vec<u64> =
            (0..3).zip(0..).filter(|(at, _)| !broken.contains(at)).map(|(_, n)| n).collect();
        assert_eq!(sorted(&folder.lines("o.jsonl"), "n"), left, "{broken:?}");
        assert_eq!(folder.lines("f.jsonl").len(), broken.len());

        // Mended in its place, it is the task that was finished.
        folder.write("in.jsonl", &LINES.join("\n"));
        assert_eq!(folder.run(&run).code, Some(0));
        assert_eq!(sorted(&folder.lines("o.jsonl"), "n"), [0, 1, 2]);
    }
}

/// Law: the output of a run is an input of the next, whatever the data looks like.
#[test]
fn data_that_looks_like_a_kept_line_is_data() {
    let kept = json!({
        "malformed": { "text": "1" }, "line": 3, "id": "0_2",
        "failures": [{ "message": "m", "tries": 0 }],
    });
    let nearly = json!({ "line": 4, "malformed": { "text": "" } });
    let whole = json!({ "data": { "json": kept } });
    let folder = folder(format!("{whole}\n{nearly}\n").as_bytes());
    let first = folder.run(&[&RUN[..], &["-o", "out.jsonl"]].concat());
    assert_eq!(first.code, Some(0), "{}", first.err);
    let out = folder.lines("out.jsonl");
    assert!(out.len() == 2 && out.contains(&whole) && out.contains(&nearly), "{out:?}");
    let again = folder.run(&["run", "pipeline.toml", "-i", "out.jsonl"]);
    assert_eq!(lines(&again.text()).len(), 2);
}

/// A byte order mark is no part of a line: it would be invisible wherever the line is kept.
#[test]
fn a_byte_order_mark_is_no_part_of_a_line() {
    let folder = folder("\u{feff}{\"n\":0\n\u{feff}{\"n\":1}\n\u{feff}\n".as_bytes());
    let run = folder.run(&[&RUN[..], &["--failed", "failed.jsonl"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(lines(&run.out), [json!({ "n": 1 })]);
    let failed = folder.lines("failed.jsonl");
    assert_eq!((failed.len(), &failed[0]["malformed"]["text"]), (1, &json!("{\"n\":0")));
    // Mended, behind another line.
    let mended = folder.read("failed.jsonl").replace("{\\\"n\\\":0", "{\\\"n\\\":0}");
    folder.write("in.jsonl", &format!("{{\"n\":2}}\n{mended}"));
    assert_eq!(sorted(&lines(&folder.run(&RUN).text()), "n"), [0, 2]);
}
