//! What arrives: genuine calls of our callback addresses, recorded whole.
//!
//! Writes `callbacks`, and in the same transaction makes the report's check due. [`record::Door`] checks the address
//! without the database, so junk costs nothing; it answers only after the commit, and what it took is written even when
//! the caller has gone. A call is a hint and is never trusted: what it was about is asked of the API by
//! [`crate::execution`]. The door calls nobody.

pub mod numbers;
mod pace;
pub mod record;
pub mod store;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::id::{CallbackId, ReportId};

/// More of a body is cut, and that is marked.
pub const MOST_BODY: usize = 64 * 1024;

/// What the operator says of the door.
#[derive(Debug, Clone)]
pub struct Settings {
    /// No report is called more often in this process; what is above is turned away.
    pub calls_per_second: u32,
    /// Networks of proxies whose word on who called is taken.
    pub trusted_proxies: Arc<[IpNet]>,
}

impl Default for Settings {
    /// More than any report is called, and nobody is trusted.
    fn default() -> Self {
        Self { calls_per_second: 1000, trusted_proxies: Arc::default() }
    }
}

/// A call that came in.
#[derive(Debug)]
pub struct Call<'a> {
    /// The report whose address was called.
    pub report_id: ReportId,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// What stood behind the token.
    pub path: Cow<'a, str>,
    /// The query string.
    pub query: Option<Cow<'a, str>>,
    /// Names and values; bytes that are no text are escaped.
    pub headers: Vec<(&'a str, Cow<'a, str>)>,
    /// At most [`MOST_BODY`] bytes.
    pub body: bytes::Bytes,
    /// Whether there was more.
    pub body_cut: bool,
    /// Who called.
    pub remote_address: Option<IpAddr>,
}

/// What we thought of a call when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The report is ours; it was made due.
    Accepted,
    /// The address is genuine, but its report is gone.
    UnknownReport,
}

/// A recorded call.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Callback {
    /// Its id.
    pub id: CallbackId,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// The report whose address was called.
    pub report_id: ReportId,
    /// What we thought of it.
    pub verdict: Verdict,
    /// `GET` or `POST`.
    pub method: String,
    /// What stood behind the token.
    pub path: String,
    /// The query string.
    pub query: Option<String>,
    /// Its headers: a list of name and value.
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: serde_json::Value,
    /// Its body; a list leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Bytes that are not UTF-8, NUL and backslashes are written as `\xNN`.
    pub body_escaped: bool,
    /// There was more than 64 KiB of body.
    pub body_cut: bool,
    /// Who called.
    pub remote_address: Option<String>,
}

/// Bytes as a text that Postgres takes. The second value tells whether anything had to be escaped.
pub fn escaped(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => (text.into(), false),
        _ => (escape(bytes).into(), true),
    }
}

fn escape(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0' => text.push_str("\\x00"),
                '\\' => text.push_str("\\x5c"),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_text_stays_as_it_is_and_other_bytes_are_escaped_without_loss() {
        assert_eq!(escaped(br#"{"a":"b\n"}"#), (r#"{"a":"b\n"}"#.into(), false));
        assert_eq!(escaped(b"a\0b\xff\\"), (r"a\x00b\xff\x5c".into(), true));
    }
}
