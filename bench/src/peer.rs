//! The figures of peers that the measurements are compared with.
//!
//! The peer is `NeMo` Curator 1.4 on Ray 2.60, measured on 2 cores over a base of 640 MB, with its
//! own example of three stages and three versions of `packaging`. It builds each environment as a
//! full copy of the base, and keeps none beyond the Ray session.

/// A number, and its origin.
#[derive(Debug)]
pub(crate) struct Figure {
    /// In seconds or bytes.
    pub(crate) value: f64,
    /// What was measured, and where.
    pub(crate) origin: &'static str,
}

/// The peer's three-stage example in a fresh session; every run takes that long, as nothing is
/// kept.
pub(crate) const THREE_STAGES: Figure = Figure {
    value: 28.0,
    origin: "28 s: the peer's example of three stages, fresh Ray session, at best (28 to 49 s)",
};

/// Disk space of one environment of the peer.
pub(crate) const ONE_CLONE: Figure = Figure {
    value: 647e6,
    origin: "647 MB: the peer's environment for one pinned package, a full copy of the base",
};

/// The peer's time to fail for a requirement that nothing satisfies.
pub(crate) const IMPOSSIBLE: Figure = Figure {
    value: 41.0,
    origin: "41 s: the peer's time to fail for a misspelt requirement, at best (41 to 62 s)",
};

/// The engines on Ray with 2 000 small tasks in three stages: best seconds for each task.
pub(crate) const SMALL_TASKS: Figure = Figure {
    value: 1.0 / 33.0,
    origin: "30 ms: a small task through three stages on the engines on Ray, at best (24 to 33/s)",
};
