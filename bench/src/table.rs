//! The figures, for people and for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::peer::Figure;
use crate::peers::Peer;
use crate::sample::Sample;

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    /// A factor.
    Times,
    /// How many in a second.
    Rate,
}

/// One measurement, and what it is compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    what: String,
    unit: Unit,
    runs: usize,
    median: f64,
    min: f64,
    max: f64,
    peer: Option<f64>,
    /// The maximum, and the part of the design that sets it.
    limit: Option<f64>,
    budget: Option<Budget>,
    /// The seconds of each phase of a build: medians.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    phases: Vec<(String, f64)>,
}

/// How many times less time than a peer the same work takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) peer: String,
    pub(crate) times: f64,
    /// The budget that sets a minimum.
    pub(crate) budget: Option<Budget>,
    /// In seconds.
    ours: f64,
    theirs: f64,
}

impl Ratio {
    fn cells(&self) -> [String; 7] {
        let Self { what, peer, ours, theirs, .. } = self;
        [
            what.clone(),
            peer.clone(),
            display(*ours, Unit::Seconds),
            display(*theirs, Unit::Seconds),
            times(self.times),
            self.goal().map_or_else(|| "-".to_owned(), times),
            met(self.is_met()),
        ]
    }

    fn finding(&self) -> Option<Finding> {
        let Self { what, peer, ours, theirs, .. } = self;
        let [shown, theirs] = [ours, theirs].map(|seconds| display(*seconds, Unit::Seconds));
        let measured = match compared(*ours, self.theirs) {
            Some(times) => format!("{what}: {shown}, {times} than {peer} ({theirs})"),
            None => format!("{what}: {shown}, {peer}: {theirs}"),
        };
        Some(Finding { measured, is_met: self.is_met()?, share: self.goal()? / self.times })
    }

    /// Returns the minimum, if there is one.
    pub(crate) fn goal(&self) -> Option<f64> {
        self.budget.map(Budget::limit)
    }

    pub(crate) fn is_met(&self) -> Option<bool> {
        self.goal().map(|goal| self.times >= goal)
    }
}

/// The result for one budget in one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) measured: String,
    pub(crate) is_met: bool,
    /// The share of the limit that is used: above 1, the budget is not met.
    pub(crate) share: f64,
}

