//! The figures that are kept: `RESULTS.json`, and the `RESULTS.md` and `RESULTS.svg` made from it.

use std::fs;
use std::path::{Path, PathBuf};

use curator::venv_cache::BoxError;

use crate::book::{Book, Part};

/// The text between a mark and its end is generated; people write the rest of the page.
const SUMMARY: &str = "summary";
const DETAILS: &str = "details";

/// Puts a part in its place, and writes all three files beside the sources.
pub(crate) fn write(part: Part) -> Result<(), BoxError> {
    let [kept, page, picture] = ["json", "md", "svg"].map(file);
    let mut book = Book::default();
    if kept.exists() {
        book = serde_json::from_str(&fs::read_to_string(&kept)?)
            .map_err(|error| format!("cannot read `{}`: {error}", kept.display()))?;
    }
    book.put(part);
    let text = fs::read_to_string(&page)?;
    let text = replaced(&text, SUMMARY, &book.summary())?;
    let text = replaced(&text, DETAILS, &book.details())?;
    fs::write(kept, serde_json::to_string_pretty(&book)? + "\n")?;
    fs::write(picture, book.picture())?;
    fs::write(page, text)?;
    Ok(())
}

fn file(extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS").with_extension(extension)
}

/// Returns the page with new text between a mark and its end.
fn replaced(page: &str, mark: &str, made: &str) -> Result<String, BoxError> {
    let (begin, end) = (format!("<!-- {mark}, by `bench --write` -->"), "<!-- to here -->");
    let lost = || format!("the page has lost its mark `{begin}`, or `{end}` behind it");
    let (before, rest) = page.split_once(&begin).ok_or_else(lost)?;
    let (_, after) = rest.split_once(end).ok_or_else(lost)?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", made.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_this_folder_has_its_marks() {
        let page = fs::read_to_string(file("md")).unwrap();
        let made = replaced(&page, SUMMARY, "one").unwrap();
        let made = replaced(&made, DETAILS, "two").unwrap();
        assert!(made.contains("-->\n\none\n\n<!--") && made.contains("-->\n\ntwo\n\n<!--"));
        // Replaced again, only the text between the marks changes.
        let again = replaced(&made, SUMMARY, "one").unwrap();
        assert_eq!(again, made);
        assert!(replaced(&page, "other", "").is_err());
    }

    #[test]
    fn what_is_kept_can_be_read() {
        if file("json").exists() {
            let kept = fs::read_to_string(file("json")).unwrap();
            let book: Book = serde_json::from_str(&kept).unwrap();
            let page = fs::read_to_string(file("md")).unwrap();
            assert!(page.contains(book.summary().trim()), "the page tells of the figures kept");
        }
    }
}
