//! The results of each subject, with date and machine, in parts that are measured one by one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::machine::Machine;
use crate::plot::plot;
use crate::table::{Finding, Ratio, Table};

/// The areas, in the order of the report.
const AREAS: [&str; 3] = ["data", "environments", "engines"];

/// All parts, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    parts: Vec<Part>,
}

/// The figures of one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The command's name for the area and its part.
    pub(crate) area: String,
    pub(crate) subject: String,
    /// Its position in its area.
    pub(crate) place: usize,
    pub(crate) machine: Machine,
    /// Why the part is incomplete, if it is.
    pub(crate) problem: Option<String>,
    pub(crate) table: Table,
}

impl Book {
    /// Replaces a part, or inserts it at its position.
    ///
    /// A failed part does not replace a successful one.
    pub(crate) fn put(&mut self, part: Part) {
        let is_it = |other: &&mut Part| other.area == part.area && other.subject == part.subject;
        match self.parts.iter_mut().find(is_it) {
            Some(former) if part.problem.is_some() && former.problem.is_none() => {}
            Some(former) => *former = part,
            None => self.parts.push(part),
        }
        let area = |part: &Part| AREAS.iter().position(|area| *area == part.area);
        self.parts.sort_by_key(|part| (area(part), part.place));
    }

    /// A line of Markdown for each budget, with its worst result.
    pub(crate) fn summary(&self) -> String {
        let mut text = "| what is asked for | what was measured | met? | why not |\n\
                        |---|---|---|---|\n"
            .to_owned();
        for budget in Budget::ALL {
            let [measured, met, reason] = self.judged(budget);
            let _ = writeln!(text, "| {} | {measured} | {met} | {reason} |", budget.text());
        }
        let machines: BTreeSet<String> = self.parts.iter().map(|it| it.machine.itself()).collect();
        for machine in machines {
            let _ = write!(text, "\n{machine}.\n");
        }
        let failures = self.parts.iter().flat_map(|part| {
            let problem = part.problem.as_ref().map(|it| (part.subject.as_str(), it.as_str()));
            let failures = part.table.failures().iter();
            problem.into_iter().chain(failures.map(|(what, why)| (what.as_str(), why.as_str())))
        });
        let failures: Vec<String> =
            failures.map(|(what, why)| format!("- {}: {}", cell(what), cell(why))).collect();
        if !failures.is_empty() {
            let _ = write!(text, "\nNot measured:\n\n{}\n", failures.join("\n"));
        }
        text
    }

    /// Returns the result for a budget, whether the budget is met, and if not, why.
    fn judged(&self, budget: Budget) -> [String; 3] {
        let findings = self.parts.iter().flat_map(|part| part.table.findings(budget));
        let findings: Vec<Finding> = findings.collect();
        let Some(worst) = findings.iter().max_by(|one, other| one.share.total_cmp(&other.share))
        else {
            return ["not yet".to_owned(), "-".to_owned(), String::new()];
        };
        let (all, met) = (findings.len(), findings.iter().filter(|it| it.is_met).count());
        let verdict = match (met == all, all) {
            (true, _) => "yes".to_owned(),
            (false, 1) => "**no**".to_owned(),
            (false, _) => format!("**no**, in {} of {all} cases", all - met),
        };
        let reasons = self.parts.iter().flat_map(|part| part.table.reasons(budget));
        let reasons: Vec<String> = reasons.map(cell).collect();
        let reason = if met == all { String::new() } else { reasons.join("; ") };
        [cell(&worst.measured), verdict, reason]
    }

    /// Returns the tables of all parts, as Markdown.
    pub(crate) fn details(&self) -> String {
        let mut text = String::new();
        for Part { area, subject, machine, problem, table, .. } in &self.parts {
            let _ = write!(text, "### `{area}`: {subject}\n\n{}\n\n", machine.moment());
            if let Some(problem) = problem {
                let _ = write!(text, "It did not end: {problem}\n\n");
            }
            let _ = write!(text, "```text\n{table}```\n\n");
        }
        text.trim_end().to_owned()
    }

    /// Returns, as SVG, how the work compares with that of peers in the same run.
    pub(crate) fn picture(&self) -> String {
        let ratios: Vec<&Ratio> = self.parts.iter().flat_map(|part| part.table.ratios()).collect();
        plot(&ratios)
    }
}

