//! Large payloads in shared memory: every byte arrives, whatever a worker does to the memory.

use backends::worker::Exit;
use backends::{Cause, ExecutorExt, LocalExecutor, RunReport};
use proptest::prelude::*;
use serde_json::json;
use stage::{Data, Pipeline, Task};

use crate::support::{Notes, local, numbers, python, recording};

const PASS: &str = "class Stage:\n def process(self, task): return task";
const MEBIBYTE: usize = 1 << 20;

/// Returns bytes that differ for each seed and at each place.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    const BLOCK: usize = 1 << 14;
    let mut state = seed as u64 ^ 0x2545_f491_4f6c_dd1d;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.rotate_left(32).to_le_bytes()
    })
    .take(length.min(BLOCK).div_ceil(8))
    .flatten()
    .collect();
    let mut bytes = vec![0; length];
    for (at, chunk) in bytes.chunks_mut(BLOCK).enumerate() {
        chunk.copy_from_slice(&block[..chunk.len()]);
        let mark = at.to_le_bytes();
        let marked = mark.len().min(chunk.len());
        chunk[..marked].iter_mut().zip(mark).for_each(|(byte, mark)| *byte ^= mark);
    }
    bytes
}

fn data(report: &RunReport) -> Vec<&Data> {
    report.outputs.iter().map(|task| &task.data).collect()
}

/// Returns a stage that damages its worker's arenas in the middle of a task, only once if
/// `is_once`.
fn harmful(harm: &str) -> String {
    format!(
        r#"
import json, mmap, os, signal, sys, time
class Stage:
    def __init__(self, path, is_once):
        self.path = path
        self.is_once = is_once
    def process(self, task):
        if task.metadata["harm"] and not (self.is_once and os.path.exists(self.path)):
            open(self.path, "a").close()
            frame = sys._getframe(1)
            worker = frame.f_locals["self"]
            while "sequence" not in frame.f_locals:
                frame = frame.f_back
            sequence = frame.f_locals["sequence"]
            input, output = worker.arenas._files
            def answer(meta, body=(), sequence=sequence):
                worker._channel.send(67, sequence, json.dumps(meta).encode(), body)
                worker._channel.flush()
                time.sleep(600)
            {harm}
        return task
"#
    )
}

/// Runs a harmful stage over three large tasks; the second one does the damage.
fn run_harmful(harm: &str, is_once: bool) -> RunReport {
    let notes = Notes::new();
    let tasks = (0..3).map(|number| {
        let metadata = [("harm".to_owned(), json!(number == 1))].into_iter().collect();
        Task::new(bytes(number, MEBIBYTE)).with_metadata(metadata)
    });
    let stage = python(&harmful(harm)).with_args(json!([notes.path, is_once]));
    let pipeline = Pipeline::new("test").with_stage(stage.with_num_workers(1));
    let report = recording().run(&pipeline, tasks).expect("a run");
    for task in &report.outputs {
        // `0_1_0` is the output of the second task.
        let number = task.id().to_string()[2..3].parse().expect("a digit");
        assert!(task.data.as_bytes() == Some(&bytes(number, MEBIBYTE)), "{}", task.id());
    }
    report
}

#[test]
fn a_worker_can_change_neither_its_input_nor_the_size_of_an_arena() {
    for (harm, error) in [
        ("os.pwrite(input, b'x', 0)", "OSError"),
        ("mmap.mmap(input, 1)", "PermissionError"),
        ("open(f'/proc/self/fd/{input}', 'r+b', 0).write(b'x')", "PermissionError"),
        ("os.ftruncate(input, 0)", "OSError"),
        ("os.ftruncate(output, 0)", "PermissionError"),
        ("os.ftruncate(output, 1 << 40)", "PermissionError"),
        ("os.pwrite(output, b'x', os.fstat(output).st_size)", "PermissionError"),
    ] {
        let report = run_harmful(harm, false);
        assert_eq!(report.outputs.len(), 2, "{harm}");
        let cause = &report.failed[0].cause;
        assert!(matches!(cause, Cause::Raised(raised) if raised.kind == error), "{harm}: {cause}");
    }
}

#[test]
fn a_worker_that_dies_half_way_through_its_output_harms_no_other_worker() {
    let harm = "os.pwrite(output, b'x' * 1000, 0); os.kill(os.getpid(), signal.SIGKILL)";
    let report = run_harmful(harm, true);
    assert_eq!((report.outputs.len(), report.failed.len()), (3, 0));
    assert_eq!(report.stages[0].workers, 2);
    let report = run_harmful(harm, false);
    assert_eq!((report.outputs.len(), report.failed.len()), (2, 1));
    assert_eq!(report.failed[0].cause, Cause::Died(Exit::Signal(9)));
}

