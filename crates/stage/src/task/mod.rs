//! Tasks, which flow between stages.

mod data;
mod id;
mod id_text;
mod json;
mod line;
mod output;
mod source;
#[cfg(feature = "arrow")]
mod table;
mod timing;
mod unit;

pub use data::Data;
pub use id::TaskId;
pub(crate) use json::{Inexact, Step, find_inexact, is_reserved, reserved};
pub use json::{Json, JsonError};
pub use output::{BatchOutput, Output};
pub use source::SourceTask;
#[cfg(feature = "arrow")]
pub use table::{IpcParts, Table};
pub use timing::Timing;
pub(crate) use timing::seconds;
pub use unit::{Lineage, Task};
