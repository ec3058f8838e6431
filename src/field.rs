//! What is wrong with an input: every field that is, by name, with what was expected.

use url::Url;

/// How a time is written.
pub const A_TIME: &str = "a time such as 2026-01-31T06:00:00Z (RFC 3339)";
/// How an id is written.
pub const AN_ID: &str = "an id such as 019b76da-a800-7000-8000-000000000001";
/// What is said of a text that is no time.
const TIMES: [&str; 8] = [
    "RFC 3339 formatted",
    "input contains invalid characters",
    "premature end of input",
    "trailing input",
    "input is out of range",
    "input is not enough",
    "no possible date and time",
    "a formatted date and time string",
];

/// One field and what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Its name as the caller wrote it, with dots: `endpoint.url`.
    pub field: String,
    /// What was expected.
    pub message: String,
}

/// Everything wrong with one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; "))]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// Notes that a field is wrong.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Notes it unless `fine`.
    pub fn expect(&mut self, fine: bool, field: &str, message: &str) {
        if !fine {
            self.add(field, message);
        }
    }

    /// Notes it unless the text has 1 to `most` characters, none of them a control character.
    pub fn text(&mut self, field: &str, text: &str, most: usize) {
        let length = text.trim().chars().count();
        if length == 0 {
            self.add(field, "must not be empty");
        } else if length > most {
            self.add(field, format!("must have at most {most} characters, has {length}"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "must not hold control characters");
        }
    }

    /// The address, or the note that it is none.
    pub fn url(&mut self, field: &str, text: &str) -> Option<Url> {
        let url = (text.len() <= 4096).then(|| Url::parse(text.trim()).ok()).flatten();
        if url.is_none() {
            self.add(field, "must be an absolute address such as https://example.com/path, of at most 4096 bytes");
        }
        url
    }

    /// Nothing wrong, or everything that is.
    pub fn result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}
/// What a reader of JSON, YAML or a query string says of a wrong value, in the words of whoever wrote that value.
pub fn in_plain_words(message: &str) -> String {
    let has = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if has(&TIMES) {
        return format!("must be {A_TIME}");
    }
    if has(&["UUID parsing failed"]) {
        return format!("must be {AN_ID}");
    }
    if has(&["invalid digit found in string", "cannot parse integer", "to fit in target type"]) {
        return "must be a whole number".into();
    }
    if let Some((before, _)) = message.split_once("expected struct ") {
        return format!("{before}expected fields with their values");
    }
    let named = [("expected sequence start", "expected a list"), ("expected a sequence", "expected a list")];
    let numbers = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"].map(|name| (name, "a whole number"));
    let plain = named.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to));
    numbers
        .iter()
        .fold(plain, |text, (name, words)| text.replace(&format!("expected {name}"), &format!("expected {words}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_told_in_the_words_of_who_wrote_it() {
        for (said, plain) in [
            ("premature end of input", "must be a time such as 2026-01-31T06:00:00Z (RFC 3339)"),
            (
                "UUID parsing failed: invalid length: found 3",
                "must be an id such as 019b76da-a800-7000-8000-000000000001",
            ),
            ("invalid digit found in string", "must be a whole number"),
            ("invalid type: string \"x\", expected i32", "invalid type: string \"x\", expected a whole number"),
            (
                "invalid type: sequence, expected struct ReportInput with 16 elements",
                "invalid type: sequence, expected fields with their values",
            ),
            ("expected sequence start", "expected a list"),
            ("unknown field `colour`", "unknown field `colour`"),
        ] {
            assert_eq!(in_plain_words(said), plain);
        }
    }
}
