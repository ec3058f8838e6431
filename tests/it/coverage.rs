//! The table of what is known of the API holds what it says: each row names a test that exists, or says why there is none.

use std::collections::BTreeSet;
use std::path::Path;

/// A cell without a test begins with one of these, and goes on with the reason.
const REASONS: &[&str] =
    &["not tried: ", "not sent: ", "not read: ", "not built: ", "not imitated: ", "not imitated, "];
const TABLE: &str = include_str!("../../src/insights/covered.md");

#[test]
fn every_row_of_what_is_known_of_the_api_names_a_test_or_a_reason() {
    let tests = tests();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in TABLE.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        if TABLE.contains(&format!("{row}\n|---")) {
            continue;
        }
        rows += 1;
        for cell in &cells[1..] {
            let named: Vec<&str> = names(cell).collect();
            let explained = REASONS.iter().any(|reason| cell.starts_with(reason));
            let unknown = named.iter().find(|name| !tests.contains(**name));
            match unknown {
                Some(name) => wrong.push(format!("no test is called {name}")),
                None if named.is_empty() && !explained => wrong.push(format!("neither a test nor a reason: {row}")),
                None => {}
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(rows > 70, "only {rows} rows were read");
}

/// What stands in back quotes and reads like a sentence.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.matches('_').count() > 2 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        gather(&root.join(folder), &mut tests);
    }
    tests
}

fn gather(folder: &Path, tests: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            tests.extend(tests_of(&text));
        }
    }
}

fn tests_of(text: &str) -> impl Iterator<Item = String> {
    let marked = text.split("test]\n").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
    marked.map(|(name, _)| name.to_owned())
}
