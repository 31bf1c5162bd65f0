//! Several observers of one run.

use std::sync::Arc;

use curator::backends::{Event, Observer};

/// Several observers, in the order in which they are told.
#[derive(Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }
}

impl Observer for Observers {
    fn on_event(&self, event: &Event) {
        self.0.iter().for_each(|observer| observer.on_event(event));
    }
}
