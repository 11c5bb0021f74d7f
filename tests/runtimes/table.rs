//! The tables of docs/runtimes.md: written by the suite when it is told to, and held against it always.
//!
//! They stand between two markers. The first has a row a case and a column a language, the second the figures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::place;

use crate::cases::CASES;
use crate::language::Language;
use crate::measure::Figures;

const BEGIN: &str = "<!-- written by the suite: begin -->\n";
const END: &str = "<!-- written by the suite: end -->\n";

/// What came of one case in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Passed,
    Failed,
    LeftOut,
}

/// What came of one language.
#[derive(Debug, Default)]
pub struct Column {
    pub cells: BTreeMap<&'static str, Cell>,
    pub figures: Option<Figures>,
}

fn document() -> PathBuf {
    place::workspace().join("docs/runtimes.md")
}

/// Those languages that the table is about: runtimes of ours.
fn ours(languages: &[Language]) -> impl Iterator<Item = &Language> {
    languages.iter().filter(|language| language.server.is_none())
}

/// The two tables, and what they leave out.
fn tables(languages: &[Language], columns: &BTreeMap<String, Column>) -> String {
    let names: Vec<&str> = ours(languages).map(|language| language.name.as_str()).collect();
    let mut text = format!("| case | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
    for case in CASES {
        let cells = names.iter().map(|name| {
            match columns.get(*name).and_then(|column| column.cells.get(case.name)) {
                Some(Cell::Passed) => "yes",
                Some(Cell::Failed) => "FAILS",
                Some(Cell::LeftOut) => "–",
                None => "not run",
            }
        });
        writeln!(text, "| {} | {} |", case.name, cells.collect::<Vec<_>>().join(" | ")).ok();
    }
    for language in ours(languages).filter(|language| !language.leave_out.is_empty()) {
        let reasons: Vec<String> =
            language.leave_out.iter().map(|(case, why)| format!("{case} ({why})")).collect();
        writeln!(text, "\nNot in {}: {}.", language.name, reasons.join(", ")).ok();
    }
    text.push_str(
        "\n| language | image, MB | of which | interpreter, ms | cold, ms | waiting, ms | warm, ms |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for language in ours(languages) {
        let figures = columns.get(&language.name).and_then(|column| column.figures.as_ref());
        let Some(figures) = figures else {
            writeln!(text, "| {} | not run | {} | | | | |", language.name, language.size).ok();
            continue;
        };
        let whole = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.2} |",
            language.name,
            figures.size,
            language.size,
            figures.bare.map_or_else(|| "–".to_owned(), whole),
            whole(figures.cold),
            whole(figures.waiting),
            figures.warm.as_secs_f64() * 1e3,
        )
        .ok();
    }
    text
}

/// Puts the tables between the markers.
pub fn write(languages: &[Language], columns: &BTreeMap<String, Column>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(document())?;
    let (before, rest) = text.split_once(BEGIN).context("where the tables begin is not marked")?;
    let (_, after) = rest.split_once(END).context("where the tables end is not marked")?;
    std::fs::write(document(), format!("{before}{BEGIN}{}{END}{after}", tables(languages, columns)))?;
    Ok(())
}

/// The document names the languages and the cases of the suite, and the languages' data only cases that there are.
pub fn check(languages: &[Language]) -> anyhow::Result<()> {
    for language in languages {
        let named = [&language.leave_out, &language.says].into_iter().flat_map(BTreeMap::keys);
        for name in named.chain(language.results.keys()) {
            ensure!(
                CASES.iter().any(|case| case.name == name),
                "{}: there is no case {name:?}",
                language.name
            );
        }
    }
    let text = std::fs::read_to_string(document())?;
    let inside = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let (inside, _) = inside.context("the tables are not marked")?;
    let mut rows = inside.lines().take_while(|line| line.starts_with('|')).map(cells);
    let head = rows.next().context("there is no table")?;
    let names: Vec<&str> = ours(languages).map(|language| language.name.as_str()).collect();
    let again = "write the tables again, as docs/runtimes.md says";
    ensure!(head[1..] == names, "the table has the languages {:?} and not {names:?}: {again}", &head[1..]);
    let found: Vec<String> = rows.skip(1).map(|mut row| row.swap_remove(0)).collect();
    let expected: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    ensure!(found == expected, "the table has the cases {found:?} and not {expected:?}: {again}");
    for failing in ["FAILS", "not run"] {
        ensure!(!inside.contains(failing), "the table says {failing:?}: {again}");
    }
    Ok(())
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}
