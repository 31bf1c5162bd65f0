//! The figures, as people and as programs read them.

use std::fmt;

use serde::Serialize;

use crate::peer::Figure;
use crate::sample::Sample;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
}

/// One thing that was measured, and what it is held against.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: Unit,
    runs: usize,
    median: f64,
    min: f64,
    max: f64,
    peer: Option<f64>,
    budget: Option<f64>,
    /// The seconds of each phase of a build: medians.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<(String, f64)>,
}

/// Rows under headings.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    sections: Vec<Section>,
    /// Where the peers' figures come from.
    origins: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
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

    /// Holds it against what was measured of something else, here and now.
    pub(crate) fn against(self, peer: f64) -> Self {
        Self { peer: Some(peer), ..self }
    }

    pub(crate) fn within(self, budget: f64) -> Self {
        Self { budget: Some(budget), ..self }
    }

    pub(crate) fn with_phases(self, phases: Vec<(String, f64)>) -> Self {
        Self { phases, ..self }
    }

    fn is_met(&self) -> Option<bool> {
        self.budget.map(|budget| self.median <= budget)
    }

    fn cells(&self) -> [String; 8] {
        let none = || "-".to_owned();
        let show = |value| display(value, self.unit);
        let ratio = |peer: f64| {
            if peer >= self.median {
                format!("{} less", times(peer / self.median))
            } else {
                format!("{} more", times(self.median / peer))
            }
        };
        [
            format!("  {}", self.what),
            self.runs.to_string(),
            show(self.median),
            format!("{}..{}", show(self.min), show(self.max)),
            self.peer.map_or_else(none, show),
            self.peer.map_or_else(none, ratio),
            self.budget.map_or_else(none, show),
            self.is_met().map_or_else(none, |met| if met { "yes" } else { "NO" }.to_owned()),
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

    /// Adds a row that is held against a peer's figure.
    pub(crate) fn add_against(&mut self, row: Row, peer: &Figure) {
        if !self.origins.contains(&peer.origin) {
            self.origins.push(peer.origin);
        }
        self.add(row.against(peer.value));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = ["what", "runs", "median", "min..max", "peer", "ratio", "budget", "met?"];
        let mut lines = vec![Line::Cells(titles.map(str::to_owned).to_vec())];
        for section in &self.sections {
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

/// Columns as wide as their widest cell: the first to the left, the others to the right.
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

fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
}

fn display(value: f64, unit: Unit) -> String {
    let (value, names) = match unit {
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
