//! Text on its way to a channel: cut to a length, kept on a line, kept from being read as markup.
//!
//! Lengths are counted in characters, and no character is ever cut in two.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::message::Table;

/// Shown where something was cut off.
pub(super) const ELLIPSIS: char = '…';
/// Takes no room and joins nothing visible: stands before a character that a channel would read as markup.
const FILLER: char = '\u{34f}';

/// At most `most` characters of a text, the last one an ellipsis where more were there.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain([ELLIPSIS]).collect()
}

/// A text without control characters or line breaks; runs of white space become one space.
pub(super) fn one_line(text: &str) -> String {
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text whose only control characters are line breaks, and never more than two of those together.
pub(super) fn paragraphs(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(one_line).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let blank_again = line.is_empty() && at > 0 && lines[at - 1].is_empty();
        if !blank_again {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.trim().to_owned()
}

/// Keeps `markers` from being read as markup, where they stand at the edge of a word; `daily_sales` stays as it is.
pub(super) fn inert(text: &str, markers: &[char]) -> String {
    let characters: Vec<char> = text.chars().collect();
    let in_word = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphanumeric());
    let mut text = String::with_capacity(text.len());
    for (at, &character) in characters.iter().enumerate() {
        let inside = in_word(at.checked_sub(1)) && in_word(Some(at + 1));
        if markers.contains(&character) && !(character == '_' && inside) {
            text.push(FILLER);
        }
        text.push(character);
    }
    text
}

/// The moment that a text names in RFC 3339.
pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// A moment as people read it, in UTC.
pub(super) fn readable(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// The text, or the moment that it names as people read it.
pub(super) fn readable_or_same(text: &str) -> String {
    moment(text).map_or_else(|| text.to_owned(), readable)
}

/// A table in letters of one width: padded columns, a rule under the head, no line longer than `width`.
pub(super) fn plain_table(table: &Table, width: usize) -> String {
    let rows: Vec<&Vec<String>> = std::iter::once(&table.columns).chain(&table.rows).collect();
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        let line = cells.join("  ");
        let _ = writeln!(text, "{}", cut(line.trim_end(), width));
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
            let _ = writeln!(text, "{}", cut(&rule.join("  "), width));
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_between_characters_and_shows() {
        assert_eq!(cut("Größe", 5), "Größe");
        assert_eq!(cut("Größen", 5), "Größ…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_line_break_cannot_leave_its_line() {
        assert_eq!(one_line("a\r\nBcc: x\u{0}\u{1b}[1m \n b"), "a Bcc: x [1m b");
        assert_eq!(paragraphs(" a\r\n\n\n\nb\tc\n"), "a\n\nb c");
    }

    #[test]
    fn marks_are_made_inert_and_names_with_underscores_stay() {
        assert_eq!(inert("daily_sales", &['*', '_']), "daily_sales");
        assert_eq!(inert("*x*_", &['*', '_']), "\u{34f}*x\u{34f}*\u{34f}_");
    }

    #[test]
    fn columns_of_a_plain_table_stand_below_each_other() {
        let table = Table {
            title: "First rows".into(),
            columns: vec!["Name".into(), "Rows".into()],
            rows: vec![vec!["Öre".into(), "12".into()], vec!["Contoso".into(), "7".into()]],
        };

        assert_eq!(plain_table(&table, 40), "Name     Rows\n-------  ----\nÖre      12\nContoso  7");
    }
}
