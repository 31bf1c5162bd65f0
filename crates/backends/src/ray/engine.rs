//! The engines on Ray, and who makes the environments there.

/// Who makes the environments of the stages on a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RayEnv {
    /// This crate, out of the cache on each node, where they outlive the run. What it must build, it
    /// builds over the Python that Ray's workers run.
    #[default]
    Cached,
    /// Ray: each node builds what the `runtime_env` says, once per session.
    Native,
}

/// An engine on Ray. There are three: [`RayData`], [`RayActorPool`] and [`Xenna`].
pub trait RayEngine: private::Sealed + Send + Sync {
    /// Its name: `ray-data`, `ray-actor-pool` or `xenna`.
    const NAME: &'static str;
}

mod private {
    #[expect(unnameable_types, reason = "so that there are these three engines and no others")]
    pub trait Sealed {}
}

/// Ray Data: a streaming data set, each stage a `map_batches`.
#[derive(Clone, Copy, Debug)]
pub enum RayData {}

/// A pool of Ray actors for each stage, one stage after the other.
#[derive(Clone, Copy, Debug)]
pub enum RayActorPool {}

/// Xenna: streaming, with workers that are added where the pipeline is slow.
#[derive(Clone, Copy, Debug)]
pub enum Xenna {}

impl private::Sealed for RayData {}
impl private::Sealed for RayActorPool {}
impl private::Sealed for Xenna {}

impl RayEngine for RayData {
    const NAME: &'static str = "ray-data";
}

impl RayEngine for RayActorPool {
    const NAME: &'static str = "ray-actor-pool";
}

impl RayEngine for Xenna {
    const NAME: &'static str = "xenna";
}
