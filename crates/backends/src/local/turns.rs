//! Who begins first, where there are fewer cores than stages: the stage that the first task meets first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// How long a stage waits for its turn while none begins and none is done. What an earlier stage
/// imports may wait for a network, or for a later stage.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a thread waits before it looks around.
const TICK: Duration = Duration::from_millis(50);

/// The turns of stages to start and import, or of environments to be built, each known by its place in
/// the pipeline.
///
/// As many begin at once as there are cores, earlier stages before later ones. A stage before which
/// none waits or begins has its turn at once, even if later ones occupy the cores.
#[derive(Debug)]
pub(crate) struct Turns {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Those that wait, or are about to.
    waiting: BTreeSet<usize>,
    begun: BTreeSet<usize>,
    /// When a turn began or ended last.
    moved: Instant,
}

/// A stage's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    place: usize,
}

impl Turns {
    /// Creates turns of which `most`, at least one, are taken at once.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (waiting, begun) = (BTreeSet::new(), BTreeSet::new());
        let state = Mutex::new(State { waiting, begun, moved: Instant::now() });
        Arc::new(Self { most: most.max(1), state, changed: Condvar::new() })
    }

    /// Has later places wait for these, whose threads are about to ask for their turns, in any order.
    pub(crate) fn expect(&self, places: impl IntoIterator<Item = usize>) {
        self.state.lock().waiting.extend(places);
    }

    /// Waits for the turn of the stage at this place; returns `None` once `is_over`.
    pub(crate) fn wait(self: &Arc<Self>, place: usize, is_over: impl Fn() -> bool) -> Option<Turn> {
        let mut state = self.state.lock();
        state.waiting.insert(place);
        let is_over = loop {
            if is_over() {
                break true;
            }
            if state.is_next(place, self.most) || state.moved.elapsed() >= PATIENCE {
                break false;
            }
            state = self.changed.wait_timeout(state, TICK).0;
        };
        state.waiting.remove(&place);
        if !is_over {
            state.begun.insert(place);
            state.moved = Instant::now();
        }
        self.changed.notify_all();
        (!is_over).then(|| Turn { turns: self.clone(), place })
    }
}

impl State {
    fn is_next(&self, place: usize, most: usize) -> bool {
        let is_earlier = |other: Option<&usize>| other.is_some_and(|other| *other < place);
        let is_waited_for = is_earlier(self.waiting.first());
        !is_waited_for && (self.begun.len() < most || !is_earlier(self.begun.first()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        state.begun.remove(&self.place);
        state.moved = Instant::now();
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    /// Waits until as many threads wait for their turn.
    fn until_waiting(turns: &Turns, count: usize) {
        while turns.state.lock().waiting.len() < count {
            thread::yield_now();
        }
    }

    proptest! {
        /// In whatever order stages ask, their turns come in the order of the pipeline.
        #[test]
        fn earlier_stages_begin_first(
            places in btree_set(1usize..50, 1..8).prop_map(Vec::from_iter).prop_shuffle(),
        ) {
            let turns = Turns::new(1);
            let (begun, told) = channel();
            thread::scope(|scope| {
                let first = turns.wait(0, || false);
                for (count, place) in places.iter().enumerate() {
                    let (turns, begun) = (&turns, begun.clone());
                    scope.spawn(move || {
                        let turn = turns.wait(*place, || false);
                        begun.send(*place).unwrap();
                        drop(turn);
                    });
                    until_waiting(turns, count + 1);
                }
                drop(first);
            });
            drop(begun);
            let mut expected = places;
            expected.sort_unstable();
            prop_assert_eq!(told.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn one_that_is_expected_is_waited_for_before_its_thread_asks() {
        let turns = Turns::new(1);
        turns.expect([0, 1]);
        let (begun, told) = channel();
        thread::scope(|scope| {
            for place in [1, 0] {
                let (turns, begun) = (&turns, begun.clone());
                scope.spawn(move || {
                    let turn = turns.wait(place, || false);
                    begun.send(place).unwrap();
                    drop(turn);
                });
                thread::sleep(TICK);
            }
        });
        drop(begun);
        assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn as_many_begin_at_once_as_there_are_cores_and_an_earlier_one_in_any_case() {
        let turns = Turns::new(2);
        let begun = [turns.wait(3, || false), turns.wait(4, || false)];
        assert!(begun.iter().all(Option::is_some));
        let is_refused = || {
            let asked = Instant::now();
            turns.wait(5, || asked.elapsed() > TICK).is_none()
        };
        assert!(is_refused());
        assert!(turns.wait(1, || false).is_some(), "nothing before it has to begin");
        drop(begun);
        assert!(turns.wait(5, || false).is_some());
    }

    #[test]
    fn a_stage_whose_import_waits_holds_the_others_up_for_a_moment_only() {
        let turns = Turns::new(1);
        let begun = Instant::now();
        let _stuck = turns.wait(0, || false);
        assert!(turns.wait(1, || false).is_some());
        assert!(begun.elapsed() >= PATIENCE);
    }
}
