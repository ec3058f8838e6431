//! Answers as people, scripts and programs read them: aligned on a terminal, tabs between the values elsewhere, or JSON.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::kind::Kind;
use crate::cli::say;

/// A wider value is cut in a table.
const WIDEST: usize = 60;

/// What is asked for most often; the other fields follow by name.
const FIRST: [&str; 6] = ["name", "id", "key", "secret", "state", "ok"];

/// How answers are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Aligned.
    Terminal,
    /// Tabs between the values, nothing cut.
    Plain,
    /// As it came.
    Json,
}

impl Form {
    pub(super) fn of_output(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }

    /// A list of one kind.
    pub(super) fn list(self, kind: &Kind, items: &[Value]) -> serde_json::Result<String> {
        if self == Self::Json {
            return serde_json::to_string_pretty(items);
        }
        let row = |item: &Value| kind.columns.iter().map(|(_, at)| self.cell(item.pointer(at))).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        if self == Self::Plain {
            return Ok(rows.iter().map(|row| row.join("\t")).collect::<Vec<_>>().join("\n"));
        }
        let headings: Vec<String> = kind.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        Ok(aligned(&[vec![headings], rows].concat()))
    }

    /// One thing, field by field; those without a value are left out.
    pub(super) fn one(self, value: &Value) -> serde_json::Result<String> {
        if self == Self::Json {
            return serde_json::to_string_pretty(value);
        }
        let (mut fields, mut tables) = (Vec::new(), Vec::new());
        flatten(value, String::new(), &mut fields, if self == Self::Terminal { Some(&mut tables) } else { None });
        fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let line = |(name, value): &(String, &Value)| {
            let value = self.text(value);
            if self == Self::Plain { format!("{name}\t{value}") } else { format!("{name:<width$}  {value}") }
        };
        let lines = fields.iter().map(line).chain(tables.iter().map(|(name, items)| self.table(name, items)));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// A list within one thing: a column for each field that its items have.
    fn table(self, name: &str, items: &[Value]) -> String {
        let names: BTreeSet<&String> = items.iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
        let headings = names.iter().map(|name| (*name).clone()).collect();
        let row = |item: &Value| names.iter().map(|name| self.cell(item.get(name.as_str()))).collect();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        let indented = aligned(&[vec![headings], rows].concat()).replace('\n', "\n  ");
        format!("{name}\n  {indented}")
    }

    fn cell(self, value: Option<&Value>) -> String {
        let text = value.map(|value| self.text(value)).unwrap_or_default();
        if self == Self::Plain || text.chars().count() <= WIDEST {
            return text;
        }
        text.chars().take(WIDEST - 1).chain(['…']).collect()
    }

    fn text(self, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) if self == Self::Terminal => time(text).unwrap_or_else(|| say::clean(text)),
            Value::String(text) => say::clean(text),
            Value::Array(values) => values.iter().map(|value| self.text(value)).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        }
    }
}

/// A time without its fractions.
fn time(text: &str) -> Option<String> {
    let is_time = text.len() >= 20 && text.ends_with('Z');
    let time: DateTime<Utc> = is_time.then(|| text.parse().ok()).flatten()?;
    Some(time.format("%F %T UTC").to_string())
}

/// All fields with a value, those within others by their whole path; lists of things apart, if somebody takes `tables`.
fn flatten<'a>(
    value: &'a Value,
    name: String,
    fields: &mut Vec<(String, &'a Value)>,
    mut tables: Option<&mut Vec<(String, &'a [Value])>>,
) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Null => {}
        Value::Object(object) => {
            object.iter().for_each(|(part, value)| flatten(value, below(part), fields, tables.as_deref_mut()));
        }
        Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => match tables {
            Some(tables) if values.iter().all(Value::is_object) => tables.push((name, values)),
            mut tables => values.iter().enumerate().for_each(|(part, value)| {
                flatten(value, below(&part.to_string()), fields, tables.as_deref_mut());
            }),
        },
        Value::Array(values) if values.is_empty() => {}
        value => fields.push((name, value)),
    }
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ask::kind::REPORT;

    #[test]
    fn a_list_is_aligned_for_people_and_tabbed_for_scripts() {
        let items = [json!({ "name": "Usage\u{1b}[31m", "state": "registered", "interval_hours": 24, "id": "r1",
                             "expected_at": "2026-01-05T12:21:00Z", "last_failure": null })];

        let people = Form::Terminal.list(&REPORT, &items).unwrap();
        let scripts = Form::Plain.list(&REPORT, &items).unwrap();

        assert_eq!(
            people,
            "NAME        STATE       HOURS  EXPECTED                 ARRIVED  FAILURE  ID\n\
             Usage [31m  registered  24     2026-01-05 12:21:00 UTC                    r1"
        );
        assert_eq!(scripts, "Usage [31m\tregistered\t24\t2026-01-05T12:21:00Z\t\t\tr1");
    }

    #[test]
    fn a_thing_is_told_field_by_field_with_all_that_is_in_it() {
        let value = json!({ "id": 1, "file": { "rows": 2, "columns": ["a", "b"] }, "none": null,
                            "attempts": [{ "status": 200 }] });

        assert_eq!(Form::Plain.one(&value).unwrap(), "id\t1\nattempts.0.status\t200\nfile.columns\ta, b\nfile.rows\t2");
    }

    #[test]
    fn a_list_within_a_thing_is_a_table_for_people() {
        let value =
            json!({ "state": "drifted", "differences": [{ "field": "name", "there": "B" }, { "field": "state" }] });

        let shown = Form::Terminal.one(&value).unwrap();

        assert_eq!(shown, "state  drifted\ndifferences\n  field  there\n  name   B\n  state");
    }
}