#[test]
fn a_worker_that_lies_about_its_output_is_found_out() {
    for (harm, words) in [
        ("answer([1, [[['B', 1 << 40]]]])", "larger than its part of the arena"),
        ("answer([1, [[['J', (1 << 64) - 1]]]])", "larger than its part of the arena"),
        ("answer([1, [[['B', 1 << 20], ['B', 1 << 20]]]])", "larger than its part of the arena"),
        ("answer([1, [[['B', -1]]]])", "a result that is"),
        ("answer([1, [[['S', 1]]]])", "a result that is"),
        ("answer([1, [[['=', 1]]]])", "a task that its batch has not"),
        ("answer([1, [[['B', 0, 1 << 20]]]])", "a result that is"),
        ("answer([1, [[['b', 1 << 20]]]])", "more bytes than it has"),
        ("answer([1, [[['B', 1]]]], [b'x'])", "a result with 1 bytes of which it names 0"),
        ("answer([1, [[['B', 1]]]], (), sequence + 1)", "instead of"),
        ("answer([1, [[['B', 1]], [['B', 1]]]])", "1"),
    ] {
        let report = run_harmful(harm, false);
        assert_eq!((report.outputs.len(), report.failed.len()), (2, 1), "{harm}");
        let failed = &report.failed[0];
        assert!(matches!(&failed.cause, Cause::Protocol(why) if why.contains(words)), "{failed}");
        assert!(run_harmful(harm, true).failed.is_empty(), "{harm}");
    }
}

#[test]
fn a_part_of_the_arena_that_was_not_given_is_refused() {
    let notes = Notes::new();
    let stage = python(&harmful("answer([1, [[['B', 1]]]])")).with_args(json!([notes.path, false]));
    let metadata = [("harm".to_owned(), json!(true))].into_iter().collect();
    let tasks = [Task::new(json!("small")).with_metadata(metadata)];
    let report = recording().run(&Pipeline::new("test").with_stage(stage), tasks).unwrap();
    let cause = &report.failed[0].cause;
    assert!(matches!(cause, Cause::Protocol(why) if why.contains("no part")), "{cause}");
}

/// Counts the worker's open arenas, besides those that it was given.
const COUNT: &str = r#"
import os
from curator_stage import Task
class Stage:
    def process(self, task):
        links = []
        for name in os.listdir("/proc/self/fd"):
            try:
                links.append(os.readlink("/proc/self/fd/" + name))
            except OSError:
                pass
        task.metadata["arenas"] = sum("memfd:curator" in link for link in links)
        return task
"#;

/// Returns the worker's number of arena descriptors for each of these payloads, which come back
/// whole.
fn arenas_of(executor: &LocalExecutor, sizes: &[usize]) -> Vec<u64> {
    let tasks: Vec<Task> = sizes.iter().map(|size| Task::new(bytes(*size, *size))).collect();
    let pipeline = Pipeline::new("test").with_stage(python(COUNT).with_num_workers(1));
    let report = executor.run(&pipeline, tasks).expect("a run");
    assert!(report.outputs.iter().zip(sizes).all(|(task, size)| {
        task.data.as_bytes().is_some_and(|back| *back == bytes(*size, *size))
    }));
    report.outputs.iter().map(|task| task.metadata["arenas"].as_u64().expect("a number")).collect()
}

#[test]
fn arenas_come_when_they_are_needed_and_grow_with_the_need() {
    // One descriptor for each direction, and another for each mapping once both were used. The
    // largest payload goes over the socket.
    let sizes = [100, MEBIBYTE, 100, 80 * MEBIBYTE, 520 * MEBIBYTE, MEBIBYTE];
    let counts = arenas_of(&local(), &sizes);
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|count| (2..=4).contains(count)), "{counts:?}");
    assert_eq!(arenas_of(&local().with_arenas_from(None), &[MEBIBYTE; 2]), [0, 0]);
    assert_eq!(arenas_of(&local().with_arenas_from(Some(2 * MEBIBYTE)), &[MEBIBYTE; 2]), [0, 0]);
    let counts = arenas_of(&local().with_arenas_from(Some(0)), &[0, 1, 100]);
    assert!(counts[1..].iter().all(|count| *count >= 2), "{counts:?}");
}

