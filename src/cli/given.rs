//! Values of the command line that are wrong are told with what was expected.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::field::{A_TIME, AN_ID};

/// A time.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.trim().parse().map_err(|_| format!("expected {A_TIME}"))
}

/// The id of something that has no name.
pub(super) fn id(text: &str) -> Result<Uuid, String> {
    text.trim().parse().map_err(|_| format!("expected {AN_ID}, as the list of them shows it last"))
}
