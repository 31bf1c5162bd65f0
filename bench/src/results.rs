//! The part of `RESULTS.md` that is made by the machine, and the plot beside it.

use std::fs;
use std::path::Path;

use curator::venv_cache::BoxError;

use crate::machine::Machine;
use crate::plot::plot;
use crate::table::Table;

/// What stands between these lines is made anew; the rest of the page belongs to people.
const BEGIN: &str = "<!-- From here on by `bench data --write`. -->";
const END: &str = "<!-- To here. -->";

/// Writes both files, beside the sources.
pub(crate) fn write(machine: &Machine, table: &Table) -> Result<(), BoxError> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page_file = dir.join("RESULTS.md");
    let page = fs::read_to_string(&page_file)?;
    let made = format!("{machine}\n\n```text\n{table}```");
    fs::write(dir.join("RESULTS.svg"), plot(table.ratios()))?;
    fs::write(page_file, replaced(&page, &made)?)?;
    Ok(())
}

/// The page with another text between its two marks.
fn replaced(page: &str, made: &str) -> Result<String, BoxError> {
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has lost its first mark")?;
    let (_, after) = rest.split_once(END).ok_or("the page has lost its second mark")?;
    Ok(format!("{before}{BEGIN}\n\n{made}\n\n{END}{after}"))
}
