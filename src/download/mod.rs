//! The bytes of a report: fetched, measured on the way, and kept in the archive.
//!
//! Writes `downloads`: one row per execution, whose id is the file's. [`fetch`] asks for a fresh secure link just before it
//! streams; [`profile`] decodes, hashes and counts what passes, in constant memory; [`archive`] writes aside and publishes in
//! one step, so a file there is whole. The transaction that stores a file marks its execution, moves the report's
//! expectation and writes the facts: that it came, and where `compare` finds other columns than in the file before, that
//! too. What may pass is not declared failed within the first hour.

pub mod archive;
mod compare;
pub mod fetch;
pub mod profile;
pub mod store;

use chrono::{DateTime, Utc};

use crate::id::{ExecutionId, FileId, ReportId};

/// How the bytes rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As they are.
    Identity,
    /// Compressed.
    Gzip,
}

impl Encoding {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }
}

/// A report file in the archive.
#[derive(Debug, Clone)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// The execution that made it.
    pub execution_id: ExecutionId,
    /// The report.
    pub report_id: ReportId,
    /// Where it is in the archive.
    pub location: String,
    /// `csv` or `tsv`.
    pub format: String,
    /// How the bytes rest.
    pub encoding: Encoding,
    /// Of the report itself.
    pub size_bytes: i64,
    /// What the archive holds.
    pub stored_bytes: i64,
    /// Of the report itself, hexadecimal.
    pub sha256: String,
    /// Without the header.
    pub rows: i64,
    /// Names, in their order.
    pub columns: Vec<String>,
    /// A few rows as a taste; cells are cut short.
    pub first_rows: Vec<Vec<String>>,
    /// When it was stored.
    pub stored_at: DateTime<Utc>,
}
