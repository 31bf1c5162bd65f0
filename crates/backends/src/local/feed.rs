//! The next step of a thread that feeds a worker: a pure decision about what it sees.

/// The queue's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Batch,
    /// Nothing for now.
    Nothing,
    /// Nothing now or later.
    Finished,
}

/// What the thread sees.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing seen")]
pub(crate) struct Sight {
    /// The worker takes nothing more.
    pub(crate) is_over: bool,
    /// The worker may have another batch.
    pub(crate) has_room: bool,
    /// The worker has no batch.
    pub(crate) is_idle: bool,
    /// The worker has reached its maximum number of tasks.
    pub(crate) is_used_up: bool,
    /// Another stage waits for a device that this worker holds.
    pub(crate) is_device_wanted: bool,
    /// The next stage takes nothing more for now.
    pub(crate) is_next_full: bool,
    /// The worker has been idle for the maximum time.
    pub(crate) is_past_idle: bool,
    /// None before the queue was asked.
    pub(crate) offer: Option<Offer>,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It leaves a worker that is over.
    Leave,
    /// It looks again.
    Look,
    /// It looks again after a change.
    Wait,
    /// It asks the queue.
    Ask,
    /// It sends the batch that the queue gave.
    Send,
    /// It tells the worker to end.
    End,
    /// It tells the worker to end, once all batches of the worker are settled.
    Settle,
    /// It tells the worker to end, since the worker is not needed for now.
    Spare,
}

impl Sight {
    pub(crate) fn step(self) -> Step {
        match self.offer {
            _ if self.is_over => Step::Leave,
            None if !self.has_room => Step::Look,
            // While the next stage takes nothing more, another stage may need the device to
            // continue.
            None if self.is_used_up || self.is_device_wanted && self.is_next_full => {
                if self.is_idle { Step::End } else { Step::Wait }
            }
            None => Step::Ask,
            Some(Offer::Batch) => Step::Send,
            // A run that was asked to stop gives out nothing more, but still wants the current
            // batches.
            Some(Offer::Finished) => Step::Settle,
            // Other stages wait for the device of this idle worker.
            Some(Offer::Nothing) if self.is_idle && self.is_device_wanted => Step::End,
            Some(Offer::Nothing) if self.is_idle && self.is_past_idle => Step::Spare,
            Some(Offer::Nothing) => Step::Look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every sight, with the words for it.
    fn sights() -> impl Iterator<Item = Sight> {
        let offers = [None, Some(Offer::Batch), Some(Offer::Nothing), Some(Offer::Finished)];
        offers.into_iter().flat_map(|offer| {
            (0..1_u8 << 7).map(move |bits| {
                let is = |at: u8| bits >> at & 1 == 1;
                Sight {
                    is_over: is(0),
                    has_room: is(1),
                    is_idle: is(2),
                    is_used_up: is(3),
                    is_device_wanted: is(4),
                    is_next_full: is(5),
                    is_past_idle: is(6),
                    offer,
                }
            })
        })
    }

    #[test]
    fn each_sight_has_its_step() {
        let plain = Sight {
            is_over: false,
            has_room: true,
            is_idle: true,
            is_used_up: false,
            is_device_wanted: false,
            is_next_full: false,
            is_past_idle: false,
            offer: None,
        };
        let nothing = Sight { offer: Some(Offer::Nothing), ..plain };
        let table = [
            (plain, Step::Ask),
            (Sight { is_idle: false, ..plain }, Step::Ask),
            (Sight { is_over: true, ..plain }, Step::Leave),
            (Sight { has_room: false, is_idle: false, ..plain }, Step::Look),
            (Sight { is_used_up: true, ..plain }, Step::End),
            (Sight { is_used_up: true, is_idle: false, ..plain }, Step::Wait),
            (Sight { is_device_wanted: true, ..plain }, Step::Ask),
            (Sight { is_next_full: true, ..plain }, Step::Ask),
            (Sight { is_device_wanted: true, is_next_full: true, ..plain }, Step::End),
            (Sight { offer: Some(Offer::Batch), ..plain }, Step::Send),
            (Sight { offer: Some(Offer::Finished), ..plain }, Step::Settle),
            (nothing, Step::Look),
            (Sight { is_device_wanted: true, ..nothing }, Step::End),
            (Sight { is_device_wanted: true, is_idle: false, ..nothing }, Step::Look),
            (Sight { is_past_idle: true, ..nothing }, Step::Spare),
        ];
        for (sight, step) in table {
            assert_eq!(sight.step(), step, "{sight:?}");
        }
    }

    /// In every other respect, any sight.
    #[test]
    fn no_batch_is_lost_and_none_is_asked_for_in_vain() {
        for sight in sights() {
            let step = sight.step();
            let is = |wanted| step == wanted;
            assert_eq!(is(Step::Leave), sight.is_over, "{sight:?}");
            assert_eq!(
                is(Step::Send),
                sight.offer == Some(Offer::Batch) && !sight.is_over,
                "a batch that was taken is sent: {sight:?}"
            );
            if is(Step::Ask) {
                assert!(sight.offer.is_none() && sight.has_room && !sight.is_used_up, "{sight:?}");
            }
            if is(Step::End) || is(Step::Spare) {
                assert!(sight.is_idle, "a worker with batches settles them first: {sight:?}");
            }
        }
    }
}
