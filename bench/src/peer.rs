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

/// What the budgets are shares of; each is of the design, which asks for these.
pub(crate) mod budget {
    use super::THREE_STAGES;

    /// `prepare` of a cached environment in-process: base opened, no referenced files.
    pub(crate) const PREPARE: f64 = 1e-3;
    /// What `curator env exec` of a cached environment may take on top of the interpreter: "a few
    /// milliseconds".
    pub(crate) const LAUNCH: f64 = 5e-3;
    /// The share of the base that an environment may occupy beyond what was added to it.
    pub(crate) const DISK_SHARE: f64 = 0.02;
    /// The same where every file is a link of its own.
    pub(crate) const DISK_SHARE_SYMLINK: f64 = 0.03;
    /// What cached environments may add to a pipeline on Ray Data, as a share of what Ray's own
    /// add: there Ray starts new workers for each environment.
    pub(crate) const ADDED_ON_RAY_DATA: f64 = 1.0 / 2.5;
    /// The same on the actor pools and on Xenna.
    pub(crate) const ADDED_ON_ENGINES: f64 = 1.0 / 5.0;
    /// A worker is ready after at most so many times the time of the same environment's `-c pass`.
    pub(crate) const WORKER: f64 = 3.0;
    /// Small tasks through a stage, one by one: times less than `multiprocessing.Pool.imap`.
    pub(crate) const TASKS: f64 = 2.5;
    /// Payloads of 10 MiB there and back: times less than `multiprocessing.Pool.apply`.
    pub(crate) const PAYLOADS: f64 = 20.0;
    /// 2 000 small tasks through three stages, start included: times less than the engines on Ray.
    pub(crate) const JOB: f64 = 300.0;
    /// The share of the best fixed numbers of workers that a stage's own choice reaches.
    pub(crate) const ELASTIC: f64 = 0.9;
    /// The example in a first process, over a small base of its own: times less than the peer.
    pub(crate) const EXAMPLE_TIMES: f64 = 30.0;
    /// The same over the peer's base.
    pub(crate) const EXAMPLE_LARGE_TIMES: f64 = 15.0;
    /// The second process, against the peer in a session of its own.
    pub(crate) const EXAMPLE_AGAIN_TIMES: f64 = 200.0;
    /// An impossible requirement, to error, by uv.
    pub(crate) const IMPOSSIBLE_UV: f64 = 1.0;
    /// The same by pip.
    pub(crate) const IMPOSSIBLE_PIP: f64 = 2.0;
    /// The example over a small base of its own: 30 times less than the peer.
    pub(crate) const EXAMPLE: f64 = THREE_STAGES.value / EXAMPLE_TIMES;
    /// The same over the base of 640 MB: 15 times less.
    pub(crate) const EXAMPLE_LARGE: f64 = THREE_STAGES.value / EXAMPLE_LARGE_TIMES;
    /// The second process, over either: 200 times less.
    pub(crate) const EXAMPLE_AGAIN: f64 = THREE_STAGES.value / EXAMPLE_AGAIN_TIMES;
}
