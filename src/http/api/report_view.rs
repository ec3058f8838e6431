//! How a report is asked for and shown: what `/reports` takes and answers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::http::extract::or_null;
use crate::id::{AccountId, QueryId, ReportId};
use crate::report::limits::GRACE;
use crate::report::{Change, Draft, Report, State as ReportState};

/// A report to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportInput {
    pub(super) account_id: Option<AccountId>,
    /// Unique within the account, at most 256 characters, no `;`.
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// A query that is kept already…
    pub(super) query_id: Option<QueryId>,
    /// …or its text…
    pub(super) query: Option<String>,
    /// …or the id of one that exists at the API, such as a system query.
    pub(super) remote_query_id: Option<String>,
    /// At least four hours and five minutes ahead; just that when not given.
    pub(super) start_at: Option<DateTime<Utc>>,
    /// 4 to 2160; needed unless `execute_now`.
    pub(super) interval_hours: Option<i32>,
    /// For ever when not given.
    pub(super) occurrences: Option<i32>,
    /// No run after it; for accounts of the program cmp only.
    pub(super) end_at: Option<DateTime<Utc>>,
    /// Make it anew after its last run, instead of ending it.
    pub(super) recreate: Option<bool>,
    /// It is late so many hours after it was expected: 1 to 2160, 2 when not given.
    pub(super) grace_hours: Option<i32>,
    /// `csv` (default) or `tsv`.
    pub(super) format: Option<String>,
    /// `POST` (default) or `GET`.
    pub(super) callback_method: Option<String>,
    /// Once, at once; then no start and no interval.
    pub(super) execute_now: Option<bool>,
    pub(super) query_start_at: Option<DateTime<Utc>>,
    pub(super) query_end_at: Option<DateTime<Utc>>,
}

/// What shall change; what is not given stays, and what is null is as in a report made without it. With another query the report is made anew there and keeps its history here.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "null and not given differ")]
pub(super) struct ReportChange {
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>)]
    pub(super) description: Option<Option<String>>,
    pub(super) query: Option<String>,
    /// At least four hours and five minutes ahead.
    pub(super) start_at: Option<DateTime<Utc>>,
    pub(super) interval_hours: Option<i32>,
    /// In all: more than have happened; null is for ever.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<i32>)]
    pub(super) occurrences: Option<Option<i32>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) end_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<bool>)]
    pub(super) recreate: Option<Option<bool>>,
    /// It is late so many hours after it was expected; known here only, so it changes nothing there.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<i32>)]
    pub(super) grace_hours: Option<Option<i32>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>)]
    pub(super) format: Option<Option<String>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>)]
    pub(super) callback_method: Option<Option<String>>,
}

/// A report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportView {
    pub(super) id: ReportId,
    pub(super) account_id: AccountId,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) query_id: QueryId,
    pub(super) query: String,
    pub(super) start_at: Option<DateTime<Utc>>,
    pub(super) interval_hours: Option<i32>,
    pub(super) occurrences: Option<i32>,
    pub(super) end_at: Option<DateTime<Utc>>,
    pub(super) recreate: bool,
    /// It is late so many hours after it was expected.
    pub(super) grace_hours: i32,
    pub(super) format: String,
    pub(super) callback_method: String,
    pub(super) execute_now: bool,
    pub(super) query_start_at: Option<DateTime<Utc>>,
    pub(super) query_end_at: Option<DateTime<Utc>>,
    pub(super) state: ReportState,
    /// Its id at the API.
    pub(super) remote_id: Option<String>,
    /// The last characters of the callback address: the rest is a secret.
    pub(super) callback_address: String,
    /// Whether the API is still to be brought into line.
    pub(super) settling: bool,
    pub(super) last_failure: Option<String>,
    /// What whoever made this change should know, such as a run that will not happen.
    pub(super) warnings: Vec<String>,
    pub(super) expected_at: Option<DateTime<Utc>>,
    pub(super) late_since: Option<DateTime<Utc>>,
    pub(super) arrived_at: Option<DateTime<Utc>>,
    /// Since when we know it, where it existed there before us: what it made before is archived in silence.
    pub(super) adopted_at: Option<DateTime<Utc>>,
    /// Since when it differs from what is there; see `/reports/{id}/drift`.
    pub(super) drift_since: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl ReportView {
    pub(super) fn of(app: &App, report: Report) -> Self {
        Self {
            callback_address: app.addresses.tail(report.id),
            id: report.id,
            account_id: report.account_id,
            name: report.name,
            description: report.description,
            query_id: report.query_id,
            query: report.query,
            start_at: report.start_at,
            interval_hours: report.interval_hours,
            occurrences: report.occurrences,
            end_at: report.end_at,
            recreate: report.recreate,
            grace_hours: report.grace_hours,
            format: report.format,
            callback_method: report.callback_method,
            execute_now: report.execute_now,
            query_start_at: report.query_start_at,
            query_end_at: report.query_end_at,
            state: report.state,
            remote_id: report.remote_id.map(|id| id.0),
            settling: report.settling,
            last_failure: report.last_failure,
            warnings: Vec::new(),
            expected_at: report.expected_at,
            late_since: report.late_since,
            arrived_at: report.arrived_at,
            adopted_at: report.adopted_at,
            drift_since: report.drift_since,
            created_at: report.created_at,
            updated_at: report.updated_at,
        }
    }
}

impl ReportInput {
    /// The draft that it asks for, of this account.
    pub(super) fn draft(self, account_id: AccountId) -> Draft {
        Draft {
            account_id,
            name: self.name.unwrap_or_default(),
            description: self.description,
            query_id: self.query_id,
            query: self.query,
            start_at: self.start_at,
            interval_hours: self.interval_hours,
            occurrences: self.occurrences,
            end_at: self.end_at,
            recreate: self.recreate.unwrap_or(false),
            grace_hours: self.grace_hours,
            format: self.format,
            callback_method: self.callback_method,
            execute_now: self.execute_now.unwrap_or(false),
            query_start_at: self.query_start_at,
            query_end_at: self.query_end_at,
        }
    }
}

impl From<ReportChange> for Change {
    fn from(input: ReportChange) -> Self {
        Self {
            name: input.name,
            description: input.description,
            query: input.query,
            start_at: input.start_at,
            interval_hours: input.interval_hours,
            occurrences: input.occurrences,
            end_at: input.end_at,
            recreate: input.recreate.map(Option::unwrap_or_default),
            grace_hours: input.grace_hours.map(|given| given.unwrap_or(GRACE)),
            format: input.format.map(|given| given.unwrap_or_else(|| "csv".into())),
            callback_method: input.callback_method.map(|given| given.unwrap_or_else(|| "POST".into())),
        }
    }
}
