//! Executors on Ray: Ray Data, a pool of Ray actors, and Xenna.
//!
//! A Python *driver* in the base environment connects to Ray and sets the stages up for the engine.
//! Its actors do not run the stages' code themselves: beside each runs a *host* (see `host`). Tasks
//! cross the engine as bytes that it does not read. Events come back through one small actor, and
//! errors and outputs through the driver.

mod connection;
mod driver;
mod engine;
mod executor;
mod host;
mod job;
mod native;
mod session;

pub use connection::Connection;
pub use engine::{RayActorPool, RayData, RayEngine, RayEnv, Xenna};
pub use executor::{RayActorPoolExecutor, RayDataExecutor, RayExecutor, XennaExecutor};
pub use host::serve_if_asked;