/// Puts the words on one line of a table.
fn cell(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peer;
    use crate::sample::Sample;
    use crate::table::Row;

    fn part(area: &str, subject: &str, table: Table) -> Part {
        let machine = serde_json::json!({
            "date": "2026-01-01", "cores": 2, "memory_bytes": 1, "kernel": "6", "file_system": "ext4",
            "python": "3", "uv": "0", "pip": "0", "load": [1.0, 2.0], "busy": [0, 1], "quick": false,
        });
        Part {
            area: area.to_owned(),
            subject: subject.to_owned(),
            place: subject.len(),
            machine: serde_json::from_value(machine).unwrap(),
            problem: None,
            table,
        }
    }

    fn seconds(value: f64) -> Sample {
        Sample::new(vec![value])
    }

    fn beside(ours: f64, theirs: f64) -> Table {
        let mut table = Table::default();
        table.section("a heading");
        let peer = Peer::new("a peer", Ok(seconds(theirs))).with_budget(Budget::Tasks);
        table.add_beside("work", &seconds(ours), vec![peer]);
        table.explain(Budget::Tasks, "it | is\nso");
        table
    }

    fn line(book: &Book, budget: Budget) -> String {
        let summary = book.summary();
        let line = summary.lines().find(|line| line.contains(budget.text()));
        line.expect("each budget has a line").to_owned()
    }

    #[test]
    fn the_summary_tells_the_worst_case_and_why_it_misses() {
        let mut book = Book::default();
        for budget in Budget::ALL {
            assert!(line(&book, budget).ends_with("| not yet | - |  |"));
        }
        book.put(part("data", "one", beside(1.0, 5.0)));
        let text = line(&book, Budget::Tasks);
        assert!(
            text.ends_with("| work: 1.00 s, 5.0x less than a peer (5.00 s) | yes |  |"),
            "{text}"
        );
        book.put(part("data", "two", beside(1.0, 2.0)));
        let text = line(&book, Budget::Tasks);
        let end = "| work: 1.00 s, 2.0x less than a peer (2.00 s) | **no**, in 1 of 2 cases | it \\| is \
                   so; it \\| is so |";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_row_within_its_limit_meets_its_budget() {
        let mut table = Table::default();
        let row = Row::seconds("a lookup", &seconds(2e-3));
        table.add(row.within(Budget::Prepare, Budget::Prepare.limit()));
        let findings = table.findings(Budget::Prepare);
        assert_eq!(findings.len(), 1);
        assert!(!findings[0].is_met && findings[0].measured == "a lookup: 2.00 ms");
        assert!(table.findings(Budget::Launch).is_empty());
    }

    #[test]
    fn a_part_takes_its_former_place() {
        let mut book = Book::default();
        for (area, subject) in [("engines", "a"), ("data", "bb"), ("data", "a"), ("data", "bb")] {
            book.put(part(area, subject, beside(1.0, 9.0)));
        }
        let names = |book: &Book| -> Vec<String> {
            book.parts.iter().map(|it| format!("{} {}", it.area, it.subject)).collect()
        };
        assert_eq!(names(&book), ["data a", "data bb", "engines a"]);
        let mut failed = part("data", "a", Table::default());
        failed.problem = Some("why".to_owned());
        book.put(failed.clone());
        assert_eq!(book.parts[0].table.ratios().len(), 1, "the figures of before stay");
        failed.subject = "ccc".to_owned();
        failed.place = 3;
        book.put(failed);
        assert_eq!(names(&book), ["data a", "data bb", "data ccc", "engines a"]);
        assert!(book.summary().contains("- ccc: why"));
    }

    #[test]
    fn what_is_kept_reads_the_same() {
        let mut book = Book::default();
        book.put(part("data", "a", beside(1.0, 2.0)));
        let kept = serde_json::to_string_pretty(&book).unwrap();
        let read: Book = serde_json::from_str(&kept).unwrap();
        assert_eq!(read.summary(), book.summary());
        assert_eq!(read.details(), book.details());
        assert_eq!(read.picture(), book.picture());
        assert!(book.details().contains("work: a peer"), "{}", book.details());
    }
}
