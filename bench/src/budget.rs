//! Budgets of the design. Each figure names its budget, and the summary has a line for each budget.

use serde::{Deserialize, Serialize};

use crate::peer::THREE_STAGES;

/// One budget of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Budget {
    Tasks,
    Client,
    Payloads,
    TableCopies,
    TableMemory,
    Worker,
    Elastic,
    Job,
    Example,
    ExampleLarge,
    ExampleAgain,
    Prepare,
    Launch,
    ImpossibleUv,
    ImpossiblePip,
    Disk,
    DiskSymlink,
    AddedOnRayData,
    AddedOnEngines,
}

impl Budget {
    /// All budgets, in the order of the summary.
    pub(crate) const ALL: [Self; 19] = [
        Self::Example,
        Self::ExampleLarge,
        Self::ExampleAgain,
        Self::Job,
        Self::Tasks,
        Self::Client,
        Self::Payloads,
        Self::TableCopies,
        Self::TableMemory,
        Self::Elastic,
        Self::Worker,
        Self::Prepare,
        Self::Launch,
        Self::ImpossibleUv,
        Self::ImpossiblePip,
        Self::Disk,
        Self::DiskSymlink,
        Self::AddedOnEngines,
        Self::AddedOnRayData,
    ];

    /// Returns what is budgeted, and its limit.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Example => {
                "the documented example, first run, a base of its own: 30x less than on Ray"
            }
            Self::ExampleLarge => "the same over a base with Ray: 15x less",
            Self::ExampleAgain => "its second run: 200x less",
            Self::Job => "2 000 small tasks through the example, start included: 300x less",
            Self::Tasks => {
                "tasks of 1 KiB through one Python stage, one by one: 2.5x less than `Pool.imap`"
            }
            Self::Client => {
                "tasks through `Pipeline.stream` of Python: 0.8 of the speed of `curator run`"
            }
            Self::Payloads => "payloads of 10 MiB, there and back: 20x less than `Pool.apply`",
            Self::TableCopies => {
                "what a stage adds to a table of 256 MiB: two copies of it in memory, at most"
            }
            Self::TableMemory => {
                "memory for tables of 256 MiB: the shared memory and one table, at most"
            }
            Self::Elastic => {
                "stages that find their own number of workers: 0.9 of the best fixed numbers' speed"
            }
            Self::Worker => "a worker is ready: 3x its interpreter's `-c pass`, at most",
            Self::Prepare => "an environment that is there is found: 1 ms",
            Self::Launch => "`curator env exec`: 5 ms beyond the bare interpreter",
            Self::ImpossibleUv => "an impossible requirement fails, by uv: 1 s",
            Self::ImpossiblePip => "the same by pip: 2 s",
            Self::Disk => {
                "an environment on the disk, without its packages: 2 % of a base with Ray"
            }
            Self::DiskSymlink => "the same where every file is a link of its own: 3 %",
            Self::AddedOnEngines => {
                "what environments add to Ray's actor pools and Xenna: 5x less than Ray's own"
            }
            Self::AddedOnRayData => "the same on Ray Data: 2.5x less",
        }
    }

    /// Returns the limit: seconds, a share, or how many times less than the peer.
    pub(crate) fn limit(self) -> f64 {
        match self {
            Self::Example => 30.0,
            Self::ExampleLarge => 15.0,
            Self::ExampleAgain => 200.0,
            Self::Job => 300.0,
            Self::Tasks | Self::AddedOnRayData => 2.5,
            Self::Payloads => 20.0,
            Self::Elastic => 0.9,
            Self::Client => 0.8,
            Self::Worker => 1.0 / 3.0,
            Self::Prepare => 1e-3,
            // "A few milliseconds."
            Self::Launch => 5e-3,
            // One table; one second.
            Self::TableMemory | Self::ImpossibleUv => 1.0,
            Self::ImpossiblePip | Self::TableCopies => 2.0,
            Self::Disk => 0.02,
            Self::DiskSymlink => 0.03,
            Self::AddedOnEngines => 5.0,
        }
    }

    /// Returns the seconds that the example may take, from the recorded figure of the peer.
    pub(crate) fn of_three_stages(self) -> f64 {
        THREE_STAGES.value / self.limit()
    }
}