/// Rows under headings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Table {
    sections: Vec<Section>,
    /// How much longer peers took for the same work in the same run.
    ratios: Vec<Ratio>,
    /// What could not be measured, and why.
    failures: Vec<(String, String)>,
    /// Where the peers' figures come from.
    origins: Vec<String>,
    /// Measurements that explain why a budget is not met.
    reasons: Vec<(Budget, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Section {
    heading: String,
    rows: Vec<Row>,
}

impl Row {
    fn new(what: impl Into<String>, unit: Unit, sample: &Sample) -> Self {
        Self {
            what: what.into(),
            unit,
            runs: sample.runs(),
            median: sample.median(),
            min: sample.min(),
            max: sample.max(),
            peer: None,
            limit: None,
            budget: None,
            phases: Vec::new(),
        }
    }

    pub(crate) fn seconds(what: impl Into<String>, sample: &Sample) -> Self {
        Self::new(what, Unit::Seconds, sample)
    }

    pub(crate) fn bytes(what: impl Into<String>, sample: &Sample) -> Self {
        Self::new(what, Unit::Bytes, sample)
    }

    /// Creates a row with a number in a second.
    pub(crate) fn rate(what: impl Into<String>, sample: &Sample) -> Self {
        Self::new(what, Unit::Rate, sample)
    }

    /// Compares the row with something else that was measured in the same run.
    pub(crate) fn against(self, peer: f64) -> Self {
        Self { peer: Some(peer), ..self }
    }

    /// Creates a row with a factor.
    pub(crate) fn times(what: impl Into<String>, sample: &Sample) -> Self {
        Self::new(what, Unit::Times, sample)
    }

    /// Sets a limit that follows from a budget.
    pub(crate) fn within(self, budget: Budget, limit: f64) -> Self {
        Self { budget: Some(budget), limit: Some(limit), ..self }
    }

    pub(crate) fn with_phases(self, phases: Vec<(String, f64)>) -> Self {
        Self { phases, ..self }
    }

    fn finding(&self) -> Option<Finding> {
        let Self { what, median, limit, .. } = self;
        let share = median / (*limit)?;
        let measured = format!("{what}: {}", display(*median, self.unit));
        Some(Finding { measured, is_met: self.is_met()?, share })
    }

    fn is_met(&self) -> Option<bool> {
        self.limit.map(|limit| self.median <= limit)
    }

    fn cells(&self) -> [String; 8] {
        let none = || "-".to_owned();
        let show = |value| display(value, self.unit);
        let ratio = |peer| compared(self.median, peer).unwrap_or_else(none);
        [
            format!("  {}", self.what),
            self.runs.to_string(),
            show(self.median),
            format!("{}..{}", show(self.min), show(self.max)),
            self.peer.map_or_else(none, show),
            self.peer.map_or_else(none, ratio),
            self.limit.map_or_else(none, show),
            met(self.is_met()),
        ]
    }
}

impl Table {
    pub(crate) fn section(&mut self, heading: impl Into<String>) {
        self.sections.push(Section { heading: heading.into(), rows: Vec::new() });
    }

    pub(crate) fn add(&mut self, row: Row) {
        if self.sections.is_empty() {
            self.section("");
        }
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(row);
        }
    }

    /// Adds a row for our own figure, one for each peer's, and the comparison.
    pub(crate) fn add_beside(&mut self, what: &str, ours: &Sample, peers: Vec<Peer>) {
        let mut row = Row::seconds(format!("{what}: Curator"), ours);
        let judged = peers.iter().find_map(|peer| {
            let theirs = peer.measured.as_ref().ok()?.median();
            peer.budget.map(|budget| (theirs, theirs / budget.limit()))
        });
        if let Some((theirs, limit)) = judged {
            // The ratios below tell about the budget.
            row = Row { limit: Some(limit), ..row.against(theirs) };
        }
        self.add(row);
        for Peer { name, measured, budget } in peers {
            match measured {
                Ok(sample) => {
                    self.add(Row::seconds(format!("{what}: {name}"), &sample));
                    self.compare(what, &name, ours.median(), sample.median(), budget);
                }
                Err(problem) => self.fail(format!("{what}: {name}"), problem),
            }
        }
    }

    /// Notes how a figure compares with another figure of the table.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        peer: &str,
        ours: f64,
        theirs: f64,
        budget: Option<Budget>,
    ) {
        let (what, peer) = (what.to_owned(), peer.to_owned());
        self.ratios.push(Ratio { what, peer, times: theirs / ours, budget, ours, theirs });
    }

    /// Notes a measurement that explains why a budget may not be met.
    pub(crate) fn explain(&mut self, budget: Budget, reason: impl Into<String>) {
        self.reasons.push((budget, reason.into()));
    }

    /// Returns all figures that decide whether a budget is met.
    pub(crate) fn findings(&self, budget: Budget) -> Vec<Finding> {
        let rows = self.sections.iter().flat_map(|section| &section.rows);
        let rows = rows.filter(|row| row.budget == Some(budget)).filter_map(Row::finding);
        let ratios = self.ratios.iter().filter(|ratio| ratio.budget == Some(budget));
        rows.chain(ratios.filter_map(Ratio::finding)).collect()
    }

    /// Returns why a budget may not be met.
    pub(crate) fn reasons(&self, budget: Budget) -> impl Iterator<Item = &str> {
        let of_it = self.reasons.iter().filter(move |(of, _)| *of == budget);
        of_it.map(|(_, reason)| reason.as_str())
    }

    /// Notes what could not be measured.
    pub(crate) fn fail(&mut self, what: impl Into<String>, problem: impl Into<String>) {
        self.failures.push((what.into(), problem.into()));
    }

    pub(crate) fn ratios(&self) -> &[Ratio] {
        &self.ratios
    }

    pub(crate) fn failures(&self) -> &[(String, String)] {
        &self.failures
    }

    /// Adds a row that is compared with a peer's figure.
    pub(crate) fn add_against(&mut self, row: Row, peer: &Figure) {
        self.cite(peer);
        self.add(row.against(peer.value));
    }

    /// Notes the origin of a peer's figure.
    pub(crate) fn cite(&mut self, peer: &Figure) {
        if !self.origins.iter().any(|origin| origin == peer.origin) {
            self.origins.push(peer.origin.to_owned());
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = ["what", "runs", "median", "min..max", "peer", "ratio", "budget", "met?"];
        let mut lines = vec![Line::Cells(titles.map(str::to_owned).to_vec())];
        for section in self.sections.iter().filter(|section| !section.rows.is_empty()) {
            lines.push(Line::Heading(&section.heading));
            lines.extend(section.rows.iter().map(|row| Line::Cells(row.cells().to_vec())));
        }
        write_aligned(f, &lines)?;
        let built = |section: &Section| section.rows.iter().any(|row| !row.phases.is_empty());
        if let Some(first) =
            self.sections.iter().flat_map(|it| &it.rows).find(|it| !it.phases.is_empty())
        {
            let names = first.phases.iter().map(|(name, _)| name.clone());
            let mut lines = vec![Line::Cells(
                ["where that time goes".to_owned()].into_iter().chain(names).collect(),
            )];
            for section in self.sections.iter().filter(|section| built(section)) {
                lines.push(Line::Heading(&section.heading));
                for row in section.rows.iter().filter(|row| !row.phases.is_empty()) {
                    let times = row.phases.iter().map(|(_, time)| display(*time, Unit::Seconds));
                    lines.push(Line::Cells(
                        [format!("  {}", row.what)].into_iter().chain(times).collect(),
                    ));
                }
            }
            writeln!(f)?;
            write_aligned(f, &lines)?;
        }
        if !self.ratios.is_empty() {
            let titles = ["beside the peers", "peer", "Curator", "peer's", "ratio", "goal", "met?"];
            let mut lines = vec![Line::Cells(titles.map(str::to_owned).to_vec())];
            lines.extend(self.ratios.iter().map(|ratio| Line::Cells(ratio.cells().to_vec())));
            writeln!(f)?;
            write_aligned(f, &lines)?;
        }
        if !self.failures.is_empty() {
            writeln!(f, "\nnot measured:")?;
        }
        for (what, problem) in &self.failures {
            writeln!(f, "  {what}: {problem}")?;
        }
        if !self.origins.is_empty() {
            writeln!(f, "\npeers:")?;
        }
        self.origins.iter().try_for_each(|origin| writeln!(f, "  {origin}"))
    }
}

