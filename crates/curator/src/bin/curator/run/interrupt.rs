//! Ctrl-C: the first one ends the run in order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use curator::backends::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::input::Reading;
use crate::display::Display;
use crate::failure::Failure;

/// What a shell adds to a signal's number in an exit code.
const SIGNAL: i32 = 128;

/// How long a run that is to end at once may take to tell how it went.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which signal the run was ended by, if it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicI32>,
    /// Whether the run hears of the stop; before that nothing is lost by an end at once.
    is_heard: Arc<AtomicBool>,
    /// Given to what runs the pipeline.
    pub(crate) stop: Stop,
}

impl Interrupt {
    /// Has signals end the run from now on: the first one in order, which finishes what workers
    /// have in their hands, and the second one at once. Both tell how it went. Where nothing is
    /// under way yet, and with a third one, the program ends as it is; its workers and what builds
    /// environments end with it.
    pub(crate) fn install(reading: Arc<Reading>, display: Arc<Display>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io("listen for signals", &error);
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        let interrupt = Self::default();
        let taken = interrupt.clone();
        let listen = move || {
            let leave = |signal: i32| -> ! {
                display.finish();
                std::process::exit(SIGNAL + signal);
            };
            for signal in &mut signals {
                let is_first = taken.signal.swap(signal, Ordering::Relaxed) == 0;
                if !taken.is_heard.load(Ordering::Relaxed) {
                    leave(signal);
                }
                if is_first {
                    // In this order: the end of the input must not be taken for its own.
                    taken.stop.in_order();
                    reading.stop.store(true, Ordering::SeqCst);
                    display.note("finishing what is under way; once more to end at once");
                    continue;
                }
                if taken.stop.is_wanted_at_once() {
                    leave(signal);
                }
                taken.stop.at_once();
                let display = display.clone();
                let last =
                    thread::Builder::new().name("curator-last".to_owned()).spawn(move || {
                        // The run ends the program before that, unless it hangs in a stage's Rust code.
                        thread::sleep(LAST_WORDS);
                        display.finish();
                        display.last_words();
                        std::process::exit(SIGNAL + signal);
                    });
                if last.is_err() {
                    leave(signal);
                }
            }
        };
        thread::Builder::new()
            .name("curator-signals".to_owned())
            .spawn(listen)
            .map_err(|error| Failure::thread(&error))?;
        Ok(interrupt)
    }

    /// Records that the run takes notice of the stop from now on.
    pub(crate) fn is_heard(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Returns the exit code of a run that was ended so.
    pub(crate) fn code(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::Relaxed);
        if signal == 0 { None } else { u8::try_from(SIGNAL + signal).ok() }
    }
}
