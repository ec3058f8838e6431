//! What a callback meant: which executions there are.
//!
//! Writes `executions`. [`discover`] works off the checks that [`crate::report::check`] holds due: it asks the API for the
//! executions of a report and inserts those never seen. The unique pair of report and remote id makes it once; no
//! execution is trusted because somebody called. The secure link is never kept: the download asks for a fresh one.

pub mod discover;
pub mod fail;
pub mod store;

use chrono::{DateTime, NaiveDate, Utc};

use crate::id::{ExecutionId, ReportId};
use crate::insights;

/// How far we are with an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Under way there.
    Pending,
    /// Its file is there and not yet here.
    Ready,
    /// Its file is in the archive.
    Stored,
    /// There will be no file, or it could not be fetched.
    Failed,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }
}

/// What made us find an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The API called.
    Callback,
    /// We looked because it was time.
    Schedule,
    /// Somebody asked.
    Manual,
}

impl FoundBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

/// One run of a report.
#[derive(Debug, Clone)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// The report.
    pub report_id: ReportId,
    /// Its id at the API.
    pub remote_id: insights::ExecutionId,
    /// The report's id at the API when it ran.
    pub remote_report_id: insights::ReportId,
    /// The API's word.
    pub status: String,
    /// Ours.
    pub state: State,
    /// What made us find it.
    pub found_by: FoundBy,
    /// Archived, but nobody is told.
    pub silent: bool,
    /// When the API made the file.
    pub generated_at: Option<DateTime<Utc>>,
    /// Its day in the archive.
    pub archive_date: NaiveDate,
    /// Why there is no file.
    pub failure: Option<String>,
    /// When we found it.
    pub found_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Execution {
    /// What a fact about it says of it.
    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "remote_id": self.remote_id.0,
            "status": self.status,
            "generated_at": self.generated_at,
            "found_by": self.found_by,
        })
    }

    /// Whether the API made a file, whatever became of it here.
    pub fn has_file_there(&self) -> bool {
        self.status.eq_ignore_ascii_case("completed")
    }
}
