//! What the measurements are held against: figures of peers, and budgets.
//!
//! The peer is `NeMo` Curator 1.4 on Ray 2.60, measured on 2 cores over a base of 640 MB, with its
//! own example of three stages and three versions of `packaging`. It builds each environment as a
//! full copy of the base, and keeps none beyond the Ray session.

/// A number, and where it comes from.
#[derive(Debug)]
pub(crate) struct Figure {
    /// In seconds or bytes.
    pub(crate) value: f64,
    /// What it is the figure of.
    pub(crate) origin: &'static str,
}

/// The peer's three-stage example in a fresh session; and with nothing kept, so is every other run.
pub(crate) const THREE_STAGES: Figure = Figure {
    value: 28.0,
    origin: "28 s: the peer's example of three stages, fresh Ray session, at best (28 to 49 s)",
};

/// What one environment of the peer occupies.
pub(crate) const ONE_CLONE: Figure = Figure {
    value: 647e6,
    origin: "647 MB: the peer's environment for one pinned package, a full copy of the base",
};

/// The peer's time to fail for a requirement that nothing satisfies.
pub(crate) const IMPOSSIBLE: Figure = Figure {
    value: 41.0,
    origin: "41 s: the peer's time to fail for a misspelt requirement, at best (41 to 62 s)",
};

/// The engines on Ray with 2 000 small tasks in three stages: seconds a task, at best.
pub(crate) const SMALL_TASKS: Figure = Figure {
    value: 1.0 / 33.0,
    origin: "30 ms: a small task through three stages on the engines on Ray, at best (24 to 33/s)",
};
