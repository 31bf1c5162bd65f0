//! One run: each part is shown as soon as it is measured, and kept if requested.

use std::path::Path;

use clap::ValueEnum;
use curator::venv_cache::BoxError;

use crate::book::{Book, Part};
use crate::machine::Machine;
use crate::progress::progress;
use crate::results;
use crate::sample::timed;
use crate::table::Table;
use crate::world::World;

/// Returns a subject's name on the command line and in the results, and its place among the others.
fn named<S: ValueEnum>(subject: &S) -> (String, usize) {
    let name = |it: &S| it.to_possible_value().map(|value| value.get_name().to_owned());
    let own = name(subject);
    let place = S::value_variants().iter().position(|it| name(it) == own);
    (own.unwrap_or_default(), place.unwrap_or(0))
}

/// The parts of a run.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    world: &'a World,
    area: &'static str,
    machine: Machine,
    /// Whether the figures go into `RESULTS.md`.
    is_kept: bool,
    book: Book,
    failed: Vec<String>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(
        world: &'a World,
        area: &'static str,
        machine: Machine,
        is_kept: bool,
    ) -> Self {
        Self { world, area, machine, is_kept, book: Book::default(), failed: Vec::new() }
    }

    /// Measures a part. A failure is no error until the end, so that the other parts are not lost.
    pub(crate) fn part(
        &mut self,
        subject: &impl ValueEnum,
        measure: impl FnOnce(&mut Table) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let (subject, place) = named(subject);
        progress(&format!("{}: {subject}", self.area));
        self.machine.begin(self.world)?;
        let mut table = Table::default();
        let (result, seconds) = timed(|| measure(&mut table));
        self.machine.finish(self.world)?;
        let problem = result.err().map(|error| error.to_string());
        #[expect(clippy::print_stdout, reason = "the figures are what it is for")]
        {
            println!("{} {subject}, in {seconds:.0} s: {}\n", self.area, self.machine);
            println!("{table}");
        }
        if let Some(problem) = &problem {
            progress(&format!("{subject} did not end: {problem}"));
            self.failed.push(subject.clone());
        }
        let part = Part {
            area: self.area.to_owned(),
            subject,
            place,
            machine: self.machine.clone(),
            problem,
            table,
        };
        if self.is_kept {
            results::write(part.clone())?;
        }
        self.book.put(part);
        Ok(())
    }

    /// Writes all parts into a file, if one is given.
    pub(crate) fn finish(self, json: Option<&Path>) -> Result<(), BoxError> {
        if let Some(file) = json {
            std::fs::write(file, serde_json::to_vec_pretty(&self.book)?)
                .map_err(|error| format!("cannot write `{}`: {error}", file.display()))?;
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(format!("not all could be measured: {}", self.failed.join(", ")).into())
    }
}
