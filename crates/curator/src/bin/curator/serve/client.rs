//! The client's end: frames from it and to it, and the tasks that it sends.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use curator::Task;
use curator::backends::Stop;
use curator::backends::sync::Mutex;
use curator::backends::worker::{Frame, FrameReader, Kind};
use curator::stage::{Data, Json, SourceTask};
use serde::Deserialize;
use serde_json::Value;

use super::writer::Writer;

/// What a client may send at the beginning, and has to be told of before it may send more.
const TASKS: usize = 1024;
const BYTES: usize = 16 << 20;
/// How long a run may take to end after its client has gone.
const LAST: Duration = Duration::from_secs(2);

/// Frames off the socket.
#[derive(Debug)]
pub(super) struct Frames {
    socket: UnixStream,
    reader: FrameReader,
}

impl Frames {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, reader: FrameReader::default() }
    }

    /// Returns the next frame; none at the end of the socket.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.reader.next()? {
                return Ok(Some(frame));
            }
            if !self.reader.fill(&mut self.socket)? {
                return Ok(None);
            }
        }
    }

    /// Returns the frames that have come together, at least one; none at the end of the socket.
    fn some(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames: Vec<Frame> = self.next()?.into_iter().collect();
        while let Some(frame) = self.reader.next()? {
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// A task, and what it takes of the client's credit; or the end of all.
#[derive(Debug)]
pub(super) enum Sent {
    Task(Box<Task>, usize),
    Wrong(String),
    End,
}

/// How a client ends a run.
#[derive(Deserialize)]
struct Cancel {
    at_once: bool,
}

/// Reads what the client sends, until its socket ends; that ends the run as well.
pub(super) fn listen(mut frames: Frames, sender: &Sender<Vec<Sent>>, stop: &Stop) {
    loop {
        let some = match frames.some() {
            Ok(some) if !some.is_empty() => some,
            _ => break,
        };
        let sent: Vec<Sent> = some.into_iter().filter_map(|frame| read(frame, stop)).collect();
        if !sent.is_empty() {
            let _ = sender.send(sent);
        }
    }
    stop.at_once();
    let _ = sender.send(vec![Sent::End]);
    // What comes of it now is not waited for. Workers, and what builds environments, end with this
    // program.
    std::thread::sleep(LAST);
    std::process::exit(1);
}

/// Returns what a frame says about tasks, if it does.
fn read(frame: Frame, stop: &Stop) -> Option<Sent> {
    match frame.kind {
        Kind::Task => {
            let bytes = frame.body.len();
            let task = read_task(frame).map(|task| Sent::Task(Box::new(task), bytes));
            Some(task.unwrap_or_else(Sent::Wrong))
        }
        Kind::End => Some(Sent::End),
        Kind::Cancel => {
            match serde_json::from_slice(&frame.meta) {
                Ok(Cancel { at_once: false }) => stop.in_order(),
                _ => stop.at_once(),
            }
            Some(Sent::End)
        }
        _ => None,
    }
}

fn read_task(frame: Frame) -> Result<Task, String> {
    let head: Result<(String, String, Json), _> = serde_json::from_slice(&frame.meta);
    let (kind, dataset, metadata) = head.map_err(|error| format!("its head: {error}"))?;
    let metadata = metadata.into_value().map_err(|error| format!("its metadata: {error}"))?;
    let Value::Object(metadata) = metadata else {
        return Err("its metadata is no object".to_owned());
    };
    let data = match kind.as_str() {
        "j" => Data::from(Json::from_bytes(frame.body).map_err(|error| error.to_string())?),
        "b" => Data::from(frame.body),
        #[cfg(feature = "arrow")]
        "t" => {
            let table = curator::stage::Table::from_ipc(frame.body);
            Data::from(table.map_err(|error| error.to_string())?)
        }
        other => return Err(format!("this `curator` has no data of the kind {other:?}")),
    };
    Ok(Task::new(data).with_dataset_name(dataset).with_metadata(metadata))
}

/// The tasks that the client sends, as the run has room for them.
pub(super) struct Tasks {
    received: Receiver<Vec<Sent>>,
    /// What came together, and has not been taken yet.
    here: std::vec::IntoIter<Sent>,
    writer: Writer,
    next: u64,
    /// What has been taken and not told yet.
    taken: usize,
    taken_bytes: usize,
    /// Whether the client wants to hear of the end of each.
    follows: bool,
    problem: Arc<Mutex<Option<String>>>,
}

impl Tasks {
    pub(super) fn new(
        received: Receiver<Vec<Sent>>,
        writer: Writer,
        follows: bool,
        problem: Arc<Mutex<Option<String>>>,
    ) -> Self {
        // The beginning is credit like all else.
        Self {
            received,
            here: Vec::new().into_iter(),
            writer,
            next: 0,
            taken: TASKS,
            taken_bytes: BYTES,
            follows,
            problem,
        }
    }

    fn receive(&mut self) -> Sent {
        // What is not told of yet is less than a client has, so that it never waits for that.
        if self.taken >= TASKS / 4 || self.taken_bytes >= BYTES / 4 {
            let credit = format!("[{},{}]", self.taken, self.taken_bytes);
            // A client that is gone sends nothing, either.
            let _ = self.writer.send(Kind::Credit, credit.as_bytes(), &[]);
            (self.taken, self.taken_bytes) = (0, 0);
        }
        loop {
            if let Some(sent) = self.here.next() {
                return sent;
            }
            let Ok(sent) = self.received.recv() else { return Sent::End };
            self.here = sent.into_iter();
        }
    }
}

impl Iterator for Tasks {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        match self.receive() {
            Sent::Task(task, bytes) => {
                self.taken += 1;
                self.taken_bytes += bytes;
                let index = self.next;
                self.next += 1;
                let writer = self.follows.then(|| self.writer.clone());
                Some(task.with_source(SourceTask::new(index, move |index| {
                    if let Some(writer) = &writer {
                        let _ = writer.send(Kind::SourceDone, index.to_string().as_bytes(), &[]);
                    }
                })))
            }
            Sent::Wrong(problem) => {
                let mut told = self.problem.lock();
                *told = Some(format!("task {} is none: {problem}", self.next));
                None
            }
            Sent::End => None,
        }
    }
}