/// A line of the printed table.
enum Line<'a> {
    Heading(&'a str),
    Cells(Vec<String>),
}

/// Aligns columns to their widest cell: the first to the left, the others to the right.
fn write_aligned(f: &mut fmt::Formatter<'_>, lines: &[Line<'_>]) -> fmt::Result {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        let Line::Cells(cells) = line else { continue };
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for line in lines {
        match line {
            Line::Heading(heading) => writeln!(f, "{heading}")?,
            Line::Cells(cells) => {
                for (number, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    match number {
                        0 => write!(f, "{cell:<width$}")?,
                        _ => write!(f, "  {cell:>width$}")?,
                    }
                }
                writeln!(f)?;
            }
        }
    }
    Ok(())
}

/// Returns how many times less or more than the other figure it is; none if either is zero.
fn compared(ours: f64, theirs: f64) -> Option<String> {
    match (ours > 0.0 && theirs > 0.0, theirs >= ours) {
        (false, _) => None,
        (true, true) => Some(format!("{} less", times(theirs / ours))),
        (true, false) => Some(format!("{} more", times(ours / theirs))),
    }
}

fn met(is_met: Option<bool>) -> String {
    is_met.map_or("-", |met| if met { "yes" } else { "NO" }).to_owned()
}

pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ..1.0 => format!("{ratio:.2}x"),
        1.0..10.0 => format!("{ratio:.1}x"),
        _ => format!("{ratio:.0}x"),
    }
}

pub(crate) fn display(value: f64, unit: Unit) -> String {
    let (value, names) = match unit {
        Unit::Times => return times(value),
        Unit::Rate => return format!("{value:.0} /s"),
        Unit::Seconds => (value * 1e6, ["µs", "ms", "s"]),
        Unit::Bytes => (value / 1e3, ["kB", "MB", "GB"]),
    };
    let (value, name) = match value {
        ..1e3 => (value, names[0]),
        1e3..1e6 => (value / 1e3, names[1]),
        _ => (value / 1e6, names[2]),
    };
    match value {
        ..10.0 => format!("{value:.2} {name}"),
        10.0..100.0 => format!("{value:.1} {name}"),
        _ => format!("{value:.0} {name}"),
    }
}
