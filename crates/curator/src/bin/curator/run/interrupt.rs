//! Ctrl-C: the first one ends the run in order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::input::Reading;
use crate::display::Display;
use crate::failure::Failure;

/// What a shell adds to a signal's number in an exit code.
const SIGNAL: i32 = 128;

/// Which signal the run was ended by, if it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// From now on signals end the run in order: nothing more is handed in, and what is under way is
    /// finished. Where nothing is under way yet, and with the second signal, the program ends; its
    /// workers and what builds environments end with it.
    pub(crate) fn install(reading: Arc<Reading>, display: Arc<Display>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io("listen for signals", &error);
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        let interrupt = Self::default();
        let taken = interrupt.clone();
        let listen = move || {
            for signal in &mut signals {
                let is_first = taken.0.swap(signal, Ordering::Relaxed) == 0;
                reading.stop.store(true, Ordering::Relaxed);
                if !is_first || !display.has_begun() {
                    display.finish();
                    std::process::exit(SIGNAL + signal);
                }
                display.note("finishing what is under way; once more to end at once");
            }
        };
        thread::Builder::new().spawn(listen).map_err(|error| Failure::thread(&error))?;
        Ok(interrupt)
    }

    /// The exit code of a run that was ended so.
    pub(crate) fn code(&self) -> Option<u8> {
        let signal = self.0.load(Ordering::Relaxed);
        if signal == 0 { None } else { u8::try_from(SIGNAL + signal).ok() }
    }
}