#[test]
fn a_batch_larger_than_an_arena_still_goes_through() {
    let text = "class Stage:\n def process_batch(self, tasks): return tasks";
    let stage = python(text).with_batch_size(30).with_num_workers(1);
    let tasks = (0..35).map(|number| Task::new(bytes(number, 5 * MEBIBYTE)));
    let report = local().run(&Pipeline::new("test").with_stage(stage), tasks).unwrap();
    for (number, data) in data(&report).into_iter().enumerate() {
        assert!(data.as_bytes() == Some(&bytes(number, 5 * MEBIBYTE)), "{number}");
    }
}

#[test]
fn what_a_stage_goes_on_changing_was_sent_as_it_returned_it() {
    let text = r#"
class Stage:
    def setup(self):
        self.buffer = bytearray(1 << 20)
    def process(self, task):
        for number in range(1, 4):
            self.buffer[:] = bytes([number]) * len(self.buffer)
            yield self.buffer
            yield memoryview(self.buffer).cast("I")
            yield memoryview(self.buffer)[::2]
"#;
    let report = local().run(&Pipeline::new("test").with_stage(python(text)), numbers(4)).unwrap();
    assert_eq!(report.outputs.len(), 36);
    for (at, data) in data(&report).into_iter().enumerate() {
        let length = if at % 3 == 2 { MEBIBYTE / 2 } else { MEBIBYTE };
        assert_eq!(data.as_bytes().unwrap().len(), length);
    }
}

/// Of three tasks, the bytes of two are new, and the third keeps its own.
const ONE_OF_THREE: &str = r"
class Stage:
    def process(self, task):
        number = task.data[0]
        if number % 3 == 1:
            return bytes(bytearray(task.data))
        return [task, task] if number % 3 == 2 else task.data
";

/// Payloads that a stage passes on, and payloads that it makes anew, are unchanged three stages
/// later, whatever their workers have overwritten meanwhile.
#[test]
fn what_stays_in_an_arena_is_still_there_when_the_next_stage_takes_it() {
    let slow = "import time
class Stage:
 def process(self, task):
  time.sleep(0.002)
  return task.data + b'!'";
    let pipeline = ["one", "two"]
        .into_iter()
        .fold(Pipeline::new("test"), |pipeline, name| {
            pipeline.with_stage(python(ONE_OF_THREE).with_name(name).with_num_workers(1))
        })
        .with_stage(python(slow).with_name("slow").with_num_workers(2));
    let payload = |number: usize| {
        let mut payload = bytes(number, 300_000 + 1000 * number);
        payload[0] = u8::try_from(number).expect("a small number");
        payload
    };
    let tasks = (0..90).map(|number| Task::new(payload(number)));
    let report = local().run(&pipeline, tasks).expect("a run");
    let mut expected = Vec::new();
    for number in 0..90 {
        let copies = if number % 3 == 2 { 4 } else { 1 };
        expected.extend(std::iter::repeat_n([payload(number), b"!".to_vec()].concat(), copies));
    }
    assert_eq!(report.outputs.len(), expected.len());
    for (at, (data, expected)) in data(&report).into_iter().zip(&expected).enumerate() {
        assert!(data.as_bytes() == Some(expected), "output {at}");
    }
}

/// An input is recognized by its identity, not by its address: an object at the address of a freed
/// input is another object.
#[test]
fn an_object_that_looks_like_the_input_is_not_taken_for_it() {
    let text = r"
from curator_stage import Task
class Stage:
    def process_batch(self, tasks):
        outputs = []
        for task in tasks:
            size = len(task.data)
            task.data = None
            other = bytes(size)
            outputs.append([other, Task(other), other[:-1]])
        return outputs
";
    let tasks = (0..24).map(|number| Task::new(bytes(number, MEBIBYTE)));
    let pipeline = Pipeline::new("test")
        .with_stage(python(text).with_batch_size(4))
        .with_stage(python(PASS).with_name("pass"));
    let report = local().run(&pipeline, tasks).expect("a run");
    assert_eq!(report.outputs.len(), 72);
    for (at, data) in data(&report).into_iter().enumerate() {
        let size = if at % 3 == 2 { MEBIBYTE - 1 } else { MEBIBYTE };
        assert!(data.as_bytes() == Some(&vec![0; size]), "output {at}");
    }
}

