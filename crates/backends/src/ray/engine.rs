//! The engines on Ray, and the makers of environments there.

/// The maker of the stages' environments on a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RayEnv {
    /// This crate, from the cache on each node, where environments outlive the run. It builds
    /// missing ones over the Python of Ray's workers.
    #[default]
    Cached,
    /// Ray: each node builds the `runtime_env` once for each session.
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

/// A pool of Ray actors for each stage, one stage after another.
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
