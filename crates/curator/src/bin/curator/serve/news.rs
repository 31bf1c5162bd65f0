//! What happens in a run, as a client hears of it.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use curator::backends::sync::Mutex;
use curator::backends::worker::Kind;
use curator::backends::{Event, Observer};
use serde_json::json;

use super::client::Sent;
use super::writer::Writer;

/// How often a client hears how far the stages are.
const EVERY: Duration = Duration::from_millis(200);

/// Passes events on; of batches, which may be many, only their sums now and then.
pub(super) struct News {
    writer: Writer,
    /// Told when the run wants no more tasks.
    tasks: Mutex<Sender<Vec<Sent>>>,
    progress: Mutex<Progress>,
}

struct Progress {
    told: Instant,
    /// Tasks that went in and that came out, by stage.
    stages: BTreeMap<String, (usize, usize)>,
}

impl News {
    pub(super) fn new(writer: Writer, tasks: Sender<Vec<Sent>>) -> Self {
        let progress = Progress { told: Instant::now(), stages: BTreeMap::new() };
        Self { writer, tasks: Mutex::new(tasks), progress: Mutex::new(progress) }
    }

    fn batch_done(&self, stage: &str, tasks: usize, outputs: usize) {
        let mut progress = self.progress.lock();
        match progress.stages.get_mut(stage) {
            Some(sums) => *sums = (sums.0 + tasks, sums.1 + outputs),
            None => _ = progress.stages.insert(stage.to_owned(), (tasks, outputs)),
        }
        if progress.told.elapsed() < EVERY {
            return;
        }
        progress.told = Instant::now();
        let note = json!({ "event": "progress", "stages": progress.stages });
        drop(progress);
        let _ = self.writer.send(Kind::Note, note.to_string().as_bytes(), &[]);
    }
}

impl Observer for News {
    fn on_event(&self, event: &Event) {
        match event {
            Event::BatchDone { stage, tasks, outputs, .. } => {
                return self.batch_done(stage, *tasks, *outputs);
            }
            // The run may wait for a client that has no task to send.
            Event::Stopping => {
                let tasks = self.tasks.lock();
                let _ = tasks.send(vec![Sent::End]);
            }
            _ => {}
        }
        if let Ok(note) = serde_json::to_vec(event) {
            let _ = self.writer.send(Kind::Note, &note, &[]);
        }
    }
}