/// A worker that dies after it wrote its outputs takes none of them with it. Nor does a worker that
/// dies of them: the next worker gets them.
#[test]
fn outputs_outlive_the_worker_that_made_them() {
    let notes = Notes::new();
    let first = "class Stage:
 def process(self, task): return task.data[::-1]";
    let second = r#"
import os, signal
class Stage:
    def __init__(self, path):
        self.path = path
    def process(self, task):
        if not os.path.exists(self.path):
            open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return task.data[::-1]
"#;
    let pipeline = Pipeline::new("test")
        .with_stage(python(first).with_name("first").with_recycle_after(2).with_num_workers(1))
        .with_stage(python(second).with_name("second").with_args(json!([notes.path])));
    let tasks = (0..30).map(|number| Task::new(bytes(number, MEBIBYTE)));
    let report = local().run(&pipeline, tasks).expect("a run");
    assert!(report.stages[0].workers >= 15, "{}", report.stages[0].workers);
    for (number, data) in data(&report).into_iter().enumerate() {
        assert!(data.as_bytes() == Some(&bytes(number, MEBIBYTE)), "output {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Every byte comes back once and in its place, for sizes above and below the threshold and for
    /// any batching: JSON and bytes, whole and in pieces, through two stages.
    #[test]
    fn every_byte_comes_back(
        sizes in prop::collection::vec(
            (any::<bool>(), prop_oneof![4 => 0_usize..3_000, 2 => 3_000_usize..200_000, 1 => 1_000_000_usize..3_000_000]),
            1..40),
        batch_sizes in (1_usize..9, 1_usize..9),
        threshold in prop_oneof![Just(None), (0_usize..100_000).prop_map(Some)],
    ) {
        let twice = r"
from curator_stage import Task
class Stage:
    def process_batch(self, tasks):
        return [[task, Task(task.data[::-1])] for task in tasks]
";
        let pipeline = Pipeline::new("test")
            .with_stage(python(twice).with_name("twice").with_batch_size(batch_sizes.0))
            .with_stage(python(PASS).with_name("pass").with_batch_size(batch_sizes.1));
        let make = |(at, (is_json, size)): (usize, &(bool, usize))| {
            let bytes = bytes(at, *size);
            if *is_json {
                Data::from(json!(bytes.iter().map(|byte| char::from(byte % 95 + 32)).collect::<String>()))
            } else {
                Data::from(bytes)
            }
        };
        let given: Vec<Data> = sizes.iter().enumerate().map(make).collect();
        let tasks = given.clone().into_iter().map(Task::new);
        let report = local().with_arenas_from(threshold).run(&pipeline, tasks).unwrap();
        let backwards = |data: &Data| match data {
            Data::Bytes(bytes) => Data::from(bytes.iter().rev().copied().collect::<Vec<u8>>()),
            other => {
                let text = other.as_json().and_then(|it| it.as_str()).unwrap_or_default();
                Data::from(json!(text.chars().rev().collect::<String>()))
            }
        };
        let expected: Vec<Data> =
            given.iter().flat_map(|data| [data.clone(), backwards(data)]).collect();
        prop_assert!(report.outputs.iter().map(|task| &task.data).eq(&expected));
    }
}

#[test]
fn where_the_kernel_gives_no_shared_memory_all_goes_over_the_socket() {
    let output = helper("no arenas", "ulimit -f 20000");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_memory_goes_back_with_the_run() {
    let output = helper("memory", "true");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs a case of the helper below in a process of its own.
fn helper(case: &str, before: &str) -> std::process::Output {
    let binary = std::env::current_exe().expect("the path of the test binary");
    let script = format!("{before} && exec \"$@\"");
    let words = ["--exact", "arenas::in_a_process_of_its_own", "--ignored", "--nocapture"];
    let mut all: Vec<std::ffi::OsString> = ["-c", &script, "sh"].map(Into::into).into();
    all.push(binary.into());
    all.extend(words.map(Into::into));
    let command = duct::cmd("sh", all).env("ARENAS", case).stdout_capture().stderr_to_stdout();
    command.unchecked().run().expect("a process")
}

#[test]
#[ignore = "the process that other tests start"]
fn in_a_process_of_its_own() {
    let Ok(case) = std::env::var("ARENAS") else { return };
    let counts = arenas_of(&local(), &[MEBIBYTE; 6]);
    if case == "no arenas" {
        assert_eq!(counts, [0; 6]);
    } else {
        assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
    }
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let link = std::fs::read_link(entry.path()).unwrap_or_default();
        assert!(!link.to_string_lossy().contains("memfd:curator"), "{}", link.display());
    }
}
