//! What is wrong with an input: every field that is, by name, with what was expected.

use url::Url;

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
